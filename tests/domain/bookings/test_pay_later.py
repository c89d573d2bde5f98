"""Hold first, pay later: a booking waits for its card, and for another one after a decline."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from domain.actors import Actor, ActorRole
from domain.bookings import InvalidInput, NothingToPay, PaymentAwaited, SagaNotFound, TooLateToPay, awaited
from domain.bookings.steps.payment import DECLINES_MAX
from domain.clock import SECOND, ManualClock
from domain.events import EventType
from domain.money import Money
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaStatus, SagaView, StepStatus
from domain.seats import SeatReservationStatus, SeatStatus
from sandbox import Fault, FaultKind
from tests.domain.bookings.by_hand import by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, World

VISA: Final = "pm_card_visa"
MASTERCARD: Final = "pm_card_mastercard"
DECLINED: Final = "pm_card_chargeDeclined"
SOMEONE: Final = Actor(ActorRole.CUSTOMER, "someone")
#: The budgets of the two calls that pay for a hold: authorize and capture.
CALLS_SECONDS: Final = 120
NOBODYS: Final = "00000000-0000-4000-8000-000000000000"


async def held(world: World, **changes: Any) -> SagaView:
    """A booking that waits for its card."""
    return await world.reached(await world.book(pay_later=True, **changes), SagaStatus.WAITING)


async def pay(world: World, saga: SagaView, token: str | None = VISA) -> Any:
    return await world.bookings.pay_for_hold(saga.correlation_id, token, subject="someone", by=SOMEONE)


async def declined(world: World, saga: SagaView, token: str = DECLINED) -> SagaView:
    """The booking once it asks for another card."""
    before = (await world.view(saga)).sequence
    assert isinstance(await pay(world, saga, token), SagaView)
    await world.reached_event(saga, EventType.STEP_WAITING, after=before)
    return await world.reached(saga, SagaStatus.WAITING)


# ---------------------------------------------------------------------- to wait


async def test_the_seats_are_held_and_the_saga_waits_for_its_card(world: World) -> None:
    saga = await held(world)
    (seat,) = await world.reservations(saga)

    assert awaited(saga) == PaymentAwaited(seat.expires_at - CALLS_SECONDS * SECOND, None, Money(100_00))
    assert [step.status for step in saga.steps[:2]] == [StepStatus.COMPLETED, StepStatus.WAITING]
    assert saga.queue.executing == "AUTHORIZE_PAYMENT"
    assert SeatStatus.HELD in await world.seat_statuses()
    assert await world.payment(saga) is None


async def test_points_are_taken_before_the_card_is_asked_for(world: World) -> None:
    before = await world.account()
    saga = await held(world, member_number=ADA, points_to_redeem=1_000)

    assert (await world.account()).balance == before.balance - 1_000
    asked = awaited(saga)
    assert isinstance(asked, PaymentAwaited)
    assert asked.amount == Money(90_00)
    assert saga.queue.executing == "PROCESS_PAYMENT"
    assert isinstance(await pay(world, saga), SagaView)
    assert (await world.ended(saga)).status is SagaStatus.COMPLETED


async def test_a_booking_that_points_pay_for_does_not_wait(world: World) -> None:
    saga = await world.ended(await world.book(pay_later=True, member_number=ADA, points_to_redeem=10_000))

    assert saga.status is SagaStatus.COMPLETED
    assert EventType.STEP_WAITING not in [event.type for event in await world.history(saga)]


async def test_whether_it_is_paid_later_is_part_of_the_request(world: World) -> None:
    request = world.request(pay_later=True)
    saga = await world.bookings.book(request)
    assert isinstance(saga, SagaView)
    again = await world.bookings.book(request)
    assert isinstance(again, SagaView)
    assert again.id == saga.id
    other = await world.refusals(world.request(correlation_id=request.correlation_id))
    assert [type(refusal).__name__ for refusal in other] == ["CorrelationIdTaken"]


# ---------------------------------------------------------------------- to pay


async def test_a_card_pays_for_what_is_held(world: World) -> None:
    saga = await held(world, member_number=ADA)
    seats = await world.reservations(saga)

    assert isinstance(await pay(world, saga), SagaView)

    ended = await world.ended(saga)
    assert ended.status is SagaStatus.COMPLETED
    assert await world.booking(ended) is not None
    assert [(seat.id, seat.status) for seat in await world.reservations(saga)] == [
        (seat.id, SeatReservationStatus.CONFIRMED) for seat in seats
    ]
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.captures) == (ProviderState.CAPTURED, 1, 1)
    resumed = [event for event in await world.history(saga) if event.type is EventType.STEP_RESUMED]
    assert [event.actor for event in resumed] == [SOMEONE]


async def test_the_same_card_said_again_changes_nothing_also_in_the_end(world: World) -> None:
    saga = await held(world)
    answers = await asyncio.gather(*(pay(world, saga) for _ in range(5)))
    assert all(isinstance(answer, SagaView) for answer in answers)
    ended = await world.ended(saga)

    again = await pay(world, saga)

    assert isinstance(again, SagaView)
    assert (again.status, again.sequence) == (SagaStatus.COMPLETED, ended.sequence)
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.authorizations == 1


async def test_while_a_card_is_tried_no_other_is_taken(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    assert isinstance(await pay(world, saga, MASTERCARD), SagaView)

    assert isinstance(await pay(world, saga, VISA), NothingToPay)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    assert isinstance(await pay(world, saga, VISA), NothingToPay)
    assert isinstance(await pay(world, saga, MASTERCARD), SagaView)
    assert (await hand.to_the_end(saga)).status is SagaStatus.COMPLETED


async def test_after_a_decline_another_card_is_asked_for(world: World) -> None:
    saga = await held(world)
    until = awaited(saga)
    assert until is not None

    again = await declined(world, saga)

    asked = awaited(again)
    assert isinstance(asked, PaymentAwaited)
    assert asked.last_failure is not None
    assert (asked.until, asked.last_failure.code) == (until.until, "PAYMENT_DECLINED")
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.DECLINED
    assert isinstance(await pay(world, saga), SagaView)
    assert (await world.ended(saga)).status is SagaStatus.COMPLETED
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures) == (1, 1)


@pytest.mark.parametrize("token", ["pm_card_chargeDeclinedInsufficientFunds", "pm_card_nobody_knows", DECLINED])
async def test_a_card_may_be_said_again_after_its_decline(world: World, token: str) -> None:
    saga = await held(world)
    for _ in range(3):
        await declined(world, saga, token)

    assert isinstance(await pay(world, saga), SagaView)
    assert (await world.ended(saga)).status is SagaStatus.COMPLETED


async def test_a_hold_is_not_for_trying_out_cards(world: World) -> None:
    saga = await held(world)
    for _ in range(DECLINES_MAX - 1):
        await declined(world, saga)

    assert isinstance(await pay(world, saga, DECLINED), SagaView)

    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == (SagaStatus.COMPENSATED, "PAYMENT_DECLINED")
    assert SeatStatus.HELD not in await world.seat_statuses()
    assert isinstance(await pay(world, saga), NothingToPay)


async def test_a_decline_of_a_card_that_came_with_the_booking_fails_it(world: World) -> None:
    saga = await world.ended(await world.book(payment_token=DECLINED))

    assert saga.failure is not None
    assert (saga.status, saga.failure.code) == (SagaStatus.COMPENSATED, "PAYMENT_DECLINED")
    assert isinstance(await pay(world, saga), NothingToPay)


async def test_another_card_is_tried_only_once_the_first_is_proven_without_effect(
    world: World, clock: ManualClock
) -> None:
    """An answer that is lost is asked for again under the same key; the card that it was for is still the only one."""
    saga = await held(world)
    world.gateway.faults.add(Fault("authorize", FaultKind.TIMEOUT_AFTER_EFFECT))
    assert isinstance(await pay(world, saga, MASTERCARD), SagaView)
    await world.step_reached(saga, "AUTHORIZE_PAYMENT", StepStatus.RETRYING)

    assert isinstance(await pay(world, saga, VISA), NothingToPay)
    ended = await world.hurried(saga, clock, "COMPLETED", "COMPENSATED")

    assert ended.status is SagaStatus.COMPLETED
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.authorizations == 1


async def test_what_no_card_can_mend_ends_the_wait(world: World) -> None:
    """A person has voided the payment at the provider: every card would be refused now."""
    saga = await declined(world, await held(world))
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.reference is not None
    await world.gateway.void(payment.reference, "by-hand")

    await pay(world, saga)

    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == (SagaStatus.COMPENSATED, "PAYMENT_VOIDED")


@pytest.mark.parametrize("token", ["", " ", "x" * 201, "pm_\n"])
async def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    saga = await held(world)

    refusal = await pay(world, saga, token)

    assert isinstance(refusal, InvalidInput)
    assert refusal.path == ("payment", "token")


# ---------------------------------------------------------------------- too late, or nothing


async def test_after_the_deadline_it_is_too_late(world: World, clock: ManualClock) -> None:
    saga = await held(world)
    clock.advance(HOLD_SECONDS - CALLS_SECONDS + 1)

    assert isinstance(await pay(world, saga), TooLateToPay)
    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert isinstance(await pay(world, saga), TooLateToPay)
    assert {seat.status for seat in await world.reservations(saga)} <= {
        SeatReservationStatus.RELEASED,
        SeatReservationStatus.EXPIRED,
    }
    assert await world.entry(saga) is None


async def test_anothers_saga_is_answered_like_none(world: World) -> None:
    saga = await held(world)
    by = Actor(ActorRole.CUSTOMER, "other")
    answers = [
        await world.bookings.pay_for_hold(correlation_id, VISA, subject="other", by=by)
        for correlation_id in (saga.correlation_id, NOBODYS)
    ]
    assert isinstance(answers[0], SagaNotFound)
    assert answers[0] == answers[1]
    looks = [
        await world.bookings.confirm_card(correlation_id, subject="other")
        for correlation_id in (saga.correlation_id, NOBODYS)
    ]
    assert isinstance(looks[0], SagaNotFound)
    assert looks[0] == looks[1]
    assert (await world.view(saga)).status is SagaStatus.WAITING


async def test_a_saga_that_waits_for_a_card_has_no_holder_to_ask(world: World) -> None:
    saga = await held(world)

    assert isinstance(await world.bookings.confirm_card(saga.correlation_id, subject="someone"), NothingToPay)
    assert (await world.view(saga)).sequence == saga.sequence
