"""CONFIRM_BOOKING, the pivot: pin, capture, and turn holds into a booking."""

from __future__ import annotations

from collections.abc import Sequence

from domain import loyalty, payments, seats
from domain.bookings import records
from domain.bookings.closing import FLIGHT_CLOSED, HOLD_EXPIRED, Closing
from domain.bookings.contexts import BookingContext
from domain.bookings.steps.seats import earliest_closings
from domain.facts import BookingFacts
from domain.money import Money
from domain.outcome import Busy, Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentGateway, PaymentStatus
from domain.saga import Batch, Member, PrepareVerdict, Ready, SettleVerdict

__all__ = ["ConfirmationSteps"]


class ConfirmationSteps:
    """Decides, captures the payment, and issues the booking."""

    def __init__(self, gateway: PaymentGateway, closing: Closing) -> None:
        self._gateway = gateway
        self._closing = closing

    @staticmethod
    def is_to_capture(member: Member[BookingContext]) -> bool:
        """Whether there is something to capture."""
        return member.context.payable > 0

    async def pin(self, batch: Batch[BookingContext]) -> Sequence[PrepareVerdict]:
        """Claim every hold, if none has lapsed and no flight has closed.

        From the commit on, neither cancel nor expiry decides.

        The engine sets the pin on the saga's row, which this turn has locked and whose signals it has
        obeyed. The holds are locked here, and only then compared with the clock.
        """
        unpinned = [member for member in batch.members if not member.pinned]
        closes_at = await earliest_closings(batch, self._closing)
        claims = await seats.claim(
            batch.connection, [m.saga_id for m in unpinned], clock=batch.clock, closes_at=closes_at
        )
        answers = {member.saga_id: claim for member, claim in zip(unpinned, claims, strict=True)}
        verdicts: list[PrepareVerdict] = []
        for member in batch.members:
            match answers.get(member.saga_id):
                case Busy():
                    verdicts.append(Busy())
                case seats.Lapsed():
                    verdicts.append(HOLD_EXPIRED)
                case seats.Closed():
                    verdicts.append(FLIGHT_CLOSED)
                case _ if member.context.payable > 0:
                    verdicts.append(Ready())
                case _:
                    verdicts.append(Succeeded("nothing to capture"))
        return verdicts

    async def capture(self, member: Member[BookingContext]) -> Outcome:
        """Take the money that was reserved."""
        context = member.context
        if context.payment_reference is None:
            return Refused("PAYMENT_MISSING", "No payment was authorized.")
        amount = Money(context.payable, context.currency)
        return await payments.capture(self._gateway, context.payment_reference, amount, member.key("capture"))

    async def settle(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Make the held seats booked and the pending miles spendable, and issue the reference: in one transaction."""
        verdicts: dict[str, SettleVerdict] = {}
        captured = []
        for member in batch.members:
            match member.outcome:
                case Succeeded():
                    captured.append(member)
                case outcome:
                    verdicts[member.saga_id] = outcome or Unknown("INTERRUPTED", "The answer was lost.")
        ready = await self._lock_accounts(batch, captured, verdicts)
        confirmed = await self._confirm_seats(batch, ready, verdicts)
        await loyalty.post(batch.connection, [m.saga_id for m in confirmed if m.context.member], at=batch.at)
        paid = [m.saga_id for m in confirmed if m.context.payable > 0]
        await payments.mark(batch.connection, [(saga_id, PaymentStatus.CAPTURED) for saga_id in paid], at=batch.at)
        await payments.mark(
            batch.connection,
            [(saga_id, PaymentStatus.UNKNOWN) for saga_id, verdict in verdicts.items() if isinstance(verdict, Unknown)],
            at=batch.at,
        )
        references = await records.confirm(
            batch.connection,
            [
                records.NewBooking(
                    m.saga_id,
                    m.context.subject,
                    Money(m.context.total, m.context.currency),
                    m.context.miles,
                    m.context.points,
                )
                for m in confirmed
            ],
            at=batch.at,
        )
        await records.add_bought(
            batch.connection,
            [
                (m.context.subject, segment.flight_id, m.saga_id, m.context.passengers)
                for m in confirmed
                if m.context.is_counted
                for segment in m.context.segments
            ],
        )
        for member, reference in zip(confirmed, references, strict=True):
            member.context.booking_reference = reference
            verdicts[member.saga_id] = Succeeded(facts=BookingFacts(reference))
        return [verdicts[member.saga_id] for member in batch.members]

    async def _lock_accounts(
        self, batch: Batch[BookingContext], members: list[Member[BookingContext]], verdicts: dict[str, SettleVerdict]
    ) -> list[Member[BookingContext]]:
        """Leave out members whose account is busy before any of their rows is written: all of a member or nothing."""
        locked = await loyalty.lock(batch.connection, [m.context.member for m in members if m.context.member])
        ready = []
        for member in members:
            if member.context.member is None or member.context.member in locked:
                ready.append(member)
            else:
                verdicts[member.saga_id] = Busy()
        return ready

    async def _confirm_seats(
        self, batch: Batch[BookingContext], members: list[Member[BookingContext]], verdicts: dict[str, SettleVerdict]
    ) -> list[Member[BookingContext]]:
        confirmed = []
        answers = await seats.confirm(batch.connection, [member.saga_id for member in members], at=batch.at)
        for member, answer in zip(members, answers, strict=True):
            match answer:
                case seats.Confirmed():
                    confirmed.append(member)
                case Busy():
                    verdicts[member.saga_id] = Busy()
                case seats.NotHeld():
                    verdicts[member.saga_id] = Refused("HOLD_LOST", "The seats are no longer held.")
        return confirmed
