"""Delay from a commit on one replica to a subscriber on another: with hints, and by polling the log once a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from bench.postgresql.contestants import Contestant, contestant
from bench.postgresql.server import BenchServer

__all__ = ["Lateness", "lateness"]

#: Before every step, so that there is time to follow a saga before most of its events are committed.
DELAY_MS: Final = 700


@dataclass(frozen=True)
class Lateness:
    """Milliseconds over so many events that were committed while somebody followed."""

    p50_ms: float
    p99_ms: float
    events: int


async def lateness(server: BenchServer, sagas: int, *, hints: bool) -> Lateness:
    """One replica runs so many sagas; the other, which runs none, follows them all."""
    switch = "on" if hints else "off"
    url = await server.copy(f"lateness_{switch}")
    async with (
        contestant("bench.postgresql.follower", url, switch) as runs,
        contestant("bench.postgresql.follower", url, switch) as follows,
    ):
        await _late(runs, follows, 2)
        found = sorted(await _late(runs, follows, sagas))
        return Lateness(found[len(found) // 2], found[int(len(found) * 0.99)], len(found))


async def _late(runs: Contestant, follows: Contestant, sagas: int) -> list[float]:
    saga_ids = await runs.run(sagas, 1, {"begin": DELAY_MS})
    committed, heard = await asyncio.gather(
        runs.run(sagas, 1, {"committed": saga_ids}), follows.run(sagas, 1, {"follow": saga_ids})
    )
    came = _by_event(heard)
    followed_since: dict[str, int] = {}
    for (saga_id, _), at in came.items():
        followed_since[saga_id] = min(at, followed_since.get(saga_id, at))
    return [(came[event] - at) / 1e6 for event, at in _by_event(committed).items() if at > followed_since[event[0]]]


def _by_event(moments: list[Any]) -> dict[tuple[str, int], int]:
    return {(saga_id, sequence): at for saga_id, sequence, at in moments}
