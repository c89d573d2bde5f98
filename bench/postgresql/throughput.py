"""Sagas per second on one PostgreSQL: one replica compared with a plain loop and DBOS, and two replicas with one."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.postgresql.contestants import Contestant, contestant
from bench.postgresql.server import BenchServer, dsn

__all__ = ["PostgresSize", "Rates", "throughput"]

IN_FLIGHT: Final = 256
WARM_BOOKINGS: Final = 512
CONNECTIONS: Final = (4, 8, 16, 32, 48)
WORKFLOWS: Final = (1, 2, 4, 8, 16)
#: What finds the best number of connections, or of workflows at once.
SOUNDING_BOOKINGS: Final = 400
SOUNDING_WORKFLOWS: Final = 64
_DBOS_PYTHON: Final = Path(__file__).parents[2] / ".venv-dbos" / "bin" / "python"
#: As far from the first replica's buyers in the timetable as can be.
_SECOND_BEGINS: Final = 300


@dataclass(frozen=True)
class PostgresSize:
    """The number of bookings in a round of each contestant, of rounds, and of followed sagas."""

    engine: int
    plain: int
    dbos: int
    rounds: int
    followed: int


@dataclass
class Rates:
    """Sagas a second, round by round, all of a round measured one right after another; `dbos` empty without it."""

    connections: int = 0
    workflows: int = 0
    plain: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    dbos: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)

    def over(self, base: str, what: str = "engine") -> float:
        """The median of the rounds' ratios of `what` to `base`."""
        pairs = zip(getattr(self, what), getattr(self, base), strict=True)
        return float(statistics.median(rate / beside for rate, beside in pairs))


async def throughput(server: BenchServer, size: PostgresSize) -> Rates:
    """All in turns, each on a copy of the same database, while the others wait."""
    rates = Rates()
    async with AsyncExitStack() as stack:
        plain_url, alone_url, pair_url = [await server.copy(name) for name in ("plain", "alone", "pair")]
        plain = await stack.enter_async_context(
            contestant("bench.postgresql.plain", dsn(plain_url), str(max(CONNECTIONS)))
        )
        alone = await stack.enter_async_context(contestant("bench.postgresql.replica", alone_url, "0"))
        pair = [
            await stack.enter_async_context(contestant("bench.postgresql.replica", pair_url, str(first)))
            for first in (0, _SECOND_BEGINS)
        ]
        dbos = await stack.enter_async_context(_dbos(server))
        for replica in (alone, *pair):
            await replica.run(WARM_BOOKINGS, IN_FLIGHT)
        rates.connections = await _best(plain, CONNECTIONS, SOUNDING_BOOKINGS)
        if dbos is not None:
            rates.workflows = await _best(dbos, WORKFLOWS, SOUNDING_WORKFLOWS)
        for _ in range(size.rounds):
            rates.plain.append(await _rate(plain, size.plain, rates.connections))
            rates.engine.append(await _rate(alone, size.engine, IN_FLIGHT))
            if dbos is not None:
                rates.dbos.append(await _rate(dbos, size.dbos, rates.workflows))
            rates.two.append(await _together(pair, size.engine))
    return rates


async def _together(replicas: list[Contestant], bookings: int) -> float:
    """The replicas' bookings per second in total, over the time of the slowest one."""
    began = time.perf_counter()
    await asyncio.gather(*(replica.run(bookings, IN_FLIGHT) for replica in replicas))
    return len(replicas) * bookings / (time.perf_counter() - began)


async def _best(program: Contestant, candidates: tuple[int, ...], bookings: int) -> int:
    """With how many at once it is fastest."""
    await _rate(program, bookings, candidates[-1])
    found = {at_once: await _rate(program, bookings, at_once) for at_once in candidates}
    return max(found, key=found.__getitem__)


async def _rate(program: Contestant, bookings: int, in_flight: int) -> float:
    return float((await program.run(bookings, in_flight))["rate"])


@asynccontextmanager
async def _dbos(server: BenchServer) -> AsyncIterator[Contestant | None]:
    """The DBOS program; None where it is not installed."""
    if not _DBOS_PYTHON.exists():
        yield None
        return
    urls = dsn(await server.copy("dbos")), dsn(await server.empty("dbos_system"))
    async with contestant("bench.dbos.program", *urls, str(max(WORKFLOWS)), python=_DBOS_PYTHON) as program:
        yield program
