"""Behind PgBouncer in transaction mode: everything holds as without it, and nothing is left on a connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cluster.pgbouncer import CONNECTIONS, PgBouncer
from domain.errors import CommitUnknownError
from domain.storage import Bounds, Database
from tests.support.waiting import Gate, eventually

CLIENTS = 5 * CONNECTIONS
IDLE_SECONDS = 0.5
#: What a session of ours may have changed, and the pooler would hand on.
LEFT = """SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('jit'),
    current_setting('default_transaction_isolation'), current_setting('default_transaction_read_only'),
    (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_listening_channels())"""


@pytest.fixture
def backend() -> str:
    """SQLite has no pooler."""
    return "postgresql"


@pytest.fixture
async def pooled(pooler: PgBouncer, database_url: str) -> AsyncIterator[Database]:
    """A database through the pooler, with many more connections than that one has, and one table of ours."""
    bounds = Bounds(2 * CLIENTS, idle_transaction_seconds=IDLE_SECONDS)
    database = Database(through(pooler, database_url), bounds=bounds, direct_url=database_url)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE counter (value INTEGER)")))
    await database.write(lambda connection: connection.execute(text("INSERT INTO counter VALUES (0)")))
    yield database
    await database.close()


def through(pooler: PgBouncer, database_url: str) -> str:
    return pooler.url(str(make_url(database_url).database))


def as_the_driver_takes_it(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def value(connection: AsyncConnection, statement: str, **values: Any) -> Any:
    return (await connection.execute(text(statement), values)).scalar_one()


async def increment(connection: AsyncConnection) -> int:
    number: int = await value(connection, "SELECT value FROM counter FOR UPDATE")
    await connection.execute(text("UPDATE counter SET value = :next"), {"next": number + 1})
    return number + 1


async def test_many_clients_share_few_connections_and_lose_nothing(pooled: Database) -> None:
    met = asyncio.Barrier(CLIENTS)

    async def connections(database: Database) -> set[int]:
        """The sessions of the server that one client after the other is given."""
        await met.wait()
        return {await database.read(lambda connection: value(connection, "SELECT pg_backend_pid()")) for _ in range(10)}

    async with asyncio.timeout(30):
        writes = [asyncio.create_task(pooled.write(increment)) for _ in range(CLIENTS)]
        sessions: set[int] = set().union(*await asyncio.gather(*(connections(pooled) for _ in range(CLIENTS))))
        assert sorted(await asyncio.gather(*writes)) == list(range(1, CLIENTS + 1))
    assert 1 < len(sessions) <= CONNECTIONS


async def test_types_that_the_driver_must_learn_of_are_understood(pooled: Database) -> None:
    ids = [uuid.uuid4(), uuid.uuid4()]

    async def work(connection: AsyncConnection) -> list[Any]:
        rows = await connection.execute(
            text(
                """SELECT id, kept FROM unnest(CAST(:ids AS uuid[]), CAST(:kept AS jsonb[])) AS t (id, kept)
                WHERE (id, 1) IN (SELECT found, 1 FROM unnest(CAST(:ids AS uuid[])) AS found) ORDER BY kept"""
            ),
            {"ids": ids, "kept": ['{"a": 1}', '{"b": [2]}']},
        )
        return [tuple(row) for row in rows]

    async with asyncio.timeout(30):
        for found in await asyncio.gather(*(pooled.read(work) for _ in range(CLIENTS))):
            assert found == [(ids[0], {"a": 1}), (ids[1], {"b": [2]})]


async def test_a_read_sees_one_moment_and_cannot_write(pooled: Database) -> None:
    async with pooled.reading() as connection:
        assert await value(connection, "SELECT value FROM counter") == 0
        await pooled.write(increment)
        assert await value(connection, "SELECT value FROM counter") == 0
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await increment(connection)
    async with pooled.reading() as connection:
        assert await value(connection, "SELECT value FROM counter") == 1


async def test_a_write_sees_what_was_committed_before_each_of_its_statements(pooled: Database) -> None:
    looked, changed = Gate(), Gate()

    async def work(connection: AsyncConnection) -> tuple[int, int]:
        before = await value(connection, "SELECT value FROM counter")
        looked.open()
        await changed.passed()
        return before, await value(connection, "SELECT value FROM counter")

    async with asyncio.timeout(10):
        writing = asyncio.create_task(pooled.write(work))
        await looked.passed()
        await pooled.write(increment)
        changed.open()
        assert await writing == (0, 1)


async def test_within_a_transaction_its_bounds_are_in_force_and_afterwards_nothing_is_left(
    pooled: Database, pooler: PgBouncer, database_url: str
) -> None:
    async def within(connection: AsyncConnection) -> tuple[Any, ...]:
        return tuple((await connection.execute(text(LEFT))).one())

    assert (await pooled.read(within))[:2] == (f"{IDLE_SECONDS * 1_000:.0f}ms", "off")
    assert (await pooled.write(within))[:2] == (f"{IDLE_SECONDS * 1_000:.0f}ms", "off")
    await asyncio.gather(*(pooled.write(increment) for _ in range(CLIENTS)))
    async with asyncio.timeout(30):
        left = await asyncio.gather(*looking_at_all(through(pooler, database_url)))
    assert left == [("0", "on", "read committed", "off", 0, 0)] * CONNECTIONS


def looking_at_all(url: str) -> list[Coroutine[Any, Any, tuple[Any, ...]]]:
    """What another program finds on each of the pooler's connections, held all at once."""
    met = asyncio.Barrier(CONNECTIONS)

    async def look() -> tuple[Any, ...]:
        connection = await asyncpg.connect(as_the_driver_takes_it(url), statement_cache_size=0)
        try:
            async with connection.transaction():
                await met.wait()
                (left,) = await connection.fetch(LEFT)
                return tuple(left)
        finally:
            await connection.close()

    return [look() for _ in range(CONNECTIONS)]


async def test_a_client_that_goes_away_in_the_midst_of_a_read_disturbs_nobody_else(pooled: Database) -> None:
    async def asleep() -> int:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        number: int = await pooled.read(lambda connection: value(connection, sleeping))
        return number

    async def read_on() -> None:
        while not over.is_set():
            assert await pooled.read(lambda connection: value(connection, "SELECT pg_sleep(0.001) IS NOT NULL"))

    over = asyncio.Event()
    async with asyncio.timeout(30):
        others = [asyncio.create_task(read_on()) for _ in range(CLIENTS)]
        for _ in range(8):
            gone = asyncio.create_task(pooled.read(lambda connection: value(connection, "SELECT pg_sleep(60)")))
            await eventually(asleep)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        over.set()
        await asyncio.gather(*others)

    async def none_asleep() -> bool:
        return await asleep() == 0

    await eventually(none_asleep)


async def test_a_transaction_whose_client_has_frozen_is_ended_and_run_again(pooled: Database) -> None:
    locked, thawed = Gate(), Gate()

    async def freezing(connection: AsyncConnection) -> int:
        number = await increment(connection)
        if not locked.is_open:
            locked.open()
            await thawed.passed()
        await value(connection, "SELECT 1")
        return number

    async with asyncio.timeout(20):
        frozen = asyncio.create_task(pooled.write(freezing))
        await locked.passed()
        assert await pooled.write(increment) == 1
        thawed.open()
        assert await frozen == 2


async def test_a_pooler_that_restarts_costs_no_write_and_doubles_none(pooled: Database, pooler: PgBouncer) -> None:
    answered = 0
    unknown = 0
    over = asyncio.Event()

    async def write_on() -> None:
        nonlocal answered, unknown
        while not over.is_set():
            try:
                await pooled.write(increment)
                answered += 1
            except CommitUnknownError:
                unknown += 1

    async def further() -> None:
        enough = answered + CLIENTS
        await eventually(lambda: answered > enough)

    async with asyncio.timeout(30):
        writing = [asyncio.create_task(write_on()) for _ in range(CLIENTS)]
        for _ in range(3):
            await further()
            pooler.restart()
        await further()
        over.set()
        await asyncio.gather(*writing)
    assert answered <= await pooled.read(lambda connection: value(connection, "SELECT value FROM counter"))
    assert await pooled.read(lambda connection: value(connection, "SELECT value FROM counter")) <= answered + unknown
    assert unknown <= 3 * CONNECTIONS
