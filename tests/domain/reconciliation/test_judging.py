"""What differs at one payment: a judgement of the provider's entry and ours, without any book."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.bookings import BookingStatus
from domain.clock import SECOND
from domain.money import Money
from domain.payments import PaymentStatus, ProviderEntry, ProviderState
from domain.reconciliation import Difference
from domain.reconciliation.judging import judge
from domain.reconciliation.ours import OurPayment
from domain.saga import SagaStatus

NOW = 10**15
HOUR = 3_600 * SECOND
PRICE = Money(100_00, "USD")
BOOKED = OurPayment(
    "pi_1",
    "saga",
    "correlation",
    PRICE,
    PaymentStatus.CAPTURED,
    SagaStatus.COMPLETED,
    ended_at=NOW - HOUR,
    booking="ABC234",
    booking_status=BookingStatus.CONFIRMED,
)
CANCELLED = replace(
    BOOKED,
    status=PaymentStatus.REFUNDED,
    booking_status=BookingStatus.CANCELLED,
    cancellation=SagaStatus.COMPLETED,
    cancelled_at=NOW - HOUR,
)
UNDONE = replace(BOOKED, status=PaymentStatus.VOIDED, saga=SagaStatus.COMPENSATED, booking=None, booking_status=None)
RUNNING = replace(UNDONE, status=PaymentStatus.AUTHORIZED, saga=SagaStatus.RUNNING, ended_at=None)
TAKEN = ProviderEntry("pi_1", ProviderState.CAPTURED, PRICE, captured=100_00, captures=1, correlation_id="correlation")
RESERVED = ProviderEntry("pi_1", ProviderState.AUTHORIZED, PRICE, reserved=100_00, correlation_id="correlation")
BACK = replace(TAKEN, state=ProviderState.REFUNDED, refunded=100_00)
ON_ITS_WAY = replace(TAKEN, refunding=100_00)
VOIDED = ProviderEntry("pi_1", ProviderState.VOIDED, PRICE, correlation_id="correlation")
OPEN = replace(VOIDED, state=ProviderState.OPEN)
ASKS = replace(VOIDED, state=ProviderState.NEEDS_HOLDER)


def found(entry: ProviderEntry | None, ours: OurPayment | None, **known: Any) -> dict[Difference, tuple[int, bool]]:
    """What differs: the money at stake, and whether it may be mended."""
    verdict = judge("pi_1", entry, ours, asked_at=NOW, **known)
    return {judged.kind: (judged.at_stake.minor, judged.is_mendable) for judged in verdict.found}


@pytest.mark.parametrize(
    ("entry", "ours"),
    [
        (TAKEN, BOOKED),
        (BACK, CANCELLED),
        (replace(TAKEN, charged_back=100_00), CANCELLED),
        (VOIDED, UNDONE),
        (None, UNDONE),
        (None, None),
        (OPEN, replace(UNDONE, status=PaymentStatus.DECLINED)),
        (OPEN, None),
        (VOIDED, None),
        (BACK, None),
        (replace(TAKEN, is_foreign=True, correlation_id=None), None),
        (RESERVED, RUNNING),
        (TAKEN, RUNNING),
        (BACK, replace(BOOKED, booking_status=BookingStatus.CANCELLING, cancellation=SagaStatus.RUNNING)),
        (ON_ITS_WAY, replace(CANCELLED, cancellation=SagaStatus.RUNNING, cancelled_at=None)),
        (BACK, replace(BOOKED, is_readable=False)),
    ],
)
def test_what_agrees_or_is_under_way_or_is_not_ours_is_no_difference(
    entry: ProviderEntry | None, ours: OurPayment | None
) -> None:
    assert found(entry, ours) == {}


@pytest.mark.parametrize(
    ("entry", "ours", "differs"),
    [
        (TAKEN, None, {Difference.UNKNOWN_MONEY: (100_00, False)}),
        (RESERVED, None, {Difference.UNKNOWN_MONEY: (100_00, False)}),
        (TAKEN, UNDONE, {Difference.UNCLAIMED_MONEY: (100_00, True)}),
        (RESERVED, UNDONE, {Difference.UNCLAIMED_MONEY: (100_00, True)}),
        (replace(TAKEN, refunded=45_00), UNDONE, {Difference.UNCLAIMED_MONEY: (55_00, True)}),
        (TAKEN, replace(UNDONE, saga=SagaStatus.ABANDONED), {Difference.UNCLAIMED_MONEY: (100_00, False)}),
        (TAKEN, replace(UNDONE, saga=SagaStatus.COMPLETED), {Difference.UNCLAIMED_MONEY: (100_00, False)}),
        (None, BOOKED, {Difference.BOOKING_UNPAID: (100_00, False)}),
        (VOIDED, BOOKED, {Difference.BOOKING_UNPAID: (100_00, False)}),
        (RESERVED, BOOKED, {Difference.BOOKING_UNPAID: (100_00, False)}),
        (BACK, BOOKED, {Difference.BOOKING_REFUNDED: (100_00, False)}),
        (ON_ITS_WAY, BOOKED, {Difference.BOOKING_REFUNDED: (100_00, False)}),
        (replace(TAKEN, captured=60_00), BOOKED, {Difference.OTHER_AMOUNT: (40_00, False)}),
        (TAKEN, CANCELLED, {Difference.REFUND_MISSING: (100_00, True)}),
        (TAKEN, replace(CANCELLED, cancellation=SagaStatus.ABANDONED), {Difference.REFUND_MISSING: (100_00, False)}),
        (ON_ITS_WAY, CANCELLED, {Difference.REFUND_PENDING: (100_00, False)}),
        (ON_ITS_WAY, UNDONE, {Difference.REFUND_PENDING: (100_00, False)}),
        (ASKS, UNDONE, {Difference.OPEN_REFERENCE: (100_00, True)}),
        (OPEN, UNDONE, {Difference.OPEN_REFERENCE: (100_00, True)}),
        (replace(TAKEN, disputed=100_00), BOOKED, {Difference.DISPUTED: (100_00, False)}),
        (replace(TAKEN, charged_back=100_00), BOOKED, {Difference.CHARGED_BACK: (100_00, False)}),
        (replace(TAKEN, disputed=100_00), RUNNING, {Difference.DISPUTED: (100_00, False)}),
        (
            replace(TAKEN, disputed=100_00),
            UNDONE,
            {Difference.DISPUTED: (100_00, False), Difference.UNCLAIMED_MONEY: (100_00, False)},
        ),
        (
            replace(RESERVED, capture_before=NOW + 47 * HOUR),
            RUNNING,
            {Difference.AUTHORIZATION_LAPSES: (100_00, False)},
        ),
        (replace(RESERVED, capture_before=NOW + 49 * HOUR), RUNNING, {}),
    ],
)
def test_each_difference_has_its_name_its_money_and_whether_it_may_be_mended(
    entry: ProviderEntry | None, ours: OurPayment | None, differs: dict[Difference, tuple[int, bool]]
) -> None:
    assert found(entry, ours) == differs


def test_a_saga_that_has_just_ended_is_left_and_what_is_open_about_it_stays_open() -> None:
    verdict = judge("pi_1", BACK, replace(BOOKED, ended_at=NOW - 30 * SECOND), asked_at=NOW)
    assert not verdict.is_settled
    assert verdict.found == ()
    assert verdict.kinds == {Difference.DISPUTED, Difference.AUTHORIZATION_LAPSES}


def test_every_difference_has_a_sentence_of_its_own() -> None:
    sentences = [difference.sentence for difference in Difference]
    assert len(set(sentences)) == len(Difference)
    assert all(sentence.endswith(".") for sentence in sentences)
