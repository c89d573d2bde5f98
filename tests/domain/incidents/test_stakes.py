"""What would be lost if nobody did anything more, for every state in which a saga's things can be."""

from __future__ import annotations

import pytest

from domain.bookings import DefinitionName
from domain.incidents import AtStake, Unsettled, at_stake
from domain.loyalty import EntryReason
from domain.money import Money
from domain.payments import PaymentStatus
from domain.saga import Direction, SagaStatus
from domain.seats import SeatReservationStatus
from tests.domain.incidents.ledger import FARE, HOLD, MILES, POINTS, Ledger
from tests.support.statements import executed

EARN, REDEEM, CANCEL = DefinitionName
PAYING = {EARN: "AUTHORIZE_PAYMENT", REDEEM: "PROCESS_PAYMENT"}
#: The money of each status, if its card cannot be charged any more unless we ask for it.
TAKEN = {
    PaymentStatus.PENDING: 0,
    PaymentStatus.AUTHORIZED: FARE,
    PaymentStatus.CAPTURED: FARE,
    PaymentStatus.VOIDED: 0,
    PaymentStatus.REFUND_PENDING: FARE,
    PaymentStatus.REFUNDED: 0,
    PaymentStatus.DISPUTED: FARE,
    PaymentStatus.DECLINED: 0,
    PaymentStatus.UNKNOWN: FARE,
}


def money(minor: int, currency: str = "USD") -> AtStake | None:
    return AtStake(Money(minor, currency), 0, 0) if minor else None


def test_every_status_of_a_payment_is_judged() -> None:
    assert set(TAKEN) == set(PaymentStatus)


# ---------------------------------------------------------------------- money


@pytest.mark.parametrize("status", PaymentStatus)
@pytest.mark.parametrize("definition", [EARN, REDEEM])
async def test_money_that_is_taken_or_reserved_is_at_stake(
    ledger: Ledger, definition: DefinitionName, status: PaymentStatus
) -> None:
    saga = await ledger.saga(definition, at=PAYING[definition])
    await ledger.pays(saga, status)
    assert await ledger.stake(saga) == money(TAKEN[status])


@pytest.mark.parametrize("status", PaymentStatus)
async def test_a_cancellation_has_the_money_of_the_booking_that_it_cancels(
    ledger: Ledger, status: PaymentStatus
) -> None:
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.pays(booked, status)
    cancelling = await ledger.cancellation(booked)
    assert await ledger.stake(cancelling) == money(TAKEN[status])
    assert await ledger.stake(booked) is None


async def test_what_was_refunded_is_not_at_stake(ledger: Ledger) -> None:
    saga = await ledger.saga()
    await ledger.pays(saga, PaymentStatus.CAPTURED, refunded_minor=16_00)
    assert await ledger.stake(saga) == money(100_00)
    whole = await ledger.saga()
    await ledger.pays(whole, PaymentStatus.DISPUTED, refunded_minor=FARE)
    assert await ledger.stake(whole) is None


@pytest.mark.parametrize("definition", [EARN, REDEEM])
async def test_money_that_a_lost_call_may_have_reserved_is_at_stake(ledger: Ledger, definition: DefinitionName) -> None:
    """The call was out when its saga was parked, so nobody has read what became of it."""
    paying = 1 if definition == EARN else 2
    parked = await ledger.saga(
        definition, SagaStatus.PARKED, at=paying, direction=Direction.FORWARD, effects=1 << paying
    )
    await ledger.pays(parked, PaymentStatus.PENDING)
    assert await ledger.stake(parked) == money(FARE)
    before = await ledger.saga(definition, SagaStatus.PARKED, at=paying, direction=Direction.FORWARD, effects=1)
    await ledger.pays(before, PaymentStatus.PENDING)
    assert await ledger.stake(before) is None


@pytest.mark.parametrize("currency", ["EUR", "JPY", "BHD"])
async def test_money_is_in_the_currency_of_its_payment(ledger: Ledger, currency: str) -> None:
    saga = await ledger.saga()
    await ledger.pays(saga, minor=7_000, currency=currency)
    assert await ledger.stake(saga) == money(7_000, currency)


# ---------------------------------------------------------------------- points


async def test_points_that_were_redeemed_are_at_stake_until_they_are_given_back(ledger: Ledger) -> None:
    saga = await ledger.saga(REDEEM, at="DEDUCT_LOYALTY_POINTS")
    await ledger.enters(saga, EntryReason.REDEEMED, -POINTS, 0)
    assert await ledger.stake(saga) == AtStake(None, POINTS, 0)
    await ledger.enters(saga, EntryReason.REFUNDED, POINTS, 0)
    assert await ledger.stake(saga) is None


async def test_miles_that_were_awarded_are_at_stake_until_they_are_taken_back(ledger: Ledger) -> None:
    saga = await ledger.saga(EARN, at="AWARD_MILES")
    await ledger.enters(saga, EntryReason.AWARDED, 0, MILES)
    assert await ledger.stake(saga) == AtStake(None, MILES, 0)
    await ledger.enters(saga, EntryReason.REVERSED, 0, -MILES)
    assert await ledger.stake(saga) is None


async def test_a_cancellation_has_the_points_and_miles_that_are_not_restored(ledger: Ledger) -> None:
    booked = await ledger.saga(REDEEM, SagaStatus.COMPLETED)
    await ledger.enters(booked, EntryReason.AWARDED, 0, MILES)
    await ledger.enters(booked, EntryReason.POSTED, MILES, -MILES)
    await ledger.enters(booked, EntryReason.REDEEMED, -POINTS, 0)
    cancelling = await ledger.cancellation(booked, at="RESTORE_LOYALTY")
    assert await ledger.stake(cancelling) == AtStake(None, POINTS + MILES, 0)
    await ledger.enters(booked, EntryReason.REVERSED, -MILES, 0)
    assert await ledger.stake(cancelling) == AtStake(None, POINTS, 0)
    await ledger.enters(booked, EntryReason.REFUNDED, POINTS, 0)
    assert await ledger.stake(cancelling) is None


# ---------------------------------------------------------------------- seats


async def test_seats_are_at_stake_while_they_are_held_or_booked(ledger: Ledger) -> None:
    saga = await ledger.saga(at=0)
    await ledger.seats(saga, *SeatReservationStatus)
    live = [status for status in SeatReservationStatus if status.is_live]
    assert await ledger.stake(saga) == AtStake(None, 0, len(live))


async def test_a_hold_that_has_lapsed_is_not_at_stake_whether_it_is_swept_or_not(ledger: Ledger) -> None:
    saga = await ledger.saga(at=0)
    await ledger.seats(saga, SeatReservationStatus.HELD, SeatReservationStatus.HELD, expires_at=ledger.now)
    await ledger.seats(saga, SeatReservationStatus.EXPIRED)
    assert await ledger.stake(saga) is None


async def test_a_booked_seat_does_not_lapse(ledger: Ledger) -> None:
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.seats(booked, SeatReservationStatus.CONFIRMED, expires_at=ledger.now - HOLD // 2)
    cancelling = await ledger.cancellation(booked, at="CANCEL_SEAT")
    assert await ledger.stake(cancelling) == AtStake(None, 0, 1)


# ---------------------------------------------------------------------- all together


@pytest.mark.parametrize("status", SagaStatus)
async def test_all_of_a_saga_is_at_stake_unless_it_is_completed(ledger: Ledger, status: SagaStatus) -> None:
    saga = await ledger.saga(REDEEM, status, at=2)
    await ledger.pays(saga)
    await ledger.enters(saga, EntryReason.REDEEMED, -POINTS, 0)
    await ledger.seats(saga, SeatReservationStatus.CONFIRMED, SeatReservationStatus.CONFIRMED)
    whole = AtStake(Money(FARE), POINTS, 2)
    assert await ledger.stake(saga) == (None if status is SagaStatus.COMPLETED else whole)


@pytest.mark.parametrize("status", SagaStatus)
async def test_a_cancellation_that_is_done_or_undone_has_nothing_at_stake(ledger: Ledger, status: SagaStatus) -> None:
    """One that was undone has left the booking as it was."""
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.pays(booked)
    cancelling = await ledger.cancellation(booked, status)
    is_done = status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)
    assert await ledger.stake(cancelling) == (None if is_done else money(FARE))


async def test_what_was_given_up_is_at_stake_until_somebody_settles_it(ledger: Ledger) -> None:
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.pays(booked, currency="EUR")
    cancelling = await ledger.cancellation(booked, SagaStatus.ABANDONED)
    saga = await ledger.saga(status=SagaStatus.ABANDONED)
    await ledger.pays(saga)
    await ledger.pays(await ledger.saga(status=SagaStatus.ABANDONED), PaymentStatus.REFUNDED)
    assert await ledger.stake(saga) == money(FARE)
    assert await ledger.unsettled() == Unsettled(3, (Money(FARE, "EUR"), Money(FARE)))
    for each in (saga, cancelling):
        await ledger.change(each, settled_at=ledger.now)
        assert await ledger.stake(each) is None
    assert await ledger.unsettled() == Unsettled(1, ())


async def test_many_sagas_are_judged_by_one_statement_and_those_without_a_stake_are_left_out(ledger: Ledger) -> None:
    sagas = [await ledger.saga() for _ in range(5)]
    for saga in sagas[:3]:
        await ledger.pays(saga)
    with executed(ledger.database) as seen:
        async with ledger.database.reading() as connection:
            found = await at_stake(connection, [saga.id for saga in sagas], at=ledger.now)
    assert found == {saga.id: money(FARE) for saga in sagas[:3]}
    assert len([statement for statement, _ in seen if "FROM" in statement]) == 1


async def test_a_row_that_no_release_can_read_is_judged_like_any_other(ledger: Ledger) -> None:
    saga = await ledger.saga(status=SagaStatus.PARKED, at=99, code="UNREADABLE", context="{oops", effects=-1)
    await ledger.pays(saga)
    assert await ledger.stake(saga) == money(FARE)
