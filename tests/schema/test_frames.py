"""What many ask at the same moment is read and written once; nobody is told what was so before they asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import strawberry

from schema.context import RequestContext, Viewer
from schema.execution import Executable, Execution
from schema.frames import FRESH_FRAMES_MAX, KNOWN_FRAMES_MAX, Frame, LiveFrames, SharedFrames
from schema.root import create_schema
from tests.domain.bookings.world import World
from tests.schema.api import OPERATOR, OTHER, OWNER, Api
from tests.support.waiting import eventually

READERS: Final = 20


@dataclass
class Facts:
    """What the little schema reads, and how often it was read."""

    value: int = 0
    reads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Asking:
    """The context of one operation."""

    world: Facts
    audience: Hashable = "everybody"
    forgotten: int = 0

    def refresh(self) -> None:
        self.forgotten += 1


@strawberry.type
class Tick:
    number: int

    @property
    def moment(self) -> int:
        return self.number

    @strawberry.field
    async def read(self, info: strawberry.Info[Asking, None]) -> int:
        world = info.context.world
        world.reads += 1
        value = world.value
        await world.gate.wait()
        return value


@strawberry.type
class Query:
    nothing: int = 0


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, to: int = 1) -> AsyncIterator[Tick]:
        for number in range(1, to + 1):
            yield Tick(number=number)


SCHEMA: Final = Executable(strawberry.Schema(Query, subscription=Subscription))
READ: Final = "subscription { ticks { number read } }"


def begun(context: Asking, query: str = READ, **variables: Any) -> Execution:
    execution = SCHEMA.begin(query, variables=variables, context=context)
    assert isinstance(execution, Execution)
    return execution


async def first(execution: Execution) -> Any:
    async with aclosing(execution.results()) as frames:
        return json.loads((await anext(frames)).body)


async def test_what_many_ask_at_once_is_read_once() -> None:
    world = Facts()
    asking = [asyncio.create_task(first(begun(Asking(world)))) for _ in range(READERS)]
    await eventually(lambda: world.reads == 1)
    world.gate.set()

    assert await asyncio.gather(*asking) == [{"data": {"ticks": {"number": 1, "read": 0}}}] * READERS
    assert world.reads == 1


async def test_who_asks_later_is_told_what_is_so_then() -> None:
    world = Facts()
    world.gate.set()
    alive = begun(Asking(world))
    assert (await first(begun(Asking(world))))["data"]["ticks"]["read"] == 0
    world.value = 1
    assert (await first(begun(Asking(world))))["data"]["ticks"]["read"] == 1
    assert (await first(alive))["data"]["ticks"]["read"] == 1


async def test_another_audience_another_text_other_variables_share_nothing() -> None:
    world = Facts()
    executions = [
        begun(Asking(world)),
        begun(Asking(world, audience="another")),
        begun(Asking(world), READ + " "),
        begun(Asking(world), "subscription($to: Int!) { ticks(to: $to) { number read } }", to=1),
        begun(Asking(world), "subscription($to: Int!) { ticks(to: $to) { number read } }", to=2),
    ]
    asking = [asyncio.create_task(first(execution)) for execution in executions]
    await eventually(lambda: world.reads == len(executions))
    world.gate.set()
    await asyncio.gather(*asking)


async def test_who_asked_first_may_leave_before_the_others_have_their_answer() -> None:
    world = Facts()
    leaving, staying = (asyncio.create_task(first(begun(Asking(world)))) for _ in range(2))
    await eventually(lambda: world.reads == 1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    world.gate.set()

    assert (await staying)["data"]["ticks"]["read"] == 0
    assert world.reads == 1


async def test_each_frame_forgets_what_was_loaded_for_the_one_before() -> None:
    context = Asking(Facts(), audience=None)
    async with aclosing(begun(context, "subscription { ticks(to: 3) { number } }").results()) as frames:
        assert [json.loads(frame.body)["data"]["ticks"]["number"] async for frame in frames] == [1, 2, 3]
    assert context.forgotten == 3


async def test_what_is_kept_is_bounded() -> None:
    world = Facts()
    query = f"subscription {{ ticks(to: {3 * KNOWN_FRAMES_MAX}) {{ number }} }}"
    execution = begun(Asking(world), query)
    async with aclosing(execution.results()) as frames:
        async for _ in frames:
            pass
    assert isinstance(execution._shared, SharedFrames)
    assert len(execution._shared._known) == KNOWN_FRAMES_MAX


async def test_nothing_is_kept_once_the_last_one_has_left() -> None:
    execution: Execution | None = begun(Asking(Facts()))
    assert len(SCHEMA._shared) == 1
    del execution
    assert len(SCHEMA._shared) == 0


# ---------------------------------------------------------------------- the product's own

ASKED: Final = Executable(create_schema())
EVENTS: Final = """subscription($id: UUID!) {
  sagaEvents(correlationId: $id) { sequence saga { status booking { reference } } }
}"""


async def test_viewers_of_different_rights_never_share(api: Api, world: World) -> None:
    saga = await world.ended(await world.book())

    async def seen(viewer: Viewer) -> list[Any]:
        context = RequestContext(api.services, viewer)
        execution = ASKED.begin(EVENTS, variables={"id": saga.correlation_id}, context=context)
        assert isinstance(execution, Execution)
        async with aclosing(execution.results()) as frames:
            return [json.loads(frame.body) async for frame in frames]

    owners, operators, others = await asyncio.gather(seen(OWNER), seen(OPERATOR), seen(OTHER))

    assert owners == operators
    assert len(owners) == saga.sequence
    assert [answer["errors"][0]["extensions"]["code"] for answer in others] == ["NOT_FOUND"]


async def test_many_subscribers_of_one_saga_hear_each_event_once_and_in_order(api: Api, world: World) -> None:
    saga = await world.book()

    async def seen() -> list[int | None]:
        context = RequestContext(api.services, OWNER)
        execution = ASKED.begin(EVENTS, variables={"id": saga.correlation_id}, context=context)
        assert isinstance(execution, Execution)
        async with aclosing(execution.results()) as frames:
            return [frame.sequence async for frame in frames]

    everybody = await asyncio.gather(*(seen() for _ in range(READERS)))
    ended = await world.ended(saga)
    assert everybody == [list(range(1, ended.sequence + 1))] * READERS


class Told:
    """A follower that keeps what it is told."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.frames: list[Frame | None] = []
        self.is_slow = is_slow
        self.is_behind = False

    def take(self, frame: Frame | None) -> None:
        self.frames.append(frame)
        self.is_behind = self.is_slow


async def test_a_stream_runs_once_and_may_be_followed_by_those_who_have_seen_as_much() -> None:
    going = asyncio.Semaphore(0)

    async def frames() -> AsyncGenerator[Frame, None]:
        for sequence in (1, 2, 3):
            await going.acquire()
            yield Frame(b"%d" % sequence, sequence)

    live, early, late = LiveFrames(frames(), None, None), Told(), Told()
    assert live.continues(None)
    live.join(early)
    going.release()
    await eventually(lambda: early.frames)
    assert [live.continues(sequence) for sequence in (None, 0, 1, 2)] == [False, False, True, True]
    live.join(late)
    going.release()
    going.release()
    await eventually(lambda: late.frames[-1:] == [None])

    assert [frame and frame.sequence for frame in early.frames] == [1, 2, 3, None]
    assert late.frames == early.frames[1:]
    assert not live.continues(3)


async def test_who_comes_much_later_does_not_share_the_wait_for_the_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_ended = asyncio.Event()

    async def frames() -> AsyncGenerator[Frame, None]:
        try:
            await asyncio.Event().wait()
            yield Frame(b"")
        finally:
            has_ended.set()

    live, follower = LiveFrames(frames(), None, None), Told()
    live.join(follower)
    await asyncio.sleep(0)
    assert live.continues(None)
    monkeypatch.setattr("schema.frames.NEW_SECONDS_MAX", 0.0)
    assert not live.continues(None)
    await live.leave(follower)
    assert live.is_over
    assert has_ended.is_set()


async def a_long_history() -> AsyncGenerator[Frame, None]:
    for sequence in range(1, 3 * FRESH_FRAMES_MAX + 1):
        yield Frame(b"", sequence)


async def test_a_history_waits_for_the_client_that_reads_it_alone() -> None:
    live, slow = LiveFrames(a_long_history(), None, None), Told(is_slow=True)
    live.join(slow)
    for pages in (1, 2, 3):
        for _ in range(10):
            await asyncio.sleep(0)
            # What it sent is not all of it.
            live.moved()
        assert len(slow.frames) == pages * FRESH_FRAMES_MAX
        slow.is_behind = False
        live.moved()
    await eventually(lambda: slow.frames[-1:] == [None])
    assert [frame.sequence for frame in slow.frames if frame] == list(range(1, 3 * FRESH_FRAMES_MAX + 1))


async def test_a_history_waits_for_several_clients_until_one_of_them_has_read() -> None:
    live, one, other = LiveFrames(a_long_history(), None, None), Told(is_slow=True), Told(is_slow=True)
    live.join(one)
    live.join(other)
    for pages in (1, 2, 3):
        for _ in range(10):
            await asyncio.sleep(0)
            live.moved()
        assert len(one.frames) == len(other.frames) == pages * FRESH_FRAMES_MAX
        one.is_behind = False
        live.moved()
    await eventually(lambda: other.frames[-1:] == [None])
    assert [frame.sequence for frame in other.frames if frame] == list(range(1, 3 * FRESH_FRAMES_MAX + 1))


async def test_a_history_of_frames_that_need_a_read_each_waits_for_its_client() -> None:
    async def read_one_by_one() -> AsyncGenerator[Frame, None]:
        async for frame in a_long_history():
            await asyncio.sleep(0)
            yield frame

    live, slow = LiveFrames(read_one_by_one(), None, None), Told(is_slow=True)
    live.join(slow)
    for _ in range(3 * FRESH_FRAMES_MAX):
        await asyncio.sleep(0)
    assert len(slow.frames) < FRESH_FRAMES_MAX
    slow.is_slow = slow.is_behind = False
    live.moved()
    await eventually(lambda: slow.frames[-1:] == [None])
    assert [frame.sequence for frame in slow.frames if frame] == list(range(1, 3 * FRESH_FRAMES_MAX + 1))


async def test_one_of_several_holds_up_nobody_and_who_joins_at_the_end_is_told_so() -> None:
    live, slow, other = LiveFrames(a_long_history(), None, None), Told(is_slow=True), Told()
    live.join(slow)
    await eventually(lambda: slow.frames)
    live.join(other)
    await eventually(lambda: other.frames[-1:] == [None])
    too_late = Told()
    live.join(too_late)
    assert too_late.frames == [None]
