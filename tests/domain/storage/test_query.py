"""Statements asked of the driver directly answer as SQLAlchemy does."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

import domain
from domain.jobs.tables import job_controls
from domain.storage import Database, Query, any_of
from tests.support.statements import reads, statements

_c = job_controls.c
_asked = Query(select(_c.job_id, _c.paused, func.length(_c.job_id).label("letters")).where(any_of(_c.job_id, "ids")))


async def fill(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        for job, paused in (("a", True), ("bb", False)):
            await connection.execute(job_controls.insert().values(job_id=job, paused=paused, updated_at=1))

    await database.write(work)


async def test_rows_have_their_columns_by_name_and_position_with_their_types(database: Database) -> None:
    await fill(database)

    rows = sorted(await database.read(lambda connection: _asked(connection, ids=["a", "bb", "c"])))

    assert [tuple(row) for row in rows] == [("a", True, 1), ("bb", False, 2)]
    assert (rows[0].job_id, rows[0].paused, rows[0].letters) == ("a", True, 1)
    assert rows[1].paused is False


async def test_the_first_row_and_the_first_column(database: Database) -> None:
    await fill(database)

    first = await database.read(lambda connection: _asked.first(connection, ids=["bb"]))
    none = await database.read(lambda connection: _asked.first(connection, ids=["c"]))
    column = await database.read(lambda connection: _asked.column(connection, ids=["a", "bb"]))

    assert first is not None
    assert (first.job_id, none, sorted(column)) == ("bb", None, ["a", "bb"])


async def test_a_value_that_is_missing_is_an_error(database: Database) -> None:
    with pytest.raises(Exception, match="ids"):
        await database.read(lambda connection: _asked(connection))


async def test_whoever_listens_to_what_is_executed_hears_it(database: Database) -> None:
    with statements(reads(database), of="job_controls") as heard:
        await database.read(lambda connection: _asked(connection, ids=["a"]))
    assert heard


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_text_that_depends_on_its_values_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="depends on the values"):
        _ = Query(select(_c.job_id).where(_c.job_id.in_(["a", "b"])))._on_sqlite


def test_every_query_of_the_domain_has_a_text_and_rows_on_both_databases() -> None:
    queries = list(of_the_domain())
    assert len(queries) > 50
    for query in queries:
        assert query._on_sqlite.text
        assert query._on_postgresql.text


def of_the_domain() -> Iterator[Query]:
    for found in walk_packages(domain.__path__, "domain."):
        yield from (value for value in vars(import_module(found.name)).values() if isinstance(value, Query))
