"""Airports and flight numbers as people write them: taken where they are clear, and else answered with what is near."""

from __future__ import annotations

import pytest

from domain.flights import Airport, UnknownAirport, airport_code, flight_number
from domain.flights.atlas import airport


def of(code: str) -> Airport:
    found = airport(code)
    assert found is not None
    return found


KNOWN = [of(code) for code in ("LHR", "LGW", "ZRH", "JFK", "CDG", "GRU", "MUC")]


@pytest.mark.parametrize(
    "text", ["SS101", "ss101", "SS 101", "SS-101", "ss0101", " SS\u00a00101 ", "SS/101", "SS\u2013101", "ss - 0101"]
)
def test_a_flight_number_is_taken_in_every_spelling(text: str) -> None:
    assert flight_number(text) == "SS101"


@pytest.mark.parametrize(("text", "plain"), [("ba178a", "BA178A"), ("101", "101"), ("", ""), ("BAW 0009", "BAW9")])
def test_other_numbers_keep_what_they_say(text: str, plain: str) -> None:
    assert flight_number(text) == plain


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ZRH", "ZRH"),
        ("zrh ", "ZRH"),
        ("Zürich", "ZRH"),
        ("zurich", "ZRH"),
        ("ZUERICH", "ZRH"),
        ("São Paulo", "GRU"),
        ("new york", "JFK"),
        ("London Heathrow Airport", "LHR"),
        # An airport that no flight serves, whose code there is.
        ("hnd", "HND"),
    ],
)
def test_an_airport_is_known_by_its_code_city_or_name(text: str, code: str) -> None:
    assert airport_code(text, KNOWN) == code


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("London", ("LGW", "LHR")),
        ("Zurch", ("ZRH",)),
        ("zurick", ("ZRH",)),
        ("LHRR", ("LHR",)),
        ("Xanadu", ()),
        ("'; --", ()),
        ("", ()),
        ("x" * 10_000, ()),
        ("\U0001f6eb", ()),
    ],
)
def test_what_names_none_or_several_is_answered_with_what_is_near(text: str, nearest: tuple[str, ...]) -> None:
    found = airport_code(text, KNOWN)
    assert isinstance(found, UnknownAirport)
    assert tuple(sorted(found.nearest)) == nearest


def test_codes_need_no_table() -> None:
    assert airport_code("jfk") == "JFK"
    assert airport_code("Zürich") == UnknownAirport(())
