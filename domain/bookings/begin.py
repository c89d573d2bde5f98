"""The rows that this feature writes in the transaction that starts a saga."""

from __future__ import annotations

from collections.abc import Sequence

from domain import saga
from domain.bookings import records
from domain.bookings.caller_holds import refuse_too_many
from domain.bookings.contexts import BookingContext, CancellationContext
from domain.bookings.model import BookingStatus, Passenger
from domain.outcome import Refused
from domain.saga import Batch, SagaStatus

__all__ = ["begin_bookings", "begin_cancellations"]


async def begin_bookings(batch: Batch[BookingContext]) -> Sequence[Refused | None]:
    """Refuse callers with too many seats or failures; move the passengers of the others to their own table."""
    refused = await refuse_too_many(batch)
    people = []
    for member in batch.members:
        if member.saga_id in refused:
            continue
        records_ = member.context.new_passengers
        people.append((member.saga_id, [Passenger(r.given_name, r.family_name, r.date_of_birth) for r in records_]))
        member.context.new_passengers = ()
        member.context.limits = None
    await records.add_passengers(batch.connection, people)
    return [refused.get(member.saga_id) for member in batch.members]


async def begin_cancellations(batch: Batch[CancellationContext]) -> Sequence[Refused | None]:
    """Make each saga its booking's one cancellation. A cancellation that was undone is replaced."""
    locked = await records.lock(batch.connection, [member.context.booking_id for member in batch.members])
    earlier_ids = [booking.cancellation_id for booking in locked.values() if booking.cancellation_id]
    earlier = await saga.by_ids(batch.connection, earlier_ids) if earlier_ids else {}
    answers: list[Refused | None] = []
    taken: dict[str, str] = {}
    for member in batch.members:
        booking = locked.get(member.context.booking_id)
        if booking is None:
            answers.append(Refused("BUSY", "The booking is being changed at this very moment.", passing=True))
            continue
        before = earlier.get(booking.cancellation_id or "")
        is_free = booking.cancellation_id is None or (before and before.status is SagaStatus.COMPENSATED)
        if booking.id in taken or not is_free or booking.status is not BookingStatus.CONFIRMED:
            answers.append(Refused("BOOKING_NOT_CANCELLABLE", f"Booking {booking.reference} cannot be cancelled."))
        else:
            taken[booking.id] = member.saga_id
            answers.append(None)
    await records.set_cancellation(batch.connection, list(taken.items()))
    return answers
