"""Success, and a failure at each step, for both booking sagas; lost answers; compensations that fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from domain.bookings import Scenario, scenarios_of
from domain.clock import ManualClock
from domain.events import EventType
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaDefinition, SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import SeatReservationStatus, SeatStatus
from domain.storage import Database
from sandbox import Fault, FaultKind
from tests.domain.bookings.sequences import POINTS, play
from tests.domain.bookings.world import ADA, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.sequences import BOOKINGS, EARN, REDEEM, steps_of, undone
from tests.support.waiting import eventually


async def assert_nothing_left(world: World) -> None:
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    account = await world.account()
    assert (account.balance, account.pending) == (50_000, 0)


async def test_book_and_earn_sells_a_seat_for_money_and_miles(world: World) -> None:
    saga = await world.ended(await world.book(member_number=ADA))
    assert saga.status is SagaStatus.COMPLETED
    assert [step.name for step in saga.steps] == steps_of(EARN)
    assert {step.status for step in saga.steps} == {StepStatus.COMPLETED}
    (reservation,) = await world.reservations(saga)
    assert reservation.status is SeatReservationStatus.CONFIRMED
    assert reservation.number == "4A"
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 1
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.amount, entry.authorizations, entry.captures) == (ProviderState.CAPTURED, 10_000, 1, 1)
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.CAPTURED
    booking = await world.booking(saga)
    assert booking is not None
    assert len(booking.reference) == 6
    account = await world.account()
    assert account.balance == 50_000 + booking.miles_awarded
    assert booking.miles_awarded > 3_000
    assert account.pending == 0


async def test_book_and_redeem_takes_points_and_the_rest_in_money(world: World) -> None:
    saga = await world.ended(await world.book(member_number=ADA, points_to_redeem=4_000))
    assert saga.status is SagaStatus.COMPLETED
    assert [step.name for step in saga.steps] == steps_of(REDEEM)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.amount) == (ProviderState.CAPTURED, 6_000)
    assert (await world.account()).balance == 46_000


async def test_points_may_pay_for_all_of_it_and_then_nothing_is_charged(world: World) -> None:
    saga = await world.ended(await world.book(member_number=ADA, points_to_redeem=10_000))
    assert saga.status is SagaStatus.COMPLETED
    assert saga.steps[2].status is StepStatus.SKIPPED
    assert await world.payment(saga) is None
    assert await world.booking(saga) is not None


async def test_without_a_member_no_miles_are_awarded(world: World) -> None:
    saga = await world.ended(await world.book())
    assert saga.status is SagaStatus.COMPLETED
    assert saga.steps[2].status is StepStatus.SKIPPED


async def assert_as_it_says(world: World, definition: SagaDefinition, scenario: Scenario) -> None:
    """The scenario is played, and all that it says of its end is so."""
    before = await world.account()
    saga = await world.ended(await play(world, definition, scenario))
    booking, payment = await world.booking(saga), await world.payment(saga)
    reservations = {seat.status for seat in await world.reservations(saga)}
    after = await world.account()
    miles = booking.miles_awarded if booking is not None else 0
    assert (
        replace(
            scenario,
            status=saga.status,
            failed_step=saga.failure.step if saga.failure is not None else None,
            failure_code=saga.failure.code if saga.failure is not None else None,
            completed=saga.queue.completed,
            compensated=saga.queue.compensated,
            reservations=next(iter(reservations), None),
            payment=payment.status if payment is not None else None,
            is_booked=booking is not None,
            redeems=after.balance - before.balance - miles == -POINTS,
            awards=miles > 0,
        )
        == scenario
    )
    assert len(reservations) <= 1


@pytest.mark.parametrize(
    ("definition", "scenario"),
    [(definition, scenario) for definition in BOOKINGS for scenario in scenarios_of(definition)],
    ids=lambda it: it.name,
)
async def test_a_scenario_ends_as_it_says(world: World, definition: SagaDefinition, scenario: Scenario) -> None:
    await assert_as_it_says(world, definition, scenario)


async def test_a_hold_lapses_in_its_scenario_where_holds_are_short(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, hold_seconds=4) as world:
        for definition in (world.definitions.book_and_earn, world.definitions.book_and_redeem):
            (lapsed,) = [each for each in scenarios_of(definition) if each.name == "held, then lapsed"]
            await assert_as_it_says(world, definition, lapsed)


@pytest.mark.parametrize(
    ("definition", "failing"),
    [(definition, step) for definition in BOOKINGS for step in steps_of(definition)],
    ids=lambda it: it.name if isinstance(it, SagaDefinition) else it,
)
async def test_a_failure_undoes_exactly_the_steps_before_it_last_first(
    world: World, definition: SagaDefinition, failing: str
) -> None:
    points = 4_000 if definition is REDEEM else 0
    saga = await world.ended(
        await world.book(Simulation(fail_at=(failing,)), member_number=ADA, points_to_redeem=points)
    )
    assert saga.definition == definition.name
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == undone(definition, failing)
    log = await world.history(saga)
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    assert log[-1].type is EventType.SAGA_COMPENSATED
    await assert_nothing_left(world)
    entry = await world.entry(saga)
    if entry is not None:
        assert (entry.state, entry.captures) == (ProviderState.VOIDED, 0)
    assert await world.booking(saga) is None


async def test_a_declined_card_is_a_refusal_that_leaves_nothing(world: World) -> None:
    saga = await world.ended(await world.book(payment_token="pm_card_chargeDeclined"))
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert saga.failure.code == "PAYMENT_DECLINED"
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.DECLINED
    await assert_nothing_left(world)
    poor = await world.ended(await world.book(payment_token="pm_card_chargeDeclinedInsufficientFunds"))
    assert poor.failure is not None
    assert poor.failure.code == "INSUFFICIENT_FUNDS"


async def test_points_beyond_the_balance_are_the_sagas_refusal(world: World) -> None:
    saga = await world.book(member_number=ADA, points_to_redeem=50_001, passengers=[JOHN, JANE] * 4)
    ended = await world.ended(saga)
    assert ended.failure is not None
    assert ended.failure.code == "INSUFFICIENT_POINTS"
    await assert_nothing_left(world)


@pytest.mark.parametrize("step", ["AUTHORIZE_PAYMENT", "CONFIRM_BOOKING"])
async def test_a_lost_answer_is_found_out_and_charges_once(world: World, step: str) -> None:
    saga = await world.ended(await world.book(Simulation(lose_answer_at=(step,)), member_number=ADA))
    assert saga.status is SagaStatus.COMPLETED
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures, entry.state) == (1, 1, ProviderState.CAPTURED)


@pytest.mark.parametrize("operation", ["authorize", "capture"])
@pytest.mark.parametrize("kind", list(FaultKind))
async def test_every_fault_of_the_provider_ends_with_the_money_exact(
    world: World, operation: str, kind: FaultKind
) -> None:
    world.gateway.faults.add(Fault(operation, kind))
    saga = await world.ended(await world.book())
    assert saga.status is SagaStatus.COMPLETED
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures, entry.state) == (1, 1, ProviderState.CAPTURED)


async def given_up(world: World, clock: ManualClock, begun: SagaView) -> SagaView:
    """The end of a saga of which a step fails once, and once more after its budget is spent."""
    await world.reached_event(begun, EventType.STEP_RETRYING)
    clock.advance(60)
    return await world.ended(begun)


async def test_an_authorization_that_is_given_up_is_voided_so_that_a_late_one_is_refused(
    world: World, clock: ManualClock
) -> None:
    world.gateway.faults.add(Fault("authorize", FaultKind.TIMEOUT_BEFORE_EFFECT))
    world.gateway.faults.add(Fault("authorize", FaultKind.LATE_EFFECT, seconds=0.3))
    saga = await given_up(world, clock, await world.book())
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert saga.failure.code == "TIMEOUT"
    assert saga.queue.compensated == undone(EARN, "AUTHORIZE_PAYMENT", lost=True)
    await asyncio.gather(*world.gateway._late)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.captures) == (ProviderState.VOIDED, 0, 0)
    await assert_nothing_left(world)


async def test_a_capture_that_is_given_up_is_refunded_whatever_the_provider_did(
    world: World, clock: ManualClock
) -> None:
    world.gateway.faults.add(Fault("capture", FaultKind.TIMEOUT_AFTER_EFFECT, times=2))
    saga = await given_up(world, clock, await world.book(member_number=ADA))
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == undone(EARN, "CONFIRM_BOOKING", lost=True)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.captures, entry.refunds) == (ProviderState.REFUNDED, 1, 1)
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.REFUNDED
    await assert_nothing_left(world)


async def test_what_a_running_saga_has_done_is_provisional(world: World) -> None:
    saga = await world.book(Simulation(delay_ms=400), member_number=ADA)

    async def awarded() -> bool:
        return (await world.view(saga)).steps[2].status is StepStatus.COMPLETED

    await eventually(awarded)
    assert (await world.seat_statuses()).count(SeatStatus.HELD) == 1
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.AUTHORIZED
    account = await world.account()
    assert account.balance == 50_000
    assert account.pending > 0
    await world.ended(saga)
    assert (await world.account()).pending == 0


async def test_redeemed_points_leave_the_balance_at_once(world: World) -> None:
    saga = await world.book(Simulation(delay_ms=300), member_number=ADA, points_to_redeem=4_000)

    async def deducted() -> bool:
        return (await world.view(saga)).steps[1].status is StepStatus.COMPLETED

    await eventually(deducted)
    assert (await world.account()).balance == 46_000
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    await world.ended(saga)
    assert (await world.account()).balance == 50_000


async def test_a_compensation_is_never_called_done_while_the_reference_is_unresolved(
    world: World, clock: ManualClock
) -> None:
    world.gateway.faults.add(Fault("void", FaultKind.TIMEOUT_BEFORE_EFFECT, times=10_000))
    saga = await world.book(Simulation(fail_at=("AWARD_MILES",)))
    stuck = await world.hurried(saga, clock, SagaStatus.STUCK, seconds=600)
    world.gateway.faults.clear()
    assert stuck.queue.compensating == "CANCEL_PAYMENT"
    await world.bookings.retry_saga(saga.correlation_id, asked=AN_OPERATOR)
    assert (await world.ended(saga)).status is SagaStatus.COMPENSATED
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.state is ProviderState.VOIDED


async def test_many_buyers_of_one_flight_get_each_seat_once(world: World) -> None:
    requests = [world.request(correlation_id=None) for _ in range(200)]
    answers = await asyncio.gather(*(world.bookings.book(request) for request in requests))
    sagas = [await world.ended(saga, 60) for saga in answers if not isinstance(saga, tuple)]
    assert len(sagas) == 200
    completed = [saga for saga in sagas if saga.status is SagaStatus.COMPLETED]
    assert len(completed) == 144
    assert {saga.failure.code for saga in sagas if saga.failure} == {"SEAT_UNAVAILABLE"}
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 144
    numbers = [item.number for saga in completed for item in await world.reservations(saga)]
    assert len(set(numbers)) == 144
