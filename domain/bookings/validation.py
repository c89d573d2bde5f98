"""All checks of a request before a saga is started; each fault names its place in the request.

`check_shape` needs only the request; `check_journey` needs flights, prices, members and the
time. An answer names every fault found, not just the first.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from domain.bookings.closing import AT_DEPARTURE, Closing
from domain.bookings.codes import RefusalCode
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
from domain.clock import SECOND, rfc_3339, to_datetime
from domain.flights import Flight
from domain.money import CURRENCY_DEFAULT, POINT_MINOR_UNITS, Money
from domain.saga import Simulation
from domain.seats import cabin_seats, seat_index, seat_number

__all__ = ["check_allowed", "check_journey", "check_shape", "check_simulation", "check_token", "total_of"]

SEGMENTS_MAX: Final = 4
PASSENGERS_MAX: Final = 9
NAME_CHARACTERS_MAX: Final = 100
TOKEN_CHARACTERS_MAX: Final = 200
DELAY_MS_MAX: Final = 5_000
AGE_YEARS_MAX: Final = 130
#: U+200C and U+200D join or part letters in Persian, Hindi and other scripts. Python counts them as not printable.
_JOINERS: Final = {0x200C: None, 0x200D: None}


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
        faults.append(
            InvalidInput(
                f"delayMs must be 0 to {DELAY_MS_MAX}.",
                ("simulate", "delayMs"),
                RefusalCode.DELAY_OUT_OF_RANGE,
                facts={"min": 0, "max": DELAY_MS_MAX},
            )
        )
    for number, step in enumerate(simulation.lose_answer_at):
        if step not in losable_steps:
            names = ", ".join(sorted(losable_steps))
            message = f"{step} makes no call, so it has no answer to lose; choose one of {names}."
            path, facts = ("simulate", "loseAnswerAt", str(number)), {"step": step, "allowed": names}
            faults.append(InvalidInput(message, path, RefusalCode.STEP_LOSES_NO_ANSWER, facts=facts))
    return faults


def check_allowed(simulation: Simulation | None, *, simulation_allowed: bool) -> list[Refusal]:
    """Whether this server's settings allow this fault injection."""
    if simulation is None or simulation_allowed:
        return []
    return [
        SimulationDisabled(
            "This server does not allow fault injection; leave simulate out.",
            ("simulate",),
            RefusalCode.SIMULATION_DISABLED,
        )
    ]


def _check_segments(segments: Sequence[SegmentWish], passengers: int) -> list[Refusal]:
    faults: list[Refusal] = []
    if not 1 <= len(segments) <= SEGMENTS_MAX:
        faults.append(
            InvalidInput(
                f"A booking has 1 to {SEGMENTS_MAX} segments.",
                ("segments",),
                RefusalCode.SEGMENTS_OUT_OF_RANGE,
                facts={"min": 1, "max": SEGMENTS_MAX},
            )
        )
    seen: set[int] = set()
    for number, segment in enumerate(segments):
        path = ("segments", str(number))
        if segment.flight_id is not None and segment.flight_id in seen:
            faults.append(
                InvalidInput(
                    "A flight can be in a booking only once.", (*path, "flightId"), RefusalCode.FLIGHT_NAMED_TWICE
                )
            )
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
        facts = {"passengers": passengers, "seats": len(segment.seats)}
        faults.append(InvalidInput(message, (*path, "seats"), RefusalCode.SEATS_AND_PASSENGERS_DIFFER, facts=facts))
    named: set[int] = set()
    for position, number in enumerate(segment.seats):
        seat = seat_index(number)
        where = (*path, "seats", str(position))
        if seat is None:
            faults.append(InvalidInput("There is no such seat; seats are 1A to 27F.", where, RefusalCode.SEAT_UNKNOWN))
            continue
        shown = seat_number(seat)
        if seat not in cabin_seats(segment.cabin):
            message, cabin = f"Seat {shown} is not in {segment.cabin.value}.", {"cabinClass": segment.cabin.value}
            faults.append(InvalidInput(message, where, RefusalCode.SEAT_NOT_IN_CABIN, facts={"seat": shown, **cabin}))
        elif seat in named:
            message = f"Seat {shown} is named twice."
            faults.append(InvalidInput(message, where, RefusalCode.SEAT_NAMED_TWICE, facts={"seat": shown}))
        named.add(seat)
    return faults


def _check_passengers(passengers: Sequence[Passenger]) -> list[Refusal]:
    faults: list[Refusal] = []
    if not 1 <= len(passengers) <= PASSENGERS_MAX:
        faults.append(
            InvalidInput(
                f"A booking has 1 to {PASSENGERS_MAX} passengers.",
                ("passengers",),
                RefusalCode.PASSENGERS_OUT_OF_RANGE,
                facts={"min": 1, "max": PASSENGERS_MAX},
            )
        )
    for number, passenger in enumerate(passengers):
        names = {"givenName": passenger.given_name, "familyName": passenger.family_name}
        for field, name in names.items():
            fault = _fault_of_name(name, may_be_empty=any(names.values()))
            if fault is not None:
                code, message, facts = fault
                faults.append(InvalidInput(message, ("passengers", str(number), field), code, facts=facts))
    return faults


def _fault_of_name(name: str, *, may_be_empty: bool) -> tuple[RefusalCode, str, dict[str, object]] | None:
    """The fault of a name, and its facts. A passenger who has only one name leaves the other empty."""
    bare = name.translate(_JOINERS)
    if not bare.strip() and not (may_be_empty and name == ""):
        message = "The name must not be blank; a passenger with one name leaves the other empty."
        return RefusalCode.NAME_BLANK, message, {}
    if len(name) > NAME_CHARACTERS_MAX:
        message = f"The name must have at most {NAME_CHARACTERS_MAX} characters; it has {len(name)}."
        return RefusalCode.NAME_TOO_LONG, message, {"max": NAME_CHARACTERS_MAX, "given": len(name)}
    if not bare.isprintable():
        return RefusalCode.NAME_NOT_PRINTABLE, "The name must not hold control characters.", {}
    return None


def _check_births(passengers: Sequence[Passenger], now: int) -> list[Refusal]:
    """A date of birth may be today anywhere on earth, and at most 130 years ago."""
    today = to_datetime(now).date()
    latest = today + timedelta(days=1)
    earliest = date(today.year - AGE_YEARS_MAX, today.month, min(today.day, 28))
    faults: list[Refusal] = []
    for number, passenger in enumerate(passengers):
        born, path = passenger.date_of_birth, ("passengers", str(number), "dateOfBirth")
        if born is not None and date.fromisoformat(born) > latest:
            message = "The date of birth must not be in the future."
            faults.append(InvalidInput(message, path, RefusalCode.DATE_OF_BIRTH_IN_FUTURE))
        elif born is not None and date.fromisoformat(born) < earliest:
            message = f"The date of birth must be at most {AGE_YEARS_MAX} years ago."
            facts = {"max": AGE_YEARS_MAX}
            faults.append(InvalidInput(message, path, RefusalCode.DATE_OF_BIRTH_TOO_EARLY, facts=facts))
    return faults


def _check_loyalty(request: BookFlight) -> list[Refusal]:
    if request.points_to_redeem < 0:
        return [
            InvalidInput(
                "pointsToRedeem must not be negative.", ("loyalty", "pointsToRedeem"), RefusalCode.POINTS_NEGATIVE
            )
        ]
    if request.points_to_redeem and request.member_number is None:
        return [
            InvalidInput(
                "To redeem points, give the number of the member who has them.",
                ("loyalty", "memberNumber"),
                RefusalCode.MEMBER_MISSING,
            )
        ]
    return []


def check_token(token: str | None) -> list[InvalidInput]:
    """Faults of a card's token; None is none."""
    if token is None:
        return []
    if not token.strip() or len(token) > TOKEN_CHARACTERS_MAX or not token.isprintable():
        message = f"The token must have 1 to {TOKEN_CHARACTERS_MAX} printable characters."
        facts = {"min": 1, "max": TOKEN_CHARACTERS_MAX}
        return [InvalidInput(message, ("payment", "token"), RefusalCode.CARD_TOKEN_INVALID, facts=facts)]
    return []


def check_journey(
    request: BookFlight, flights: Mapping[int, Flight], *, now: int, closing: Closing = AT_DEPARTURE
) -> list[Refusal]:
    """Faults of the journey at the time `now` (microseconds): births, unknown or closed flights, other fares."""
    faults = _check_births(request.passengers, now)
    legs: list[tuple[int, Flight]] = []
    for number, segment in enumerate(request.segments):
        flight = flights.get(segment.flight_id) if segment.flight_id is not None else None
        path = ("segments", str(number), "flightId")
        if flight is None:
            faults.append(FlightNotFound("There is no flight with this id.", path, RefusalCode.FLIGHT_NOT_FOUND))
        elif closing.is_too_late(flight.departs_at, now):
            faults.append(_too_late(flight, closing, now, path))
        else:
            legs.append((number, flight))
    if faults:
        return faults
    for (_, before), (number, after) in itertools.pairwise(legs):
        path = ("segments", str(number), "flightId")
        facts = {"flight": after.number, "before": before.number}
        if after.departs_at <= before.arrives_at:
            message = f"Flight {after.number} departs before flight {before.number} has arrived."
            faults.append(InvalidInput(message, path, RefusalCode.DEPARTS_BEFORE_ARRIVAL, facts=facts))
        if after.origin != before.destination:
            message = (
                f"Flight {after.number} departs from {after.origin},"
                f" but flight {before.number} arrives at {before.destination}."
            )
            facts |= {"origin": after.origin, "destination": before.destination}
            faults.append(InvalidInput(message, path, RefusalCode.FLIGHTS_NOT_CONNECTED, facts=facts))
    return faults or _check_price(request, [flight for _, flight in legs])


def _too_late(flight: Flight, closing: Closing, now: int, path: tuple[str, ...]) -> FlightDeparted:
    """Departed, closed, or about to close."""
    closes_at, facts = closing.closes_at(flight.departs_at), {"flight": flight.number}
    if flight.departs_at <= now:
        return FlightDeparted(f"Flight {flight.number} has departed.", path, RefusalCode.FLIGHT_DEPARTED, facts=facts)
    if closes_at <= now:
        minutes = closing.before_departure_seconds // 60
        message = f"Flight {flight.number} has closed, as it departs within {minutes} minutes; choose another."
    else:
        seconds = (closes_at - now) // SECOND
        message = f"Flight {flight.number} closes in {seconds} s, too soon for a booking; choose another."
    facts |= {"closesAt": rfc_3339(closes_at), "departsAt": rfc_3339(flight.departs_at)}
    return FlightDeparted(message, path, RefusalCode.FLIGHT_CLOSED, facts=facts)


def _check_price(request: BookFlight, flights: Sequence[Flight]) -> list[Refusal]:
    currencies = {flight.currency for flight in flights}
    if len(currencies) > 1:
        return [
            InvalidInput(
                "All flights of a booking must be sold in one currency.", ("segments",), RefusalCode.CURRENCIES_DIFFER
            )
        ]
    total = total_of(request, flights)
    faults: list[Refusal] = []
    expected = request.expected_total
    if expected is not None and expected.currency != total.currency:
        message = f"The flights are sold in {total.currency}."
        path, facts = ("expectedTotal", "currency"), {"currency": total.currency}
        faults.append(InvalidInput(message, path, RefusalCode.CURRENCY_NOT_SOLD, facts=facts))
    elif expected is not None and expected.minor != total.minor:
        message, facts = f"The total is now {total}.", _amount(total)
        faults.append(PriceChanged(message, ("expectedTotal",), RefusalCode.PRICE_CHANGED, total, facts=facts))
    if request.points_to_redeem:
        worth, path = request.points_to_redeem * POINT_MINOR_UNITS, ("loyalty", "pointsToRedeem")
        if total.currency != CURRENCY_DEFAULT:
            message, facts = f"Points pay only for flights sold in {CURRENCY_DEFAULT}.", {"currency": CURRENCY_DEFAULT}
            faults.append(InvalidInput(message, path, RefusalCode.POINTS_NOT_PAYABLE, facts=facts))
        elif worth > total.minor:
            most = total.minor // POINT_MINOR_UNITS
            message, facts = f"The total is {total}: at most {most:,} points can be redeemed.", _amount(total)
            facts |= {"max": str(most)}
            faults.append(InvalidInput(message, path, RefusalCode.POINTS_OVER_TOTAL, facts=facts))
    return faults


def _amount(total: Money) -> dict[str, str]:
    return {"amount": str(total.amount), "currency": total.currency}


def total_of(request: BookFlight, flights: Sequence[Flight]) -> Money:
    """The price of the journey before points: the fare of each segment's cabin for every passenger."""
    minor = sum(
        flight.fares[segment.cabin.value].minor for segment, flight in zip(request.segments, flights, strict=True)
    )
    return Money(minor * len(request.passengers), flights[0].currency)
