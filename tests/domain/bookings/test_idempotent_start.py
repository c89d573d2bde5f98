"""One request, one saga: said again it is found, whatever has changed; another under its ID is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from domain.bookings import (
    BookFlight,
    Bookings,
    CorrelationIdTaken,
    FlightDeparted,
    FlightNotFound,
    InvalidInput,
    LimitExceeded,
    MemberNotFound,
    Passenger,
    PriceChanged,
    Refusal,
    SegmentWish,
    passengers_of,
)
from domain.clock import ManualClock
from domain.money import Money
from domain.saga import CommitPoint, CommitPoints, SagaStatus, SagaView, Simulation
from domain.seats import CabinClass, SeatStatus
from domain.storage import Database
from sandbox import Entry
from tests.domain.bookings.world import ADA, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.waiting import eventually

Changes = Callable[[World], dict[str, Any]]


async def begun(world: World, request: BookFlight) -> SagaView:
    answer = await world.bookings.book(request)
    assert isinstance(answer, SagaView), answer
    return answer


async def assert_same(world: World, request: BookFlight, saga: SagaView) -> None:
    """`request` finds `saga` as it now stands, and starts nothing."""
    before = await world.sagas_count()
    assert await begun(world, request) == await world.view(saga)
    assert await world.sagas_count() == before


def assert_taken(refusals: Sequence[Refusal]) -> None:
    (refusal,) = refusals
    assert isinstance(refusal, CorrelationIdTaken)
    assert refusal.path == ("correlationId",)


async def test_the_same_request_finds_its_saga_while_it_runs_and_after(world: World) -> None:
    request = world.request(member_number=ADA, simulation=Simulation(delay_ms=200))
    saga = await begun(world, request)
    await world.reached(saga, SagaStatus.RUNNING)
    answer = await begun(world, request)
    assert answer.id == saga.id
    ended = await world.ended(saga)
    assert ended.status is SagaStatus.COMPLETED
    await assert_same(world, request, saga)
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    entry = await world.entry(saga)
    assert isinstance(entry, Entry)
    assert (entry.authorizations, entry.captures) == (1, 1)


async def test_the_same_request_finds_the_saga_that_failed_and_does_not_try_again(world: World) -> None:
    request = world.request(payment_token="pm_card_chargeDeclined")
    saga = await world.ended(await begun(world, request))
    assert saga.status is SagaStatus.COMPENSATED
    await assert_same(world, request, saga)


async def test_many_at_the_same_moment_start_one_saga(world: World) -> None:
    request = world.request()
    answers = await asyncio.gather(*(begun(world, request) for _ in range(20)))
    assert len({saga.id for saga in answers}) == 1
    assert await world.sagas_count() == 1
    await world.ended(answers[0])
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1


async def test_two_replicas_asked_at_the_same_moment_start_one_saga(
    world: World, database: Database, tmp_path: Path
) -> None:
    async with world_of(database, tmp_path) as other:
        for _ in range(5):
            request = world.request()
            answers = await asyncio.gather(*(begun(place, request) for place in (world, other) for _ in range(3)))
            assert len({saga.id for saga in answers}) == 1
    assert await world.sagas_count() == 5


async def test_starts_that_have_to_be_written_again_are_written_whole(database: Database, tmp_path: Path) -> None:
    lost = [IntegrityError("INSERT INTO sagas", None, ValueError("another replica was faster"))]

    def lose_once(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.START_BEFORE_COMMIT and lost:
            raise lost.pop()

    async with world_of(database, tmp_path, points=CommitPoints(lose_once)) as world:
        begun = [await world.book(passengers=[JOHN, JANE]) for _ in range(2)]
        async with database.reading() as connection:
            assert await passengers_of(connection, [saga.id for saga in begun]) == {
                saga.id: (JOHN, JANE) for saga in begun
            }
    assert not lost


async def test_different_requests_at_the_same_moment_under_one_id_start_one_of_them(world: World) -> None:
    request = world.request()
    others = [replace(request, passengers=[Passenger("John", f"Smith the {n}th")]) for n in range(10)]
    answers = await asyncio.gather(*(world.bookings.book(each) for each in others))
    (saga,) = [answer for answer in answers if isinstance(answer, SagaView)]
    for answer in answers:
        if not isinstance(answer, SagaView):
            assert_taken(answer)
    await world.ended(saga)
    assert await world.sagas_count() == 1
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1


async def test_the_same_request_finds_its_saga_after_the_flight_has_departed(world: World, clock: ManualClock) -> None:
    request = world.request(segments=[SegmentWish(world.flight_ids[0]), SegmentWish(world.flight_ids[1])])
    saga = await world.ended(await begun(world, request))
    for hours in (25, 24, 24 * 365):
        clock.advance(hours * 3600)
        await assert_same(world, request, saga)
    (*_, refusal) = await world.refusals(replace(request, correlation_id=world.request().correlation_id))
    assert isinstance(refusal, FlightDeparted)


async def test_the_same_request_finds_its_saga_when_the_seat_is_taken_by_it(world: World) -> None:
    request = world.request(segments=[SegmentWish(world.flight_ids[0], seats=["12C"])])
    saga = await world.ended(await begun(world, request))
    await assert_same(world, request, saga)
    rival = await world.ended(await begun(world, replace(request, correlation_id=None)))
    assert rival.failure is not None
    assert rival.failure.code == "SEAT_UNAVAILABLE"


async def test_the_same_request_finds_its_saga_when_simulation_is_disabled_later(world: World) -> None:
    request = world.request(simulation=Simulation(fail_at=("AWARD_MILES",)))
    saga = await world.ended(await begun(world, request))
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=False, default_token="pm_card_visa")
    await assert_same(world, request, saga)


async def test_the_same_request_finds_its_saga_when_the_default_card_is_gone(world: World) -> None:
    request = world.request()
    saga = await world.ended(await begun(world, request))
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=True, default_token=None)
    await assert_same(world, request, saga)


async def test_overload_refuses_at_the_door_but_for_what_was_accepted(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, active_sagas_max=1) as world:
        request = world.request(simulation=Simulation(delay_ms=5_000))
        saga = await begun(world, request)
        late = world.request()
        (refusal,) = await world.refusals(late)
        assert isinstance(refusal, LimitExceeded)
        assert refusal.limit == 1
        assert refusal.retry_after_seconds > 0
        await assert_same(world, request, saga)
        assert_taken(await world.refusals(replace(request, passengers=[JANE])))
        assert late.correlation_id is not None
        assert await world.engine.saga(late.correlation_id) is None
        assert await world.sagas_count() == 1

        await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
        await world.ended(saga)
        await eventually(lambda: world.engine.runner.active == 0)
        # The refused ID is free for anything, also for what was not refused under it.
        other = replace(late, passengers=[JANE])
        ended = await world.ended(await begun(world, other))
        assert ended.status is SagaStatus.COMPLETED
        assert ended.correlation_id == late.correlation_id


def over(flight: int, cabin: CabinClass = CabinClass.ECONOMY, seats: Sequence[str] | None = None) -> Changes:
    return lambda world: {"segments": [SegmentWish(world.flight_ids[flight], cabin, seats)]}


def but(**changes: Any) -> Changes:
    return lambda world: changes


DIFFERENCES: dict[str, Changes] = {
    "another subject": but(subject="someone else"),
    "another flight": over(1),
    "another cabin": over(0, CabinClass.BUSINESS),
    "a seat": over(0, seats=["12C"]),
    "another passenger": but(passengers=[JANE]),
    "one passenger more": but(passengers=[JOHN, JANE]),
    "a date of birth": but(passengers=[replace(JOHN, date_of_birth="1990-01-01")]),
    "a member": but(member_number=ADA),
    "points": but(member_number=ADA, points_to_redeem=1),
    "a card": but(payment_token="pm_card_visa"),
    "an expected total": but(expected_total=Money(10_000)),
    "a simulation": but(simulation=Simulation(fail_at=("AWARD_MILES",))),
    "a flight that there is not": but(segments=[SegmentWish(999_999)]),
    "a member that there is not": but(member_number="SS9999999"),
}


async def test_a_different_request_under_the_id_is_refused_and_does_nothing(
    world: World, subtests: pytest.Subtests
) -> None:
    request = world.request()
    saga = await world.ended(await begun(world, request))
    log = await world.history(saga)
    statuses = [await world.seat_statuses(flight) for flight in (0, 1)]
    for name, difference in DIFFERENCES.items():
        with subtests.test(name):
            assert_taken(await world.refusals(replace(request, **difference(world))))
            assert await world.sagas_count() == 1
            assert await world.history(saga) == log
            assert [await world.seat_statuses(flight) for flight in (0, 1)] == statuses
            account = await world.account()
            assert (account.balance, account.pending) == (50_000, 0)
            await assert_same(world, request, saga)


async def test_another_may_not_have_anothers_id_although_the_request_is_the_same(world: World) -> None:
    request = world.request()
    saga = await begun(world, request)
    assert_taken(await world.refusals(replace(request, subject="someone else")))
    assert_taken(await world.refusals(replace(request, subject="")))
    assert await world.sagas_count() == 1
    await assert_same(world, request, await world.ended(saga))


async def test_how_a_request_is_written_makes_no_difference(world: World) -> None:
    request = world.request(
        segments=[SegmentWish(world.flight_ids[0], seats=["12c"])],
        passengers=[Passenger(" John", "Smith ")],
        simulation=Simulation(fail_at=("CONFIRM_BOOKING", "AWARD_MILES", "AWARD_MILES")),
    )
    saga = await world.ended(await begun(world, request))
    rewritten = replace(
        request,
        segments=(SegmentWish(world.flight_ids[0], seats=("12C",)),),
        passengers=(Passenger("John", "Smith"),),
        simulation=Simulation(fail_at=("AWARD_MILES", "CONFIRM_BOOKING")),
    )
    await assert_same(world, rewritten, saga)


async def test_without_an_id_every_request_is_another(world: World) -> None:
    request = world.request(correlation_id=None)
    first, second = await begun(world, request), await begun(world, request)
    assert first.id != second.id
    assert first.correlation_id != second.correlation_id


REFUSED: dict[str, tuple[dict[str, Any], type[object]]] = {
    "shape": ({"passengers": []}, InvalidInput),
    "flight": ({"segments": [SegmentWish(999_999)]}, FlightNotFound),
    "member": ({"member_number": "SS9999999"}, MemberNotFound),
    "price": ({"expected_total": Money(1)}, PriceChanged),
}


@pytest.mark.parametrize(("changes", "refusal"), REFUSED.values(), ids=list(REFUSED))
async def test_a_refused_request_does_not_burn_the_id(
    world: World, changes: dict[str, Any], refusal: type[object]
) -> None:
    request = world.request()
    (answer,) = await world.refusals(replace(request, **changes))
    assert isinstance(answer, refusal)
    saga = await world.ended(await begun(world, replace(request, subject="someone else")))
    assert saga.status is SagaStatus.COMPLETED
    assert saga.correlation_id == request.correlation_id
