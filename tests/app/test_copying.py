"""A database moved to another, of either kind to either: what arrives, what is refused, and what a failure leaves."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, func, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url

from app.database_copy import CopiedTable, CopyDiffersError, copy_database
from app.metadata import metadata
from app.migrations import SchemaState, schema_state, upgrade
from domain.bookings import BookFlight, Passenger, SegmentWish
from domain.bulk import BulkAction, BulkActionKind, BulkRequest
from domain.errors import ConfigurationError, SchemaError, StorageError
from domain.money import Money
from domain.payments import BooksListing, PaymentOrder
from domain.saga import SagaQuery, SagaStatus, SagaView
from domain.storage import FILLED_BY_MIGRATIONS, FileLock, data_tables, database_file
from sandbox import books_beside, books_url
from sandbox.books import ADDED
from sandbox.reading import reading
from tests.app.airline import airline
from tests.app.schemas import empty_postgres, on, set_revision
from tests.support.asking import AN_OPERATOR

PAIRS: Final = [(source, target) for source in ("sqlite", "postgresql") for target in ("sqlite", "postgresql")]
Places = Callable[[str], Any]


@pytest.fixture
async def nowhere(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Places]:
    """Gives the URLs of databases of a kind that nothing was ever put into."""
    async with AsyncExitStack() as stack:

        async def place(kind: str) -> str:
            if kind == "sqlite":
                return f"sqlite+aiosqlite:///{tmp_path / uuid.uuid4().hex / 'seatsaga.db'}"
            server: URL = request.getfixturevalue("postgres_url")
            return await stack.enter_async_context(empty_postgres(server))

        yield place


async def lived_in(url: str, folder: Path) -> None:
    """Let the empty database at `url` have had sagas of many ends, and one that is not over; it is served no more."""
    await upgrade(url)
    async with airline(url, folder, seats_per_caller_max=9) as served:
        # The others are an operator's, whom nothing limits.
        bought = await served.backend.bookings.book(
            BookFlight("somebody", [SegmentWish(1)], [Passenger("Grace", "Hopper")])
        )
        assert isinstance(bought, SagaView)
        await served.ended(bought.correlation_id)
        for simulate in (None, {"failAt": ["CONFIRM_BOOKING"]}, {"loseAnswerAt": ["CONFIRM_BOOKING"]}):
            await served.ended(await served.book(simulate))
        # A payment that our books do not know, and the walk that finds it.
        await served.backend.gateway.authorize("pi_strange", PaymentOrder(str(uuid.uuid4()), Money(100)), "a key")
        served.clock.advance(600)
        over = BulkRequest(BulkActionKind.CANCEL, SagaQuery(statuses=[SagaStatus.COMPLETED]), "{}", "Tests.")
        assert isinstance(await served.backend.bulk.begin(over, AN_OPERATOR), BulkAction)
        while await served.backend.reconciliation.turn():
            pass
        served.clock.advance(-600)
        resting = await served.book({"delayMs": 5_000})
        await served.until(resting, "STEP_STARTED")
        served.clock.advance(5)
        await served.until(resting, "STEP_COMPLETED")
        served.clock.advance(-5)
        await served.http.post("/admin/scheduler/jobs/recover-sagas/pause")
    if make_url(url).get_backend_name() == "sqlite":
        shutil.copy(folder / "sandbox.db", str(books_url(make_url(url)).database))


async def all_rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every value of every table of data, rows in an order that both databases agree on."""

    def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in data_tables(metadata)
        }

    return await on(url, read)


async def all_books(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The sandbox's books, wherever they are kept for the database at `url`."""
    parsed = make_url(url)
    schema = "" if parsed.get_backend_name() == "sqlite" else "sandbox."

    def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(tuple(row) for row in connection.execute(text(f"SELECT * FROM {schema}{name}")))
            for name in ("entries", "answers")
        }

    return await on(books_url(parsed).render_as_string(hide_password=False), read)


async def move(
    source: str,
    target: str,
    *,
    with_books: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[CopiedTable]:
    return await copy_database(source, target, with_books=with_books, progress=progress, asked=AN_OPERATOR)


@pytest.mark.parametrize(("source_kind", "target_kind"), PAIRS)
async def test_every_value_of_every_table_and_of_the_books_arrives(
    source_kind: str, target_kind: str, nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere(source_kind), await nowhere(target_kind)
    await lived_in(source, tmp_path)
    before, books = await all_rows(source), await all_books(source)
    heard: list[tuple[int, int]] = []
    copied = await move(source, target, progress=lambda done, total: heard.append((done, total)))
    assert await all_rows(source) == before
    assert (await all_books(source), await all_books(target)) == (books, books)
    after = await all_rows(target)
    # A load of flights is forgotten once it is done, no job need have run, and nobody has paused the provider.
    unused = {"job_runs", "flight_loads", "provider_controls"}
    assert {name for name, rows in before.items() if not rows} <= unused
    # Leases alone are not as they were: whoever comes takes everything over at once.
    (was,), (now,) = before.pop("replicas"), after.pop("replicas")
    assert now[:-1] == was[:-1]
    # And the copy itself is on the record.
    (copy,) = set(after["operator_actions"]) - set(before["operator_actions"])
    assert "COPY_DATABASE" in copy
    after["operator_actions"].remove(copy)
    assert after == before
    numbers = {table.name.removeprefix("sandbox."): table.target.rows for table in copied}
    assert numbers == {name: len(rows) for name, rows in {**before, **books}.items()} | {"replicas": 1}
    assert all(table.is_same for table in copied)
    total = 2 * sum(numbers.values())
    assert heard[-1] == (total, total)
    assert heard == sorted(heard)


@pytest.mark.parametrize("target_kind", ["sqlite", "postgresql"])
async def test_the_next_flight_has_a_number_of_its_own(target_kind: str, nowhere: Places, tmp_path: Path) -> None:
    source, target = await nowhere("sqlite"), await nowhere(target_kind)
    await lived_in(source, tmp_path)
    await move(source, target)
    flights = metadata.tables["flights"]

    def add(connection: Connection) -> tuple[int, int]:
        highest: int = connection.execute(select(func.max(flights.c.id))).scalar_one()
        row = dict(connection.execute(select(flights).limit(1)).mappings().one()) | {"number": "ZZ1"}
        del row["id"]
        (number,) = connection.execute(insert(flights).values(**row)).inserted_primary_key or (0,)
        return highest, number

    highest, number = await on(target, add)
    assert number == highest + 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_migrations_fill_and_nothing_else_has_rows_in_an_empty_database(kind: str, nowhere: Places) -> None:
    url = await nowhere(kind)
    await upgrade(url)

    def filled(connection: Connection) -> set[str]:
        names = set(inspect(connection).get_table_names())
        assert names == set(metadata.tables) | {"alembic_version"}
        return {
            name for name in metadata.tables if connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
        }

    marked = {table.name for table in metadata.sorted_tables if table.info == FILLED_BY_MIGRATIONS}
    assert await on(url, filled) <= marked


@pytest.mark.parametrize("target_kind", ["sqlite", "postgresql"])
async def test_a_target_with_rows_is_refused_and_its_table_named(
    target_kind: str, nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere("sqlite"), await nowhere(target_kind)
    await upgrade(source)
    await upgrade(target)
    await on(
        target,
        lambda connection: connection.execute(
            text("INSERT INTO loyalty_accounts (member_number, name, balance, pending) VALUES ('SS1', 'A', 0, 0)")
        ),
    )
    with pytest.raises(ConfigurationError, match="rows in its table loyalty_accounts"):
        await move(source, target)


@pytest.mark.parametrize("target_kind", ["sqlite", "postgresql"])
async def test_a_target_of_others_is_refused_and_left_alone(target_kind: str, nowhere: Places) -> None:
    source, target = await nowhere("sqlite"), await nowhere(target_kind)
    await upgrade(source)
    if target_kind == "sqlite":
        database_file(make_url(target)).parent.mkdir(parents=True)
    await on(target, lambda connection: connection.execute(text("CREATE TABLE others (id INTEGER)")))
    with pytest.raises(ConfigurationError, match="a table others, which is not seatsaga's"):
        await move(source, target)
    assert await schema_state(target) is SchemaState.EMPTY


async def test_a_source_that_cannot_be_copied_is_refused_with_what_to_do(nowhere: Places) -> None:
    source, target = await nowhere("sqlite"), await nowhere("sqlite")
    for given, said in ((source, "FROM: there is no file"), ("mysql://a:secret@h/x", "FROM must be sqlite")):
        with pytest.raises(ConfigurationError, match=said) as refused:
            await move(given, target)
        assert "secret" not in str(refused.value)
    await upgrade(source)
    with pytest.raises(ConfigurationError, match="the same database"):
        await move(source, source)
    lock = FileLock(database_file(make_url(source)))
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="is in use by another process; stop it"):
        await move(source, target)
    lock.release()
    await set_revision(source, "0001")
    with pytest.raises(SchemaError, match="run: seatsaga migrate"):
        await move(source, target)
    assert await schema_state(target) is SchemaState.EMPTY


@pytest.mark.parametrize("source_kind", ["sqlite", "postgresql"])
async def test_a_source_that_is_served_is_refused_and_the_process_named(
    source_kind: str, nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere(source_kind), await nowhere("sqlite")
    await upgrade(source)
    async with airline(source, tmp_path):
        with pytest.raises(ConfigurationError, match=r"process \d+"):
            await move(source, target)
    assert await schema_state(target) is SchemaState.EMPTY


async def test_what_does_not_arrive_as_it_was_is_named_and_nothing_is_committed(
    nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere("sqlite"), await nowhere("postgresql")
    await lived_in(source, tmp_path)
    await upgrade(target)

    def distort(connection: Connection) -> None:
        connection.execute(
            text(
                "CREATE FUNCTION distort() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN NEW.total_minor := NEW.total_minor + 1; RETURN NEW; END $$"
            )
        )
        connection.execute(
            text("CREATE TRIGGER distort BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION distort()")
        )

    await on(target, distort)
    with pytest.raises(CopyDiffersError, match="the copy of bookings differs from the source") as differs:
        await move(source, target)
    wrong = [table for table in differs.value.tables if not table.is_same]
    assert [(table.name, table.source.rows == table.target.rows) for table in wrong] == [("bookings", True)]
    assert not any((await all_rows(target)).values())


async def test_what_the_target_cannot_store_is_named_without_its_value_and_nothing_is_committed(
    nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere("sqlite"), await nowhere("postgresql")
    await lived_in(source, tmp_path)
    await on(
        source, lambda connection: connection.execute(text("UPDATE passengers SET family_name = 'Love' || char(0)"))
    )
    with pytest.raises(StorageError, match=r"^passengers: the target did not take") as refused:
        await move(source, target)
    assert "Love" not in str(refused.value)
    assert not any((await all_rows(target)).values())


async def test_books_that_an_earlier_try_has_left_beside_a_file_are_taken_and_others_refused(
    nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere("sqlite"), await nowhere("sqlite")
    await lived_in(source, tmp_path)
    books = Path(str(books_beside(make_url(target))))
    books.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "sandbox.db", books)
    await on(
        f"sqlite+aiosqlite:///{books}", lambda connection: connection.execute(text("UPDATE entries SET refunds = 9"))
    )
    with pytest.raises(ConfigurationError, match="books beside it have other rows in entries"):
        await move(source, target)
    assert not any((await all_rows(target)).values())
    shutil.copy(tmp_path / "sandbox.db", books)
    await move(source, target)
    assert await all_books(target) == await all_books(source)


@pytest.mark.parametrize(("source_kind", "target_kind"), PAIRS)
async def test_books_of_an_older_version_arrive_and_can_be_used_at_once(
    source_kind: str, target_kind: str, nowhere: Places, tmp_path: Path
) -> None:
    source, target = await nowhere(source_kind), await nowhere(target_kind)
    await lived_in(source, tmp_path)
    schema = "" if source_kind == "sqlite" else "sandbox."

    def make_older(connection: Connection) -> None:
        for name in ADDED:
            connection.execute(text(f"ALTER TABLE {schema}entries DROP COLUMN {name}"))

    await on(books_url(make_url(source)).render_as_string(hide_password=False), make_older)
    older = (await all_books(source))["entries"]

    await move(source, target)

    assert (await all_books(source))["entries"] == older
    assert (await all_books(target))["entries"] == [(*row, "", "", "", "", 0, 0, "", 0) for row in older]


async def test_without_the_sandbox_its_books_stay_where_they_are(nowhere: Places, tmp_path: Path) -> None:
    source, target = await nowhere("sqlite"), await nowhere("sqlite")
    await lived_in(source, tmp_path)
    await move(source, target, with_books=False)
    async with reading(books_beside(make_url(target))) as books:
        assert (await books.page(BooksListing.PAYMENTS, since=0, until=2**62)).entries == []
    assert {file.name for file in database_file(make_url(target)).parent.iterdir()} == {
        "seatsaga.db",
        "seatsaga.db.lock",
    }
