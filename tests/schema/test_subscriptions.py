"""Live views: events without gap or repeat from wherever one joins, whole sagas, seats as they stand."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from domain.bookings import SegmentWish
from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from schema import ids
from tests.domain.bookings.world import ADA, JANE, JOHN
from tests.schema.api import OPERATOR, Answer, Api, Stream
from tests.support.asking import AN_OPERATOR
from tests.support.sequences import EARN, steps_of
from tests.support.waiting import eventually

sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])

EVENTS: Final = """subscription($id: UUID!, $after: Int! = 0) { sagaEvents(correlationId: $id, after: $after) {
  id correlationId sequence type step compensation attempt at saga { sequence status }
} }"""
QUEUE: Final = "queue { pending executing completed failed compensations compensating compensated }"
WHOLE: Final = (
    f"correlationId sequence status steps {{ name status compensation undo {{ status }} }} {QUEUE} failure {{ code }}"
)
SAGA: Final = f"subscription($id: UUID!) {{ saga(correlationId: $id) {{ {WHOLE} }} }}"
FEED: Final = "subscription($f: SagaFilter) { sagaFeed(filter: $f) { correlationId sequence type saga { sequence } } }"
CHANGES: Final = (
    "subscription($f: SagaFilter, $of: [UUID!]) { sagaChanges(filter: $f, of: $of) "
    "{ matches saga { correlationId sequence status } } }"
)
SEATS: Final = "subscription($id: ID!) { seatChanges(flightId: $id) { number row letter status holdExpiresAt } }"
TERMINAL: Final = {"SAGA_COMPLETED": "COMPLETED", "SAGA_COMPENSATED": "COMPENSATED", "SAGA_ABANDONED": "ABANDONED"}
#: A saga that completes, one that undoes three steps, and one that loses its answers on the way.
LIVES: Final = {
    "completed": Simulation(delay_ms=40),
    "compensated": Simulation(delay_ms=40, fail_at=("CONFIRM_BOOKING",)),
    "retried": Simulation(delay_ms=20, lose_answer_at=("AUTHORIZE_PAYMENT", "CONFIRM_BOOKING")),
}
lives = pytest.mark.parametrize("life", LIVES)


def sequences(answers: list[Answer]) -> list[int]:
    return [answer.good["sagaEvents"]["sequence"] for answer in answers]


async def is_waited_for(api: Api, correlation_id: str) -> None:
    """Once a subscriber waits for a saga that is not there."""
    await eventually(lambda: correlation_id in api.world.engine._awaited)


# ---------------------------------------------------------------- sagaEvents


@lives
async def test_who_subscribes_before_the_booking_sees_all_of_it(api: Api, life: str) -> None:
    it = str(uuid.uuid4())
    async with api.subscribe(EVENTS, id=it) as stream:
        followed = asyncio.create_task(stream.rest())
        await is_waited_for(api, it)
        saga = await api.world.book(LIVES[life], correlation_id=it, member_number=ADA)
        answers = await followed

    assert sequences(answers) == list(range(1, len(answers) + 1))
    events = [answer.good["sagaEvents"] for answer in answers]
    assert [event["type"] for event in events] == [event.type for event in await api.world.history(saga)]
    assert {event["correlationId"] for event in events} == {it}
    assert events[0]["type"] == "SAGA_STARTED"
    assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["saga"] == {"sequence": len(events), "status": TERMINAL[events[-1]["type"]]}
    # The saga of a frame is the one of its delivery: never older than the event, and never going back.
    stood = [event["saga"]["sequence"] for event in events]
    assert all(then >= event["sequence"] for then, event in zip(stood, events, strict=True))
    assert stood == sorted(stood)


@lives
async def test_who_joins_at_any_moment_of_its_life_misses_and_repeats_nothing(api: Api, life: str) -> None:
    saga = await api.world.book(LIVES[life], member_number=ADA)

    async def joins(after: int) -> tuple[int, list[int]]:
        async with api.subscribe(EVENTS, id=saga.correlation_id, after=after) as stream:
            return after, sequences(await stream.rest())

    joined: list[asyncio.Task[tuple[int, list[int]]]] = []
    async with api.subscribe(EVENTS, id=saga.correlation_id) as stream:
        async for frame in stream.frames:
            at = Answer.of(frame).good["sagaEvents"]["sequence"]
            joined += [asyncio.create_task(joins(after)) for after in {0, at // 2, at}]
    newest = at

    assert newest == (await api.world.view(saga)).sequence
    for after, seen in await asyncio.gather(*joined):
        assert seen == list(range(after + 1, newest + 1)), after
    assert api.world.engine.feed.readers == 0


async def test_after_the_end_the_rest_is_read_from_wherever_one_stopped(api: Api) -> None:
    saga = await api.world.ended(await api.world.book(Simulation(fail_at=("CONFIRM_BOOKING",)), member_number=ADA))

    for after in range(saga.sequence + 1):
        async with api.subscribe(EVENTS, id=saga.correlation_id, after=after) as stream:
            assert sequences(await stream.rest()) == list(range(after + 1, saga.sequence + 1))


@sqlite_alone
async def test_a_reader_that_left_goes_on_with_the_last_sequence_that_it_saw(api: Api) -> None:
    saga = await api.world.book(LIVES["compensated"], member_number=ADA)
    seen: list[int] = []
    ended = False
    while not ended:
        async with api.subscribe(EVENTS, id=saga.correlation_id, after=seen[-1] if seen else 0) as stream:
            event = (await stream.next()).good["sagaEvents"]
        seen.append(event["sequence"])
        ended = event["type"] in TERMINAL

    assert seen == list(range(1, (await api.world.view(saga)).sequence + 1))


async def pausing(api: Api, saga: SagaView) -> SagaView:
    """The saga as it stands in the pause of its first step."""
    return await api.world.step_reached(saga, "RESERVE_SEAT", StepStatus.EXECUTING)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("beyond", [1, 1_000, 2**31 - 1])
async def test_a_sequence_beyond_the_newest_is_told_as_such(api: Api, running: bool, beyond: int) -> None:
    saga = await api.world.book(Simulation(delay_ms=5_000) if running else None)
    now = await pausing(api, saga) if running else await api.world.ended(saga)
    after = min(now.sequence + beyond, 2**31 - 1)

    async with api.subscribe(EVENTS, id=saga.correlation_id, after=after) as stream:
        (answer,) = await stream.rest()

    assert answer.code == "CURSOR_AHEAD"
    assert answer.errors[0].extensions["newest"] == now.sequence


@sqlite_alone
async def test_a_negative_sequence_is_refused(api: Api) -> None:
    async with api.subscribe(EVENTS, id=str(uuid.uuid4()), after=-1) as stream:
        assert [answer.code for answer in await stream.rest()] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("document", [EVENTS, SAGA])
async def test_an_id_that_never_comes_to_exist_is_not_found(api: Api, document: str) -> None:
    it = str(uuid.uuid4())
    started = asyncio.get_running_loop().time()
    async with api.subscribe(document, id=it) as stream:
        answers = await stream.rest()

    assert [answer.code for answer in answers] == ["NOT_FOUND"]
    assert asyncio.get_running_loop().time() - started >= 2
    assert it not in api.world.engine._awaited


async def test_a_stuck_saga_does_not_end_the_stream_and_an_operators_word_does(api: Api, clock: ManualClock) -> None:
    world = api.world
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",))
    saga = await world.book(simulation, member_number=ADA)
    async with api.subscribe(EVENTS, id=saga.correlation_id) as stream:
        await world.hurried(saga, clock, SagaStatus.STUCK)
        await stream.until(lambda data: data["sagaEvents"]["type"] == "SAGA_STUCK")
        await world.bookings.skip_step(saga.correlation_id, "AUTHORIZE_PAYMENT", "Voided by hand.", asked=AN_OPERATOR)
        await stream.rest()

    kinds = [answer.good["sagaEvents"]["type"] for answer in stream.seen]
    assert sequences(stream.seen) == list(range(1, len(kinds) + 1))
    assert (kinds[-1], kinds.count("SAGA_STUCK")) == ("SAGA_ABANDONED", 1)


async def test_who_leaves_leaves_nothing_behind(api: Api) -> None:
    saga = await api.world.book(Simulation(delay_ms=5_000))
    async with api.subscribe(EVENTS, id=saga.correlation_id) as events, api.subscribe(FEED, OPERATOR) as feed:
        await events.next()
        waiting = [asyncio.create_task(stream.next()) for stream in (events, feed)]
        await eventually(lambda: api.world.engine.feed.readers == 2)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert api.world.engine.feed.readers == 0


# ---------------------------------------------------------------- saga


@lives
async def test_a_saga_is_told_as_it_is_and_then_as_it_changes_to_its_end(api: Api, life: str) -> None:
    saga = await api.world.book(LIVES[life], member_number=ADA)
    async with api.subscribe(SAGA, id=saga.correlation_id) as stream:
        answers = await stream.rest()

    frames = [answer.good["saga"] for answer in answers]
    seen = [frame["sequence"] for frame in frames]
    assert seen == sorted(set(seen))
    assert len(frames) > 4
    assert frames[0]["sequence"] < frames[-1]["sequence"]
    assert [frame["status"] in TERMINAL.values() for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert frames[-1]["sequence"] == (await api.world.view(saga)).sequence
    log = await log_of(api, saga.correlation_id)
    for frame in frames:
        assert_whole(frame, log)


@sqlite_alone
async def test_a_saga_that_has_ended_is_told_once(api: Api) -> None:
    saga = await api.world.ended(await api.world.book())
    async with api.subscribe(SAGA, id=saga.correlation_id) as stream:
        (answer,) = await stream.rest()

    assert (answer.good["saga"]["status"], answer.good["saga"]["sequence"]) == ("COMPLETED", saga.sequence)


async def test_a_saga_may_be_watched_before_it_is_booked(api: Api) -> None:
    it = str(uuid.uuid4())
    async with api.subscribe(SAGA, id=it) as stream:
        followed = asyncio.create_task(stream.rest())
        await is_waited_for(api, it)
        await api.world.book(correlation_id=it)
        answers = await followed

    assert answers[-1].good["saga"]["status"] == "COMPLETED"


async def test_a_present_saga_is_told_at_once_though_nothing_happens(api: Api) -> None:
    saga = await pausing(api, await api.world.book(Simulation(delay_ms=5_000)))
    async with api.subscribe(SAGA, id=saga.correlation_id) as stream:
        frame = (await stream.next()).good["saga"]

    assert (frame["status"], frame["sequence"]) == (saga.status, saga.sequence)


# ---------------------------------------------------------------- a frame is whole


@dataclass
class Told:
    """A saga as its log tells it up to some sequence."""

    steps: dict[str, str]
    compensations: dict[str, str | None]
    undone: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    status: str = "PENDING"

    def hear(self, event: dict[str, Any]) -> None:
        kind, step = event["type"], event["step"]
        area, _, what = kind.partition("_")
        match area:
            case "STEP":
                self.steps[step] = "EXECUTING" if what == "STARTED" else what
                self.status = "RUNNING" if self.status == "PENDING" else self.status
            case "COMPENSATION":
                self.undone[step] = "EXECUTING" if what == "STARTED" else what
                self.status = "COMPENSATING"
                if what == "COMPLETED":
                    self.order.append(event["compensation"])
        if kind in TERMINAL:
            self.status = TERMINAL[kind]


async def log_of(api: Api, correlation_id: str) -> list[dict[str, Any]]:
    asked = "query($id: UUID!) { saga(correlationId: $id) { events { sequence type step compensation } } }"
    events: list[dict[str, Any]] = (await api.read(asked, OPERATOR, id=correlation_id))["saga"]["events"]
    return events


def assert_whole(frame: dict[str, Any], log: list[dict[str, Any]]) -> None:
    """Steps, undoing, status and queue are those that the log tells up to the frame's own sequence."""
    told = Told(
        {step["name"]: "PENDING" for step in frame["steps"]},
        {step["name"]: step["compensation"] for step in frame["steps"]},
    )
    heard = log[: frame["sequence"]]
    assert [event["sequence"] for event in heard] == list(range(1, frame["sequence"] + 1))
    for event in heard:
        told.hear(event)

    assert {step["name"]: step["status"] for step in frame["steps"]} == told.steps, frame
    shown = {step["name"]: step["undo"]["status"] for step in frame["steps"] if step["undo"]}
    to_come = {name for name, status in shown.items() if status == "PENDING"}
    assert {name: status for name, status in shown.items() if name not in to_come} == told.undone, frame
    if frame["status"] in TERMINAL.values() or told.status in TERMINAL.values():
        assert frame["status"] == told.status, frame
        assert to_come == set()
    elif told.status == "COMPENSATING" or frame["status"] == "COMPENSATING":
        # Compensating begins with the decision, which may be a sequence ahead of the first compensation.
        assert frame["status"] == "COMPENSATING", frame
        assert frame["failure"] is not None, frame
    else:
        assert frame["status"] == told.status, frame
        assert shown == {}, frame
    assert_queue(frame, told, to_come)


def assert_queue(frame: dict[str, Any], told: Told, to_come: set[str]) -> None:
    """The queue says of every step and compensation what the steps say."""
    queue = frame["queue"]
    over = frame["status"] not in ("PENDING", "RUNNING")

    def by_status(status: str) -> list[str]:
        return [name for name, is_so in told.steps.items() if is_so == status]

    assert queue["completed"] == by_status("COMPLETED"), frame
    assert queue["failed"] == by_status("FAILED"), frame
    assert queue["pending"] == ([] if over else by_status("PENDING")), frame
    under_way = [name for name, is_so in told.steps.items() if is_so in ("EXECUTING", "RETRYING")]
    assert over or queue["executing"] == (under_way[0] if under_way else None), frame
    names = [step["name"] for step in frame["steps"]][::-1]
    if over:
        assert queue["compensations"] == [told.compensations[name] for name in names if name in to_come], frame
        running = [name for name, is_so in told.undone.items() if is_so in ("EXECUTING", "RETRYING")]
        assert queue["compensating"] == (told.compensations[running[0]] if running else None), frame
    else:
        done = [name for name in names if told.steps[name] == "COMPLETED"]
        assert queue["compensations"] == [told.compensations[n] for n in done if told.compensations[n]], frame
        assert queue["compensating"] is None, frame
    assert queue["compensated"] == told.order, frame


async def test_every_saga_read_while_sagas_run_agrees_with_its_log_at_its_sequence(api: Api) -> None:
    world = api.world
    wishes: list[tuple[Simulation, dict[str, Any]]] = [
        (Simulation(delay_ms=60), {"member_number": ADA}),
        (Simulation(), {"member_number": ADA, "passengers": [JOHN, JANE]}),
        (Simulation(delay_ms=60), {"member_number": ADA, "points_to_redeem": 10_000}),
        (Simulation(delay_ms=60), {"payment_token": "pm_card_chargeDeclined"}),
        (Simulation(delay_ms=60, lose_answer_at=("AUTHORIZE_PAYMENT", "CONFIRM_BOOKING")), {}),
        *((Simulation(delay_ms=60, fail_at=(step,)), {"member_number": ADA}) for step in steps_of(EARN)),
        (Simulation(delay_ms=150), {"member_number": ADA}),
    ]
    sagas = [await world.book(simulation, **changes) for simulation, changes in wishes]
    frames: list[dict[str, Any]] = []
    running = asyncio.gather(*map(world.ended, sagas))
    one = f"query($id: UUID!) {{ saga(correlationId: $id) {{ {WHOLE} }} }}"
    many = f"{{ sagas(first: 100) {{ edges {{ node {{ {WHOLE} }} }} }} }}"
    cancelled = False
    while not running.done():
        frames += [edge["node"] for edge in (await api.read(many))["sagas"]["edges"]]
        each_alone = await asyncio.gather(*(api.read(one, id=saga.correlation_id) for saga in sagas))
        frames += [data["saga"] for data in each_alone]
        if not cancelled and any(
            each["correlationId"] == sagas[-1].correlation_id and each["sequence"] > 3 for each in frames
        ):
            await world.bookings.cancel_saga(sagas[-1].correlation_id, subject=None, asked=AN_OPERATOR)
            cancelled = True
    await running

    logs = {saga.correlation_id: await log_of(api, saga.correlation_id) for saga in sagas}
    distinct = {(frame["correlationId"], frame["sequence"]) for frame in frames}
    assert len(distinct) > 2 * len(sagas)
    assert {frame["status"] for frame in frames} >= {"RUNNING", "COMPENSATING"}
    for frame in frames:
        assert_whole(frame, logs[frame["correlationId"]])


# ---------------------------------------------------------------- sagaFeed


async def feeds(api: Api, stream: Stream, sagas: int) -> list[dict[str, Any]]:
    """What the feed tells until so many sagas have ended."""
    ended = 0
    told = []
    while ended < sagas:
        event = (await stream.next()).good["sagaFeed"]
        told.append(event)
        ended += event["type"] in TERMINAL
    return told


async def feed_is_followed(api: Api) -> None:
    await eventually(lambda: api.world.engine.feed.readers == 1)


async def test_an_operator_sees_every_sagas_events_in_order_within_each(api: Api) -> None:
    world = api.world
    async with api.subscribe(FEED, OPERATOR) as stream:
        told = asyncio.create_task(feeds(api, stream, 4))
        await feed_is_followed(api)
        sagas = [await world.book(Simulation(delay_ms=10), subject=subject) for subject in ("a", "b", "c", "d")]
        events = await told

    assert len({saga.correlation_id for saga in sagas}) == 4
    for saga in sagas:
        own = [event for event in events if event["correlationId"] == saga.correlation_id]
        assert [event["sequence"] for event in own] == list(range(1, (await world.view(saga)).sequence + 1))
        assert all(event["saga"]["sequence"] >= event["sequence"] for event in own)
    switches = sum(a["correlationId"] != b["correlationId"] for a, b in itertools.pairwise(events))
    assert switches > 3


@sqlite_alone
async def test_a_feed_tells_of_the_sagas_that_its_filter_asks_for_alone(api: Api) -> None:
    world = api.world
    wanted = {"flightId": api.flight_id(1), "definition": "BOOK_AND_EARN"}
    async with api.subscribe(FEED, OPERATOR, f=wanted) as stream:
        told = asyncio.create_task(feeds(api, stream, 1))
        await feed_is_followed(api)
        segments = [SegmentWish(world.flight_ids[1])]
        others = [await world.book(), await world.book(segments=segments, member_number=ADA, points_to_redeem=10)]
        for saga in others:
            await world.ended(saga)
        own = await world.book(segments=segments)
        events = await told

    assert {event["correlationId"] for event in events} == {own.correlation_id}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))


# ---------------------------------------------------------------- sagaChanges


async def changes_until(stream: Stream, ended: set[str]) -> list[list[dict[str, Any]]]:
    """The frames until the one with which the last of these sagas has ended."""
    frames = []
    waited_for = set(ended)
    while waited_for:
        frames.append((await stream.next()).good["sagaChanges"])
        waited_for -= {
            change["saga"]["correlationId"] for change in frames[-1] if change["saga"]["status"] in TERMINAL.values()
        }
    return frames


async def test_changes_come_together_and_each_saga_as_it_stands(api: Api) -> None:
    world = api.world
    async with api.subscribe(CHANGES, OPERATOR) as stream:
        first = asyncio.create_task(stream.next())
        await feed_is_followed(api)
        sagas = [await world.book() for _ in range(5)]
        await first
        for saga in sagas:
            await world.ended(saga)
        frames = await changes_until(stream, {saga.correlation_id for saga in sagas})

    # 50 events; each saga stands in a frame at most once, and at its end when it is delivered late.
    assert len(frames) <= 2
    for frame in frames:
        ids = [change["saga"]["correlationId"] for change in frame]
        assert len(ids) == len(set(ids))
    newest = {change["saga"]["correlationId"]: change["saga"] for frame in frames for change in frame}
    for saga in sagas:
        assert newest[saga.correlation_id]["sequence"] == (await world.view(saga)).sequence


async def test_a_change_tells_whether_the_filter_selects_the_saga_now(api: Api) -> None:
    world = api.world
    async with api.subscribe(CHANGES, OPERATOR, f={"flightId": api.flight_id(1), "status": ["COMPLETED"]}) as stream:
        first = asyncio.create_task(stream.next())
        await feed_is_followed(api)
        wanted = await world.book(Simulation(delay_ms=100), segments=[SegmentWish(world.flight_ids[1])])
        begun = (await first).good["sagaChanges"]
        other = await world.book()
        frames = await changes_until(stream, {wanted.correlation_id, other.correlation_id})

    assert [change["matches"] for change in begun] == [False]
    newest = {change["saga"]["correlationId"]: change for frame in frames for change in frame}
    assert newest[wanted.correlation_id]["matches"]
    assert not newest[other.correlation_id]["matches"]


async def test_changes_of_named_sagas_begin_with_these_as_they_stand(api: Api) -> None:
    world = api.world
    ended = await world.ended(await world.book())
    running = await world.book(Simulation(delay_ms=200))
    named = [ended.correlation_id, running.correlation_id, str(uuid.uuid4())]
    async with api.subscribe(CHANGES, OPERATOR, of=named) as stream:
        begun = {change["saga"]["correlationId"]: change for change in (await stream.next()).good["sagaChanges"]}
        assert begun.keys() == {ended.correlation_id, running.correlation_id}
        assert all(change["matches"] for change in begun.values())
        other = await world.book()
        frames = await changes_until(stream, {running.correlation_id})

    told = {change["saga"]["correlationId"] for frame in frames for change in frame}
    assert told == {running.correlation_id}
    await world.ended(other)


async def test_at_most_100_sagas_can_be_named(api: Api) -> None:
    async with api.subscribe(CHANGES, OPERATOR, of=[str(uuid.uuid4()) for _ in range(101)]) as stream:
        (answer,) = await stream.rest()
    assert answer.code == "BAD_USER_INPUT"


# ---------------------------------------------------------------- seatChanges


async def changed(stream: Stream) -> dict[str, dict[str, Any]]:
    return {seat["number"]: seat for seat in (await stream.next()).good["seatChanges"]}


async def test_first_all_162_seats_and_then_those_that_changed(api: Api) -> None:
    world = api.world
    async with api.subscribe(SEATS, id=api.flight_id()) as stream:
        first = (await stream.next()).good["seatChanges"]
        assert [seat["number"] for seat in first] == [f"{row}{letter}" for row in range(1, 28) for letter in "ABCDEF"]
        assert {(seat["status"], seat["holdExpiresAt"]) for seat in first} == {("AVAILABLE", None)}

        segments = [SegmentWish(world.flight_ids[0], seats=["12C", "12D"])]
        saga = await world.book(Simulation(delay_ms=300), segments=segments, passengers=[JOHN, JANE])
        held = await changed(stream)
        assert {number: seat["status"] for number, seat in held.items()} == {"12C": "HELD", "12D": "HELD"}
        (reservation, _) = await world.reservations(saga)
        asked = "query($id: UUID!) { saga(correlationId: $id) { reservations { expiresAt } } }"
        expiries = (await api.read(asked, id=saga.correlation_id))["saga"]["reservations"]
        assert [seat["holdExpiresAt"] for seat in held.values()] == [each["expiresAt"] for each in expiries]
        assert reservation.status == "HELD"

        booked = await changed(stream)
        assert {n: (seat["status"], seat["holdExpiresAt"]) for n, seat in booked.items()} == {
            "12C": ("BOOKED", None),
            "12D": ("BOOKED", None),
        }
        booking = await world.booking(await world.ended(saga))
        assert booking is not None
        await world.bookings.cancel_booking(
            booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
        )
        freed = await changed(stream)
        assert {number: seat["status"] for number, seat in freed.items()} == {"12C": "AVAILABLE", "12D": "AVAILABLE"}


@sqlite_alone
async def test_a_late_reader_begins_with_the_seats_as_they_stand(api: Api) -> None:
    await api.world.ended(await api.world.book())
    async with api.subscribe(SEATS, id=api.flight_id()) as early:
        await early.next()
        await api.world.ended(await api.world.book())
        async with api.subscribe(SEATS, id=api.flight_id()) as late:
            seats = (await late.next()).good["seatChanges"]

    assert (len(seats), sum(seat["status"] == "BOOKED" for seat in seats)) == (162, 2)


@sqlite_alone
async def test_other_flights_seats_are_not_told(api: Api) -> None:
    world = api.world
    async with api.subscribe(SEATS, id=api.flight_id(1)) as stream:
        await stream.next()
        await world.ended(await world.book())
        segments = [SegmentWish(world.flight_ids[1], seats=["20A"])]
        await world.ended(await world.book(segments=segments))

        assert set(await changed(stream)) == {"20A"}


@sqlite_alone
@pytest.mark.parametrize("it", ["garbled", "", ids.encode("Saga", 1), ids.encode("Flight", 999_999)])
async def test_seats_of_no_flight_are_not_found(api: Api, it: str) -> None:
    async with api.subscribe(SEATS, id=it) as stream:
        assert [answer.code for answer in await stream.rest()] == ["NOT_FOUND"]
