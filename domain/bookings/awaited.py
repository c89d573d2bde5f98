"""What a saga waits for, as its customer needs it."""

from __future__ import annotations

import msgspec

from domain.bookings.contexts import BookingContext
from domain.bookings.steps.payment import CARD_CONFIRMATION
from domain.payments import NeedsHolder
from domain.saga import SagaView

__all__ = ["card_confirmation"]


def card_confirmation(view: SagaView) -> NeedsHolder | None:
    """What the card's holder needs to answer; None unless the saga waits for it.

    For the saga's owner alone: its bearer can answer for the holder.
    """
    if view.awaiting is None or view.awaiting.wants != CARD_CONFIRMATION:
        return None
    holder = msgspec.json.decode(view.context, type=BookingContext).holder
    return None if holder is None else NeedsHolder(holder.client_secret, holder.url)
