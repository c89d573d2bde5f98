"""RESERVE_SEAT and its compensation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from domain import flights, seats
from domain.bookings.closing import FLIGHT_CLOSED, Closing
from domain.bookings.contexts import BookingContext
from domain.facts import FlightSeats, SeatFacts
from domain.outcome import Busy, Refused, Succeeded
from domain.saga import Batch, SettleVerdict
from domain.seats import CabinClass, SeatReservationStatus

__all__ = ["SeatSteps", "earliest_closings", "released"]


class SeatSteps:
    """Holds seats for `hold_seconds`, but never longer than until their flight closes, and releases them."""

    def __init__(self, hold_seconds: int, closing: Closing) -> None:
        self._hold_seconds = hold_seconds
        self._closing = closing

    async def reserve(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Hold every seat of every member's journey, or none of a member's; the hold's end is the saga's deadline."""
        closes_at = await earliest_closings(batch, self._closing)
        wishes = [
            seats.SeatWish(
                member.saga_id,
                member.correlation_id,
                tuple(
                    seats.FlightWish(segment.flight_id, segment.cabin, segment.seats)
                    for segment in member.context.segments
                ),
                member.context.passengers,
                closes_at.get(member.saga_id),
            )
            for member in batch.members
        ]
        verdicts: list[SettleVerdict] = []
        answers = await seats.hold(
            batch.connection,
            wishes,
            clock=batch.clock,
            hold_seconds=self._hold_seconds,
            hold_seconds_min=self._closing.booking_seconds,
        )
        for member, answer in zip(batch.members, answers, strict=True):
            match answer:
                case seats.Held(expires_at, held):
                    batch.deadlines[member.saga_id] = expires_at
                    segments = member.context.segments
                    taken = [(seat.flight_id, segments[seat.segment].cabin, seat.number) for seat in held]
                    facts = _seat_facts(SeatReservationStatus.HELD, taken, _numbers(member.context))
                    verdicts.append(Succeeded(facts=facts))
                case seats.SeatUnavailable():
                    verdicts.append(Refused("SEAT_UNAVAILABLE", _explain(answer, member.context)))
                case seats.Closed():
                    verdicts.append(FLIGHT_CLOSED)
                case Busy():
                    verdicts.append(Busy())
        return verdicts

    async def release(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Release the held seats; seats that have expired meanwhile count as released."""
        verdicts: list[SettleVerdict] = []
        answers = await seats.release(batch.connection, batch.saga_ids, at=batch.at)
        for member, answer in zip(batch.members, answers, strict=True):
            match answer:
                case seats.Released():
                    verdicts.append(released(answer, _numbers(member.context)))
                case Busy():
                    verdicts.append(Busy())
        return verdicts


async def earliest_closings(batch: Batch[BookingContext], closing: Closing) -> dict[str, int]:
    """When the first flight of each member's journey closes, by saga ID. Reads the flights' current times.

    One statement for any number of members.
    """
    journeys = {m.saga_id: [segment.flight_id for segment in m.context.segments] for m in batch.members}
    departures = await flights.departures_by_ids(batch.connection, [leg for legs in journeys.values() for leg in legs])
    return {
        saga_id: closing.closes_at(min(departures[leg] for leg in legs if leg in departures))
        for saga_id, legs in journeys.items()
        if not departures.keys().isdisjoint(legs)
    }


def released(answer: seats.Released, flight_numbers: Mapping[int, str]) -> Succeeded:
    """The outcome of a release; `flight_numbers` has the flights' numbers by ID."""
    if not answer.seats:
        return Succeeded("no seat was held any more")
    given = [(seat.flight_id, seat.cabin, seat.number) for seat in answer.seats]
    return Succeeded(facts=_seat_facts(SeatReservationStatus.RELEASED, given, flight_numbers))


def _seat_facts(
    status: SeatReservationStatus, given: Iterable[tuple[int, CabinClass, str]], flight_numbers: Mapping[int, str]
) -> SeatFacts:
    """`given`: flight id, cabin and number of each seat, those of one flight together."""
    return SeatFacts(
        status.value,
        tuple(
            FlightSeats(flight_id, flight_numbers[flight_id], cabin.value, tuple(number for _, _, number in its))
            for (flight_id, cabin), its in groupby(given, key=lambda seat: seat[:2])
        ),
    )


def _numbers(context: BookingContext) -> dict[int, str]:
    return {segment.flight_id: segment.number for segment in context.segments}


def _explain(answer: seats.SeatUnavailable, context: BookingContext) -> str:
    flight = next(segment.number for segment in context.segments if segment.flight_id == answer.flight_id)
    if answer.seats:
        numbers = ", ".join(seats.seat_number(seat) for seat in answer.seats)
        return f"Taken on flight {flight}: {numbers}."
    return f"Too few seats are left in {answer.cabin.value} on flight {flight}."
