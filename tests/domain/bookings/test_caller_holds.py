"""One caller holds so many seats of a flight and no more, however many ask at once and wherever they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.bookings import BookFlight, LimitExceeded, SegmentWish, TooManyHolds, passengers_of
from domain.bookings.caller_holds import _gate
from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import CabinClass
from domain.storage import Database
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JANE, JOHN, World, begun, until_the_passengers, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.statements import transactions, writes
from tests.support.waiting import eventually

LIMIT: Final = 6
#: Longer than any of these tests: what has begun stays in flight until it is cancelled.
FOR_LONG: Final = Simulation(delay_ms=5_000)
PAIR: Final = (JOHN, JANE)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Where a caller may hold six seats of a flight."""
    async with world_of(database, tmp_path, holds_per_caller_max=LIMIT) as world:
        yield world


@asynccontextmanager
async def another_replica(world: World, clock: ManualClock, tmp_path: Path) -> AsyncIterator[World]:
    """A second replica, with connections of its own, that knows the same limit."""
    database = Database(world.database.url, clock=clock)
    try:
        async with world_of(database, tmp_path, holds_per_caller_max=LIMIT) as other:
            yield other
    finally:
        await database.close()


def pair(world: World, **changes: Any) -> BookFlight:
    """A booking of two seats that takes its time."""
    return replace(world.request(passengers=PAIR, simulation=FOR_LONG), **changes)


async def refused(world: World, request: BookFlight) -> TooManyHolds:
    (refusal,) = await world.refusals(request)
    assert isinstance(refusal, TooManyHolds), refusal
    assert refusal.limit == LIMIT
    return refusal


async def fill(world: World, **changes: Any) -> list[SagaView]:
    """As many bookings of two as the limit allows."""
    return [await begun(world, pair(world, **changes)) for _ in range(LIMIT // 2)]


async def undone(world: World, saga: SagaView) -> SagaView:
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    return await world.ended(saga)


# ---------------------------------------------------------------------- at once


async def test_of_many_at_the_same_moment_as_many_are_let_in_as_the_limit_allows(world: World) -> None:
    answers = await asyncio.gather(*(world.bookings.book(pair(world)) for _ in range(20)))

    begun = [answer for answer in answers if isinstance(answer, SagaView)]
    assert len(begun) == LIMIT // 2
    for answer in answers:
        if not isinstance(answer, SagaView):
            (refusal,) = answer
            assert isinstance(refusal, TooManyHolds)
            assert (refusal.path, refusal.limit) == (("segments", "0"), LIMIT)
    assert await world.sagas_count() == len(begun)


async def test_replicas_that_are_asked_at_the_same_moment_let_in_as_many_together(
    world: World, clock: ManualClock, tmp_path: Path
) -> None:
    async with another_replica(world, clock, tmp_path) as other:
        for round_ in range(8):
            request = pair(world, subject=f"caller {round_}")
            asked = [
                place.bookings.book(replace(request, correlation_id=None)) for _ in range(5) for place in (world, other)
            ]
            answers = await asyncio.gather(*asked)

            begun = [answer for answer in answers if isinstance(answer, SagaView)]
            assert len(begun) == LIMIT // 2
            refusals = [refusal for answer in answers if not isinstance(answer, SagaView) for refusal in answer]
            assert {type(refusal) for refusal in refusals} == {TooManyHolds}


async def test_bookings_that_earn_and_that_redeem_count_for_one_another(world: World) -> None:
    requests = [pair(world, member_number=ADA, points_to_redeem=number % 2 * 100) for number in range(8)]

    answers = await asyncio.gather(*(world.bookings.book(request) for request in requests))

    assert [isinstance(answer, SagaView) for answer in answers] == [True] * 3 + [False] * 5, "in the order they came"


async def test_who_asks_for_more_than_is_left_leaves_it_to_who_asks_for_less(world: World) -> None:
    wanted = [(*PAIR, *PAIR), (*PAIR, *PAIR), PAIR]

    answers = await asyncio.gather(*(world.bookings.book(pair(world, passengers=party)) for party in wanted))

    assert [isinstance(answer, SagaView) for answer in answers] == [True, False, True]


# ---------------------------------------------------------------------- what counts


async def test_others_other_flights_and_operators_are_not_touched_by_it(world: World) -> None:
    await fill(world)

    await refused(world, pair(world))
    await begun(world, pair(world, subject="someone else"))
    await begun(world, pair(world, segments=[SegmentWish(world.flight_ids[1])]))
    assert isinstance(await world.bookings.book(pair(world), is_limited=False), SagaView)
    await refused(world, pair(world))


async def test_all_cabins_of_a_flight_are_one(world: World) -> None:
    await fill(world, segments=[SegmentWish(world.flight_ids[0], CabinClass.BUSINESS)])

    await refused(world, pair(world))


async def test_of_a_journey_the_segment_is_named_that_is_too_much_and_nothing_is_begun(world: World) -> None:
    out, back = SegmentWish(world.flight_ids[0]), SegmentWish(world.flight_ids[1])
    await fill(world, segments=[back])
    begun_before = await world.sagas_count()

    refusal = await refused(world, pair(world, segments=[out, back]))

    assert refusal.path == ("segments", "1")
    assert refusal.message == (
        "You hold 6 of the 6 seats of flight T101 that one caller may hold at once; 2 more are too many."
    )
    assert await world.sagas_count() == begun_before
    await fill(world, segments=[out])


async def test_a_party_larger_than_the_limit_is_refused_whoever_asks_first(world: World) -> None:
    await refused(world, pair(world, passengers=(JOHN,) * (LIMIT + 1)))
    await begun(world, pair(world, passengers=(JOHN,) * LIMIT))


async def test_a_booking_counts_before_its_seats_are_held_and_after(world: World) -> None:
    before = await fill(world)
    assert {saga.steps[0].status for saga in before} == {StepStatus.EXECUTING}
    await refused(world, pair(world))
    await undone(world, before[0])

    slow = Simulation(delay_ms=400)
    held = await begun(world, pair(world, simulation=slow))
    await world.step_reached(held, "RESERVE_SEAT", StepStatus.COMPLETED)
    await refused(world, pair(world))


# ---------------------------------------------------------------------- room again


async def test_what_is_confirmed_is_not_held_any_more(world: World) -> None:
    for _ in range(LIMIT):
        booked = await world.ended(await begun(world, pair(world, simulation=None)))
        assert booked.status is SagaStatus.COMPLETED


async def test_what_is_given_back_makes_room(world: World) -> None:
    first, *_ = await fill(world)
    request = pair(world)
    await refused(world, request)

    await undone(world, first)

    await begun(world, request)
    await refused(world, pair(world))


async def test_a_booking_that_fails_makes_room(world: World) -> None:
    for _ in range(LIMIT):
        failed = await world.ended(
            await begun(world, pair(world, simulation=None, payment_token="pm_card_chargeDeclined"))
        )
        assert failed.status is SagaStatus.COMPENSATED


@pytest.mark.parametrize("is_swept", [True, False], ids=["swept", "not-swept-yet"])
async def test_a_hold_that_has_lapsed_makes_room_though_its_saga_hangs(
    world: World, clock: ManualClock, is_swept: bool
) -> None:
    stuck = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",))
    for _ in range(LIMIT // 2):
        saga = await begun(world, pair(world, simulation=stuck, member_number=ADA))
        await world.hurried(saga, clock, SagaStatus.STUCK)
    await refused(world, pair(world))

    clock.advance(HOLD_SECONDS)
    if is_swept:
        released = 0

        async def all_are_released() -> bool:
            # A sweep passes over the sagas that the engine has just locked to retry them.
            nonlocal released
            released += await world.bookings.release_expired()
            return released == LIMIT

        await eventually(all_are_released)

    await fill(world)
    await refused(world, pair(world))


# ---------------------------------------------------------------------- said again, refused


async def test_the_same_request_finds_its_saga_though_there_is_no_room(world: World) -> None:
    request = pair(world)
    saga = await begun(world, request)
    await fill(world, passengers=(JOHN,), simulation=FOR_LONG)
    await refused(world, pair(world))

    assert (await begun(world, request)).id == saga.id
    answers = await asyncio.gather(*(world.bookings.book(request) for _ in range(5)))
    assert {answer.id for answer in answers if isinstance(answer, SagaView)} == {saga.id}


async def test_what_is_refused_leaves_nothing_and_does_not_burn_its_id(world: World) -> None:
    first, *_ = await fill(world)
    request = pair(world)
    same, different = await asyncio.gather(
        world.bookings.book(request), world.bookings.book(replace(request, passengers=(JANE, JOHN)))
    )
    for answer in (same, different):
        assert isinstance(answer, tuple)
        assert isinstance(answer[0], TooManyHolds)
    assert request.correlation_id is not None
    assert await world.engine.saga(request.correlation_id) is None
    async with world.database.reading() as connection:
        kept = (await connection.execute(text("SELECT count(*) FROM passengers"))).scalar_one()
    assert kept == LIMIT

    await undone(world, first)

    other = await begun(world, replace(request, passengers=(JANE, JOHN)))
    assert other.correlation_id == request.correlation_id
    async with world.database.reading() as connection:
        assert (await passengers_of(connection, [other.id]))[other.id] == (JANE, JOHN)


# ---------------------------------------------------------------------- what it costs


@pytest.mark.parametrize(("backend", "more"), [("sqlite", 1), ("postgresql", 2)])
async def test_it_costs_a_statement_a_group_and_a_lock_where_there_are_replicas(
    database: Database, tmp_path: Path, more: int
) -> None:
    async def asked(holds_max: int | None) -> list[str]:
        async with world_of(database, tmp_path, holds_per_caller_max=holds_max) as world:
            # The first lets everything be prepared that is prepared once.
            await begun(world, pair(world))
            with transactions(writes(database)) as heard:
                await asyncio.gather(*(world.bookings.book(pair(world, subject=f"{n}")) for n in range(20)))
                return until_the_passengers(heard)

    without = await asked(None)
    limited = await asked(LIMIT)
    assert len(limited) - len(without) == more
    assert not any("hold_gates" in each or "subject" in each.partition("WHERE")[2] for each in without)


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_replica_that_hangs_with_a_callers_gate_holds_up_nobody_else(
    world: World, clock: ManualClock, tmp_path: Path
) -> None:
    busy, free = pair(world, subject="busy"), pair(world, subject="free")
    async with another_replica(world, clock, tmp_path) as other:
        async with other.database._writer.connect() as connection, connection.begin():
            await connection.execute(text(f"SELECT gate FROM hold_gates WHERE gate = {_gate('busy')} FOR UPDATE"))
            waiting = asyncio.create_task(world.bookings.book(busy))
            saga = await begun(world, free)
            answer = await waiting
            assert isinstance(answer, tuple)
            assert isinstance(answer[0], LimitExceeded)
            assert answer[0].retry_after_seconds == 1
    assert saga.subject == "free"
    await begun(world, busy)
