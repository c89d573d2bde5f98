"""CANCEL_BOOKING: everything is given back once, and after its first step it only goes forward."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from domain.bookings import (
    Booking,
    BookingNotCancellable,
    BookingNotFound,
    Bookings,
    BookingStatus,
    CorrelationIdTaken,
    DefinitionName,
    InvalidInput,
    LimitExceeded,
    SegmentWish,
    SimulationDisabled,
    StepName,
    TooLateToCancel,
)
from domain.bookings.contexts import CancellationContext
from domain.clock import ManualClock
from domain.events import EventType
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaStatus, SagaView, Simulation, Started, StartRefused, StartRequest, StepStatus
from domain.seats import CabinClass, SeatReservationStatus, SeatStatus
from domain.storage import Database
from sandbox import Entry, Fault, FaultKind
from tests.domain.bookings.world import ADA, JANE, JOHN, World, world_of
from tests.support.asking import A_CUSTOMER, AN_OPERATOR
from tests.support.sequences import CANCELLATION, steps_of
from tests.support.waiting import eventually

STEPS = steps_of(CANCELLATION)


async def booked(world: World, **changes: Any) -> tuple[SagaView, Booking]:
    """A confirmed booking and the saga that made it."""
    saga = await world.ended(await world.book(**changes))
    return saga, await booking_of(world, saga)


async def booking_of(world: World, saga: SagaView) -> Booking:
    booking = await world.booking(saga)
    assert booking is not None
    return booking


async def entry_of(world: World, saga: SagaView) -> Entry:
    entry = await world.entry(saga)
    assert entry is not None
    return entry


async def ask(
    world: World,
    reference: str,
    *,
    correlation_id: str | None = None,
    simulation: Simulation | None = None,
    subject: str | None = "someone",
) -> SagaView | tuple[object, ...]:
    """The answer to `subject`, or to an operator where it is None."""
    return await world.bookings.cancel_booking(
        reference,
        correlation_id=correlation_id,
        simulation=simulation,
        subject=subject,
        by="an operator" if subject is None else subject,
    )


async def cancelled(world: World, reference: str, **changes: Any) -> SagaView:
    """The cancellation that begins, or is found."""
    answer = await ask(world, reference, **changes)
    assert isinstance(answer, SagaView), answer
    return answer


async def assert_all_is_given_back(world: World, saga: SagaView, *, refunds: int = 1) -> None:
    """Seats free, money back once, account as it was, booking CANCELLED."""
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    assert {item.status for item in await world.reservations(saga)} == {SeatReservationStatus.RELEASED}
    account = await world.account()
    assert (account.balance, account.pending) == (50_000, 0)
    assert (await booking_of(world, saga)).status is BookingStatus.CANCELLED
    if refunds:
        entry = await entry_of(world, saga)
        assert (entry.state, entry.captures, entry.refunds, entry.voids) == (ProviderState.REFUNDED, 1, refunds, 0)
        payment = await world.payment(saga)
        assert payment is not None
        assert payment.status is PaymentStatus.REFUNDED


# ---------------------------------------------------------------- what it gives back


async def test_a_cancelled_booking_gives_back_money_miles_and_seats(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA, passengers=[JOHN, JANE])
    assert booking.miles_awarded > 0
    assert (await world.account()).balance == 50_000 + booking.miles_awarded
    begun = await cancelled(world, booking.reference)
    assert begun.definition == DefinitionName.CANCEL_BOOKING
    assert begun.subject == "someone"
    ended = await world.ended(begun)
    assert ended.status is SagaStatus.COMPLETED
    assert [step.name for step in ended.steps] == STEPS
    assert {step.status for step in ended.steps} == {StepStatus.COMPLETED}
    assert (await booking_of(world, saga)).cancellation_id == ended.id
    await assert_all_is_given_back(world, saga)
    assert (await entry_of(world, saga)).amount == 20_000
    assert (await world.view(saga)).status is SagaStatus.COMPLETED


async def test_a_cancelled_booking_gives_redeemed_points_back(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA, points_to_redeem=4_000)
    assert (await world.account()).balance == 46_000
    ended = await world.ended(await cancelled(world, booking.reference))
    assert ended.status is SagaStatus.COMPLETED
    await assert_all_is_given_back(world, saga)
    assert (await entry_of(world, saga)).amount == 6_000


async def test_what_was_paid_in_points_alone_needs_no_refund(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA, points_to_redeem=10_000)
    ended = await world.ended(await cancelled(world, booking.reference))
    assert ended.status is SagaStatus.COMPLETED
    assert [step.name for step in ended.steps if step.status is StepStatus.SKIPPED] == [StepName.REFUND_PAYMENT]
    await assert_all_is_given_back(world, saga, refunds=0)
    assert await world.payment(saga) is None


async def test_without_a_member_no_loyalty_is_restored(world: World) -> None:
    saga, booking = await booked(world)
    ended = await world.ended(await cancelled(world, booking.reference))
    assert ended.status is SagaStatus.COMPLETED
    assert [step.name for step in ended.steps if step.status is StepStatus.SKIPPED] == [StepName.RESTORE_LOYALTY]
    await assert_all_is_given_back(world, saga)


async def test_miles_that_are_spent_already_take_the_balance_below_zero(world: World) -> None:
    _, earning = await booked(world, member_number=ADA)
    first_class = [SegmentWish(world.flight_ids[0], CabinClass.FIRST)]
    points = 50_000 + earning.miles_awarded
    _, spending = await booked(
        world, member_number=ADA, points_to_redeem=points, segments=first_class, passengers=[JOHN, JANE]
    )
    assert (await world.account()).balance == 0
    await world.ended(await cancelled(world, earning.reference))
    assert (await world.account()).balance == -earning.miles_awarded
    await world.ended(await cancelled(world, spending.reference))
    assert (await world.account()).balance == 50_000


async def test_only_the_booking_named_is_cancelled_and_its_seat_is_sold_again(world: World) -> None:
    wish = [SegmentWish(world.flight_ids[0], seats=["12C"])]
    _, booking = await booked(world, segments=wish)
    neighbour, _ = await booked(world, segments=[SegmentWish(world.flight_ids[0], seats=["12D"])])
    await world.ended(await cancelled(world, booking.reference))
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    assert (await booking_of(world, neighbour)).status is BookingStatus.CONFIRMED
    assert (await entry_of(world, neighbour)).state is ProviderState.CAPTURED
    again, other = await booked(world, segments=wish)
    assert other.reference != booking.reference
    assert [item.number for item in await world.reservations(again)] == ["12C"]


async def test_the_booking_is_cancelling_until_its_seats_are_free(world: World, clock: ManualClock) -> None:
    saga, booking = await booked(world, member_number=ADA)
    cancellation = await cancelled(world, booking.reference, simulation=Simulation(delay_ms=5_000))
    found = await booking_of(world, saga)
    assert (found.status, found.cancellation_id) == (BookingStatus.CONFIRMED, cancellation.id)
    for step, status in zip(STEPS, [BookingStatus.CANCELLING] * 2 + [BookingStatus.CANCELLED] * 2, strict=True):
        clock.advance(5)
        await world.step_reached(cancellation, step, StepStatus.COMPLETED)
        assert (await booking_of(world, saga)).status is status


# ---------------------------------------------------------------- said again


async def test_said_again_it_is_the_same_saga_while_it_runs_and_after(world: World, clock: ManualClock) -> None:
    saga, booking = await booked(world, member_number=ADA)
    ids = [str(uuid.uuid4()), None, str(uuid.uuid4())]
    first = await cancelled(world, booking.reference, correlation_id=ids[0], simulation=Simulation(delay_ms=5_000))
    assert first.correlation_id == ids[0]
    for correlation_id in ids[1:]:
        assert (await cancelled(world, booking.reference, correlation_id=correlation_id)).id == first.id
    await world.hurried(first, clock, SagaStatus.COMPLETED, seconds=1)
    clock.advance(48 * 3600)
    for correlation_id in ids[1:]:
        assert (await cancelled(world, booking.reference, correlation_id=correlation_id)).id == first.id
    again = await cancelled(world, booking.reference, correlation_id=ids[0], simulation=Simulation(delay_ms=5_000))
    assert again == await world.view(first)
    assert await world.sagas_count() == 2
    await assert_all_is_given_back(world, saga)


async def test_the_reference_is_taken_in_either_case(world: World) -> None:
    saga, booking = await booked(world)
    first = await cancelled(world, f" {booking.reference.lower()} ")
    assert (await cancelled(world, booking.reference)).id == first.id
    await world.ended(first)
    await assert_all_is_given_back(world, saga)


async def test_many_at_the_same_moment_start_one_saga(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA)
    answers = await asyncio.gather(
        *(cancelled(world, booking.reference, correlation_id=str(uuid.uuid4()) if n % 2 else None) for n in range(10))
    )
    assert len({answer.id for answer in answers}) == 1
    assert await world.sagas_count() == 2
    await world.ended(answers[0])
    await assert_all_is_given_back(world, saga)


async def test_two_that_are_begun_in_one_commit_start_one_saga(world: World) -> None:
    """Both have looked before either is durable, so only the start itself can tell."""
    saga, booking = await booked(world)
    reference = (await entry_of(world, saga)).reference
    requests = [
        StartRequest(
            world.definitions.cancel_booking,
            str(uuid.uuid4()),
            "someone",
            f"1:{number}",
            CancellationContext(booking.id, saga.id, booking.reference, (world.flight_ids[0],), reference),
        )
        for number in range(2)
    ]
    answers = await asyncio.gather(*(world.engine.start(request) for request in requests))
    (started,) = [answer for answer in answers if isinstance(answer, Started)]
    (refused,) = [answer for answer in answers if isinstance(answer, StartRefused)]
    assert refused.refusal.code == "BOOKING_NOT_CANCELLABLE"
    assert (await booking_of(world, saga)).cancellation_id == started.saga_id
    assert await world.sagas_count() == 2
    found = await world.engine.saga(started.correlation_id)
    assert found is not None
    await world.ended(found)
    await assert_all_is_given_back(world, saga)


async def test_two_replicas_asked_at_the_same_moment_start_one_saga(
    world: World, database: Database, tmp_path: Path
) -> None:
    async with world_of(database, tmp_path) as other:
        for number in range(1, 6):
            saga, booking = await booked(world, member_number=ADA)
            answers = await asyncio.gather(*(cancelled(place, booking.reference) for place in (world, other)))
            assert len({answer.id for answer in answers}) == 1
            assert await world.sagas_count() == 2 * number
            await world.ended(answers[0])
            await assert_all_is_given_back(world, saga)


async def test_an_id_that_belongs_to_a_different_request_is_refused_and_nothing_is_done(world: World) -> None:
    saga, booking = await booked(world)
    other_saga, other = await booked(world)
    (refusal,) = _refusals(await ask(world, booking.reference, correlation_id=saga.correlation_id))
    assert isinstance(refusal, CorrelationIdTaken)
    assert refusal.path == ("correlationId",)
    correlation_id = str(uuid.uuid4())
    cancellation = await world.ended(await cancelled(world, booking.reference, correlation_id=correlation_id))
    for answer in (
        await ask(world, other.reference, correlation_id=correlation_id),
        await ask(
            world,
            booking.reference,
            correlation_id=correlation_id,
            simulation=Simulation(fail_at=("CANCEL_SEAT",)),
        ),
        await ask(world, booking.reference, correlation_id=correlation_id, subject="someone else"),
    ):
        (refusal,) = _refusals(answer)
        assert isinstance(refusal, CorrelationIdTaken)
    assert (await booking_of(world, other_saga)).status is BookingStatus.CONFIRMED
    assert (await world.view(cancellation)) == cancellation
    assert await world.sagas_count() == 3


async def test_overload_refuses_at_the_door_and_leaves_the_booking_alone(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, active_sagas_max=1) as world:
        saga, booking = await booked(world)
        await eventually(lambda: world.engine.runner.active == 0)
        busy = await world.book(Simulation(delay_ms=5_000))
        correlation_id = str(uuid.uuid4())
        (refusal,) = _refusals(await ask(world, booking.reference, correlation_id=correlation_id))
        assert isinstance(refusal, LimitExceeded)
        assert await booking_of(world, saga) == booking
        await world.bookings.cancel_saga(busy.correlation_id, subject=None, asked=AN_OPERATOR)
        await world.ended(busy)
        await eventually(lambda: world.engine.runner.active == 0)
        ended = await world.ended(await cancelled(world, booking.reference, correlation_id=correlation_id))
        assert ended.correlation_id == correlation_id
        await assert_all_is_given_back(world, saga)


# ---------------------------------------------------------------- who may, and when


def _refusals(answer: SagaView | tuple[object, ...]) -> tuple[object, ...]:
    assert isinstance(answer, tuple), answer
    return answer


async def test_an_unknown_reference_and_anothers_are_refused_alike(world: World) -> None:
    saga, booking = await booked(world)
    unknown = _refusals(await ask(world, "ZZZZZZ"))
    assert isinstance(unknown[0], BookingNotFound)
    assert unknown[0].path == ("reference",)
    assert _refusals(await ask(world, booking.reference, subject="someone else")) == unknown
    assert _refusals(await ask(world, "")) == unknown
    await world.ended(await cancelled(world, booking.reference))
    assert _refusals(await ask(world, booking.reference, subject="someone else")) == unknown
    assert await world.sagas_count() == 2
    await assert_all_is_given_back(world, saga)


async def test_an_operator_may_cancel_for_its_owner_who_then_sees_the_saga_as_theirs(world: World) -> None:
    saga, booking = await booked(world)
    cancellation = await cancelled(world, booking.reference, subject=None)
    assert cancellation.subject == "someone"
    assert (await cancelled(world, booking.reference)).id == cancellation.id
    await world.ended(cancellation)
    await assert_all_is_given_back(world, saga)


async def test_an_operators_request_said_again_under_its_id_is_the_same_saga(world: World) -> None:
    _, booking = await booked(world)
    correlation_id = str(uuid.uuid4())
    first = await cancelled(world, booking.reference, subject=None, correlation_id=correlation_id)
    assert (await cancelled(world, booking.reference, subject=None, correlation_id=correlation_id)).id == first.id


async def test_a_departed_flight_makes_the_booking_final(world: World, clock: ManualClock) -> None:
    out, _, onward = world.flight_ids
    saga, booking = await booked(world, segments=[SegmentWish(out), SegmentWish(onward)], member_number=ADA)
    clock.advance(24 * 3600)
    correlation_id = str(uuid.uuid4())
    (refusal,) = _refusals(await ask(world, booking.reference, correlation_id=correlation_id))
    assert isinstance(refusal, BookingNotCancellable)
    assert refusal.path == ("reference",)
    assert refusal.booking == booking
    assert await booking_of(world, saga) == booking
    assert (await entry_of(world, saga)).state is ProviderState.CAPTURED
    assert await world.engine.saga(correlation_id) is None
    assert _refusals(await ask(world, booking.reference, subject=None)) == (refusal,)


@pytest.mark.parametrize("simulation", [Simulation(delay_ms=5_001), Simulation(delay_ms=-1)])
async def test_a_bad_simulation_is_refused_before_anything_else(world: World, simulation: Simulation) -> None:
    (refusal,) = _refusals(await ask(world, "ZZZZZZ", simulation=simulation))
    assert isinstance(refusal, InvalidInput)
    assert refusal.path == ("simulate", "delayMs")


async def test_a_server_without_simulation_refuses_any(world: World) -> None:
    saga, booking = await booked(world)
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=False, default_token=None)
    (refusal,) = _refusals(await ask(world, booking.reference, simulation=Simulation()))
    assert isinstance(refusal, SimulationDisabled)
    assert refusal.path == ("simulate",)
    assert await booking_of(world, saga) == booking


async def test_said_again_it_is_the_same_saga_when_simulation_is_disabled_later(world: World) -> None:
    _, booking = await booked(world)
    said: dict[str, Any] = {"correlation_id": str(uuid.uuid4()), "simulation": Simulation(delay_ms=1)}
    first = await world.ended(await cancelled(world, booking.reference, **said))
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=False, default_token=None)
    assert (await cancelled(world, booking.reference, **said)).id == first.id


# ---------------------------------------------------------------- forward only


async def test_a_first_step_that_fails_leaves_the_booking_confirmed_and_free_to_be_cancelled(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA)
    said: dict[str, Any] = {"correlation_id": str(uuid.uuid4()), "simulation": Simulation(fail_at=("CANCEL_BOOKING",))}
    failed = await world.ended(await cancelled(world, booking.reference, **said))
    assert failed.status is SagaStatus.COMPENSATED
    assert failed.queue.compensated == ()
    found = await booking_of(world, saga)
    assert found.status is BookingStatus.CONFIRMED
    assert (await entry_of(world, saga)).state is ProviderState.CAPTURED
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    assert (await cancelled(world, booking.reference, **said)).id == failed.id
    another = await world.ended(await cancelled(world, booking.reference))
    assert another.id != failed.id
    assert another.status is SagaStatus.COMPLETED
    await assert_all_is_given_back(world, saga)


@pytest.mark.parametrize("step", STEPS[1:])
async def test_a_later_step_that_keeps_failing_is_stuck_and_an_operators_retry_finishes_it(
    world: World, clock: ManualClock, step: StepName
) -> None:
    saga, booking = await booked(world, member_number=ADA)
    begun = await cancelled(world, booking.reference, simulation=Simulation(fail_at=(step,)))
    cancellation = await world.hurried(begun, clock, SagaStatus.STUCK)
    assert cancellation.steps[STEPS.index(step)].status is StepStatus.STUCK
    assert cancellation.queue.pending == tuple(STEPS[STEPS.index(step) + 1 :])
    assert cancellation.queue.compensations == ()
    found = await booking_of(world, saga)
    is_free = step == StepName.REFUND_PAYMENT
    assert found.status is (BookingStatus.CANCELLED if is_free else BookingStatus.CANCELLING)
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == (not is_free)

    assert (await cancelled(world, booking.reference)).id == cancellation.id
    late = await world.bookings.cancel_saga(cancellation.correlation_id, subject="someone", asked=A_CUSTOMER)
    assert isinstance(late, TooLateToCancel)
    assert late.booking == found
    clock.advance(61)
    tried_again = await world.step_reached(cancellation, step, StepStatus.STUCK, attempt=6)
    assert tried_again.status is SagaStatus.STUCK
    assert (await booking_of(world, saga)).status is found.status

    answer = await world.bookings.retry_saga(cancellation.correlation_id, asked=AN_OPERATOR)
    assert isinstance(answer, SagaView)
    ended = await world.ended(cancellation)
    assert ended.status is SagaStatus.COMPLETED
    await assert_all_is_given_back(world, saga)
    kinds = [event.type for event in await world.history(cancellation)]
    assert kinds.count(EventType.SAGA_STUCK) == 1
    assert kinds[-1] is EventType.SAGA_COMPLETED
    assert EventType.COMPENSATION_STARTED not in kinds


@pytest.mark.parametrize("operation", ["refund", "read"])
@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.SERVER_ERROR])
async def test_a_provider_that_does_not_refund_leaves_it_stuck_until_a_retry(
    world: World, clock: ManualClock, operation: str, kind: FaultKind
) -> None:
    saga, booking = await booked(world, member_number=ADA)
    world.gateway.faults.add(Fault(operation, kind, times=10_000))
    begun = await cancelled(world, booking.reference)
    # It has hours.
    cancellation = await world.hurried(begun, clock, SagaStatus.STUCK, seconds=600)
    world.gateway.faults.clear()
    assert (await booking_of(world, saga)).status is BookingStatus.CANCELLED
    entry = await entry_of(world, saga)
    assert (entry.state, entry.refunds) == (ProviderState.CAPTURED, 0)
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    await world.bookings.retry_saga(cancellation.correlation_id, asked=AN_OPERATOR)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    await assert_all_is_given_back(world, saga)


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_every_fault_of_a_refund_ends_with_the_money_back_once(world: World, kind: FaultKind) -> None:
    saga, booking = await booked(world, member_number=ADA)
    world.gateway.faults.add(Fault("refund", kind))
    ended = await world.ended(await cancelled(world, booking.reference))
    assert ended.status is SagaStatus.COMPLETED
    await asyncio.gather(*world.gateway._late)
    await assert_all_is_given_back(world, saga)


async def test_a_lost_answer_to_a_refund_gives_the_money_back_once(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA)
    simulation = Simulation(lose_answer_at=("REFUND_PAYMENT",))
    ended = await world.ended(await cancelled(world, booking.reference, simulation=simulation))
    assert ended.status is SagaStatus.COMPLETED
    assert ended.steps[-1].attempt == 2
    await assert_all_is_given_back(world, saga)


async def test_a_refund_that_an_operator_skips_is_on_the_record_and_the_rest_goes_on(
    world: World, clock: ManualClock
) -> None:
    saga, booking = await booked(world, member_number=ADA)
    begun = await cancelled(world, booking.reference, simulation=Simulation(fail_at=("REFUND_PAYMENT",)))
    cancellation = await world.hurried(begun, clock, SagaStatus.STUCK)
    answer = await world.bookings.skip_step(
        cancellation.correlation_id, "REFUND_PAYMENT", "Refunded by hand.", asked=AN_OPERATOR
    )
    assert isinstance(answer, SagaView)
    ended = await world.ended(cancellation)
    assert ended.status is SagaStatus.ABANDONED
    assert ended.steps[-1].summary == "Refunded by hand."
    assert (await entry_of(world, saga)).state is ProviderState.CAPTURED
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    assert (await world.account()).balance == 50_000
    assert (await booking_of(world, saga)).status is BookingStatus.CANCELLED
