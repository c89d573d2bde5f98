"""The port to a payment provider. Every answer is a value, also an error of the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded
from domain.payments.declines import CARD_NOT_CONFIRMED

__all__ = [
    "NeedsHolder",
    "PaymentGateway",
    "PaymentOrder",
    "ProviderPayment",
    "ProviderState",
]


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """The amount to pay, the saga, and the card (its token at the provider).

    After a refusal, another card may be tried on the same reference, under the key of a new round.
    """

    correlation_id: str
    amount: Money
    token: str | None = field(default=None, repr=False)


class ProviderState(StrEnum):
    """A reference's state at the provider."""

    ABSENT = "ABSENT"
    """The provider does not know the reference."""
    OPEN = "OPEN"
    """It exists; no money is reserved. Another card may be tried."""
    NEEDS_HOLDER = "NEEDS_HOLDER"
    """The card's holder is asked to confirm (3-D Secure); no money is reserved, and it will be once they confirm."""
    AUTHORIZED = "AUTHORIZED"
    """Money is reserved."""
    CAPTURED = "CAPTURED"
    """Money is taken."""
    VOIDED = "VOIDED"
    """It refuses every operation for good; no money was taken."""
    REFUND_PENDING = "REFUND_PENDING"
    """Money was taken, and a refund of it is accepted but not finished: it may still fail."""
    REFUNDED = "REFUNDED"
    """Money was taken and given back."""
    DISPUTED = "DISPUTED"
    """The card's holder reclaims the money through their bank, which is still to decide. It cannot be refunded now."""
    CHARGED_BACK = "CHARGED_BACK"
    """The bank has given the money back to the card's holder, for good."""


@dataclass(frozen=True, slots=True)
class NeedsHolder:
    """The card's holder must confirm the payment: by the provider's browser library, or on the page at `url`.

    The one or the other is set. Its bearer can answer for the holder: it is never logged, and it is kept
    only while the saga waits. `url` is relative to our own origin if it is a path.
    """

    client_secret: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """The result of `read`. `holder` is set in the state NEEDS_HOLDER, and only there.

    `refusal`: why the last card was refused, in the state OPEN; why the last refund failed, in the state CAPTURED; None
    if the provider does not say so. `refunded`: the amount that is refunded for certain; None if there is none.
    """

    reference: str
    state: ProviderState
    holder: NeedsHolder | None = None
    refusal: Refused | None = None
    refunded: Money | None = None

    def __post_init__(self) -> None:
        # Otherwise a payment without a holder to ask could pass for an authorized one.
        if (self.state is ProviderState.NEEDS_HOLDER) is not (self.holder is not None):
            raise ValueError(f"holder does not belong to {self.state.value}, or is missing")

    @property
    def had_refunds(self) -> bool:
        """Whether the provider shows refunds that were made before, also failed ones, of a payment that is CAPTURED."""
        return self.state is ProviderState.CAPTURED and (self.refusal is not None or self.refunded is not None)

    def as_authorization(self) -> Outcome:
        """The outcome of an authorization that leaves the payment in this state."""
        match self.state:
            case ProviderState.AUTHORIZED | ProviderState.CAPTURED:
                return Succeeded("authorized")
            case ProviderState.NEEDS_HOLDER:
                return Succeeded("needs the card's holder", self.holder)
            case ProviderState.OPEN:
                return self.refusal or CARD_NOT_CONFIRMED
            case ProviderState.ABSENT:
                return Refused("PAYMENT_UNKNOWN", "The provider does not know this payment.")
            case ProviderState.VOIDED | ProviderState.REFUNDED:
                return Refused("PAYMENT_VOIDED", f"The payment was {self.state.value.lower()}.")
            case ProviderState.REFUND_PENDING | ProviderState.DISPUTED | ProviderState.CHARGED_BACK:
                return Refused("PAYMENT_VOIDED", f"The payment is {self.state.value}.")


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
        """Reserve the money. Succeeds with NeedsHolder as data if the card's holder must confirm first.

        After a refusal, another card may be tried on the same reference under another key: at most one
        authorization can stand on a reference.
        """
        ...

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        """Take the money that is reserved."""
        ...

    async def void(self, reference: str, key: str) -> Outcome:
        """Give the authorization up, and refuse later ones; also what the card's holder confirms later."""
        ...

    async def refund(self, reference: str, key: str) -> Outcome:
        """Give back what is left of the money.

        Succeeds with the state as data: REFUNDED, or REFUND_PENDING if the refund is accepted but may still fail. Then
        only `read` tells what comes of it: a repeated request repeats its first answer. Refused with REFUND_FAILED if
        the provider could not give it back.
        """
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
