"""The flights and the member of a saga, known from its start."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from domain.bookings.contexts import BookingContext, CancellationContext
from domain.bookings.model import DefinitionName
from domain.saga import SagaView

__all__ = ["Itinerary", "itinerary"]


@dataclass(frozen=True, slots=True)
class Itinerary:
    """The flights in travel order, the member, and the saga that owns passengers, seats and payment.

    A cancellation has the itinerary of its booking.
    """

    booking_saga_id: str
    flight_ids: tuple[int, ...]
    payment_reference: str | None
    cabins: tuple[str, ...] = ()
    member_number: str | None = None


def itinerary(view: SagaView) -> Itinerary | None:
    """The itinerary of a saga, from its context alone; None if the context cannot be read."""
    try:
        return _read(view)
    except msgspec.MsgspecError:
        return None


def _read(view: SagaView) -> Itinerary:
    if view.definition == DefinitionName.CANCEL_BOOKING:
        cancellation = msgspec.json.decode(view.context, type=CancellationContext)
        return Itinerary(cancellation.booking_saga_id, cancellation.flight_ids, cancellation.payment_reference)
    booking = msgspec.json.decode(view.context, type=BookingContext)
    return Itinerary(
        view.id,
        tuple(segment.flight_id for segment in booking.segments),
        booking.payment_reference,
        tuple(segment.cabin.value for segment in booking.segments),
        booking.member,
    )
