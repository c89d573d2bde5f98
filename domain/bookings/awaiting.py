"""What a waiting booking asks of its customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from domain.bookings.contexts import BookingContext
from domain.events import Failure
from domain.money import Money
from domain.payments import NeedsHolder
from domain.saga import SagaView

__all__ = ["CARD_CONFIRMATION", "PAYMENT", "REFUND", "CardConfirmationAwaited", "PaymentAwaited", "awaited"]

#: The saga waits for a card. The word that ends the wait is the card's token.
PAYMENT: Final = "PAYMENT"
#: The saga waits for the answer of the card's holder to the bank. No word ends the wait, only a look.
CARD_CONFIRMATION: Final = "CARD_CONFIRMATION"
#: The step waits for the end of a refund, or of a dispute. No word ends the wait, only a look.
REFUND: Final = "REFUND"


@dataclass(frozen=True, slots=True)
class _Awaited:
    """The answer must arrive before `until` (microseconds). `last_failure`: why the try before failed."""

    until: int
    last_failure: Failure | None


@dataclass(frozen=True, slots=True)
class PaymentAwaited(_Awaited):
    """A card is needed, to pay `amount`."""

    amount: Money


@dataclass(frozen=True, slots=True)
class CardConfirmationAwaited(_Awaited):
    """The bank asks the card's holder, who answers where `confirmation` says."""

    confirmation: NeedsHolder


def awaited(view: SagaView) -> PaymentAwaited | CardConfirmationAwaited | None:
    """What the customer is asked for; None if that is nothing, or something that only a newer release knows."""
    waits = view.awaiting
    if waits is None or waits.wants not in (PAYMENT, CARD_CONFIRMATION):
        return None
    try:
        context = msgspec.json.decode(view.context, type=BookingContext)
    except msgspec.MsgspecError:
        return None
    if waits.wants == PAYMENT:
        return PaymentAwaited(waits.until, waits.failure, Money(context.payable, context.currency))
    return CardConfirmationAwaited(waits.until, waits.failure, context.confirmation or NeedsHolder())
