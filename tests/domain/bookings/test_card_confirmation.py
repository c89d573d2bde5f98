"""A booking whose card asks its holder: it waits, reads what came of it, and charges nothing that is not booked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import BookingContext, Bookings, CardConfirmationAwaited, NothingToPay, awaited
from domain.bookings.awaiting import CARD_CONFIRMATION, PAYMENT
from domain.bookings.steps.payment import DECLINES_MAX, PaymentSteps
from domain.clock import SECOND, DatabaseClock, ManualClock
from domain.events import EventType
from domain.outcome import Outcome, Refused, Unknown
from domain.payments import PaymentStatus, ProviderState
from domain.saga import Member, SagaView, Simulation
from domain.seats import SeatReservationStatus
from domain.storage import Database
from sandbox import HOLDER_PATH, Fault, FaultKind
from tests.domain.bookings.by_hand import by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.statements import statements, writes
from tests.support.waiting import eventually

ASKS = "pm_card_threeDSecure2Required"
ASKS_AND_DECLINES = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
BUDGET_SECONDS = 60


async def asked(world: World, card: str = ASKS, **changes: Any) -> SagaView:
    """A booking that waits for the holder of its card."""
    return await world.reached(await world.book(payment_token=card, **changes), "WAITING")


async def waits_for(world: World, saga: SagaView, wants: str, *, after: int = 0) -> SagaView:
    """The saga once it waits for this, with an event after this one."""

    async def check() -> SagaView:
        found = await world.view(saga)
        assert found.awaiting is not None
        assert (found.awaiting.wants, found.sequence > after) == (wants, True)
        return found

    return await eventually(check)


async def to_pay_later(world: World, saga: SagaView, *, after: int = 0) -> SagaView:
    """The saga once it waits for a card, or for another one."""
    return await waits_for(world, saga, PAYMENT, after=after)


async def pay(world: World, saga: SagaView, card: str) -> object:
    return await world.bookings.pay_for_hold(saga.correlation_id, card, subject=None, by=AN_OPERATOR.by)


def secret_of(saga: SagaView) -> str:
    asks = awaited(saga)
    assert isinstance(asks, CardConfirmationAwaited)
    assert asks.confirmation.url is not None
    return asks.confirmation.url.removeprefix(HOLDER_PATH)


async def answer(world: World, saga: SagaView, *, approves: bool) -> None:
    """The holder answers on their page, and nobody has told the saga."""
    assert await world.gateway.hear(secret_of(saga), approves=approves) is not None


async def look_now(world: World, saga: SagaView) -> None:
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.reference is not None
    await world.bookings.look_now(payment.reference)


async def uncharged(world: World, saga: SagaView) -> None:
    """Nothing is reserved at the provider, and nothing can be: also if the holder answers now."""
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.captures) == (ProviderState.VOIDED, 0, 0)
    await world.gateway.hear(entry.secret, approves=True)
    late = await world.entry(saga)
    assert late is not None
    assert late.state is ProviderState.VOIDED
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.VOIDED


async def test_a_card_that_asks_its_holder_makes_the_booking_wait_with_its_seats_held(world: World) -> None:
    saga = await asked(world)
    assert saga.awaiting is not None
    assert (saga.awaiting.wants, saga.awaiting.step) == (CARD_CONFIRMATION, "AUTHORIZE_PAYMENT")
    (hold,) = await world.reservations(saga)
    assert hold.status is SeatReservationStatus.HELD
    assert saga.awaiting.until == hold.expires_at - BUDGET_SECONDS * SECOND
    payment, entry = await world.payment(saga), await world.entry(saga)
    assert payment is not None
    assert entry is not None
    assert (payment.status, entry.state, entry.authorizations) == (
        PaymentStatus.PENDING,
        ProviderState.NEEDS_HOLDER,
        0,
    )
    assert "pm_card" not in saga.context
    assert saga.queue.executing == "AUTHORIZE_PAYMENT"


async def test_what_the_holder_approves_is_booked_and_captured_once(world: World) -> None:
    saga = await asked(world)
    await answer(world, saga, approves=True)
    await look_now(world, saga)
    ended = await world.ended(saga)
    assert ended.status == "COMPLETED"
    entry, payment = await world.entry(saga), await world.payment(saga)
    assert entry is not None
    assert payment is not None
    assert (entry.authorizations, entry.captures, payment.status) == (1, 1, PaymentStatus.CAPTURED)
    of_pay = [event.type for event in await world.history(saga) if event.step == "AUTHORIZE_PAYMENT"]
    assert of_pay == [
        EventType.STEP_STARTED,
        EventType.STEP_WAITING,
        EventType.STEP_RESUMED,
        EventType.STEP_COMPLETED,
    ]
    assert awaited(ended) is None
    for forgotten in ("_secret_", "pm_card"):
        assert forgotten not in ended.context


@pytest.mark.parametrize(
    ("card", "approves", "code"),
    [(ASKS, False, "CARD_NOT_CONFIRMED"), (ASKS_AND_DECLINES, True, "INSUFFICIENT_FUNDS")],
)
async def test_a_refusal_by_the_holder_or_the_bank_fails_the_booking_and_voids_the_payment(
    world: World, card: str, approves: bool, code: str
) -> None:
    saga = await asked(world, card)
    await answer(world, saga, approves=approves)
    await look_now(world, saga)
    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == ("COMPENSATED", code)
    assert ended.queue.compensated == ("CANCEL_PAYMENT", "CANCEL_SEAT")
    assert "_secret_" not in ended.context
    await uncharged(world, saga)


async def test_after_a_refusal_a_hold_asks_for_another_card_on_the_same_payment(world: World) -> None:
    saga = await to_pay_later(world, await world.book(pay_later=True))
    for number, card in enumerate((ASKS, ASKS_AND_DECLINES)):
        before = (await world.view(saga)).sequence
        assert isinstance(await pay(world, saga, card), SagaView)
        asks = await waits_for(world, saga, CARD_CONFIRMATION)
        await answer(world, asks, approves=number == 1)
        await look_now(world, saga)
        again = await to_pay_later(world, saga, after=before)
        assert again.awaiting is not None
        assert again.awaiting.failure is not None
        assert again.awaiting.failure.code == ("CARD_NOT_CONFIRMED", "INSUFFICIENT_FUNDS")[number]
        assert "_secret_" not in again.context
    assert isinstance(await pay(world, saga, "pm_card_visa"), SagaView)
    assert (await world.ended(saga)).status == "COMPLETED"
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures) == (1, 1)


async def test_a_card_may_be_said_again_while_its_holder_is_asked_and_afterwards(world: World) -> None:
    """A client whose first answer was lost says it again: it must not hear that there is nothing to pay."""
    saga = await to_pay_later(world, await world.book(pay_later=True))
    assert isinstance(await pay(world, saga, ASKS), SagaView)
    asks = await waits_for(world, saga, CARD_CONFIRMATION)

    again = await pay(world, saga, ASKS)
    assert isinstance(again, SagaView)
    assert (again.status, again.sequence) == ("WAITING", asks.sequence)
    assert isinstance(await pay(world, saga, "pm_card_visa"), NothingToPay)

    await answer(world, asks, approves=True)
    await look_now(world, saga)
    ended = await world.ended(saga)
    last = await pay(world, saga, ASKS)
    assert isinstance(last, SagaView)
    assert (last.status, last.sequence) == ("COMPLETED", ended.sequence)


async def test_a_card_may_be_tried_again_once_its_holder_has_refused(world: World) -> None:
    saga = await to_pay_later(world, await world.book(pay_later=True))
    for approves in (False, True):
        before = (await world.view(saga)).sequence
        assert isinstance(await pay(world, saga, ASKS), SagaView)
        await answer(world, await waits_for(world, saga, CARD_CONFIRMATION), approves=approves)
        await look_now(world, saga)
        if not approves:
            await to_pay_later(world, saga, after=before)
    assert (await world.ended(saga)).status == "COMPLETED"


@pytest.mark.parametrize("last", [None, "pm_card_chargeDeclined"])
async def test_once_a_holder_was_asked_the_payment_is_voided_whatever_was_declined_last(
    world: World, clock: ManualClock, last: str | None
) -> None:
    saga = await to_pay_later(world, await world.book(pay_later=True))
    await pay(world, saga, ASKS)
    asks = await waits_for(world, saga, CARD_CONFIRMATION)
    await answer(world, asks, approves=False)
    await look_now(world, saga)
    await to_pay_later(world, saga, after=asks.sequence)
    if last is not None:
        before = (await world.view(saga)).sequence
        await pay(world, saga, last)
        await to_pay_later(world, saga, after=before + 1)
    clock.advance(HOLD_SECONDS)
    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == ("COMPENSATED", "HOLD_EXPIRED")
    await uncharged(world, saga)


async def test_once_a_holder_was_asked_the_payment_is_voided_though_the_last_card_is_declined(world: World) -> None:
    saga = await to_pay_later(world, await world.book(pay_later=True))
    await pay(world, saga, ASKS)
    asks = await waits_for(world, saga, CARD_CONFIRMATION)
    await answer(world, asks, approves=False)
    await look_now(world, saga)
    after = asks.sequence
    for _ in range(DECLINES_MAX - 1):
        waits = await to_pay_later(world, saga, after=after)
        after = waits.sequence + 1
        await pay(world, saga, "pm_card_chargeDeclined")

    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == ("COMPENSATED", "PAYMENT_DECLINED")
    await uncharged(world, saga)


async def test_points_are_given_back_where_the_holder_refuses_to_pay_the_rest(world: World) -> None:
    before = (await world.account()).balance
    saga = await asked(world, member_number=ADA, points_to_redeem=10)
    assert saga.awaiting is not None
    assert saga.awaiting.step == "PROCESS_PAYMENT"
    assert (await world.account()).balance == before - 10
    await answer(world, saga, approves=False)
    await look_now(world, saga)
    assert (await world.ended(saga)).status == "COMPENSATED"
    assert (await world.account()).balance == before
    await uncharged(world, saga)


class StillClock(ManualClock):
    """Time passes as the test advances it, and not beside it."""

    began: int | None = None

    async def now(self, connection: AsyncConnection) -> int:
        if self.began is None:
            self.began = await DatabaseClock().now(connection)
        return self.began + self.offset_us


async def test_it_looks_by_itself_after_five_seconds_and_then_seldomer(world: World) -> None:
    hand = await by_hand(world)
    clock = world.database.clock = StillClock()
    saga = await world.book(payment_token=ASKS)
    await hand.until_waiting(saga)
    looked: list[int] = []
    for seconds in range(5, 780, 5):
        clock.advance(5)
        await hand.turn(saga)
        if saga.id in hand.calls:
            looked.append(seconds)
            await hand.turn(saga, await hand.answer(saga))
    assert looked[0] == 5
    pauses = [after - before for before, after in pairwise(looked)]
    assert pauses == sorted(pauses)
    assert max(pauses) <= 65
    assert len(looked) <= 25
    assert (await hand.told(saga))[-1] is EventType.STEP_WAITING

    await answer(world, await world.view(saga), approves=True)
    clock.advance(60)
    assert (await hand.to_the_end(saga)).status == "COMPLETED"


async def test_news_of_a_payment_that_nobody_waits_for_locks_no_saga(world: World) -> None:
    saga = await world.ended(await world.book(payment_token="pm_card_visa"))
    with statements(writes(world.database), of="sagas") as written:
        await look_now(world, saga)
        await world.bookings.look_now("pi_of_nobody")
    assert written == []


async def test_at_the_deadline_the_payment_is_voided_and_the_seats_are_released(
    world: World, clock: ManualClock
) -> None:
    saga = await asked(world)
    clock.advance(HOLD_SECONDS - BUDGET_SECONDS)
    ended = await world.ended(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == ("COMPENSATED", "HOLD_EXPIRED")
    (hold,) = await world.reservations(saga)
    assert hold.status is SeatReservationStatus.RELEASED
    await uncharged(world, saga)


async def test_a_cancel_ends_the_wait_and_voids_the_payment(world: World) -> None:
    saga = await asked(world)
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    assert (await world.ended(saga)).status == "COMPENSATED"
    await uncharged(world, saga)


async def test_what_was_approved_but_is_cancelled_before_a_look_is_voided_too(world: World) -> None:
    saga = await asked(world)
    await answer(world, saga, approves=True)
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    assert (await world.ended(saga)).status == "COMPENSATED"
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.captures) == (ProviderState.VOIDED, 1, 0)


async def test_a_look_before_the_answer_changes_nothing(world: World) -> None:
    saga = await asked(world)
    told = len(await world.history(saga))
    for _ in range(3):
        await look_now(world, saga)
    await world.bookings.look_now("pi_of_nobody")
    await answer(world, saga, approves=True)
    await look_now(world, saga)
    assert (await world.ended(saga)).status == "COMPLETED"
    types = [event.type for event in (await world.history(saga))[told:]]
    assert types[0] is EventType.STEP_RESUMED
    await look_now(world, saga)


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.SERVER_ERROR])
async def test_a_look_whose_answer_is_lost_changes_nothing_and_is_repeated(world: World, kind: FaultKind) -> None:
    saga = await asked(world)
    told = len(await world.history(saga))
    world.gateway.faults.add(Fault("read", kind, times=2))
    await answer(world, saga, approves=True)
    await look_now(world, saga)
    assert (await world.ended(saga)).status == "COMPLETED"
    assert (await world.history(saga))[told].type is EventType.STEP_RESUMED
    assert world.gateway.faults.take("read", "any") is None


async def test_a_question_whose_answer_was_lost_is_asked_once_more_and_never_twice(world: World) -> None:
    saga = await asked(world, simulation=Simulation(lose_answer_at=("AUTHORIZE_PAYMENT",)))
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.PENDING
    await answer(world, saga, approves=True)
    await look_now(world, saga)
    assert (await world.ended(saga)).status == "COMPLETED"
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures) == (1, 1)


async def test_what_the_holder_answers_while_nobody_serves_is_found_by_the_next_process(
    database: Database, tmp_path: Path
) -> None:
    async with world_of(database, tmp_path) as world:
        saga = await asked(world)
    async with world_of(database, tmp_path) as later:
        await answer(later, await later.view(saga), approves=True)
        await look_now(later, saga)
        assert (await later.ended(saga)).status == "COMPLETED"


async def test_no_event_and_no_step_shows_the_secret(world: World) -> None:
    saga = await asked(world)
    shown = repr(await world.history(saga)) + repr(saga.steps) + repr(saga.awaiting) + repr(await world.payment(saga))
    assert secret_of(saga) not in shown
    assert "_secret_" not in shown


async def test_a_saga_of_the_version_before_refuses_such_a_card_as_it_always_did(world: World) -> None:
    first, redeem, *_ = world.definitions.retired
    older = replace(world.definitions, book_and_earn=first, book_and_redeem=redeem)
    world.bookings = Bookings(world.engine, older, simulation_allowed=True, default_token=None)
    ended = await world.ended(await world.book(payment_token=ASKS))
    assert ended.failure is not None
    assert (ended.version, ended.status, ended.failure.code) == (1, "COMPENSATED", "AUTHENTICATION_REQUIRED")
    assert (await world.ended(await world.book(payment_token="pm_card_visa"))).status == "COMPLETED"


async def test_once_a_secret_was_given_out_a_passing_refusal_leaves_the_payment_to_be_voided(world: World) -> None:
    context = BookingContext("someone", (), 1, 100, 100, token="pm_card_visa", payment_reference="pi_1")
    steps = PaymentSteps(world.gateway, BUDGET_SECONDS)

    async def authorize(round_: int) -> Outcome:
        world.gateway.faults.add(Fault("authorize", FaultKind.SERVER_ERROR))
        return await steps.authorize(Member("saga", "c", context, 1, round_, "AUTHORIZE_PAYMENT"))

    refused = await authorize(1)
    assert isinstance(refused, Refused)
    assert (refused.passing, refused.key_spent) == (True, True)
    context.holder_was_asked = True
    assert isinstance(await authorize(2), Unknown)


async def test_once_a_secret_was_given_out_only_a_refused_card_proves_that_nothing_was_charged(world: World) -> None:
    context = BookingContext("someone", (), 1, 100, 100, token="pm_card_visa", payment_reference="pi_2")
    steps = PaymentSteps(world.gateway, BUDGET_SECONDS)

    async def authorize(round_: int) -> Outcome:
        return await steps.authorize(Member("saga", "c", context, 1, round_, "AUTHORIZE_PAYMENT"))

    context.holder_was_asked = True
    context.token = "pm_card_chargeDeclined"
    assert isinstance(await authorize(1), Refused)
    # As when the provider does not know the payment: it may be in another account.
    await world.gateway.void("pi_2", "key")
    context.token = "pm_card_visa"
    outcome = await authorize(2)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "PAYMENT_VOIDED"
