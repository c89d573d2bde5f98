"""The stage of every scenario: three replicas, the proxy before them, the links behind them, and the load."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from app.migrations import upgrade
from cluster.postgres import PostgresServer, multi_host_url
from cluster.proxy import Proxy, proxy_to
from cluster.replicas import Replica, replicas
from domain import flights, loyalty, seats
from domain.bookings.definitions import ATTEMPT_TIMEOUT_SECONDS_MAX
from domain.clock import SECOND, wall_now
from domain.saga.definition import COMPENSATION_POLICY
from domain.storage import Database
from tests.cluster.load import Load, Order
from tests.cluster.unfinished import unfinished
from tests.cluster.verdict import Evidence, judge
from tests.domain.bookings.world import departures
from tests.support.children import started
from tests.support.waiting import eventually

__all__ = ["LEASE_SECONDS", "REPLICAS", "Stage", "staged"]

REPLICAS: Final = 3
#: What a takeover may need besides the lease, a look a second among it, must not depend on how busy the machine is.
LEASE_SECONDS: Final = 4.0
TOKEN: Final = "the operators' token"
RECOVERY_SECONDS_MAX: Final = 20.0
#: What a saga may wait for, one after the other, once the fault is over: for its takeover, within two
#: leases; for a call that was just begun; and for all attempts of a compensation before it is stuck.
_SAGA_SECONDS_MAX: Final = (
    2 * LEASE_SECONDS
    + ATTEMPT_TIMEOUT_SECONDS_MAX
    + sum(COMPENSATION_POLICY.backoff_seconds(attempt) for attempt in range(1, COMPENSATION_POLICY.refusals_max))
)
#: Twice as long, as the machine may be busy with other things.
SETTLE_SECONDS_MAX: Final = 2 * _SAGA_SECONDS_MAX
_OWNED: Final = """SELECT count(*) FROM sagas JOIN replicas ON replicas.id = sagas.replica
    WHERE replicas.process_id = $1 AND sagas.finished_at IS NULL"""
_UNDECIDED: Final = "SELECT count(*) FROM sagas WHERE finished_at IS NULL AND status <> 'STUCK'"
_WORD_STANDS: Final = """SELECT word IS NOT NULL AND process_id = $2 FROM sagas
    JOIN replicas ON replicas.id = sagas.replica WHERE correlation_id = $1"""
_LEASE_UNTIL: Final = "SELECT lease_until FROM replicas WHERE process_id = $1"
_COMMITS_WAITING: Final = """SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND clock_timestamp() - state_change > make_interval(secs => $1)"""
_TERMINATE: Final = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY ($1)"


@dataclass
class Stage:
    """What a scenario breaks, and what it must then see. `links[i]` is between `replicas[i]` and the database."""

    url: str
    replicas: Sequence[Replica]
    links: Sequence[Proxy]
    proxy: Proxy
    folder: Path
    seed: str
    logs: Mapping[Path, int]

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[Load]:
        """Bookings all the while; when the block ends, everything comes to its end, and must be as it should."""
        load = Load(f"http://127.0.0.1:{self.proxy.port}", [replica.url for replica in self.replicas], self.seed)
        async with load.steady():
            yield load
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await load.ended()
        except TimeoutError:
            facts = await unfinished(self.url, load.waiting, self.replicas)
            raise AssertionError(f"not over after {SETTLE_SECONDS_MAX:g} s, seed {load.seed!r}:\n{facts}") from None
        await eventually(self._all_decided, SETTLE_SECONDS_MAX)
        outputs = [replica.output for replica in self.replicas]
        await judge(Evidence(self.url, self.folder, self.logs, outputs, load))

    @asynccontextmanager
    async def takeover_from(self, replica: Replica) -> AsyncIterator[None]:
        """What happens to the replica in the block must cost it all of its sagas within two leases."""
        pid = replica.pid

        async def owns_none() -> bool:
            return bool(await self.ask(_OWNED, pid) == 0)

        await self.works(replica)
        yield
        await eventually(owns_none, 2 * LEASE_SECONDS)

    async def has_a_word_for(self, replica: Replica, order: Order) -> bool:
        """Whether a word stands on the saga, and the replica, which owns it, has not obeyed it."""
        return bool(await self.ask(_WORD_STANDS, order.correlation_id, replica.pid))

    async def works(self, replica: Replica) -> None:
        """Return once the replica owns sagas under a lease that it has just renewed."""
        before = await self.ask(_LEASE_UNTIL, replica.pid) or 0

        async def check() -> bool:
            renewed = (await self.ask(_LEASE_UNTIL, replica.pid) or 0) > before
            return renewed and await self.ask(_OWNED, replica.pid) > 0

        await eventually(check, RECOVERY_SECONDS_MAX)

    async def is_away_for_two_leases(self, replica: Replica) -> None:
        """Return once that long has passed since the replica last renewed its lease."""

        async def check() -> bool:
            lapsed = wall_now() - await self.ask(_LEASE_UNTIL, replica.pid)
            return bool(lapsed > LEASE_SECONDS * SECOND)

        await eventually(check, RECOVERY_SECONDS_MAX)

    async def commits_wait_for_the_standby(self) -> None:
        """Return once a commit has not been answered for longer than anybody waits, as no standby has it."""

        async def check() -> bool:
            return bool(await self.ask(_COMMITS_WAITING, LEASE_SECONDS) > 0)

        await eventually(check, RECOVERY_SECONDS_MAX)

    async def is_refused(self) -> None:
        """Return once a replica has met a server that takes no connection."""

        async with httpx.AsyncClient() as http:

            async def check() -> bool:
                answers = [(await http.get(f"{replica.url}/readyz")).status_code for replica in self.replicas]
                return httpx.codes.SERVICE_UNAVAILABLE in answers

            await eventually(check, RECOVERY_SECONDS_MAX)

    async def meets(self, server: PostgresServer) -> None:
        """Return once every replica has come to `server`, which logs its connections, from now on."""
        begin = server.log.stat().st_size

        def check() -> bool:
            new = server.log.read_bytes()[begin:].decode(errors="replace")
            return all(f"application_name=seatsaga {replica.pid}\n" in new for replica in self.replicas)

        await eventually(check, RECOVERY_SECONDS_MAX)

    async def terminate_connections(self, link: Proxy) -> int:
        """Let the server end every connection that came over `link`; how many there were."""
        ended: int = await self.ask(_TERMINATE, link.far_ports)
        return ended

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
async def staged(folder: Path, *servers: PostgresServer, seed: str) -> AsyncIterator[Stage]:
    """A fresh small airline, served by three replicas, until the block ends.

    Its database is on the first of `servers`. Where there are others, which follow the first, the
    replicas know them all and have no links.
    """
    name = f"cluster_{uuid.uuid4().hex[:8]}"
    primary = servers[0]
    await _fill(primary, name)
    async with AsyncExitStack() as stack:
        links: list[Proxy] = []
        url = multi_host_url(name, *servers)
        urls = [url] * REPLICAS
        if len(servers) == 1:
            url = primary.database_url(name)
            links = [await stack.enter_async_context(proxy_to(primary.port)) for _ in range(REPLICAS)]
            urls = [primary.database_url(name, port=link.port) for link in links]
        serving = await stack.enter_async_context(
            replicas(folder, urls, started, lease_seconds=LEASE_SECONDS, admin_token=TOKEN)
        )
        proxy = await stack.enter_async_context(proxy_to(*(replica.port for replica in serving)))
        logs = {server.log: server.log.stat().st_size for server in servers}
        yield Stage(url, serving, links, proxy, folder, seed, logs)


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
    return url.replace("+asyncpg", "", 1)
