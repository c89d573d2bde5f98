"""Where a payment stands, and what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["PAYMENT_TRANSITIONS", "PaymentStatus"]


class PaymentStatus(StrEnum):
    """A payment as we know it."""

    PENDING = "PENDING"
    """Opened at the provider; no money touched."""
    AUTHORIZED = "AUTHORIZED"
    """The money is reserved."""
    CAPTURED = "CAPTURED"
    """The money is taken."""
    VOIDED = "VOIDED"
    """The reservation is given up; nothing was, or will be, taken."""
    REFUNDED = "REFUNDED"
    """The money was given back."""
    DECLINED = "DECLINED"
    """The provider refused."""
    UNKNOWN = "UNKNOWN"
    """The provider's last answer was lost; being found out."""

    @property
    def is_resolved(self) -> bool:
        """Whether no money is, or can come to be, reserved or taken."""
        return self in (PaymentStatus.VOIDED, PaymentStatus.REFUNDED, PaymentStatus.DECLINED)


_LOST = PaymentStatus.UNKNOWN
PAYMENT_TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.DECLINED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.AUTHORIZED: frozenset({PaymentStatus.CAPTURED, PaymentStatus.VOIDED, PaymentStatus.REFUNDED, _LOST}),
    PaymentStatus.CAPTURED: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.UNKNOWN: frozenset(
        {
            PaymentStatus.AUTHORIZED,
            PaymentStatus.CAPTURED,
            PaymentStatus.DECLINED,
            PaymentStatus.VOIDED,
            PaymentStatus.REFUNDED,
        }
    ),
    # A refusal that passes is tried again; undoing one makes the reference refuse latecomers.
    PaymentStatus.DECLINED: frozenset({PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED, _LOST}),
    PaymentStatus.VOIDED: frozenset(),
    PaymentStatus.REFUNDED: frozenset(),
}
