"""RESERVE_SEAT and its undoing."""

from __future__ import annotations

from collections.abc import Sequence

from domain import seats
from domain.bookings.contexts import BookingContext
from domain.outcome import Refused, Succeeded
from domain.saga import Batch, Busy, SettleVerdict

__all__ = ["SeatSteps"]


class SeatSteps:
    """Holds seats for `hold_seconds`, and lets go of them."""

    def __init__(self, hold_seconds: int) -> None:
        self._hold_seconds = hold_seconds

    async def reserve(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Hold every seat of every member's journey, or none of a member's; the hold is the saga's deadline."""
        wishes = [
            seats.SeatWish(
                member.saga_id,
                member.correlation_id,
                tuple(
                    seats.SegmentWish(segment.flight_id, segment.cabin, segment.seats)
                    for segment in member.context.segments
                ),
                member.context.passengers,
            )
            for member in batch.members
        ]
        verdicts: list[SettleVerdict] = []
        answers = await seats.hold(batch.connection, wishes, clock=batch.clock, hold_seconds=self._hold_seconds)
        for member, answer in zip(batch.members, answers, strict=True):
            match answer:
                case seats.Held(expires_at, held):
                    batch.deadlines[member.saga_id] = expires_at
                    numbers = ", ".join(seat.number for seat in held)
                    verdicts.append(Succeeded(f"{'seat' if len(held) == 1 else 'seats'} {numbers} held"))
                case seats.SeatUnavailable():
                    verdicts.append(Refused("SEAT_UNAVAILABLE", _explain(answer, member.context)))
                case seats.Busy():
                    verdicts.append(Busy())
        return verdicts

    async def release(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Let go of what is held; what has expired meanwhile is as good as released."""
        verdicts: list[SettleVerdict] = []
        for answer in await seats.release(batch.connection, batch.saga_ids, at=batch.at):
            match answer:
                case seats.Released(0):
                    verdicts.append(Succeeded("no seat was held any more"))
                case seats.Released(number):
                    verdicts.append(Succeeded(f"{number} {'seat' if number == 1 else 'seats'} released"))
                case seats.Busy():
                    verdicts.append(Busy())
        return verdicts


def _explain(answer: seats.SeatUnavailable, context: BookingContext) -> str:
    flight = next(segment.number for segment in context.segments if segment.flight_id == answer.flight_id)
    if answer.seats:
        numbers = ", ".join(seats.seat_number(seat) for seat in answer.seats)
        return f"Taken on flight {flight}: {numbers}."
    return f"Too few seats are left in {answer.cabin.value} on flight {flight}."
