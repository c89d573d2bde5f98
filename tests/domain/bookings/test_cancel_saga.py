"""Cancelling a saga: undone before and between steps, settled first in flight, too late once the pivot decides."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from domain.bookings import Booking, BookingStatus, SagaNotFound, TooLateToCancel
from domain.clock import ManualClock
from domain.events import EventType
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaDefinition, SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import SeatStatus
from sandbox import Fault, FaultKind
from tests.domain.bookings.world import ADA, World
from tests.support.asking import A_CUSTOMER, AN_OPERATOR
from tests.support.sequences import BOOKINGS, EARN, REDEEM, steps_of, undone

SLOW = Simulation(delay_ms=5_000)
"""Slower than any test waits, so that a saga moves on only when the clock is advanced."""
LATENCY_SECONDS = 1.0


async def cancel(world: World, saga: SagaView, subject: str | None = "someone") -> SagaView:
    """Ask; the answer is the saga as it stands."""
    answer = await world.bookings.cancel_saga(saga.correlation_id, subject=subject, asked=AN_OPERATOR)
    assert isinstance(answer, SagaView), answer
    assert answer.id == saga.id
    return answer


async def refused(world: World, saga: SagaView) -> TooLateToCancel:
    answer = await world.bookings.cancel_saga(saga.correlation_id, subject="someone", asked=A_CUSTOMER)
    assert isinstance(answer, TooLateToCancel), answer
    assert answer.path == ("correlationId",)
    return answer


async def ended_soon(world: World, clock: ManualClock, saga: SagaView) -> SagaView:
    return await world.hurried(saga, clock, SagaStatus.COMPENSATED, SagaStatus.COMPLETED, seconds=5)


async def past_the_pause(world: World, clock: ManualClock, saga: SagaView, step: str) -> None:
    """The step pauses, and its time passes: not before it has begun, else the pause would be as long as before."""
    await world.step_reached(saga, step, StepStatus.EXECUTING)
    clock.advance(5)
    await world.step_reached(saga, step, StepStatus.COMPLETED)


async def kinds(world: World, saga: SagaView) -> list[EventType]:
    return [event.type for event in await world.history(saga)]


async def booking_of(world: World, saga: SagaView) -> Booking:
    booking = await world.booking(saga)
    assert booking is not None
    return booking


async def assert_undone(world: World, saga: SagaView) -> None:
    """COMPENSATED by request, nothing held, charged, awarded or issued."""
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert saga.failure.code == "CANCELLED"
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    account = await world.account()
    assert (account.balance, account.pending) == (50_000, 0)
    assert await world.booking(saga) is None
    entry = await world.entry(saga)
    if entry is not None:
        assert (entry.state, entry.captures) == (ProviderState.VOIDED, 0)
        payment = await world.payment(saga)
        assert payment is not None
        assert payment.status is PaymentStatus.VOIDED
    assert (await kinds(world, saga)).count(EventType.CANCEL_REQUESTED) == 1


# ---------------------------------------------------------------- before the work of a step


async def test_in_the_first_step_nothing_is_left_to_undo_and_no_pause_is_waited_for(world: World) -> None:
    saga = await world.book(SLOW, member_number=ADA)
    await world.step_reached(saga, "RESERVE_SEAT", StepStatus.EXECUTING)
    await cancel(world, saga)
    ended = await world.ended(saga, seconds=4.5)
    await assert_undone(world, ended)
    assert ended.queue.compensated == ()
    assert [step.status for step in ended.steps] == [StepStatus.FAILED, *[StepStatus.PENDING] * 3]
    assert await kinds(world, saga) == [
        EventType.SAGA_STARTED,
        EventType.STEP_STARTED,
        EventType.CANCEL_REQUESTED,
        EventType.STEP_FAILED,
        EventType.SAGA_COMPENSATED,
    ]
    assert await world.payment(saga) is None


@pytest.mark.parametrize(
    ("definition", "done"),
    [(definition, done) for definition in BOOKINGS for done in range(1, definition.pivot_index + 1)],
    ids=lambda it: it.name if isinstance(it, SagaDefinition) else str(it),
)
async def test_in_a_pause_what_was_done_is_undone_last_first(
    world: World, clock: ManualClock, definition: SagaDefinition, done: int
) -> None:
    steps = steps_of(definition)
    saga = await world.book(SLOW, member_number=ADA, points_to_redeem=4_000 if definition is REDEEM else 0)
    for step in steps[:done]:
        await past_the_pause(world, clock, saga, step)
    answer = await cancel(world, saga)
    assert answer.status in (SagaStatus.RUNNING, SagaStatus.COMPENSATING)
    await world.reached(saga, SagaStatus.COMPENSATING)
    ended = await ended_soon(world, clock, saga)
    await assert_undone(world, ended)
    assert ended.queue.compensated == undone(definition, steps[done])
    assert [step.name for step in ended.steps if step.status is StepStatus.COMPLETED] == steps[:done]
    assert [step.name for step in ended.steps if step.status is StepStatus.FAILED] == [steps[done]]
    assert [step.name for step in ended.steps if step.status is StepStatus.PENDING] == steps[done + 1 :]


# ---------------------------------------------------------------- in flight


async def test_a_call_that_is_out_settles_first_and_is_then_undone(world: World) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.LATENCY, seconds=LATENCY_SECONDS))
    saga = await world.book(member_number=ADA)
    await world.step_reached(saga, "AUTHORIZE_PAYMENT", StepStatus.EXECUTING)
    answer = await cancel(world, saga)
    assert answer.status is SagaStatus.RUNNING
    assert answer.steps[1].status is StepStatus.EXECUTING
    assert (await kinds(world, saga))[-1] is EventType.CANCEL_REQUESTED
    ended = await world.ended(saga)
    await assert_undone(world, ended)
    assert ended.steps[1].status is StepStatus.COMPLETED
    assert ended.queue.compensated == undone(EARN, "AUTHORIZE_PAYMENT", lost=True)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.voids) == (1, 1)
    log = await kinds(world, saga)
    requested = log.index(EventType.CANCEL_REQUESTED)
    assert log[requested + 1] is EventType.STEP_COMPLETED
    assert EventType.STEP_STARTED not in log[requested:]


async def test_a_call_that_is_declined_after_the_request_leaves_only_the_seat_to_undo(world: World) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.LATENCY, seconds=LATENCY_SECONDS))
    saga = await world.book(payment_token="pm_card_chargeDeclined")
    await world.step_reached(saga, "AUTHORIZE_PAYMENT", StepStatus.EXECUTING)
    await cancel(world, saga)
    ended = await world.ended(saga)
    assert ended.status is SagaStatus.COMPENSATED
    assert ended.failure is not None
    assert ended.failure.code == "PAYMENT_DECLINED"
    assert ended.queue.compensated == ("CANCEL_SEAT",)
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}


# ---------------------------------------------------------------- during backoff


async def test_while_it_backs_off_the_request_is_obeyed_at_once(world: World) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.TIMEOUT_BEFORE_EFFECT, times=10))
    saga = await world.book(member_number=ADA)
    waiting = await world.step_reached(saga, "AUTHORIZE_PAYMENT", StepStatus.RETRYING, attempt=4)
    next_attempt_at = waiting.steps[1].next_attempt_at
    assert next_attempt_at is not None
    await cancel(world, saga)
    ended = await world.ended(saga)
    await assert_undone(world, ended)
    assert ended.steps[1].attempt == 4
    assert ended.finished_at is not None
    assert ended.finished_at < next_attempt_at
    # The answers were lost, so the step is itself undone: one that arrives late would be refused.
    assert ended.queue.compensated == undone(EARN, "AUTHORIZE_PAYMENT", lost=True)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations) == (ProviderState.VOIDED, 0)


# ---------------------------------------------------------------- while compensating


async def test_while_it_compensates_the_request_changes_nothing(world: World, clock: ManualClock) -> None:
    simulation = Simulation(fail_at=("CONFIRM_BOOKING",), delay_ms=5_000)
    saga = await world.book(simulation, member_number=ADA)
    for step in steps_of(EARN)[: EARN.pivot_index]:
        await past_the_pause(world, clock, saga, step)
    await world.step_reached(saga, "CONFIRM_BOOKING", StepStatus.EXECUTING)
    clock.advance(5)
    before = await world.reached(saga, SagaStatus.COMPENSATING)
    assert await cancel(world, saga) == before
    ended = await ended_soon(world, clock, saga)
    assert ended.status is SagaStatus.COMPENSATED
    assert ended.failure is not None
    assert ended.failure.code == "SIMULATED"
    assert ended.queue.compensated == undone(EARN, "CONFIRM_BOOKING")
    assert await cancel(world, saga) == ended
    assert EventType.CANCEL_REQUESTED not in await kinds(world, saga)


async def test_while_a_compensation_is_stuck_the_request_changes_nothing(world: World, clock: ManualClock) -> None:
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",))
    saga = await world.book(simulation, member_number=ADA)
    stuck = await world.hurried(saga, clock, SagaStatus.STUCK)
    assert await cancel(world, saga) == stuck
    await world.bookings.retry_saga(saga.correlation_id, asked=AN_OPERATOR)
    assert (await world.ended(saga)).status is SagaStatus.COMPENSATED
    assert EventType.CANCEL_REQUESTED not in await kinds(world, saga)


async def test_asked_again_and_at_the_same_moment_it_is_one_request(world: World) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.LATENCY, seconds=LATENCY_SECONDS))
    saga = await world.book(member_number=ADA)
    await world.step_reached(saga, "AUTHORIZE_PAYMENT", StepStatus.EXECUTING)
    await asyncio.gather(*(cancel(world, saga) for _ in range(10)))
    await cancel(world, saga)
    ended = await world.ended(saga)
    await assert_undone(world, ended)
    assert await cancel(world, saga) == ended


# ---------------------------------------------------------------- too late


async def test_after_completion_it_is_too_late_and_the_booking_is_named(world: World) -> None:
    saga = await world.ended(await world.book(member_number=ADA))
    answer = await refused(world, saga)
    assert answer.booking == await world.booking(saga)
    assert answer.booking is not None
    assert answer.booking.reference in answer.message
    assert await world.view(saga) == saga
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.state is ProviderState.CAPTURED
    assert EventType.CANCEL_REQUESTED not in await kinds(world, saga)


async def test_while_the_pivot_captures_it_is_too_late_and_there_is_no_booking_yet(world: World) -> None:
    world.gateway.faults.add(Fault("capture", FaultKind.LATENCY, seconds=LATENCY_SECONDS))
    saga = await world.book(member_number=ADA)
    await world.step_reached(saga, "CONFIRM_BOOKING", StepStatus.EXECUTING)
    assert (await refused(world, saga)).booking is None
    ended = await world.ended(saga)
    assert ended.status is SagaStatus.COMPLETED
    assert EventType.CANCEL_REQUESTED not in await kinds(world, saga)
    assert (await refused(world, saga)).booking == await world.booking(saga)


async def test_while_the_pivot_backs_off_it_is_too_late_too(world: World) -> None:
    world.gateway.faults.add(Fault("capture", FaultKind.TIMEOUT_BEFORE_EFFECT, times=3))
    saga = await world.book(member_number=ADA)
    await world.step_reached(saga, "CONFIRM_BOOKING", StepStatus.RETRYING, attempt=3)
    assert (await refused(world, saga)).booking is None
    assert (await world.ended(saga)).status is SagaStatus.COMPLETED


async def test_either_the_request_or_the_pivot_decides_and_both_agree_on_which(world: World) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.LATENCY, times=10, seconds=0.01))

    async def race(turns: int) -> None:
        saga = await world.book()
        for _ in range(turns):
            await world.view(saga)
        answer = await world.bookings.cancel_saga(saga.correlation_id, subject="someone", asked=A_CUSTOMER)
        ended = await world.ended(saga)
        late = isinstance(answer, TooLateToCancel)
        assert ended.status is (SagaStatus.COMPLETED if late else SagaStatus.COMPENSATED)
        assert (await world.booking(saga) is not None) == late
        entry = await world.entry(saga)
        assert entry is None or entry.state is (ProviderState.CAPTURED if late else ProviderState.VOIDED)
        assert entry is not None or not late

    await asyncio.gather(*(race(turns) for turns in range(20)))


# ---------------------------------------------------------------- who may


async def test_an_unknown_saga_and_anothers_are_refused_alike(world: World) -> None:
    saga = await world.book(SLOW)
    unknown = await world.bookings.cancel_saga(str(uuid.uuid4()), subject="someone", asked=A_CUSTOMER)
    assert isinstance(unknown, SagaNotFound)
    assert unknown.path == ("correlationId",)
    assert await world.bookings.cancel_saga(saga.correlation_id, subject="someone else", asked=A_CUSTOMER) == unknown
    assert await world.bookings.cancel_saga(str(uuid.uuid4()), subject=None, asked=AN_OPERATOR) == unknown
    assert EventType.CANCEL_REQUESTED not in await kinds(world, saga)


async def test_anothers_completed_saga_does_not_show_its_booking(world: World) -> None:
    saga = await world.ended(await world.book())
    answer = await world.bookings.cancel_saga(saga.correlation_id, subject="someone else", asked=A_CUSTOMER)
    assert isinstance(answer, SagaNotFound)


async def test_an_operator_may_cancel_anyones(world: World) -> None:
    saga = await world.book(SLOW)
    await cancel(world, saga, subject=None)
    await assert_undone(world, await world.ended(saga, seconds=4.5))


# ---------------------------------------------------------------- a cancellation is a saga too


async def cancellation_of(world: World, booking: Booking, simulation: Simulation) -> SagaView:
    answer = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=simulation, subject="someone", by="someone"
    )
    assert isinstance(answer, SagaView), answer
    return answer


async def test_a_cancellation_may_be_cancelled_before_its_first_step_and_the_booking_stays(world: World) -> None:
    saga = await world.ended(await world.book(member_number=ADA))
    booking = await booking_of(world, saga)
    cancellation = await cancellation_of(world, booking, SLOW)
    await cancel(world, cancellation)
    ended = await world.ended(cancellation, seconds=4.5)
    assert ended.status is SagaStatus.COMPENSATED
    assert (await booking_of(world, saga)).status is BookingStatus.CONFIRMED
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    another = await world.ended(await cancellation_of(world, booking, Simulation()))
    assert another.id != cancellation.id
    assert another.status is SagaStatus.COMPLETED


async def test_a_cancellation_past_its_first_step_is_too_late_to_cancel(world: World, clock: ManualClock) -> None:
    saga = await world.ended(await world.book(member_number=ADA))
    cancellation = await cancellation_of(world, await booking_of(world, saga), SLOW)
    await past_the_pause(world, clock, cancellation, "CANCEL_BOOKING")
    answer = await refused(world, cancellation)
    assert answer.booking is not None
    assert answer.booking.status is BookingStatus.CANCELLING
    ended = await ended_soon(world, clock, cancellation)
    assert ended.status is SagaStatus.COMPLETED
    answer = await refused(world, saga)
    assert answer.booking is not None
    assert answer.booking.status is BookingStatus.CANCELLED
