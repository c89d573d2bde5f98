"""Replicas behind PgBouncer in transaction mode: everything works, and hints go past it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import URL, make_url
from typer.testing import CliRunner

from app.cli import cli
from app.migrations import upgrade
from cluster.pgbouncer import PgBouncer
from cluster.postgres import PostgresServer
from cluster.proxy import proxy_to
from cluster.replicas import Replica, environment, replicas
from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.storage import Database
from tests.app.airline import Exposition
from tests.cluster.load import KINDS, Load
from tests.cluster.verdict import Evidence, judge
from tests.domain.bookings.world import departures
from tests.domain.flights.timetables import csv, line
from tests.support.children import started
from tests.support.waiting import eventually

REPLICAS: Final = 2
LEASE_SECONDS: Final = 2
END_SECONDS_MAX: Final = 45.0
RESTARTS: Final = 3
_FAULT: Final = re.compile(r"\b(?:WARNING|ERROR|FATAL|PANIC)\b")
_RUNS: Final = "SELECT count(DISTINCT job_id) FROM job_runs"
_FAILED_RUNS: Final = "SELECT count(*) FROM job_runs WHERE outcome = 'FAILED'"
_CANCELLED: Final = " 57014 "
_TWICE: Final = "uq_sagas_correlation_id"
_UNDECIDED: Final = "SELECT count(*) FROM sagas WHERE finished_at IS NULL AND status <> 'STUCK'"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of these tests' own, as they read its log."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_url(server: PostgresServer) -> URL:
    """What the pooler stands before."""
    return make_url(server.url)


@dataclass(frozen=True)
class Pooled:
    """A database of the server, and what its users are told: to go through the pooler."""

    name: str
    url: str
    pooler: PgBouncer
    folder: Path

    @property
    def settings(self) -> dict[str, object]:
        """Besides the URL through the pooler."""
        return {"database_direct_url": self.url, "lease_seconds": LEASE_SECONDS, "expiry_interval_seconds": 1}

    def run(self, *arguments: str) -> str:
        """What one command of seatsaga says, which must succeed. It has a loop of its own, so there must be none."""
        env = environment(self.folder, self.pooler.url(self.name), **self.settings)
        done = CliRunner().invoke(cli, list(arguments), env=env)
        assert done.exit_code == 0, (arguments, done.output)
        return done.output

    async def ask(self, statement: str) -> Any:
        """The first value of what the database answers, past the pooler."""
        connection = await asyncpg.connect(make_url(self.url).set(drivername="postgresql").render_as_string())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def all_decided(self) -> bool:
        """Whether no saga has anything left to do."""
        return bool(await self.ask(_UNDECIDED) == 0)


@pytest.fixture
def pooled(server: PostgresServer, pooler: PgBouncer, tmp_path: Path) -> Pooled:
    """An empty database."""
    pooled = Pooled(name := f"pooled_{uuid.uuid4().hex[:8]}", server.database_url(name), pooler, tmp_path)
    server.execute(f'CREATE DATABASE "{name}"')
    return pooled


@pytest.fixture
async def airline(pooled: Pooled) -> Pooled:
    """A database with three flights and a hundred members."""
    await upgrade(pooled.url)
    database = Database(pooled.url)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    await database.close()
    return pooled


@asynccontextmanager
async def replicas_of(pooled: Pooled) -> AsyncIterator[list[Replica]]:
    """All ready and within hearing of one another."""
    urls = [pooled.pooler.url(pooled.name)] * REPLICAS
    async with replicas(pooled.folder, urls, started, **pooled.settings) as found:
        for replica in found:
            await eventually(partial(hears, replica))
        yield found


async def hears(replica: Replica) -> bool:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        body = (await client.get("/readyz")).json()
    return bool(body["status"] == "ready" and "hints" not in body.get("warnings", {}))


async def hints_heard(replica: Replica) -> float:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        return Exposition((await client.get("/metrics")).text)("seatsaga_hints_heard_total") or 0


@asynccontextmanager
async def under_load(pooled: Pooled, server: PostgresServer, seed: str) -> AsyncIterator[tuple[Load, list[Replica]]]:
    """Bookings of every kind while the block lasts, seen from every replica; then all of it must be as it should."""
    begin = server.log.stat().st_size
    async with replicas_of(pooled) as found, proxy_to(*(replica.port for replica in found)) as proxy:
        load = Load(f"http://127.0.0.1:{proxy.port}", [replica.url for replica in found], seed)
        async with load.steady():
            yield load, found
        async with asyncio.timeout(END_SECONDS_MAX):
            await load.ended()
        await eventually(pooled.all_decided, END_SECONDS_MAX)
        for replica in found:
            assert await hears(replica)
            assert await hints_heard(replica) > 0
        outputs = [replica.output for replica in found]
        await judge(Evidence(pooled.url, pooled.folder, {server.log: begin}, outputs, load))
        for replica in found:
            assert replica.terminate() == 0


def faults(log: Path, begin: int) -> list[str]:
    """What a program complained of, from a byte of its log on.

    Not that a reader who went away was cancelled, nor that two replicas were asked for the same at once.
    """
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    return [line for line in lines if _FAULT.search(line) and _CANCELLED not in line and _TWICE not in line]


async def test_every_booking_comes_to_its_end_also_when_the_pooler_restarts(
    airline: Pooled, server: PostgresServer
) -> None:
    begun = server.log.stat().st_size, airline.pooler.log.stat().st_size
    async with under_load(airline, server, "a pooler that restarts") as (load, found):
        await further(load, len(KINDS))
        assert await airline.ask(_RUNS) > 0
        assert await airline.ask(_FAILED_RUNS) == 0
        assert faults(server.log, begun[0]) == []
        assert faults(airline.pooler.log, begun[1]) == []
        for _ in range(RESTARTS):
            airline.pooler.restart()
            await further(load, REPLICAS)
        for replica in found:
            await replica.ready()


async def further(load: Load, orders: int) -> None:
    """Return once so many more bookings were begun."""
    enough = len(load.orders) + orders
    await eventually(lambda: len(load.orders) >= enough, END_SECONDS_MAX)


def test_every_command_works(pooled: Pooled) -> None:
    timetable = pooled.folder / "flights.csv"
    timetable.write_bytes(csv(line()))
    assert pooled.run("migrate").startswith("Migrated from nothing to ")
    assert pooled.run("import-flights", str(timetable)).endswith("Loaded 1 flights with 162 seats.\n")
    assert pooled.run("seed").endswith("and 100 members.\n")
    assert pooled.run("jobs", "run", "recover-sagas") == "A run is requested.\n"
    assert pooled.run("jobs", "pause", "prune-history") == "Paused on every replica.\n"
    assert "PAUSED" in pooled.run("jobs", "list")
    assert pooled.run("replicas")
    assert pooled.run("doctor").endswith("Everything is as it should be.\n")
