"""The steps of CANCEL_BOOKING: the first is the pivot; the others go forward until they succeed."""

from __future__ import annotations

from collections.abc import Sequence

from domain import flights, loyalty, payments, seats
from domain.bookings import records
from domain.bookings.contexts import CancellationContext
from domain.bookings.model import BookingStatus
from domain.bookings.steps.payment import settle_undo, undo
from domain.bookings.steps.seats import released
from domain.facts import BookingFacts, LoyaltyFacts
from domain.outcome import Busy, Outcome, Refused, Succeeded
from domain.payments import PaymentGateway, PaymentStatus
from domain.saga import Batch, Member, PrepareVerdict, Ready, SettleVerdict, Skipped

__all__ = ["CancellationSteps"]


class CancellationSteps:
    """Undoes a confirmed booking."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    @staticmethod
    def is_to_refund(member: Member[CancellationContext]) -> bool:
        """Whether something was paid."""
        return member.context.payment_reference is not None

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
                verdicts.append(Succeeded(facts=BookingFacts(booking.reference, BookingStatus.CANCELLING.value)))
        await records.move(batch.connection, moved, BookingStatus.CONFIRMED, BookingStatus.CANCELLING)
        return verdicts

    async def prepare_refund(self, batch: Batch[CancellationContext]) -> Sequence[PrepareVerdict]:
        """Skip the refund if nothing was paid."""
        return [
            Ready() if member.context.payment_reference else Skipped("nothing was paid") for member in batch.members
        ]

    async def refund(self, member: Member[CancellationContext]) -> Outcome:
        """Give the money back. It was captured: every confirmed booking has paid."""
        return await undo(self._gateway, member, known=PaymentStatus.CAPTURED)

    async def settle_refund(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Write the refund's result on the payment of the booking's saga; wait for one that is pending."""
        return await self._settle_refund(batch, waits=True)

    async def settle_refund_without_waits(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """The same, in the version that tries again until a refund that is pending has ended."""
        return await self._settle_refund(batch, waits=False)

    async def _settle_refund(self, batch: Batch[CancellationContext], *, waits: bool) -> Sequence[SettleVerdict]:
        booking_sagas = {member.saga_id: member.context.booking_saga_id for member in batch.members}
        paid = await payments.payments_of(batch.connection, list(booking_sagas.values()))
        amounts = {saga_id: paid[its].amount for saga_id, its in booking_sagas.items() if its in paid}
        return await settle_undo(batch, amounts, booking_sagas, waits=waits)

    async def restore_loyalty(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Take awarded miles back, and return redeemed points."""
        answers = await loyalty.restore(
            batch.connection, [member.context.booking_saga_id for member in batch.members], at=batch.at
        )
        verdicts: list[SettleVerdict] = []
        for answer in answers:
            match answer:
                case Busy():
                    verdicts.append(Busy())
                case loyalty.NothingToRestore():
                    verdicts.append(Skipped("no loyalty member"))
                case loyalty.Restored(number, miles, points):
                    # The miles of a confirmed booking are posted.
                    facts = LoyaltyFacts(number, miles=-miles, points=points, posted=True)
                    verdicts.append(Succeeded(facts=facts))
        return verdicts

    async def cancel_seats(self, batch: Batch[CancellationContext]) -> Sequence[SettleVerdict]:
        """Make the seats available again; the booking is then CANCELLED."""
        locked = await records.lock(batch.connection, [m.context.booking_id for m in batch.members])
        ready = [member for member in batch.members if member.context.booking_id in locked]
        answers = await seats.cancel(batch.connection, [m.context.booking_saga_id for m in ready], at=batch.at)
        numbers = {
            id_: flight.number
            for id_, flight in (
                await flights.flights_by_ids(batch.connection, [id_ for m in ready for id_ in m.context.flight_ids])
            ).items()
        }
        verdicts: dict[str, SettleVerdict] = {}
        done = []
        for member, answer in zip(ready, answers, strict=True):
            match answer:
                case seats.Released():
                    done.append(member.context.booking_id)
                    verdicts[member.saga_id] = released(answer, numbers)
                case Busy():
                    verdicts[member.saga_id] = Busy()
        await records.move(batch.connection, done, BookingStatus.CANCELLING, BookingStatus.CANCELLED)
        return [verdicts.get(member.saga_id, Busy()) for member in batch.members]
