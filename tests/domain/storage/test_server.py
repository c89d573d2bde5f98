"""The way to a PostgreSQL server on one host or several: who is dead or silent is passed over, and not asked again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from domain.storage import Bounds, Database, Server, is_unavailable, trouble_of
from tests.conftest import administer

CONNECT_SECONDS = 0.3
IDLE_SECONDS = 0.5


@pytest.fixture
def backend() -> str:
    """SQLite has no server."""
    return "postgresql"


@pytest.fixture
def url(database_url: str) -> URL:
    return make_url(database_url)


class Silent:
    """Takes connections and never says a word."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the client has had enough."""
        self.asked += 1
        with suppress(ConnectionError):
            await reader.read()
        writer.close()


@asynccontextmanager
async def silence() -> AsyncIterator[Silent]:
    silent = Silent()
    server = await asyncio.start_server(silent.listen, "127.0.0.1", 0)
    silent.port = server.sockets[0].getsockname()[1]
    try:
        yield silent
    finally:
        server.close()


def several(url: URL, *ports: int | None) -> URL:
    """The same database, on several ports of this machine."""
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return url.set(host=None, port=None).update_query_dict({"host": hosts})


async def port_of(connection: asyncpg.Connection) -> int:
    port: int = await connection.fetchval("SELECT inet_server_port()")
    await connection.close()
    return port


async def test_a_dead_host_is_passed_over(url: URL, unused_tcp_port: int) -> None:
    server = Server(several(url, unused_tcp_port, url.port))
    assert server.hosts == 2
    async with asyncio.timeout(10):
        assert await port_of(await server.connect()) == url.port


async def test_where_no_host_answers_the_last_ones_fault_is_raised(
    url: URL, unused_tcp_port_factory: Callable[[], int]
) -> None:
    server = Server(several(url, unused_tcp_port_factory(), unused_tcp_port_factory()))
    with pytest.raises(ConnectionRefusedError) as raised:
        await server.connect()
    assert is_unavailable(raised.value)


async def read_only(url: URL) -> URL:
    """The database as a standby is, to whoever comes now."""
    await administer(url, f'ALTER DATABASE "{url.database}" SET default_transaction_read_only TO on')
    return several(url, url.port, url.port)


async def closed(url: URL) -> URL:
    """The database as its owner shuts it for maintenance; the URL is of one who is not the owner."""
    await administer(url, f'CREATE ROLE "{url.database}" LOGIN')
    await administer(url, f'REVOKE CONNECT ON DATABASE "{url.database}" FROM PUBLIC')
    return url.set(username=url.database)


@pytest.mark.parametrize(
    ("refuse", "words"), [(read_only, "it is read-only, or a standby"), (closed, "it does not answer")]
)
async def test_that_no_connection_is_to_be_had_is_never_the_fault_of_what_was_to_be_asked(
    url: URL, refuse: Callable[[URL], Awaitable[URL]], words: str
) -> None:
    refusing = await refuse(url)
    database = Database(refusing)
    faults = await asyncio.gather(
        database.write(lambda connection: asyncio.sleep(0)),
        database.read(lambda connection: asyncio.sleep(0)),
        Server(refusing).connect(),
        return_exceptions=True,
    )
    await database.close()
    await administer(url.set(database="postgres"), f'DROP ROLE IF EXISTS "{url.database}"')
    assert [trouble_of(fault) for fault in faults if isinstance(fault, Exception)] == [words] * 3


async def test_a_silent_host_is_waited_for_once_as_the_last_good_one_is_asked_first(url: URL) -> None:
    async with silence() as silent, asyncio.timeout(10):
        server = Server(several(url, silent.port, url.port), bounds=Bounds(connect_seconds=CONNECT_SECONDS))
        for _ in range(5):
            assert await port_of(await server.connect()) == url.port
        assert silent.asked == 1


async def test_the_pools_of_a_database_wait_for_a_silent_host_once_together(url: URL) -> None:
    async with silence() as silent, asyncio.timeout(20):
        bounds = Bounds(connect_seconds=CONNECT_SECONDS)
        database = Database(several(url, silent.port, url.port), bounds=bounds)
        await database.ping()
        await asyncio.gather(*(database.ping() for _ in range(8)))
        await database.write(lambda connection: asyncio.sleep(0))
        await database.close()
        assert silent.asked == 1


async def test_a_session_begins_with_its_bounds(url: URL) -> None:
    server = Server(url, bounds=Bounds(idle_transaction_seconds=IDLE_SECONDS))
    connection = await server.connect()
    asked = {
        name: await connection.fetchval("SELECT setting FROM pg_settings WHERE name = $1", name)
        for name in ("idle_in_transaction_session_timeout", "jit", "tcp_keepalives_idle", "statement_timeout")
    }
    await connection.close()
    assert asked == {
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS * 1_000:.0f}",
        "jit": "off",
        "tcp_keepalives_idle": "10",
        # It would report success for a commit that waits for a standby.
        "statement_timeout": "0",
    }


async def test_a_limit_that_the_database_has_for_statements_is_not_ours(url: URL) -> None:
    operator = await Server(url).connect()
    await operator.execute(f"ALTER DATABASE \"{url.database}\" SET statement_timeout = '1min'")
    await operator.close()
    session = await Server(url).connect()
    assert await session.fetchval("SHOW statement_timeout") == "0"
    await session.close()


async def test_a_statement_that_hangs_is_given_up_by_the_client(url: URL) -> None:
    server = Server(url, bounds=Bounds(statement_seconds=0.3))
    connection = await server.connect()
    with pytest.raises(TimeoutError):
        await connection.execute("SELECT pg_sleep(30)")
    await connection.close()


#: Of every table, apart from that of the migrations.
COLUMN_TYPES = """
    SELECT DISTINCT format_type(atttypid, NULL) FROM pg_attribute
    WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (
        SELECT oid FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
    )
"""


async def test_a_new_connection_knows_the_array_of_every_type_of_our_columns(url: URL) -> None:
    """Else it would ask the server before its first statement with such an array."""
    connection = await Server(url).connect()
    try:
        await require_known_arrays(connection)
    finally:
        await connection.close()


async def test_a_new_connection_of_a_database_knows_them_as_well(database: Database) -> None:
    for transaction in (database.reading, database.writing):
        async with transaction() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await require_known_arrays(driver)


async def require_known_arrays(connection: asyncpg.Connection) -> None:
    """Fail if the connection sends any statement but the one that has such an array."""
    types = [row[0] for row in await connection.fetch(COLUMN_TYPES)]
    assert types
    statements = [f"SELECT $1::{each}[]" for each in types]
    sent: list[str] = []
    with connection.query_logger(lambda record: sent.append(record.query)):
        for statement in statements:
            assert await connection.fetchval(statement, [None]) == [None]
        # The driver tells of a statement in the loop's next turn.
        await asyncio.sleep(0)
    assert sent == statements


async def test_arrays_are_sent_and_read_as_what_they_are(url: URL) -> None:
    connection = await Server(url).connect()
    try:
        for type_, values in (
            ("bool", [True, None, False]),
            ("bytea", [b"\0{,\xff", None, b""]),
            ("int2", [-(2**15), None, 2**15 - 1]),
            ("int4", [-(2**31), None, 2**31 - 1]),
            ("int8", [-(2**63), None, 2**63 - 1]),
            ("float8", [0.1, None, -1e300]),
            ("uuid", [uuid.uuid4(), None]),
            ("text", ["é", None, "", "NULL", '"{,\\']),
            ("int4", []),
        ):
            told = await connection.fetchval(f"SELECT $1::{type_}[]::text", values)
            assert await connection.fetchval(f"SELECT $1::{type_}[]", values) == values
            assert await connection.fetchval(f"SELECT $1::text::{type_}[]", told) == values
    finally:
        await connection.close()
