"""A transaction on SQLite is driven to its end on its connection's own thread."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.jobs.tables import job_controls
from domain.storage import BulkInsert, Database

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])
_insert = BulkInsert(job_controls, job_controls.c.job_id, job_controls.c.updated_at)


async def jobs(connection: AsyncConnection) -> list[str]:
    return list((await connection.execute(select(job_controls.c.job_id))).scalars())


async def test_all_of_it_runs_on_one_thread_that_is_not_the_loops(database: Database) -> None:
    async def work(connection: AsyncConnection) -> set[int]:
        threads = {threading.get_ident()}
        await _insert(connection, [("a", 1)])
        threads.add(threading.get_ident())
        await jobs(connection)
        return threads | {threading.get_ident()}

    threads = await database.write(work)

    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_work_that_waits_for_something_else_fails_and_has_done_nothing(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await _insert(connection, [("a", 1)])
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="may await nothing but its connection"):
        await database.write(work)

    assert await database.read(jobs) == []


async def test_what_sqlalchemy_and_the_driver_execute_is_one_transaction(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await _insert(connection, [("a", 1)])
        await connection.execute(job_controls.insert().values(job_id="b", updated_at=1))
        assert await jobs(connection) == ["a", "b"]
        raise ValueError("taken back")

    with pytest.raises(ValueError, match="taken back"):
        await database.write(work)
    assert await database.read(jobs) == []

    await database.write(lambda connection: _insert(connection, [("c", 1)]))
    assert await database.read(jobs) == ["c"]


async def test_a_driven_read_cannot_write(database: Database) -> None:
    with pytest.raises(Exception, match="readonly"):
        await database.read(lambda connection: _insert(connection, [("a", 1)]))

    assert await database.read(jobs) == []


async def test_many_reads_at_once_share_two_connections_and_all_are_answered(database: Database) -> None:
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(database.read(jobs) for _ in range(50)))

    assert answers == [[]] * 50


@pytest.mark.parametrize("rows", [1, 2, 3, 127, 128, 129, 300])
async def test_a_bulk_statement_takes_any_number_of_rows(database: Database, rows: int) -> None:
    inserted = await database.write(
        lambda connection: _insert(connection, [(f"job {number:03d}", 1) for number in range(rows)])
    )

    assert inserted == rows
    assert sorted(await database.read(jobs)) == [f"job {number:03d}" for number in range(rows)]
