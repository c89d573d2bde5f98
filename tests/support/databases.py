"""PostgreSQL databases that tests use one after another: emptying one takes a fifth of the time of making one."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy.engine import URL, make_url

__all__ = ["Pool", "administer", "as_text", "changed_copy", "connected"]

#: Rows that were deleted leave room behind, which nothing takes back: autovacuum is for databases that live longer.
USES_MAX: Final = 25
#: A session ends a little after its client has closed the connection.
SESSIONS_GONE_SECONDS_MAX: Final = 0.5
_LOOK_SECONDS: Final = 0.005
#: Each change of a schema, its rights, its settings or its statistics writes a row of one of these. What is not the
#: server's own has an object ID from 16384 on.
_CATALOGS: Final = {
    "pg_attrdef": "adrelid",
    "pg_attribute": "attrelid",
    "pg_class": "oid",
    "pg_constraint": "oid",
    "pg_event_trigger": "oid",
    "pg_extension": "oid",
    "pg_index": "indexrelid",
    "pg_namespace": "oid",
    "pg_policy": "oid",
    "pg_proc": "oid",
    "pg_rewrite": "ev_class",
    "pg_statistic": "starelid",
    "pg_trigger": "oid",
    "pg_type": "oid",
}
_OWN_OID_MIN: Final = 16_384
_OTHER_SESSIONS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_OWN_TABLES: Final = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p'"
    " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
)


class Pool:
    """Databases that are copies of `template` on `server`, each as it was copied whenever it is given out.

    One that comes back is emptied, and given out again: its rows are deleted, apart from those of
    tables that have rows in the template, and its sequences begin anew. Where a test has changed
    anything else (the schema, those rows, a setting, statistics), has had a deadlock, or has left a
    session, its database is dropped, and the next test gets a new one.
    """

    def __init__(self, server: URL, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        self._uses: Counter[str] = Counter()
        self._as_made: dict[str, str] = {}
        self._look = ""
        self._empty = ""

    async def take(self) -> URL:
        """A database for one test, which gives it back."""
        name = self._free.pop() if self._free else await self._make()
        self._uses[name] += 1
        return self._server.set(database=name)

    async def give_back(self, url: URL) -> None:
        """Make the database ready for the next test, or drop it."""
        name = str(url.database)
        if self._uses[name] < USES_MAX and await self._is_emptied(name):
            self._free.append(name)
        else:
            await administer(self._server, f'DROP DATABASE "{name}" WITH (FORCE)')

    async def close(self) -> None:
        """Drop what is free."""
        while self._free:
            await administer(self._server, f'DROP DATABASE "{self._free.pop()}" WITH (FORCE)')

    async def _make(self) -> str:
        name = f"test_{uuid.uuid4().hex}"
        await administer(self._server, f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY FILE_COPY')
        async with connected(self._server.set(database=name)) as connection:
            if not self._look:
                await self._learn(connection)
            self._as_made[name] = await connection.fetchval(self._look)
        return name

    async def _learn(self, connection: asyncpg.Connection) -> None:
        """How to tell whether a database is as it was made, and how to empty it, from one that is."""
        tables = [row[0] for row in await connection.fetch(_OWN_TABLES)]
        filled, rows = [], []
        for table in tables:
            written_by = await connection.fetchval(f"SELECT array_agg(DISTINCT xmin::text) FROM {table}")
            if written_by is not None:
                filled.append(table)
                unchanged = f"xmin = ANY ('{{{','.join(written_by)}}}'::xid[])"
                rows.append(f"SELECT (count(*), count(*) FILTER (WHERE {unchanged}))::text FROM {table}")
        changes = [
            f"SELECT (count(*), sum(xmin::text::bigint))::text FROM {catalog} WHERE {column} >= {_OWN_OID_MIN}"
            for catalog, column in _CATALOGS.items()
        ]
        of_database = [
            "SELECT xmin::text FROM pg_database WHERE datname = current_database()",
            "SELECT string_agg(setting.xmin::text, ' ') FROM pg_db_role_setting AS setting"
            " JOIN pg_database AS own ON own.oid = setting.setdatabase WHERE own.datname = current_database()",
            "SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()",
        ]
        self._look = f"SELECT concat_ws('; ', {', '.join(f'({each})' for each in rows + changes + of_database)})"
        sequences = await connection.fetch("SELECT seqrelid::regclass::text, seqstart FROM pg_sequence")
        self._empty = "; ".join(
            [
                # Without triggers: neither references nor what is only ever appended to are in the way.
                "SET session_replication_role = replica",
                *(f"DELETE FROM {table}" for table in tables if table not in filled),
                *(f"SELECT setval('{sequence}', {first}, false)" for sequence, first in sequences),
            ]
        )

    async def _is_emptied(self, name: str) -> bool:
        try:
            async with connected(self._server.set(database=name)) as connection:
                if not await _is_left_alone(connection):
                    return False
                if await connection.fetchval(self._look) != self._as_made[name]:
                    return False
                await connection.execute(self._empty)
                return True
        except (OSError, asyncpg.PostgresError):
            return False


async def _is_left_alone(connection: asyncpg.Connection) -> bool:
    """Whether nobody else is connected, or is not any more in a moment."""
    deadline = time.monotonic() + SESSIONS_GONE_SECONDS_MAX
    while await connection.fetchval(_OTHER_SESSIONS):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


async def changed_copy(server: URL, template: str, change: Callable[[URL], Awaitable[None]]) -> str:
    """The name of a new template: a copy of `template` that was changed."""
    name = f"{template}_{uuid.uuid4().hex[:8]}"
    await administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    await change(server.set(database=name))
    return name


async def administer(url: URL, statement: str) -> None:
    """Run one statement, on a connection of its own."""
    async with connected(url) as connection:
        await connection.execute(statement)


@asynccontextmanager
async def connected(url: URL | str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the driver's own, until the block ends."""
    connection = await asyncpg.connect(as_text(make_url(url).set(drivername="postgresql")))
    try:
        yield connection
    finally:
        await connection.close()


def as_text(url: URL) -> str:
    """The URL, its password with it."""
    return url.render_as_string(hide_password=False)
