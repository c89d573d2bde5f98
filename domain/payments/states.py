"""The states of a payment, and the allowed transitions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["PAYMENT_TRANSITIONS", "PaymentStatus"]


class PaymentStatus(StrEnum):
    """The state of a payment in our records."""

    PENDING = "PENDING"
    """Opened at the provider, or the card's holder is asked; no money touched."""
    AUTHORIZED = "AUTHORIZED"
    """The money is reserved."""
    CAPTURED = "CAPTURED"
    """The money is taken."""
    VOIDED = "VOIDED"
    """The authorization is given up; no money was, or will be, taken."""
    REFUNDED = "REFUNDED"
    """The money was given back."""
    DECLINED = "DECLINED"
    """The provider refused."""
    UNKNOWN = "UNKNOWN"
    """The provider's last answer was lost; the state is being read."""

    @property
    def is_resolved(self) -> bool:
        """Whether no money is, or can still become, authorized or captured."""
        return self in (PaymentStatus.VOIDED, PaymentStatus.REFUNDED, PaymentStatus.DECLINED)


_LOST = PaymentStatus.UNKNOWN
PAYMENT_TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.DECLINED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.AUTHORIZED: frozenset({PaymentStatus.CAPTURED, PaymentStatus.VOIDED, PaymentStatus.REFUNDED, _LOST}),
    PaymentStatus.CAPTURED: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.UNKNOWN: frozenset(
        {
            PaymentStatus.PENDING,
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CAPTURED,
            PaymentStatus.DECLINED,
            PaymentStatus.VOIDED,
            PaymentStatus.REFUNDED,
        }
    ),
    # A passing refusal is tried again, another card may be tried; undoing one makes the reference refuse late requests.
    PaymentStatus.DECLINED: frozenset({PaymentStatus.PENDING, PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.VOIDED: frozenset(),
    PaymentStatus.REFUNDED: frozenset(),
}
