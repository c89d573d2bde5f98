"""The port to a payment provider. Every answer is a value, also an error of the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from domain.money import Money
from domain.outcome import Outcome

__all__ = ["PaymentGateway", "PaymentOrder", "ProviderPayment", "ProviderState"]


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """The amount to pay, the saga, and the card (its token at the provider)."""

    correlation_id: str
    amount: Money
    token: str | None = field(default=None, repr=False)


class ProviderState(StrEnum):
    """A reference's state at the provider."""

    ABSENT = "ABSENT"
    """The provider does not know the reference."""
    OPEN = "OPEN"
    """It exists; no money is reserved."""
    AUTHORIZED = "AUTHORIZED"
    """Money is reserved."""
    CAPTURED = "CAPTURED"
    """Money is taken."""
    VOIDED = "VOIDED"
    """It refuses every operation for good; no money was taken."""
    REFUNDED = "REFUNDED"
    """Money was taken and given back."""


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """The result of `read`."""

    reference: str
    state: ProviderState


class PaymentGateway(Protocol):
    """One payment provider.

    Guarantees to callers: an operation repeated under its idempotency key has its effect at most once
    and repeats its answer. `Refused` is proven without effect. `Unknown` with code PROVIDER_ERROR was
    answered, so the request is over; any other may still take effect. No method raises for a
    provider's error. `read` succeeds with a ProviderPayment.
    """

    @property
    def name(self) -> str:
        """The provider's name, as stored with each payment."""
        ...

    @property
    def takes_our_reference(self) -> bool:
        """Whether we name the provider's object for the payment, so that `open` is not needed."""
        ...

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        """Make the provider's object; moves no money. Succeeds with its reference as data."""
        ...

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        """Reserve the money."""
        ...

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        """Take the money that is reserved."""
        ...

    async def void(self, reference: str, key: str) -> Outcome:
        """Give the authorization up, and refuse later ones."""
        ...

    async def refund(self, reference: str, key: str) -> Outcome:
        """Give the money back."""
        ...

    async def read(self, reference: str) -> Outcome:
        """The provider's state of the reference."""
        ...

    async def start(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Finish running requests and disconnect."""
        ...
