"""PostgreSQL only: engines, settings and retryable errors, with reasons.

Writes use READ COMMITTED: rows are locked first and checked afterwards, so each statement must
see all commits before its start. Reads use REPEATABLE READ, READ ONLY: all statements of one read
see the same moment.

Every wait is bounded, by times below a replica's lease. The client gives a statement up
(`statement_seconds`), never the server: if statement_timeout fires while COMMIT waits for a
standby, the server reports success although the commit may still be lost. If a session's client
freezes or vanishes within a transaction, the server ends the session
(`idle_in_transaction_session_timeout`, keepalives), so its row locks do not outlive its lease. A
session that froze after a statement was prepared and before it was executed is not idle for the
server: from PostgreSQL 17 on a `transaction_timeout` ends it too; it is off while COMMIT waits.

Behind a pooler that assigns connections by the transaction (PgBouncer) a session must keep no
state: statements are prepared without a name, and the timeout is set within each transaction.
"""

from __future__ import annotations

import asyncio
import getpass
import math
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from struct import pack, unpack, unpack_from
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, EmulatedDBAPIException, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.storage.libpq import Words, stored_password, words_of
from domain.storage.urls import hosts_of

__all__ = [
    "Bounds",
    "Driver",
    "Server",
    "bound_transaction",
    "commit",
    "create_engines",
    "driver_behind",
    "is_lost",
    "is_retryable",
    "trouble",
]

_STATEMENTS_CACHED: Final = 512
_PORT_DEFAULT: Final = 5432
#: The share of a statement's time limit that a COMMIT may take.
_BEFORE_CANCEL: Final = 0.9
#: serialization_failure, deadlock_detected, lock_not_available.
_RETRYABLE: Final = frozenset({"40001", "40P01", "55P03"})
_CONNECTION_EXCEPTION: Final = "08"
#: If no host accepts writes, as during a failover, the driver has no SQLSTATE for it; this is the server's own.
_READ_ONLY: Final = "25006"
#: The session or its server is gone or going: shutdown, crash, start-up, a standby instead of the primary, too many
#: connections, and a transaction that was idle, or ran, for too long.
_LOST: Final = frozenset({"53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", _READ_ONLY})
#: Reasons why a server cannot be used by any client, by SQLSTATE or its class. If the code is also one of those
#: above, the connection is lost too.
_TROUBLES: Final = {
    _READ_ONLY: "it is read-only, or a standby",
    "25P03": "it has ended an idle transaction",
    "25P04": "it has ended a transaction that took too long",
    "28": "it refuses our login",
    "3D": "it does not exist",
    "53100": "its disk is full",
    "53200": "it is out of memory",
    "53300": "it has no connection left",
    "53": "it is out of resources",
    "55000": "it accepts no connections",
    "57P": "it stops, or has just started",
    "58": "it cannot read or write its files",
    _CONNECTION_EXCEPTION: "it does not answer",
}
#: Statements find their rows by keys, also for many keys. With the default costs (a spinning disk), an update by the
#: primary key with the 250 keys of a batch scanned all 97,200 seats of a timetable that was just loaded and not
#: analyzed yet: 18 ms instead of 2.
_PLANNING: Final = {"jit": "off", "random_page_cost": "1.1", "plan_cache_mode": "force_generic_plan"}
_INTEGER: Final = partial(int.from_bytes, byteorder="big", signed=True)
#: Of each array that our statements bind: its object ID and name, and its element's, the same in every PostgreSQL; how
#: an element is written, after its length; and how it is read. `_set_array_codecs` has the reasons.
_ARRAYS: Final[Sequence[tuple[int, str, int, Callable[[Any], bytes], Callable[[bytes], Any]]]] = (
    (1000, "_bool", 16, lambda value: pack(">i?", 1, value), lambda data: data == b"\1"),
    (1001, "_bytea", 17, lambda value: pack(">i", len(value)) + value, bytes),
    (1005, "_int2", 21, lambda value: pack(">ih", 2, value), _INTEGER),
    (1007, "_int4", 23, lambda value: pack(">ii", 4, value), _INTEGER),
    (1016, "_int8", 20, lambda value: pack(">iq", 8, value), _INTEGER),
    (1022, "_float8", 701, lambda value: pack(">id", 8, value), lambda data: unpack(">d", data)[0]),
    (1009, "_text", 25, lambda value: pack(">i", len(text := value.encode())) + text, bytes.decode),
    (
        2951,
        "_uuid",
        2950,
        lambda value: bytes.fromhex("00000010" + str(value).replace("-", "")),
        lambda data: UUID(bytes=data),
    ),
)
_NULL: Final = pack(">i", -1)
#: The first version that limits the duration of a whole transaction.
_TIMES_SINCE: Final = (17,)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The number of connections, and the limits of all waits, in seconds.

    `connections_max`: half of them write, half read. `idle_transaction_seconds`: the server ends a
    transaction that its client has left alone for this time. `transaction_seconds`: the server ends
    any transaction after this time, from PostgreSQL 17 on. None: never.
    """

    connections_max: int = 16
    connect_seconds: float = 5.0
    statement_seconds: float = 10.0
    idle_transaction_seconds: float | None = 10.0
    transaction_seconds: float | None = None


class Server:
    """The address of a PostgreSQL database, on one host or on several of which one accepts writes."""

    def __init__(self, url: URL, *, bounds: Bounds | None = None, pooled: bool = False) -> None:
        self.bounds = bounds or Bounds()
        self.pooled = pooled
        self._words = words_of(url)
        self._names = _names(url, self._words)
        self._passwords = _passwords(url)
        self._nearest = 0

    @property
    def hosts(self) -> int:
        """The number of hosts that it may be on."""
        return len(self._names)

    async def connect(self, **besides: Any) -> asyncpg.Connection:
        """A connection to the host that accepts writes; tries one host after another, the last good one first.

        `besides`: further arguments for asyncpg.connect. Raises the last host's error, always one that
        `trouble` knows: a missing connection is never the fault of the statement.
        """
        arguments = self._arguments(besides)
        fault: Exception | None = None
        for step in range(len(self._names)):
            position = (self._nearest + step) % len(self._names)
            try:
                connection: asyncpg.Connection = await asyncpg.connect(
                    self._names[position], **(arguments | self._passwords[position])
                )
                _set_array_codecs(connection)
                self._keep_alive(connection)
                await self._bound_transactions(connection)
            except Exception as error:
                fault = error
                continue
            self._nearest = position
            return connection
        assert fault is not None, "there is at least one host"
        if trouble(fault) is None:
            raise ConnectionError(str(fault)) from fault
        raise fault

    def _keep_alive(self, connection: asyncpg.Connection) -> None:
        """Set TCP keepalives from the URL, so that a connection to a vanished machine is noticed."""
        driver: Any = connection
        sock = driver._transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            for option in self._words.socket_options:
                sock.setsockopt(*option)

    async def _bound_transactions(self, connection: asyncpg.Connection) -> None:
        """Set the transaction timeout if the server has it; another server would refuse it as a start-up setting."""
        if self.pooled or self.bounds.transaction_seconds is None or connection.get_server_version() < _TIMES_SINCE:
            return
        try:
            await connection.execute(f"SET transaction_timeout = {_milliseconds(self.bounds.transaction_seconds)}")
        except BaseException:
            connection.terminate()
            raise

    def pool(self, *, connections_max: int) -> asyncpg.Pool:
        """A pool of the driver's own connections; await it to open it."""

        async def connect(name: None, **besides: Any) -> asyncpg.Connection:
            return await self.connect(**besides)

        async def keep(connection: asyncpg.Connection) -> None:
            """Keep the session's settings, which the driver would reset; nothing else is left on a session."""

        connecting: Any = connect
        return asyncpg.create_pool(connect=connecting, reset=keep, min_size=1, max_size=connections_max)

    def _arguments(self, besides: dict[str, Any]) -> dict[str, Any]:
        given = dict(besides)
        settings = given.pop("server_settings", {})
        return {
            # For each host, so that a silent host does not use up the time of the others.
            "timeout": min(self.bounds.connect_seconds, self._words.connect_seconds_max or math.inf),
            "command_timeout": self.bounds.statement_seconds,
            # For good: each connection executes the same few statements again and again.
            "statement_cache_size": 0 if self.pooled else _STATEMENTS_CACHED,
            "max_cached_statement_lifetime": 0,
            **({"ssl": self._words.tls} if self._words.tls is not None else {}),
            **given,
            "server_settings": settings
            if self.pooled
            else self._session_settings() | self._words.server_settings | settings,
        }

    def _session_settings(self) -> dict[str, str]:
        """The start-up settings of our sessions. A pooler refuses settings that it does not know."""
        idle = self.bounds.idle_transaction_seconds
        return {
            "application_name": f"seatsaga {os.getpid()}",
            **_PLANNING,
            # Overrides the user's and the database's own.
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": _milliseconds(idle),
            # If the client's machine has vanished, the session ends within half a minute.
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        }


def create_engines(server: Server) -> tuple[AsyncEngine, AsyncEngine]:
    """The writing engine and the reading one, each with its own pool, so that readers never starve writers."""
    bounds = server.bounds
    shared: dict[str, Any] = {
        "pool_size": max(1, bounds.connections_max // 2),
        "max_overflow": 0,
        "pool_timeout": bounds.statement_seconds,
        # Parameters are people's names and card tokens, which an error must not show.
        "hide_parameters": True,
        "connect_args": {
            "async_creator_fn": server.connect,
            # Without a name: it lasts until the next statement, within the same transaction.
            **(
                {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
                if server.pooled
                else {"prepared_statement_cache_size": _STATEMENTS_CACHED}
            ),
        },
    }
    url = make_url("postgresql+asyncpg://")
    writer = create_async_engine(url, isolation_level="READ COMMITTED", **shared)
    readers = create_async_engine(
        url, isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True}, **shared
    )
    for engine in (writer, readers):
        event.listen(engine.sync_engine, "checkout", _refuse_the_dead)
    return writer, readers


async def bound_transaction(connection: AsyncConnection, bounds: Bounds) -> None:
    """Behind a pooler: set the session settings within the transaction."""
    await connection.execute(
        _BOUND,
        {"idle": _milliseconds(bounds.idle_transaction_seconds), "whole": _milliseconds(bounds.transaction_seconds)},
    )


_BOUND: Final = text(
    "SELECT set_config('statement_timeout', '0', true), "
    "set_config('idle_in_transaction_session_timeout', :idle, true), "
    + "".join(f"set_config('{name}', '{value}', true), " for name, value in _PLANNING.items())
    # Only servers with a transaction timeout know this setting.
    + "CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL"
    " THEN set_config('transaction_timeout', :whole, true) END"
)


async def commit(connection: AsyncConnection, bounds: Bounds) -> None:
    """COMMIT. Near the time limit it closes the connection, just before the driver would send a cancel.

    If COMMIT waits for a standby, a cancel makes changes visible that only the primary has: others
    would act on them, and a failover take them back. After a closed connection the server keeps waiting.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    hanging_up = asyncio.get_running_loop().call_later(_BEFORE_CANCEL * bounds.statement_seconds, driver.terminate)
    try:
        await connection.commit()
    finally:
        hanging_up.cancel()


class Driver:
    """The driver behind one of SQLAlchemy's connections, for statements that go to it directly, in its transaction.

    Between a statement and its rows SQLAlchemy takes more time than the driver.
    """

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    async def fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """Execute one statement; return its rows."""
        found: list[Any] = await self._run(statement, "fetch", values)
        return found

    async def execute(self, statement: str, values: Sequence[Any]) -> int:
        """Execute one statement that changes rows; return how many."""
        status: str = await self._run(statement, "execute", values)
        return int(status.rpartition(" ")[2])

    async def _run(self, statement: str, method: str, values: Sequence[Any]) -> Any:
        adapter = self._adapter
        try:
            # As before the first statement that SQLAlchemy itself executes.
            if adapter._transaction is None:
                await adapter._start_transaction()
            return await getattr(adapter.driver_connection, method)(statement, *values)
        except Exception as error:
            try:
                adapter._handle_exception(error)
            except adapter.dbapi.Error as known:
                lost = adapter.driver_connection.is_closed()
                raise DBAPIError.instance(
                    statement, None, known, adapter.dbapi.Error, hide_parameters=True, connection_invalidated=lost
                ) from error


def driver_behind(connection: AsyncConnection) -> Driver | None:
    """The driver behind `connection`; None on SQLite, and if anything listens to SQLAlchemy's statements."""
    inner = connection.sync_connection
    if inner is None or inner.dialect.name != "postgresql" or inner.dispatch.before_cursor_execute:
        return None
    return Driver(inner.connection.dbapi_connection)


def is_retryable(error: BaseException) -> bool:
    """Whether the whole transaction must run again: it lost a race and had no effect."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRYABLE


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone or outdated, or none is available; what is not committed has not happened."""
    if isinstance(error, OSError | InterfaceError | asyncpg.InterfaceError):
        return True
    if isinstance(_drivers(error), asyncpg.ProtocolError) or _is_outdated(error):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    return state in _LOST or state.startswith(_CONNECTION_EXCEPTION)


def trouble(error: BaseException) -> str | None:
    """Why the database cannot be used just now, in words for operators; None if the error has another cause."""
    state = _state(error)
    for length in (5, 3, 2):
        if state[:length] in _TROUBLES:
            return _TROUBLES[state[:length]]
    if _is_outdated(error):
        return "the type of a column has just changed"
    return "it does not answer" if is_lost(error) else None


def _is_outdated(error: BaseException) -> bool:
    """Whether the connection had prepared a statement whose columns have other types since: another one knows them."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else error
    return isinstance(cause, asyncpg.InvalidCachedStatementError)


def _state(error: BaseException) -> str:
    """The SQLSTATE, or an empty string."""
    cause = _drivers(error)
    if isinstance(cause, asyncpg.TargetServerAttributeNotMatched):
        return _READ_ONLY
    return getattr(cause, "sqlstate", None) or ""


def _drivers(error: BaseException) -> BaseException | None:
    """The driver's exception, which SQLAlchemy wraps in two errors of its own."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.orig if isinstance(cause, EmulatedDBAPIException) else cause


def _passwords(url: URL) -> list[dict[str, str]]:
    """The password for each host of `url` from a password file, if no other source names one."""
    if url.password or os.environ.get("PGPASSWORD") or "service" in url.query or os.environ.get("PGSERVICE"):
        return [{} for _ in hosts_of(url)]
    user = url.username or os.environ.get("PGUSER") or getpass.getuser()
    database = unquote(url.database or os.environ.get("PGDATABASE") or user)
    passfile = url.query.get("passfile")
    found = []
    for host, port in hosts_of(url):
        where = host or os.environ.get("PGHOST") or "localhost"
        numbered = port or int(os.environ.get("PGPORT") or _PORT_DEFAULT)
        password = stored_password(passfile if isinstance(passfile, str) else None, where, numbered, database, user)
        found.append({} if password is None else {"password": password})
    return found


def _names(url: URL, words: Words) -> list[str]:
    """The name of each host of `url` in the form of PostgreSQL's own programs, which asyncpg understands."""
    query: dict[str, Any] = {
        name: value for name, value in words.for_driver.items() if name not in ("host", "port", "ssl")
    }
    if "ssl" in url.query:
        query.setdefault("sslmode", url.query["ssl"])
    hosts = hosts_of(url)
    if len(hosts) > 1:
        query.setdefault("target_session_attrs", "read-write")
    plain = URL.create("postgresql", url.username, url.password, database=url.database, query=query)
    return [_name(plain, host, port) for host, port in hosts]


def _name(url: URL, host: str | None, port: int | None) -> str:
    if host is not None and host.startswith("/"):
        url = url.update_query_dict({"host": host} | ({"port": str(port)} if port else {}))
    else:
        url = url.set(host=host, port=port)
    return url.render_as_string(hide_password=False)


def _set_array_codecs(connection: asyncpg.Connection) -> None:
    """Let the driver send arrays in our way, which takes a third of its own time.

    The driver asks of each element whether it is an array itself, with two abstract base classes: the most expensive
    part of a batch. And each new connection would ask the server to describe all arrays but text[]: 5 ms of its time.
    """
    settings: Any = connection.get_settings()
    for oid, name, element_oid, write, read in _ARRAYS:
        encode, decode = partial(_written, element_oid, write), partial(_read, read)
        settings.add_python_codec(oid, name, "pg_catalog", [], "scalar", encode, decode, "binary")


def _written(element_oid: int, element: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    """A flat array in PostgreSQL's binary format."""
    known = _Known(element)
    return pack(">iiIii", 1, 0, element_oid, len(values), 1) + b"".join(map(known.__getitem__, values))


class _Known(dict[Any, bytes]):
    """The elements of one array in binary format, each different one made once: most columns of a batch have few."""

    def __init__(self, element: Callable[[Any], bytes]) -> None:
        super().__init__({None: _NULL})
        self._element = element

    def __missing__(self, value: Any) -> bytes:
        found = self[value] = self._element(value)
        return found


def _read(read: Callable[[bytes], Any], data: bytes) -> list[Any]:
    """The elements of a flat array in that format."""
    if unpack_from(">i", data) == (0,):
        return []
    elements, position = [], 20
    for _ in range(*unpack_from(">i", data, 12)):
        (length,) = unpack_from(">i", data, position)
        position += 4
        elements.append(None if length < 0 else read(data[position : position + length]))
        position += max(length, 0)
    return elements


def _refuse_the_dead(connection: Any, record: Any, proxy: Any) -> None:
    """Replace a pooled connection whose end was noticed before it is used.

    Not `pool_pre_ping`, which costs three round trips a transaction. If the end was not noticed yet,
    the first statement fails, and the transaction runs again.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _milliseconds(seconds: float | None) -> str:
    return "0" if seconds is None else str(max(1, round(seconds * 1_000)))
