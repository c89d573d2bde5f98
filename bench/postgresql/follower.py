"""A replica that runs sagas and records their commit times, or follows another's sagas and records when events arrive.

`python -m bench.postgresql.follower URL on|off` (hints). A round's `given` says what to do:
`{"begin": delay in ms}` starts as many sagas as there are bookings and returns their ids;
`{"committed": ids}` waits until they have ended, and returns the commit time of each event;
`{"follow": ids}` follows them to their ends, and returns the arrival time of each event. Times are
[saga id, sequence, nanoseconds] by the monotonic clock that all processes of this machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

import uvloop

from app.main import spare_the_collector
from bench.postgresql.booking import MEMBERS
from bench.postgresql.contestants import Round, take_turns
from bench.world import Bench, bench_over
from domain.saga import Committed, Simulation

#: Between two starts, so that their steps do not fall together.
_APART_SECONDS: Final = 0.037
_WAIT_SECONDS_MAX: Final = 60.0

Moment = list[Any]


class _Follower:
    """The times that one process records."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._committed: dict[str, list[Moment]] = {}
        self._over: dict[str, asyncio.Event] = {}
        bench.engine.telemetry.attach(self._hear)

    async def run(self, round_: Round) -> Any:
        """Run one round; returns its answer."""
        match round_.given:
            case {"begin": delay_ms}:
                return await self._begin(round_.bookings, delay_ms)
            case {"committed": saga_ids}:
                async with asyncio.timeout(_WAIT_SECONDS_MAX):
                    for saga_id in saga_ids:
                        await self._over.setdefault(saga_id, asyncio.Event()).wait()
                return [moment for saga_id in saga_ids for moment in self._committed[saga_id]]
            case {"follow": saga_ids}:
                async with asyncio.timeout(_WAIT_SECONDS_MAX):
                    heard = await asyncio.gather(*map(self._follow, saga_ids))
                return [moment for moments in heard for moment in moments]
            case other:
                raise ValueError(other)

    async def _begin(self, sagas: int, delay_ms: int) -> list[str]:
        saga_ids = []
        for number in range(sagas):
            saga = await self._bench.start(number, simulation=Simulation(delay_ms=delay_ms))
            saga_ids.append(saga.id)
            await asyncio.sleep(_APART_SECONDS)
        return saga_ids

    async def _follow(self, saga_id: str) -> list[Moment]:
        return [[saga_id, event.sequence, time.monotonic_ns()] async for event in self._bench.engine.follow(saga_id)]

    def _hear(self, signal: object) -> None:
        if not isinstance(signal, Committed):
            return
        now = time.monotonic_ns()
        for event in signal.events:
            self._committed.setdefault(event.saga_id, []).append([event.saga_id, event.sequence, now])
            if event.type.is_terminal:
                self._over.setdefault(event.saga_id, asyncio.Event()).set()


async def main() -> None:
    """Do what is asked for."""
    url, hints = sys.argv[1:]
    async with bench_over(url, hints=hints == "on", simulation_allowed=True) as bench:
        bench.members = MEMBERS
        spare_the_collector()
        await take_turns(_Follower(bench).run)


if __name__ == "__main__":
    uvloop.run(main())
