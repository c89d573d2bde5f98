"""Every value in the message of a refusal is one of its facts, so that a client can write it in any language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from domain.bookings import BookFlight, Passenger, RefusalCode, SegmentWish
from domain.bookings.closing import Closing
from domain.bookings.codes import FACTS
from domain.bookings.model import FlightDeparted, InvalidInput, PriceChanged, Refusal
from domain.bookings.validation import check_journey, check_shape
from domain.clock import SECOND, rfc_3339
from domain.flights import Flight
from domain.money import Money
from domain.saga import Simulation
from domain.seats import CabinClass

ROOT: Final = Path(__file__).parents[3]
JOHN: Final = Passenger("John", "Smith")
NOW: Final = 1_800_000_000 * SECOND
HOUR: Final = 3_600 * SECOND
#: Their message repeats what the error has as an object: `booking`.
IN_A_FIELD: Final = {RefusalCode.BOOKING_NOT_CONFIRMED, RefusalCode.BOOKING_UNREADABLE}
#: The seats of every flight, which no request changes.
ALWAYS: Final = {"1A", "27F"}


def flight(number: int, origin: str, destination: str, at: int, *, currency: str = "USD") -> Flight:
    fares = {cabin.value: Money(10_000, currency) for cabin in CabinClass}
    return Flight(
        number, f"SS{100 + number}", origin, destination, at, at + 2 * HOUR, "2027-01-15", 100, fares, currency
    )


FLIGHTS: Final = {
    1: flight(1, "LHR", "JFK", NOW + 10 * HOUR),
    2: flight(2, "CDG", "LHR", NOW + 20 * HOUR),
    3: flight(3, "JFK", "LHR", NOW + 11 * HOUR),
    4: flight(4, "LHR", "JFK", NOW - HOUR),
    5: flight(5, "LHR", "JFK", NOW + 20 * 60 * SECOND),
    6: flight(6, "LHR", "JFK", NOW + 10 * HOUR, currency="EUR"),
    7: flight(7, "LHR", "JFK", NOW + 31 * 60 * SECOND),
}


def asked(*flights: int, **changes: Any) -> BookFlight:
    given: dict[str, Any] = {"segments": [SegmentWish(each) for each in flights or (1,)], "passengers": [JOHN]}
    return BookFlight("someone", **given | changes)


def wish(*seats: str, cabin: CabinClass = CabinClass.ECONOMY) -> list[SegmentWish]:
    return [SegmentWish(1, cabin, seats)]


REQUESTS: Final[dict[str, BookFlight]] = {
    "delay": asked(simulation=Simulation(delay_ms=9_000)),
    "lost answer": asked(simulation=Simulation(lose_answer_at=("RESERVE_SEAT",))),
    "segments": asked(segments=[]),
    "seats": asked(segments=wish("12A", "12B")),
    "seat in another cabin": asked(segments=wish("1A")),
    "seat named twice": asked(segments=wish("12A", "12a"), passengers=[JOHN, JOHN]),
    "passengers": asked(passengers=[JOHN] * 10),
    "name": asked(passengers=[Passenger("x" * 101, "Smith")]),
    "token": asked(payment_token="x" * 201),
    "birth": asked(passengers=[Passenger("John", "Smith", "1800-01-01")]),
    "departed": asked(4),
    "closed": asked(5),
    "closes": asked(7),
    "before arrival": asked(1, 3),
    "not connected": asked(1, 2),
    "currency": asked(expected_total=Money(10_000, "EUR")),
    "price": asked(expected_total=Money(9_999, "USD")),
    "points": asked(member_number="SS0000001", points_to_redeem=1_000_000),
    "points in another currency": asked(6, member_number="SS0000001", points_to_redeem=1),
}


def refusals(request: BookFlight) -> list[Refusal]:
    closing = Closing(before_departure_seconds=1_800, booking_seconds=120)
    return check_shape(request, {"AUTHORIZE_PAYMENT"}) or check_journey(request, FLIGHTS, now=NOW, closing=closing)


def values(text: str) -> set[str]:
    """Numbers, and words in capitals: what no translator could know."""
    return {word.replace(",", "").rstrip(".") for word in re.findall(r"\d[\d,.]*[A-F]?|[A-Z]{2,}[A-Z_\d]*", text)}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_value_of_the_message_is_a_fact(name: str) -> None:
    found = refusals(REQUESTS[name])
    assert found
    for refusal in found:
        assert isinstance(refusal, InvalidInput | FlightDeparted | PriceChanged)
        assert set(refusal.facts) == set(FACTS[refusal.code])
        told = set().union(*(values(str(value)) for value in refusal.facts.values()))
        # A minute or second of a time is a fact as the time.
        spoken = re.sub(r"within \d+ minutes|in \d+ s\b", "", refusal.message)
        # A range from 1 or 0 is one from its minimum.
        assert values(spoken) - told - ALWAYS == set(), refusal.message


def test_times_are_facts_as_instants() -> None:
    (refusal,) = refusals(REQUESTS["closes"])
    assert isinstance(refusal, FlightDeparted)

    assert refusal.facts["departsAt"] == rfc_3339(FLIGHTS[7].departs_at)
    assert refusal.facts["closesAt"] == rfc_3339(FLIGHTS[7].departs_at - 1_800 * SECOND)


def test_no_other_code_has_a_message_with_a_value() -> None:
    """Wherever a refusal is made of a message with a value in it, the code has facts."""
    assert set(_codes_of_formatted_messages()) - set(FACTS) == IN_A_FIELD


def _codes_of_formatted_messages() -> Iterator[RefusalCode]:
    for path in [*ROOT.glob("domain/**/*.py"), *ROOT.glob("schema/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _in(node)


def _in(function: ast.AST) -> Iterator[RefusalCode]:
    """The codes of refusals whose message is an f-string, given directly or by a name that was one last."""
    formatted: dict[str, bool] = {}
    for node in sorted((each for each in ast.walk(function) if hasattr(each, "lineno")), key=lambda each: each.lineno):
        if isinstance(node, ast.Assign):
            targets = node.targets[0]
            pairs = (
                zip(targets.elts, node.value.elts, strict=False)
                if isinstance(targets, ast.Tuple) and isinstance(node.value, ast.Tuple)
                else [(targets, node.value)]
            )
            formatted |= {
                target.id: any(isinstance(part, ast.JoinedStr) for part in ast.walk(value))
                for target, value in pairs
                if isinstance(target, ast.Name)
            }
        if isinstance(node, ast.Call):
            codes = [argument.attr for argument in node.args if isinstance(argument, ast.Attribute)]
            known = [RefusalCode[code] for code in codes if code in RefusalCode.__members__]
            message = node.args[0] if node.args else None
            is_formatted = isinstance(message, ast.JoinedStr) or (
                isinstance(message, ast.Name) and formatted.get(message.id, False)
            )
            if known and is_formatted:
                yield from known
