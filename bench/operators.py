"""An operator's night: so many stuck sagas, how soon they are seen, and what a bulk retry costs the bookings beside it.

The sagas are bookings whose payment cannot be given back, as a simulation has it; an operator's retry ends that.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.world import Bench, bench_over
from domain import incidents
from domain.actors import Actor, ActorRole, Asked
from domain.bulk import BulkAction, BulkActionKind, BulkActions, BulkMatched, BulkRequest
from domain.events import EventType
from domain.saga import Committed, SagaQuery, SagaStatus, Simulation, page_longest_stuck

__all__ = ["Night", "operators_night"]

IN_FLIGHT: Final = 256
LOOKS: Final = 9
PAGE_SAGAS: Final = 20
BATCH_BOOKINGS: Final = 512
ALONE_SECONDS: Final = 15.0
STUCK: Final = Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",))
QUERY: Final = SagaQuery(statuses=[SagaStatus.STUCK], stuck_at="AUTHORIZE_PAYMENT", stuck_with=["SIMULATED"])
OPERATOR: Final = Asked(Actor(ActorRole.OPERATOR, "bench"))


class Night(msgspec.Struct, frozen=True):
    """Milliseconds of each look (medians), the pace of a bulk retry, and bookings a second without and with it."""

    incidents_ms: float
    page_ms: float
    dry_run_ms: float
    pace: float
    alone: float
    beside: float


async def operators_night(url: str, stuck: int, *, per_second: int) -> Night:
    """Measure on the filled database at `url`, with `stuck` sagas that are retried `per_second`."""
    async with bench_over(url, simulation_allowed=True) as bench:
        bulk = BulkActions(bench.engine)
        await _get_stuck(bench, stuck)

        async def look(read: Callable[[AsyncConnection], Awaitable[Any]]) -> float:
            async with bench.engine.database.reading() as connection:
                began = time.perf_counter()
                await read(connection)
                return (time.perf_counter() - began) * 1e3

        async def dry_run() -> float:
            began = time.perf_counter()
            answer = await bulk.begin(_request(stuck, per_second), OPERATOR, is_dry_run=True)
            assert answer == BulkMatched(stuck), answer
            return (time.perf_counter() - began) * 1e3

        at = 0
        seen = [await look(lambda connection: incidents.incidents(connection, at=at)) for _ in range(LOOKS)]
        listed = [
            await look(lambda connection: page_longest_stuck(connection, QUERY, after=None, limit=PAGE_SAGAS))
            for _ in range(LOOKS)
        ]
        counted = [await dry_run() for _ in range(LOOKS)]

        until = time.perf_counter() + ALONE_SECONDS
        alone = await _book_while(bench, lambda: time.perf_counter() < until)
        bulk.start()
        action = await bulk.begin(_request(stuck, per_second), OPERATOR)
        assert isinstance(action, BulkAction), action
        began = time.perf_counter()
        ended = asyncio.ensure_future(_over(bulk, action.id))
        beside = await _book_while(bench, lambda: not ended.done())
        pace = stuck / (await ended - began)
        await bulk.stop()
    median = statistics.median
    return Night(median(seen), median(listed), median(counted), pace, alone, beside)


async def _get_stuck(bench: Bench, stuck: int) -> None:
    """Start them, and wait until an operator is needed for each."""
    numbers, left, all_are = iter(range(stuck)), stuck, asyncio.Event()

    def hear(signal: object) -> None:
        nonlocal left
        if isinstance(signal, Committed):
            left -= sum(event.type is EventType.SAGA_STUCK for event in signal.events)
            if left == 0:
                all_are.set()

    async def buyer() -> None:
        for number in numbers:
            await bench.start(number, simulation=STUCK)

    detach = bench.engine.telemetry.attach(hear)
    await asyncio.gather(*(buyer() for _ in range(IN_FLIGHT)))
    await all_are.wait()
    detach()


async def _book_while(bench: Bench, goes_on: Callable[[], bool]) -> float:
    """Bookings a second, in batches while it goes on."""
    began, done = time.perf_counter(), 0
    while goes_on() or done == 0:
        await bench.run(BATCH_BOOKINGS, IN_FLIGHT, first=done)
        done += BATCH_BOOKINGS
    return done / (time.perf_counter() - began)


async def _over(bulk: BulkActions, action_id: str) -> float:
    """When the action has had all of its turns."""
    async for action in bulk.follow(action_id):
        if action.status.is_over:
            assert (action.done, action.passed_over) == (action.matched, 0), action
    return time.perf_counter()


def _request(stuck: int, per_second: int) -> BulkRequest:
    return BulkRequest(
        BulkActionKind.RETRY, QUERY, "{}", "The provider is back.", expected=stuck, sagas_per_second=per_second
    )
