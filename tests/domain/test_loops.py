"""A loop takes bounded turns until it is stopped; a ring is never lost, and a fault never ends it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from domain.loops import Loop
from tests.support.waiting import eventually

AN_HOUR = 3_600.0


class Turns:
    """Turns that are counted, and fail as often as they are told to."""

    def __init__(self) -> None:
        self.taken = 0
        self.failing = 0
        self.faults: list[Exception] = []
        self.bell = asyncio.Event()
        self.gate: asyncio.Event | None = None
        self.wanted = True

    async def take(self) -> None:
        self.taken += 1
        if self.failing:
            self.failing -= 1
            raise ConnectionError("away")
        if self.gate is not None:
            await self.gate.wait()

    def loop(self, *, pause_seconds: float = AN_HOUR, at_once: bool = False) -> Loop:
        return Loop(
            "turns",
            self.take,
            pause_seconds=pause_seconds,
            on_fault=self.faults.append,
            retry_seconds=lambda faults: 0.0 if faults < 3 else AN_HOUR,
            bell=self.bell,
            at_once=at_once,
            is_wanted=lambda: self.wanted,
        )


async def test_a_turn_comes_by_time() -> None:
    turns = Turns()
    loop = turns.loop(pause_seconds=0.001)
    loop.start()
    await eventually(lambda: turns.taken >= 3)
    await loop.stop()


async def test_a_turn_comes_by_the_bell_and_what_rings_meanwhile_makes_one_more() -> None:
    turns = Turns()
    turns.gate = asyncio.Event()
    loop = turns.loop()
    loop.start()
    turns.bell.set()
    await eventually(lambda: turns.taken == 1)
    turns.bell.set()
    turns.bell.set()
    turns.gate.set()
    await eventually(lambda: turns.taken == 2)
    await loop.stop()
    assert not loop.is_running


async def test_a_fault_is_told_and_the_next_turn_comes_later_the_more_faults_there_were_in_a_row() -> None:
    turns = Turns()
    turns.failing = 3
    loop = turns.loop(at_once=True)
    loop.start()
    await eventually(lambda: len(turns.faults) == 3)
    # After the third in a row it waits for an hour, whatever rings.
    turns.bell.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert turns.taken == 3
    assert loop.is_running
    await loop.stop()


async def test_a_loop_that_nobody_wants_any_more_ends_and_can_begin_anew() -> None:
    turns = Turns()
    loop = turns.loop(at_once=True)
    assert loop.start()
    assert not loop.start()
    await eventually(lambda: turns.taken == 1)
    turns.wanted = False
    turns.bell.set()
    await eventually(lambda: not loop.is_running)
    assert turns.taken == 1
    turns.wanted = True
    assert loop.start()
    await eventually(lambda: turns.taken == 2)
    await loop.stop()


async def test_how_a_turn_ends_is_not_broken_into_by_a_second_stop() -> None:
    ended, may_end = asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        try:
            await asyncio.sleep(AN_HOUR)
        finally:
            await may_end.wait()
            ended.set()

    loop = Loop("turn", turn, pause_seconds=0, on_fault=lambda _: None, retry_seconds=0, at_once=True)
    loop.start()
    await asyncio.sleep(0)
    loop.cancel()
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(loop.stop())
    await asyncio.sleep(0)
    may_end.set()
    await stopping
    assert ended.is_set()


async def test_a_stop_is_not_lost_where_a_pause_ends_by_time_in_the_same_moment() -> None:
    events = asyncio.get_running_loop()
    turns = Turns()
    loop = turns.loop(pause_seconds=1e-6)
    loop.start()
    await asyncio.sleep(0)
    # The pause is over now, and the loop has not heard of it when it is cancelled.
    events.call_at(events.time(), loop.cancel)
    await eventually(lambda: not loop.is_running)
    assert turns.taken == 0


async def test_a_loop_ends_though_its_turn_swallows_the_cancel() -> None:
    begun = asyncio.Event()

    async def turn() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(AN_HOUR)

    loop = Loop("turn", turn, pause_seconds=AN_HOUR, on_fault=lambda _: None, retry_seconds=0, at_once=True)
    loop.start()
    await begun.wait()
    async with asyncio.timeout(20):
        await loop.stop()
    assert not loop.is_running
