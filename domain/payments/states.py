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
    REFUND_PENDING = "REFUND_PENDING"
    """The provider has accepted the refund but not finished it; it may still fail."""
    REFUNDED = "REFUNDED"
    """The money was given back."""
    DISPUTED = "DISPUTED"
    """A chargeback: the card's holder reclaimed the money through their bank."""
    DECLINED = "DECLINED"
    """The provider refused."""
    UNKNOWN = "UNKNOWN"
    """The provider's last answer was lost; the state is being read."""

    @property
    def is_resolved(self) -> bool:
        """Whether no money is, or can still become, authorized or captured."""
        return self in (PaymentStatus.VOIDED, PaymentStatus.REFUNDED, PaymentStatus.DECLINED)

    @property
    def is_taken(self) -> bool:
        """Whether the money was taken. Then the provider's object may change without us: refunds, chargebacks."""
        return self in _TAKEN


_LOST = PaymentStatus.UNKNOWN
_TAKEN = frozenset(
    {PaymentStatus.CAPTURED, PaymentStatus.REFUND_PENDING, PaymentStatus.REFUNDED, PaymentStatus.DISPUTED}
)
PAYMENT_TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.DECLINED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.AUTHORIZED: frozenset({*_TAKEN, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.CAPTURED: _TAKEN - {PaymentStatus.CAPTURED},
    PaymentStatus.UNKNOWN: frozenset(
        {*_TAKEN, PaymentStatus.PENDING, PaymentStatus.AUTHORIZED, PaymentStatus.DECLINED, PaymentStatus.VOIDED}
    ),
    # A passing refusal is tried again, another card may be tried; undoing one makes the reference refuse late requests.
    PaymentStatus.DECLINED: frozenset({PaymentStatus.PENDING, PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.VOIDED: frozenset(),
    # A refund may fail, at some providers also after it has succeeded: then the money is with us again. A dispute that
    # we win leaves the payment as it was.
    PaymentStatus.REFUND_PENDING: _TAKEN - {PaymentStatus.REFUND_PENDING},
    PaymentStatus.REFUNDED: _TAKEN - {PaymentStatus.REFUNDED},
    PaymentStatus.DISPUTED: _TAKEN - {PaymentStatus.DISPUTED},
}
