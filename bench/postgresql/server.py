"""The server of all measurements: durable, and large enough not to be the limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from bench.postgresql.booking import MEMBERS
from bench.world import bench_over, fill_database
from cluster.postgres import PostgresServer

__all__ = ["BenchServer", "bench_server", "dsn"]

#: Two replicas, their readers and everybody beside them have connections; what is committed survives a power cut.
SETTINGS: Final = (
    "shared_buffers=256MB",
    # No checkpoint falls into one contestant's turn and not into another's.
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
)
_FILLED: Final = "filled"
_BOOKED_BEFORE: Final = 2_048
_IN_FLIGHT: Final = 256
_DEADLOCK: Final = " 40P01 "
#: So many that two replicas seldom meet at one account; the timetable's members are the first hundred of them.
_MORE_MEMBERS: Final = f"""
    WITH added AS (
        INSERT INTO loyalty_accounts (member_number, name, balance, pending)
        SELECT 'SS' || lpad(number::text, 7, '0'), 'Grace Hopper', 50000, 0
        FROM generate_series(101, {MEMBERS}) AS number RETURNING member_number
    )
    INSERT INTO loyalty_entries (id, member_number, points, pending_points, reason, balance_after, at)
    SELECT gen_random_uuid(), member_number, 50000, 0, 'OPENING', 50000, 0 FROM added
"""


class BenchServer:
    """One running server with a filled database that has been in use, of which each contestant gets a copy."""

    def __init__(self, server: PostgresServer, flight_ids: list[int]) -> None:
        self._server = server
        self.flight_ids = flight_ids

    async def copy(self, name: str) -> str:
        """A fresh copy of the timetable and its members under `name`; its SQLAlchemy URL."""
        await self.execute(self._server.url, f'CREATE DATABASE "{name}" TEMPLATE "{_FILLED}"')
        return self._server.database_url(name)

    async def empty(self, name: str) -> str:
        """A database with nothing in it; its SQLAlchemy URL."""
        await self.execute(self._server.url, f'CREATE DATABASE "{name}"')
        return self._server.database_url(name)

    @property
    def deadlocks(self) -> int:
        """The number of deadlocks that the server has logged."""
        return self._server.log.read_text(errors="replace").count(_DEADLOCK)

    async def execute(self, url: str, statement: str) -> None:
        """Execute one statement in the database at `url`."""
        connection = await asyncpg.connect(dsn(url))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def bench_server() -> AsyncIterator[BenchServer]:
    """Start it, from the main thread, and fill its first database."""
    with PostgresServer(durable=True, settings=SETTINGS) as server:
        bench = BenchServer(server, [])
        url = await bench.empty(_FILLED)
        bench.flight_ids = await fill_database(url)
        await bench.execute(url, _MORE_MEMBERS)
        # Plans made while a table is empty are kept by sessions for as long as they last: nobody is to begin with them.
        async with bench_over(url) as engine:
            engine.members = MEMBERS
            await engine.run(_BOOKED_BEFORE, _IN_FLIGHT)
        await bench.execute(url, "VACUUM (ANALYZE)")
        yield bench


def dsn(url: str) -> str:
    """asyncpg's DSN for SQLAlchemy's `url`."""
    return url.replace("+asyncpg", "", 1)
