"""What can differ between the provider's books and ours, and what was found of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.money import Money

__all__ = ["Difference", "Ending", "Finding"]


class Difference(StrEnum):
    """A kind of difference. `sentence` tells it to an operator; docs/operations.md says what to do."""

    UNKNOWN_MONEY = "UNKNOWN_MONEY"
    UNCLAIMED_MONEY = "UNCLAIMED_MONEY"
    BOOKING_UNPAID = "BOOKING_UNPAID"
    BOOKING_REFUNDED = "BOOKING_REFUNDED"
    OTHER_AMOUNT = "OTHER_AMOUNT"
    REFUND_MISSING = "REFUND_MISSING"
    REFUND_PENDING = "REFUND_PENDING"
    OPEN_REFERENCE = "OPEN_REFERENCE"
    DISPUTED = "DISPUTED"
    CHARGED_BACK = "CHARGED_BACK"
    AUTHORIZATION_LAPSES = "AUTHORIZATION_LAPSES"

    @property
    def sentence(self) -> str:
        """What differs."""
        return _SENTENCES[self]


_SENTENCES: Final[Mapping[Difference, str]] = {
    Difference.UNKNOWN_MONEY: "The provider has money on a payment that our books do not know.",
    Difference.UNCLAIMED_MONEY: "The saga ended without a booking, and the provider has its money.",
    Difference.BOOKING_UNPAID: "The booking is confirmed, and the provider has not taken its money.",
    Difference.BOOKING_REFUNDED: "The booking is confirmed, and its money was given back.",
    Difference.OTHER_AMOUNT: "The provider has taken another amount than the booking costs.",
    Difference.REFUND_MISSING: "The booking is cancelled, and the provider still has its money.",
    Difference.REFUND_PENDING: "The provider has no final answer about a refund, and no saga waits for it.",
    Difference.OPEN_REFERENCE: "The saga ended without a booking, and its payment can still be authorized.",
    Difference.DISPUTED: "The card's holder disputes the payment at their bank.",
    Difference.CHARGED_BACK: "The booking is confirmed, and its money is lost in a dispute.",
    Difference.AUTHORIZATION_LAPSES: "The authorization lapses soon, and its saga has not ended.",
}


class Ending(StrEnum):
    """How a finding ended."""

    AGREES = "AGREES"
    """At a later look the books agreed."""
    MENDED = "MENDED"
    """The reconciliation voided or refunded the payment."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference at one payment, as it is stored. Times in microseconds.

    `saga_id` and `correlation_id`: None if we do not know the saga, or the payment names none. `at_stake`: the money
    that somebody loses if nothing is done. `round` is that of the idempotency keys with which it is mended.
    """

    id: str
    provider: str
    reference: str
    kind: Difference
    correlation_id: str | None
    saga_id: str | None
    at_stake: Money
    detail: str
    round: int
    first_seen_at: int
    last_seen_at: int
    ended_at: int | None = None
    ending: Ending | None = None
