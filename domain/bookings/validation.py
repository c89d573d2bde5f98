"""All checks of a request before a saga is started; each fault names its place in the request.

`check_shape` needs only the request; `check_journey` needs flights, prices, members and the
time. An answer names every fault found, not just the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Final

from domain.bookings.closing import AT_DEPARTURE, FLIGHT_CLOSED, Closing
from domain.bookings.model import (
    BookFlight,
    FlightDeparted,
    FlightNotFound,
    InvalidInput,
    Passenger,
    PriceChanged,
    Refusal,
    SegmentWish,
    SimulationDisabled,
)
from domain.clock import SECOND
from domain.flights import Flight
from domain.money import CURRENCY_DEFAULT, POINT_MINOR_UNITS, Money
from domain.saga import Simulation
from domain.seats import cabin_seats, seat_index

__all__ = ["check_allowed", "check_journey", "check_shape", "check_simulation", "check_token", "total_of"]

SEGMENTS_MAX: Final = 4
PASSENGERS_MAX: Final = 9
NAME_CHARACTERS_MAX: Final = 100
TOKEN_CHARACTERS_MAX: Final = 200
DELAY_MS_MAX: Final = 5_000


def check_shape(request: BookFlight, losable_steps: Collection[str]) -> list[Refusal]:
    """Faults of the request itself, outermost first: no server would accept it."""
    faults: list[Refusal] = []
    faults += _check_segments(request.segments, len(request.passengers))
    faults += _check_passengers(request.passengers)
    faults += _check_loyalty(request)
    faults += check_token(request.payment_token)
    faults += check_simulation(request.simulation, losable_steps)
    return faults


def check_simulation(simulation: Simulation | None, losable_steps: Collection[str]) -> list[Refusal]:
    """Faults of a fault injection itself; only `losable_steps` call another system and have an answer to lose."""
    if simulation is None:
        return []
    faults: list[Refusal] = []
    if not 0 <= simulation.delay_ms <= DELAY_MS_MAX:
        faults.append(InvalidInput(f"delayMs must be 0 to {DELAY_MS_MAX}.", ("simulate", "delayMs")))
    for number, step in enumerate(simulation.lose_answer_at):
        if step not in losable_steps:
            names = ", ".join(sorted(losable_steps))
            message = f"{step} makes no call, so it has no answer to lose; choose one of {names}."
            faults.append(InvalidInput(message, ("simulate", "loseAnswerAt", str(number))))
    return faults


def check_allowed(simulation: Simulation | None, *, simulation_allowed: bool) -> list[Refusal]:
    """Whether this server's settings allow this fault injection."""
    if simulation is None or simulation_allowed:
        return []
    return [SimulationDisabled("This server does not allow fault injection; leave simulate out.", ("simulate",))]


def _check_segments(segments: Sequence[SegmentWish], passengers: int) -> list[Refusal]:
    faults: list[Refusal] = []
    if not 1 <= len(segments) <= SEGMENTS_MAX:
        faults.append(InvalidInput(f"A booking has 1 to {SEGMENTS_MAX} segments.", ("segments",)))
    seen: set[int] = set()
    for number, segment in enumerate(segments):
        path = ("segments", str(number))
        if segment.flight_id is not None and segment.flight_id in seen:
            faults.append(InvalidInput("A flight can be in a booking only once.", (*path, "flightId")))
        if segment.flight_id is not None:
            seen.add(segment.flight_id)
        faults += _check_seats(segment, passengers, path)
    return faults


def _check_seats(segment: SegmentWish, passengers: int, path: tuple[str, ...]) -> list[Refusal]:
    if segment.seats is None:
        return []
    faults: list[Refusal] = []
    if len(segment.seats) != passengers:
        message = f"Name one seat a passenger ({passengers}), or leave seats out; {len(segment.seats)} are named."
        faults.append(InvalidInput(message, (*path, "seats")))
    named: set[int] = set()
    for position, number in enumerate(segment.seats):
        seat = seat_index(number)
        where = (*path, "seats", str(position))
        if seat is None:
            faults.append(InvalidInput("There is no such seat; seats are 1A to 27F.", where))
        elif seat not in cabin_seats(segment.cabin):
            faults.append(InvalidInput(f"Seat {number.upper()} is not in {segment.cabin.value}.", where))
        elif seat in named:
            faults.append(InvalidInput(f"Seat {number.upper()} is named twice.", where))
        if seat is not None:
            named.add(seat)
    return faults


def _check_passengers(passengers: Sequence[Passenger]) -> list[Refusal]:
    faults: list[Refusal] = []
    if not 1 <= len(passengers) <= PASSENGERS_MAX:
        faults.append(InvalidInput(f"A booking has 1 to {PASSENGERS_MAX} passengers.", ("passengers",)))
    for number, passenger in enumerate(passengers):
        path = ("passengers", str(number))
        for name, field in ((passenger.given_name, "givenName"), (passenger.family_name, "familyName")):
            if not name.strip():
                faults.append(InvalidInput("The name must not be blank.", (*path, field)))
            elif len(name) > NAME_CHARACTERS_MAX:
                message = f"The name must have at most {NAME_CHARACTERS_MAX} characters; it has {len(name)}."
                faults.append(InvalidInput(message, (*path, field)))
            elif not name.isprintable():
                faults.append(InvalidInput("The name must not hold control characters.", (*path, field)))
        if passenger.date_of_birth is not None and date.fromisoformat(passenger.date_of_birth) < date(1900, 1, 1):
            faults.append(InvalidInput("The date of birth must be 1900-01-01 or later.", (*path, "dateOfBirth")))
    return faults


def _check_loyalty(request: BookFlight) -> list[Refusal]:
    if request.points_to_redeem < 0:
        return [InvalidInput("pointsToRedeem must not be negative.", ("loyalty", "pointsToRedeem"))]
    if request.points_to_redeem and request.member_number is None:
        return [
            InvalidInput("To redeem points, give the number of the member who has them.", ("loyalty", "memberNumber"))
        ]
    return []


def check_token(token: str | None) -> list[InvalidInput]:
    """Faults of a card's token; None is none."""
    if token is None:
        return []
    if not token.strip() or len(token) > TOKEN_CHARACTERS_MAX or not token.isprintable():
        message = f"The token must have 1 to {TOKEN_CHARACTERS_MAX} printable characters."
        return [InvalidInput(message, ("payment", "token"))]
    return []


def check_journey(
    request: BookFlight, flights: Mapping[int, Flight], *, now: int, closing: Closing = AT_DEPARTURE
) -> list[Refusal]:
    """Faults of the journey: unknown or closed flights, other fares, and the time (microseconds)."""
    faults: list[Refusal] = []
    legs: list[tuple[int, Flight]] = []
    for number, segment in enumerate(request.segments):
        flight = flights.get(segment.flight_id) if segment.flight_id is not None else None
        path = ("segments", str(number), "flightId")
        if flight is None:
            faults.append(FlightNotFound("There is no flight with this id.", path))
        elif closing.is_too_late(flight.departs_at, now):
            faults.append(_too_late(flight, closing, now, path))
        else:
            legs.append((number, flight))
    if faults:
        return faults
    for (_, before), (number, after) in itertools.pairwise(legs):
        path = ("segments", str(number), "flightId")
        if after.departs_at <= before.arrives_at:
            message = f"Flight {after.number} departs before flight {before.number} has arrived."
            faults.append(InvalidInput(message, path))
        if after.origin != before.destination:
            message = (
                f"Flight {after.number} departs from {after.origin},"
                f" but flight {before.number} arrives at {before.destination}."
            )
            faults.append(InvalidInput(message, path))
    return faults or _check_price(request, [flight for _, flight in legs])


def _too_late(flight: Flight, closing: Closing, now: int, path: tuple[str, ...]) -> FlightDeparted:
    """Departed, closed, or about to close."""
    left = closing.closes_at(flight.departs_at) - now
    if flight.departs_at <= now:
        return FlightDeparted(f"Flight {flight.number} has departed.", path, "FLIGHT_DEPARTED")
    if left <= 0:
        minutes = closing.before_departure_seconds // 60
        message = f"Flight {flight.number} has closed, as it departs within {minutes} minutes; choose another."
    else:
        message = f"Flight {flight.number} closes in {left // SECOND} s, too soon for a booking; choose another."
    return FlightDeparted(message, path, FLIGHT_CLOSED.code)


def _check_price(request: BookFlight, flights: Sequence[Flight]) -> list[Refusal]:
    currencies = {flight.currency for flight in flights}
    if len(currencies) > 1:
        return [InvalidInput("All flights of a booking must be sold in one currency.", ("segments",))]
    total = total_of(request, flights)
    faults: list[Refusal] = []
    expected = request.expected_total
    if expected is not None and expected.currency != total.currency:
        message = f"The flights are sold in {total.currency}."
        faults.append(InvalidInput(message, ("expectedTotal", "currency")))
    elif expected is not None and expected.minor != total.minor:
        faults.append(PriceChanged(f"The total is now {total}.", ("expectedTotal",), total))
    if request.points_to_redeem:
        worth = request.points_to_redeem * POINT_MINOR_UNITS
        if total.currency != CURRENCY_DEFAULT:
            message = f"Points pay only for flights sold in {CURRENCY_DEFAULT}."
            faults.append(InvalidInput(message, ("loyalty", "pointsToRedeem")))
        elif worth > total.minor:
            message = f"The total is {total}: at most {total.minor // POINT_MINOR_UNITS:,} points can be redeemed."
            faults.append(InvalidInput(message, ("loyalty", "pointsToRedeem")))
    return faults


def total_of(request: BookFlight, flights: Sequence[Flight]) -> Money:
    """The price of the journey before points: the fare of each segment's cabin for every passenger."""
    minor = sum(
        flight.fares[segment.cabin.value].minor for segment, flight in zip(request.segments, flights, strict=True)
    )
    return Money(minor * len(request.passengers), flights[0].currency)
