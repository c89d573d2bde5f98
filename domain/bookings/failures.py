"""What a frontend offers its customer after each failure: one table over the codes of all rooms.

A code that is not in the table comes from a newer release, or from a step that somebody added here: then only people
can help. docs/api.md has the same table; a test holds both complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["FAILURES", "FailureAdvice", "advice_on"]


class FailureAdvice(StrEnum):
    """What to offer a customer whose saga failed."""

    ANOTHER_CARD = "ANOTHER_CARD"
    """This card will not do."""
    CARD_AGAIN = "CARD_AGAIN"
    """The same card may do when its details are typed again, or a little later; so may another one."""
    ANOTHER_SEAT = "ANOTHER_SEAT"
    """Other seats, another cabin or another flight."""
    ANOTHER_FLIGHT = "ANOTHER_FLIGHT"
    """The flight is not sold any more."""
    FEWER_POINTS = "FEWER_POINTS"
    """Fewer points, or none, and money for the rest."""
    BOOK_AGAIN = "BOOK_AGAIN"
    """Nothing is wrong with the request: the same booking may be begun again now."""
    LATER = "LATER"
    """The provider or the server has trouble. While the saga goes on, it tries again itself."""
    WAIT = "WAIT"
    """The server goes on by itself until it is done."""
    CONTACT_US = "CONTACT_US"
    """A person has to look at it."""
    NOTHING = "NOTHING"
    """It was asked for, or is of no concern to the customer."""


_A: Final = FailureAdvice
FAILURES: Final[Mapping[str, FailureAdvice]] = {
    "AMOUNT_MISMATCH": _A.CONTACT_US,
    "AMOUNT_NOT_CHARGEABLE": _A.CONTACT_US,
    "AUTHENTICATION_REQUIRED": _A.ANOTHER_CARD,
    "BOOKING_NOT_CANCELLABLE": _A.NOTHING,
    "BUSY": _A.LATER,
    "CANCELLED": _A.NOTHING,
    "CARD_ADDRESS_INCORRECT": _A.CARD_AGAIN,
    "CARD_EXPIRED": _A.ANOTHER_CARD,
    "CARD_EXPIRY_INVALID": _A.CARD_AGAIN,
    "CARD_LIMIT_EXCEEDED": _A.ANOTHER_CARD,
    "CARD_LOST": _A.ANOTHER_CARD,
    "CARD_NOT_CONFIRMED": _A.CARD_AGAIN,
    "CARD_NOT_SUPPORTED": _A.ANOTHER_CARD,
    "CARD_NUMBER_INCORRECT": _A.CARD_AGAIN,
    "CARD_STOLEN": _A.ANOTHER_CARD,
    "CARD_TOKEN_MISSING": _A.ANOTHER_CARD,
    "CARD_TOKEN_UNKNOWN": _A.CARD_AGAIN,
    "EXPIRED": _A.BOOK_AGAIN,
    "FAULT": _A.CONTACT_US,
    "FLIGHT_CLOSED": _A.ANOTHER_FLIGHT,
    "GATEWAY_ERROR": _A.LATER,
    "HOLD_EXPIRED": _A.BOOK_AGAIN,
    "HOLD_LOST": _A.BOOK_AGAIN,
    "IDEMPOTENCY_MISMATCH": _A.CONTACT_US,
    "INCORRECT_CVC": _A.CARD_AGAIN,
    "INSUFFICIENT_FUNDS": _A.ANOTHER_CARD,
    "INSUFFICIENT_POINTS": _A.FEWER_POINTS,
    "INTERNAL": _A.CONTACT_US,
    "INTERRUPTED": _A.LATER,
    "ISSUER_UNAVAILABLE": _A.CARD_AGAIN,
    "MEMBER_NOT_FOUND": _A.CONTACT_US,
    "NOT_NEEDED": _A.NOTHING,
    "NO_FINAL_ANSWER": _A.CONTACT_US,
    "PAYMENT_AUTHORIZED_ALREADY": _A.CONTACT_US,
    "PAYMENT_CAPTURED": _A.CONTACT_US,
    "PAYMENT_DECLINED": _A.ANOTHER_CARD,
    "PAYMENT_DISPUTED": _A.CONTACT_US,
    "PAYMENT_MISSING": _A.CONTACT_US,
    "PAYMENT_NEEDS_HOLDER": _A.CONTACT_US,
    "PAYMENT_NOT_AUTHORIZED": _A.CONTACT_US,
    "PAYMENT_NOT_CAPTURED": _A.CONTACT_US,
    "PAYMENT_NOT_OPEN": _A.CONTACT_US,
    "PAYMENT_REJECTED": _A.ANOTHER_CARD,
    "PAYMENT_UNKNOWN": _A.CONTACT_US,
    "PAYMENT_VOIDED": _A.BOOK_AGAIN,
    "PROCESSING_ERROR": _A.CARD_AGAIN,
    "PROVIDER_ACCESS_DENIED": _A.LATER,
    "PROVIDER_BUSY": _A.LATER,
    "PROVIDER_ERROR": _A.LATER,
    "PROVIDER_UNCLEAR": _A.LATER,
    "PROVIDER_UNREACHABLE": _A.LATER,
    "REFUND_FAILED": _A.CONTACT_US,
    "REFUND_PENDING": _A.WAIT,
    "SEAT_UNAVAILABLE": _A.ANOTHER_SEAT,
    "SIMULATED": _A.NOTHING,
    "TIMEOUT": _A.LATER,
    "UNREADABLE": _A.CONTACT_US,
    "UNRESOLVED": _A.WAIT,
}


def advice_on(code: str) -> FailureAdvice:
    """What to offer a customer after a failure with this code."""
    return FAILURES.get(code, FailureAdvice.CONTACT_US)
