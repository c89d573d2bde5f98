"""A read sees one moment; a write is whole or has not happened, whoever is cancelled and whatever fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import ConfigurationError
from domain.storage import Database, is_unavailable
from tests.support.waiting import Gate

notes_metadata = MetaData()
notes = Table(
    "notes",
    notes_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)
counter = Table(
    "counter",
    notes_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)


class WorkError(Exception):
    """What a test's own work raises."""


@pytest.fixture
async def database(database: Database) -> Database:
    """A database with the tests' own tables besides."""
    await database.write(lambda connection: connection.run_sync(notes_metadata.create_all))
    await database.write(lambda connection: connection.execute(insert(counter).values(id=1, value=0)))
    return database


async def add_note(connection: AsyncConnection, id_: int) -> None:
    await connection.execute(insert(notes).values(id=id_, text=f"note {id_}"))


async def count(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(notes))).scalar_one())


async def counted(database: Database) -> int:
    async with database.reading() as connection:
        return await count(connection)


async def increment(connection: AsyncConnection) -> int:
    """Raise the counter by reading it first: lost where two such writes mix."""
    value = int((await connection.execute(select(counter.c.value).with_for_update())).scalar_one()) + 1
    await connection.execute(update(counter).values(value=value))
    return value


async def value_of(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(counter.c.value))).scalar_one())


async def test_a_write_is_read_once_it_is_committed(database: Database) -> None:
    async def work(connection: AsyncConnection) -> str:
        await add_note(connection, 1)
        return "done"

    assert await database.write(work) == "done"
    assert await counted(database) == 1


async def test_a_read_is_one_moment(database: Database) -> None:
    await database.write(lambda connection: add_note(connection, 1))
    async with database.reading() as connection:
        assert await count(connection) == 1
        await database.write(lambda writer: add_note(writer, 2))
        assert await count(connection) == 1
        assert (await connection.execute(select(notes.c.id).order_by(notes.c.id))).scalars().all() == [1]
    assert await counted(database) == 2


async def test_a_read_does_not_see_what_is_not_committed(database: Database) -> None:
    written, looked = Gate(), Gate()

    async def work(connection: AsyncConnection) -> None:
        await add_note(connection, 1)
        written.open()
        await looked.passed()

    writing = asyncio.create_task(database.write(work))
    async with asyncio.timeout(10):
        await written.passed()
        assert await counted(database) == 0
        looked.open()
        await writing
    assert await counted(database) == 1


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.reading() as connection:
            await add_note(connection, 1)
    assert await counted(database) == 0


async def test_an_error_in_the_work_rolls_all_of_it_back(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await add_note(connection, 1)
        await increment(connection)
        raise WorkError

    with pytest.raises(WorkError):
        await database.write(work)
    assert await counted(database) == 0
    assert await value_of(database) == 0
    await database.write(lambda connection: add_note(connection, 1))
    assert await counted(database) == 1


async def test_a_statement_that_fails_rolls_back_those_before_it(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await add_note(connection, 1)
        await add_note(connection, 1)

    with pytest.raises(IntegrityError):
        await database.write(work)
    assert await counted(database) == 0


async def test_work_that_fails_for_its_own_fault_is_not_run_again(database: Database) -> None:
    runs = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        raise WorkError

    with pytest.raises(WorkError):
        await database.write(work)
    assert runs == 1


async def test_cancelling_the_caller_neither_tears_nor_loses_the_write(database: Database) -> None:
    begun, go_on = Gate(), Gate()

    async def work(connection: AsyncConnection) -> None:
        await add_note(connection, 1)
        begun.open()
        await go_on.passed()
        await add_note(connection, 2)

    caller = asyncio.create_task(database.write(work))
    async with asyncio.timeout(10):
        await begun.passed()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await counted(database) == 0
        go_on.open()
        await database.write(lambda connection: add_note(connection, 3))
        await database.close()
    assert await counted(database) == 3


async def test_closing_waits_for_a_write_whose_caller_is_gone(database: Database) -> None:
    begun, go_on = Gate(), Gate()

    async def work(connection: AsyncConnection) -> None:
        begun.open()
        await go_on.passed()
        await add_note(connection, 1)

    caller = asyncio.create_task(database.write(work))
    async with asyncio.timeout(10):
        await begun.passed()
        caller.cancel()
        await asyncio.wait([caller])
        closing = asyncio.create_task(database.close())
        done, _ = await asyncio.wait([closing], timeout=0.2)
        assert not done
        go_on.open()
        await closing
    assert await counted(database) == 1


async def test_many_concurrent_writes_all_succeed_and_none_is_lost(database: Database) -> None:
    async with asyncio.timeout(60):
        values = await asyncio.gather(*(database.write(increment) for _ in range(100)))
    assert sorted(values) == list(range(1, 101))
    assert await value_of(database) == 100


async def test_two_connections_to_one_database_lose_no_write(database: Database, database_url: str) -> None:
    other = Database(database_url)
    async with asyncio.timeout(60):
        await asyncio.gather(*(each.write(increment) for _ in range(25) for each in (database, other)))
    await other.close()
    assert await value_of(database) == 50


async def test_reads_and_writes_go_on_side_by_side(database: Database) -> None:
    async def both(connection: AsyncConnection) -> None:
        number = await increment(connection)
        await add_note(connection, number)

    async def agreed() -> bool:
        async with database.reading() as connection:
            value = (await connection.execute(select(counter.c.value))).scalar_one()
            await asyncio.sleep(0)
            return bool(value == await count(connection))

    async with asyncio.timeout(60):
        reads = [asyncio.create_task(agreed()) for _ in range(40)]
        await asyncio.gather(*(database.write(both) for _ in range(40)))
        assert all(await asyncio.gather(*reads))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_deadlocked_write_is_run_again_from_the_start(database: Database) -> None:
    await database.write(lambda connection: connection.execute(insert(counter).values(id=2, value=0)))
    met = asyncio.Barrier(2)
    runs = 0

    async def crosswise(connection: AsyncConnection, first: int, second: int) -> None:
        nonlocal runs
        runs += 1
        meets = runs <= 2
        await connection.execute(update(counter).where(counter.c.id == first).values(value=counter.c.value + 1))
        if meets:
            await met.wait()
        await connection.execute(update(counter).where(counter.c.id == second).values(value=counter.c.value + 1))

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.write(lambda connection: crosswise(connection, 1, 2)),
            database.write(lambda connection: crosswise(connection, 2, 1)),
        )
    async with database.reading() as connection:
        assert (await connection.execute(select(counter.c.value))).scalars().all() == [2, 2]
    assert runs == 3


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_sqlite_file_is_durable_and_holds_foreign_keys(database: Database) -> None:
    async def settings(connection: AsyncConnection) -> list[object]:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return [(await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() for pragma in pragmas]

    assert await database.write(settings) == ["wal", 2, 1]


async def test_a_database_that_answers_is_pinged_in_peace(database: Database) -> None:
    await database.ping()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_server_that_is_not_there_counts_as_unavailable(database: Database, unused_tcp_port: int) -> None:
    gone = Database(database.url.set(port=unused_tcp_port))
    with pytest.raises(ConnectionRefusedError) as raised:
        await gone.ping()
    assert is_unavailable(raised.value)
    await gone.close()


async def test_a_fault_of_the_question_is_not_unavailability(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        await database.write(lambda connection: connection.execute(text("SELECT nothing FROM nowhere")))
    assert not is_unavailable(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true",
        "sqlite+aiosqlite:///file:saga?mode=memory&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"SEATSAGA_DATABASE_URL: a SQLite database must be a file"):
        Database(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "seatsaga.db",
        "sqlite:///seatsaga.db",
        "sqlite+pysqlite:///seatsaga.db",
        "postgresql+psycopg://localhost/seatsaga",
        "mysql+aiomysql://localhost/seatsaga",
        "oracle://localhost/seatsaga",
    ],
)
def test_a_foreign_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SEATSAGA_DATABASE_URL must be"):
        Database(url)


async def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/a/b/seatsaga.db")
    await database.ping()
    await database.close()
    assert (tmp_path / "a" / "b" / "seatsaga.db").is_file()
