"""The steps of CANCEL_BOOKING: after the first, which decides, they go forward until they succeed."""

from __future__ import annotations

from collections.abc import Sequence

from domain import loyalty, payments, seats
from domain.bookings import records
from domain.bookings.contexts import CancellationContext
from domain.bookings.model import BookingStatus
from domain.bookings.steps.payment import settle_undo
from domain.outcome import Outcome, Refused, Succeeded
from domain.payments import PaymentGateway, PaymentStatus
from domain.saga import Batch, Busy, Member, PrepareVerdict, Ready, SettleVerdict, Skipped

__all__ = ["CancellationSteps"]


class CancellationSteps:
    """Undoes a confirmed booking."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    async def cancel_booking(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """The pivot: CONFIRMED becomes CANCELLING, once."""
        locked = await records.lock(batch.connection, [m.context.booking_id for m in batch.members])
        verdicts: list[SettleVerdict] = []
        moved = []
        for member in batch.members:
            booking = locked.get(member.context.booking_id)
            if booking is None:
                verdicts.append(Busy())
            elif booking.status is not BookingStatus.CONFIRMED or booking.cancellation_id != member.saga_id:
                message = f"The booking {booking.reference} is {booking.status.value}."
                verdicts.append(Refused("BOOKING_NOT_CANCELLABLE", message))
            else:
                moved.append(booking.id)
                verdicts.append(Succeeded(f"booking {booking.reference} is being cancelled"))
        await records.move(batch.connection, moved, BookingStatus.CONFIRMED, BookingStatus.CANCELLING)
        return verdicts

    async def prepare_refund(self, batch: Batch[CancellationContext]) -> Sequence[PrepareVerdict]:
        """There is something to refund where there was something to pay."""
        return [
            Ready() if member.context.payment_reference else Skipped("nothing was paid") for member in batch.members
        ]

    async def refund(self, member: Member[CancellationContext]) -> Outcome:
        """Give the money back, which was taken: there is no confirmed booking without."""
        return await payments.ensure_no_charge(
            self._gateway, member.context.payment_reference, member.key, known=PaymentStatus.CAPTURED
        )

    async def settle_refund(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Write how the money came back, on the payment of the booking's saga."""
        return await settle_undo(batch, {m.saga_id: m.context.booking_saga_id for m in batch.members})

    async def restore_loyalty(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Take awarded miles back, and return redeemed points."""
        answers = await loyalty.restore(
            batch.connection, [member.context.booking_saga_id for member in batch.members], at=batch.at
        )
        verdicts: list[SettleVerdict] = []
        for answer in answers:
            match answer:
                case loyalty.Busy():
                    verdicts.append(Busy())
                case loyalty.NothingToRestore():
                    verdicts.append(Skipped("no loyalty member"))
                case loyalty.Restored(miles, points):
                    verdicts.append(Succeeded(f"{miles:,} miles reversed, {points:,} points returned"))
        return verdicts

    async def cancel_seats(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Make the seats available again; the booking is then CANCELLED."""
        locked = await records.lock(batch.connection, [m.context.booking_id for m in batch.members])
        ready = [member for member in batch.members if member.context.booking_id in locked]
        answers = await seats.cancel(batch.connection, [m.context.booking_saga_id for m in ready], at=batch.at)
        verdicts: dict[str, SettleVerdict] = {}
        done = []
        for member, answer in zip(ready, answers, strict=True):
            match answer:
                case seats.Released(number):
                    done.append(member.context.booking_id)
                    verdicts[member.saga_id] = Succeeded(f"{number} {'seat' if number == 1 else 'seats'} released")
                case seats.Busy():
                    verdicts[member.saga_id] = Busy()
        await records.move(batch.connection, done, BookingStatus.CANCELLING, BookingStatus.CANCELLED)
        return [verdicts.get(member.saga_id, Busy()) for member in batch.members]
