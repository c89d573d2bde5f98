"""Many rows by one statement, alike on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from domain.ids import new_id
from domain.storage import BulkInsert, BulkUpdate, Database, Id, any_of

things_metadata = MetaData()
things = Table(
    "things",
    things_metadata,
    Column("id", Id, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("note", Text),
    Column("flag", Boolean),
)
c = things.c

insert_things = BulkInsert(things, c.id, c.number, c.status, c.times, c.note)
insert_missing = BulkInsert(things, c.id, c.number, c.status, c.times, c.note, skip_existing=True)
begin_things = BulkUpdate(
    things,
    key=[c.id],
    change=[c.status, c.times, c.note],
    expressions={"times": "things.times + {times}", "note": "coalesce({note}, things.note)"},
    guard="things.status <> {status}",
)
replace_things = BulkUpdate(things, key=[c.id, c.number], change=[c.status, c.note])

Thing = tuple[str, int, str, int, str | None]


@pytest.fixture
async def database(database: Database) -> Database:
    """A database with the tests' own tables besides."""
    await database.write(lambda connection: connection.run_sync(things_metadata.create_all))
    return database


def rows(count: int, *, start: int = 1) -> list[Thing]:
    return [(new_id(), number, "NEW", 0, None) for number in range(start, start + count)]


async def stored(database: Database) -> list[Thing]:
    statement = select(c.id, c.number, c.status, c.times, c.note).order_by(c.number)
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(statement)]


async def test_rows_are_inserted_as_they_are(database: Database) -> None:
    special: list[Thing] = [
        (new_id(), 1, "NEW", 0, None),
        (new_id(), 2**62, "it's {so}; $1 ?1 %s :x", -5, "zwölf Stühle \N{AIRPLANE}"),
        (new_id(), -(2**62), "", 2**31 - 1, "a\nb"),
    ]
    assert await database.write(lambda connection: insert_things(connection, special)) == 3
    assert await stored(database) == sorted(special, key=lambda row: row[1])


async def test_a_column_may_have_no_value_or_some(database: Database) -> None:
    none: list[Thing] = [(new_id(), number, "NEW", 0, None) for number in (1, 2)]
    some: list[Thing] = [(new_id(), 3, "NEW", 0, None), (new_id(), 4, "NEW", 0, "last")]
    await database.write(lambda connection: insert_things(connection, none))
    await database.write(lambda connection: insert_things(connection, some))
    assert await stored(database) == none + some


@pytest.mark.parametrize("count", [1, 256, 2_000])
async def test_a_batch_of_any_size_is_one_call(database: Database, count: int) -> None:
    new = rows(count)
    assert await database.write(lambda connection: insert_things(connection, new)) == count
    assert await stored(database) == new


async def test_nothing_to_do_is_no_statement(database: Database) -> None:
    assert await database.write(lambda connection: insert_things(connection, [])) == 0
    assert await database.write(lambda connection: begin_things(connection, [])) == 0


async def test_a_value_that_its_column_cannot_hold_keeps_all_rows_out(database: Database) -> None:
    new = [*rows(2), (new_id(), 2**63, "NEW", 0, None)]
    with pytest.raises((DBAPIError, OverflowError)):
        await database.write(lambda connection: insert_things(connection, new))
    assert await stored(database) == []


async def test_one_bad_row_keeps_all_rows_out(database: Database) -> None:
    new = rows(5)
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: insert_things(connection, [*new, new[0]]))
    assert await stored(database) == []


async def test_existing_rows_are_left_as_they_are_where_that_is_wanted(database: Database) -> None:
    old = rows(3)
    await database.write(lambda connection: insert_things(connection, old))
    again = [(id_, number, "AGAIN", 9, "again") for id_, number, *_ in old]
    new = rows(2, start=4)
    assert await database.write(lambda connection: insert_missing(connection, again + new)) == 2
    assert await stored(database) == old + new


async def test_each_row_is_updated_by_its_key(database: Database) -> None:
    new = rows(300)
    await database.write(lambda connection: insert_things(connection, new))
    changes = [(id_, number, f"S{number}", f"note {number}") for id_, number, *_ in new[:200]]
    assert await database.write(lambda connection: replace_things(connection, changes)) == 200
    assert await stored(database) == [
        (id_, number, f"S{number}", 0, f"note {number}") if number <= 200 else (id_, number, "NEW", 0, None)
        for id_, number, *_ in new
    ]


async def test_every_column_of_the_key_must_match(database: Database) -> None:
    new = rows(2)
    await database.write(lambda connection: insert_things(connection, new))
    (first, _, *_), (second, second_number, *_) = new
    changes = [(first, second_number, "X", "x"), (second, second_number, "Y", None), (new_id(), 1, "Z", "z")]
    assert await database.write(lambda connection: replace_things(connection, changes)) == 1
    assert [row[2] for row in await stored(database)] == ["NEW", "Y"]


async def test_an_expression_uses_what_is_stored_and_the_guard_decides(database: Database) -> None:
    new = rows(3)
    await database.write(lambda connection: insert_things(connection, new))
    ids = [id_ for id_, *_ in new]
    first = [(ids[0], "RUNNING", 2, "first"), (ids[1], "NEW", 5, "guarded")]
    assert await database.write(lambda connection: begin_things(connection, first)) == 1
    second = [(ids[0], "DONE", 3, None), (ids[2], "DONE", 1, "only")]
    assert await database.write(lambda connection: begin_things(connection, second)) == 2
    assert await stored(database) == [
        (ids[0], 1, "DONE", 5, "first"),
        (ids[1], 2, "NEW", 0, None),
        (ids[2], 3, "DONE", 1, "only"),
    ]


async def test_any_of_finds_the_members_and_only_those(database: Database) -> None:
    new = rows(10)
    await database.write(lambda connection: insert_things(connection, new))
    by_number = select(c.number).where(any_of(c.number, "numbers")).order_by(c.number)
    by_id = select(c.number).where(any_of(c.id, "ids")).order_by(c.number)
    by_text = select(c.number).where(any_of(c.status, "statuses"))
    async with database.reading() as connection:
        assert (await connection.execute(by_number, {"numbers": [2, 9, 77]})).scalars().all() == [2, 9]
        assert (await connection.execute(by_number, {"numbers": range(4, 7)})).scalars().all() == [4, 5, 6]
        ids = {"ids": [new[3][0], new[0][0], new_id()]}
        assert (await connection.execute(by_id, ids)).scalars().all() == [1, 4]
        assert (await connection.execute(by_text, {"statuses": ["it's", '"', "ü"]})).scalars().all() == []


async def test_any_of_nothing_is_nothing(database: Database) -> None:
    await database.write(lambda connection: insert_things(connection, rows(2)))
    async with database.reading() as connection:
        found = await connection.execute(select(c.number).where(any_of(c.number, "numbers")), {"numbers": []})
        assert found.scalars().all() == []


async def test_any_of_takes_more_values_than_a_statement_has_parameters(database: Database) -> None:
    new = rows(50)
    await database.write(lambda connection: insert_things(connection, new))
    async with database.reading() as connection:
        found = await connection.execute(
            select(c.number).where(any_of(c.number, "numbers")), {"numbers": range(50, 100_000)}
        )
        assert found.scalars().all() == [50]


async def test_any_of_stands_among_other_conditions_and_is_negated(database: Database) -> None:
    await database.write(lambda connection: insert_things(connection, rows(6)))
    some = any_of(c.number, "numbers")
    either = select(c.number).where((some & (c.number > 2)) | (c.number == 6)).order_by(c.number)
    neither = select(c.number).where(~any_of(c.number, "numbers")).order_by(c.number)
    async with database.reading() as connection:
        assert (await connection.execute(either, {"numbers": [1, 2, 3]})).scalars().all() == [3, 6]
        assert (await connection.execute(neither, {"numbers": [1, 2, 3]})).scalars().all() == [4, 5, 6]


async def test_any_of_chooses_what_is_updated_and_deleted(database: Database) -> None:
    await database.write(lambda connection: insert_things(connection, rows(4)))
    change = update(things).where(any_of(c.number, "numbers")).values(status="CHANGED")
    remove = delete(things).where(any_of(c.number, "numbers"))
    changed = await database.write(lambda connection: connection.execute(change, {"numbers": [1, 2]}))
    assert changed.rowcount == 2
    removed = await database.write(lambda connection: connection.execute(remove, {"numbers": [2, 3]}))
    assert removed.rowcount == 2
    assert [(number, status) for _, number, status, *_ in await stored(database)] == [(1, "CHANGED"), (4, "NEW")]


async def test_any_of_needs_its_values(database: Database) -> None:
    async with database.reading() as connection:
        with pytest.raises(StatementError, match="numbers"):
            await connection.execute(select(c.number).where(any_of(c.number, "numbers")))


async def test_what_is_inserted_in_bulk_and_singly_reads_alike(database: Database) -> None:
    single, bulk = new_id(), new_id()
    row: Thing = (bulk, 2, "NEW", 1, "x")
    await database.write(
        lambda connection: connection.execute(
            insert(things).values(id=single, number=1, status="NEW", times=1, note="x")
        )
    )
    await database.write(lambda connection: insert_things(connection, [row]))
    assert await stored(database) == [(single, 1, "NEW", 1, "x"), row]
