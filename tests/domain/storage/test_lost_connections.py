"""A connection that is lost costs nobody anything: what was not committed runs again, what may have been never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import CommitUnknownError
from domain.storage import Bounds, BulkInsert, Database, Query, any_of, is_unavailable
from tests.conftest import administer
from tests.domain.storage.test_server import silence
from tests.support.network import network_to
from tests.support.waiting import Gate, eventually

_counter = Table("counter", MetaData(), Column("value", Integer))
_hot = Query(select(_counter.c.value))
IDLE_SECONDS = 0.5
CONNECTIONS = 8


@pytest.fixture
def backend() -> str:
    """SQLite has no connections to lose."""
    return "postgresql"


@pytest.fixture
async def counting(database_url: str) -> AsyncIterator[Database]:
    """A database with one number, that is 0."""
    database = Database(database_url, bounds=Bounds(2 * CONNECTIONS, idle_transaction_seconds=IDLE_SECONDS))
    await database.write(lambda connection: connection.execute(text("CREATE TABLE counter (value INTEGER)")))
    await database.write(lambda connection: connection.execute(text("INSERT INTO counter VALUES (0)")))
    yield database
    await database.close()


@pytest.fixture
def server_url(postgres_url: URL) -> URL:
    """Of another database, from where connections are ended."""
    return postgres_url


async def value(connection: AsyncConnection, statement: str = "SELECT value FROM counter") -> Any:
    return (await connection.execute(text(statement))).scalar_one()


async def increment(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE counter SET value = value + 1"))


async def end(connection: AsyncConnection, server_url: URL) -> None:
    """Let the server end this connection; returns once its client has noticed, or could have."""
    backend = await value(connection, "SELECT pg_backend_pid()")
    await administer(server_url, f"SELECT pg_terminate_backend({backend}, 5000)")


class Ending:
    """Work that increments, and whose connection is ended when it first runs."""

    def __init__(self, server_url: URL, *, writes: bool = True, last: bool = False) -> None:
        self._server_url = server_url
        self._writes = writes
        self._last = last
        self.runs = 0

    async def __call__(self, connection: AsyncConnection) -> int:
        self.runs += 1
        if self._writes:
            await increment(connection)
        if self.runs == 1:
            await end(connection, self._server_url)
            if self._last:
                return 0
        return int(await value(connection))


async def test_a_write_whose_connection_is_lost_before_commit_runs_again_and_happens_once(
    counting: Database, server_url: URL
) -> None:
    work = Ending(server_url)
    assert await counting.write(work) == 1
    assert work.runs == 2
    assert await counting.read(value) == 1


async def test_a_read_whose_connection_is_lost_runs_again(counting: Database, server_url: URL) -> None:
    work = Ending(server_url, writes=False)
    assert await counting.read(work) == 0
    assert work.runs == 2


async def test_a_write_whose_connection_is_lost_at_commit_is_unknown_and_never_runs_again(
    counting: Database, server_url: URL
) -> None:
    work = Ending(server_url, last=True)
    with pytest.raises(CommitUnknownError) as raised:
        await counting.write(work)
    assert is_unavailable(raised.value)
    assert work.runs == 1
    assert await counting.read(value) == 0
    # The connection that failed is nobody's any more.
    await asyncio.gather(*(counting.write(increment) for _ in range(CONNECTIONS)))
    assert await counting.read(value) == CONNECTIONS


async def test_a_commit_that_took_effect_and_lost_its_answer_is_unknown_and_happens_once(
    counting: Database, database_url: str
) -> None:
    url = make_url(database_url)
    assert url.port is not None
    runs = 0
    async with network_to(url.port) as network, asyncio.timeout(20):
        far = Database(url.set(host="127.0.0.1", port=network.port))

        async def work(connection: AsyncConnection) -> None:
            nonlocal runs
            runs += 1
            await increment(connection)
            network.lose_answers()

        async def committed() -> bool:
            return bool(await counting.read(value) == 1)

        writing = asyncio.create_task(far.write(work))
        await eventually(committed)
        network.cut()
        with pytest.raises(CommitUnknownError):
            await writing
        await far.close()
    assert runs == 1
    assert await counting.read(value) == 1


async def test_after_all_connections_were_lost_everything_is_served_at_once(
    counting: Database, server_url: URL
) -> None:
    runs = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        await increment(connection)

    async def fill() -> None:
        """Have every connection of both pools open."""
        met = asyncio.Barrier(2 * CONNECTIONS)

        async def hold(connection: AsyncConnection) -> None:
            await value(connection, "SELECT 1")
            await met.wait()

        await asyncio.gather(*(ask(hold) for ask in (counting.read, counting.write) for _ in range(CONNECTIONS)))

    name = counting.url.database
    sessions = f"FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'client backend'"
    async with asyncio.timeout(30):
        await fill()
        await administer(server_url, f"SELECT pg_terminate_backend(pid, 5000) {sessions}")
        await asyncio.gather(*(counting.write(work) for _ in range(CONNECTIONS)))
        assert await asyncio.gather(*(counting.read(value) for _ in range(CONNECTIONS))) == [CONNECTIONS] * CONNECTIONS
    assert runs == CONNECTIONS


async def test_a_frozen_client_keeps_nobody_from_a_row_for_long(counting: Database) -> None:
    locked, thawed = Gate(), Gate()
    runs = 0

    async def freezing(connection: AsyncConnection) -> int:
        nonlocal runs
        runs += 1
        await increment(connection)
        if runs == 1:
            locked.open()
            await thawed.passed()
        return int(await value(connection))

    async with asyncio.timeout(20):
        frozen = asyncio.create_task(counting.write(freezing))
        await locked.passed()
        # It waits for the row until the server ends the one that holds it.
        await counting.write(increment)
        assert await counting.read(value) == 1
        thawed.open()
        assert await frozen == 2
    assert runs == 2


async def test_nothing_is_tried_for_long_where_nobody_answers(database_url: str) -> None:
    async with silence() as silent, asyncio.timeout(30):
        # Longer than it takes to be patient for three seconds, five times.
        database = Database(make_url(database_url).set(port=silent.port), bounds=Bounds(connect_seconds=0.8))
        with pytest.raises(TimeoutError) as raised:
            await database.write(increment)
        await database.close()
    assert is_unavailable(raised.value)
    assert 2 <= silent.asked <= 4


_named = Table("named", MetaData(), Column("name", Text))
_by_name = Query(select(_named.c.name).where(_named.c.name == bindparam("named")))
_by_names = Query(select(_named.c.name).where(any_of(_named.c.name, "names")))
_add = BulkInsert(_named, _named.c.name)
#: A lone surrogate has no bytes in UTF-8.
UNSENDABLE = "\ud800"


@pytest.mark.parametrize(
    "statement",
    [
        lambda connection: connection.execute(select(_named.c.name).where(_named.c.name == UNSENDABLE)),
        lambda connection: _by_name(connection, named=UNSENDABLE),
        lambda connection: _by_names(connection, names=[UNSENDABLE]),
        lambda connection: _add(connection, [(UNSENDABLE,)]),
    ],
    ids=["SQLAlchemy", "value", "array", "rows"],
)
async def test_a_value_that_cannot_be_sent_is_the_fault_of_its_transaction_alone(
    counting: Database, statement: Callable[[AsyncConnection], Any]
) -> None:
    await administer(counting.url, "CREATE TABLE named (name TEXT)")
    runs = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal runs
        runs += 1
        await statement(connection)

    with pytest.raises(Exception, match="surrogates not allowed") as raised:
        await counting.write(work)
    assert not is_unavailable(raised.value)
    assert runs == 1
    assert await counting.read(value) == 0


async def hot_value(connection: AsyncConnection) -> Any:
    """As `value`, but past SQLAlchemy."""
    return (await _hot.column(connection))[0]


@pytest.mark.parametrize("look", [value, hot_value])
async def test_a_statement_prepared_before_a_column_changed_its_type_costs_nobody_an_error(
    counting: Database, look: Callable[[AsyncConnection], Any]
) -> None:
    gate = asyncio.Barrier(CONNECTIONS // 2)

    async def prepare(connection: AsyncConnection) -> None:
        await look(connection)
        await gate.wait()

    await asyncio.gather(*(counting.write(prepare) for _ in range(CONNECTIONS // 2)))
    await administer(counting.url, "ALTER TABLE counter ALTER COLUMN value TYPE bigint")

    async def count(connection: AsyncConnection) -> int:
        await increment(connection)
        return int(await look(connection))

    assert [await counting.write(count) for _ in range(CONNECTIONS)] == list(range(1, CONNECTIONS + 1))
    assert await counting.read(value) == CONNECTIONS
