"""The port to a payment provider. Every answer is a value; trouble at the provider is one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from domain.money import Money
from domain.outcome import Outcome

__all__ = ["PaymentGateway", "PaymentOrder", "ProviderPayment", "ProviderState"]


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """What is to be paid, for which saga, with which card (its token at the provider)."""

    correlation_id: str
    amount: Money
    token: str | None = field(default=None, repr=False)


class ProviderState(StrEnum):
    """A reference as the provider knows it."""

    ABSENT = "ABSENT"
    """The provider has never heard of it."""
    OPEN = "OPEN"
    """It exists; no money is reserved."""
    AUTHORIZED = "AUTHORIZED"
    """Money is reserved."""
    CAPTURED = "CAPTURED"
    """Money is taken."""
    VOIDED = "VOIDED"
    """It refuses everything for good; nothing was taken."""
    REFUNDED = "REFUNDED"
    """Money was taken and given back."""


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """What `read` finds."""

    reference: str
    state: ProviderState


class PaymentGateway(Protocol):
    """One payment provider.

    Guarantees that callers rely on: an operation repeated under its idempotency key has its
    effect at most once and repeats its answer. `Refused` is proven without effect. `Unknown`
    with code PROVIDER_ERROR was answered, so the request is over; any other may still land.
    No method raises for the provider's trouble. `read` succeeds with a ProviderPayment.
    """

    @property
    def name(self) -> str:
        """The provider, as kept with each payment."""
        ...

    @property
    def takes_our_reference(self) -> bool:
        """Whether we name the object that money is handled by, so that `open` is not needed."""
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
        """Give the reservation up, and refuse any that comes later."""
        ...

    async def refund(self, reference: str, key: str) -> Outcome:
        """Give the money back."""
        ...

    async def read(self, reference: str) -> Outcome:
        """What the provider knows."""
        ...

    async def start(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        ...
