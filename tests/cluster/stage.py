"""The stage of every scenario: three replicas, the proxy before them, the links behind them, and the load."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy.engine import make_url

from app.migrations import upgrade
from cluster.postgres import PostgresServer
from cluster.proxy import Proxy, proxy_to
from cluster.replicas import Replica, environment, replicas
from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.storage import Database
from tests.cluster.load import Load
from tests.cluster.verdict import Evidence, judge
from tests.domain.bookings.world import departures
from tests.support.waiting import eventually

__all__ = ["LEASE_SECONDS", "REPLICAS", "Stage", "staged"]

REPLICAS: Final = 3
#: The least that may be set.
LEASE_SECONDS: Final = 2.0
TOKEN: Final = "the operators' token"
SETTLE_SECONDS_MAX: Final = 45.0
_OWNED: Final = """SELECT count(*) FROM sagas JOIN replicas ON replicas.id = sagas.replica
    WHERE replicas.process_id = $1 AND sagas.finished_at IS NULL"""
_UNDECIDED: Final = "SELECT count(*) FROM sagas WHERE finished_at IS NULL AND status <> 'STUCK'"


@dataclass
class Stage:
    """What a scenario breaks, and what it must then see."""

    server: PostgresServer
    url: str
    replicas: Sequence[Replica]
    links: Sequence[Proxy]
    proxy: Proxy
    folder: Path
    seed: str
    log_begins: int

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[Load]:
        """Bookings all the while; when the block ends, everything comes to its end, and must be as it should."""
        load = Load(f"http://127.0.0.1:{self.proxy.port}", [replica.url for replica in self.replicas], self.seed)
        async with load.steady():
            yield load
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            await load.ended()
            await eventually(self._all_decided, SETTLE_SECONDS_MAX)
        await judge(Evidence(self.url, self.folder, self.server.log, self.log_begins, load))

    async def owns_sagas(self, replica: Replica) -> None:
        """Return once this replica has something to lose."""

        async def check() -> bool:
            return await self.ask(_OWNED, replica.pid) > 0

        await eventually(check)

    async def lost_its_sagas(self, replica: Replica) -> float:
        """Return once others own all that this replica did; how long that took, in seconds."""
        began = time.monotonic()

        async def check() -> bool:
            return await self.ask(_OWNED, replica.pid) == 0

        await eventually(check, 2 * LEASE_SECONDS)
        return time.monotonic() - began

    async def ask(self, statement: str, *values: object) -> Any:
        """The first value of what the database answers, past all proxies."""
        connection = await asyncpg.connect(plain(self.url))
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def _all_decided(self) -> bool:
        return bool(await self.ask(_UNDECIDED) == 0)


@asynccontextmanager
async def staged(server: PostgresServer, folder: Path, *, seed: str) -> AsyncIterator[Stage]:
    """A fresh small airline on `server`, served by three replicas, until the block ends."""
    name = f"cluster_{uuid.uuid4().hex[:8]}"
    await _fill(server, name)
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(proxy_to(server.port)) for _ in range(REPLICAS)]
        urls = [server.database_url(name, port=link.port) for link in links]
        serving = await stack.enter_async_context(
            replicas(folder, urls, lease_seconds=LEASE_SECONDS, admin_token=TOKEN)
        )
        proxy = await stack.enter_async_context(proxy_to(*(replica.port for replica in serving)))
        begins = server.log.stat().st_size
        yield Stage(server, server.database_url(name), serving, links, proxy, folder, seed, begins)


async def _fill(server: PostgresServer, name: str) -> None:
    administrator = await asyncpg.connect(plain(server.url))
    await administrator.execute(f'CREATE DATABASE "{name}"')
    await administrator.close()
    url = server.database_url(name)
    await upgrade(url)
    database = Database(url)
    try:
        await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
        await loyalty.seed_members(database)
    finally:
        await database.close()


def plain(url: str) -> str:
    """The URL as asyncpg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
