"""Flights are searched by the date in the origin's local time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.clock import from_datetime, to_datetime
from domain.flights import (
    Flight,
    FlightQuery,
    Imported,
    airports_by_codes,
    flights_by_ids,
    flights_count,
    flights_page,
    legs,
    local_date,
)
from domain.storage import Database
from tests.domain.flights.timetables import csv, line, run_import, visible


@pytest.fixture
async def flights(database: Database, now: int) -> dict[str, Flight]:
    """By number; EARLY and LATE leave on 1 July in local time, which in UTC is the day before and the day after."""
    content = csv(
        line(
            number="EARLY",
            origin="AKL",
            destination="SYD",
            departs_at="2030-07-01T06:35",
            arrives_at="2030-07-01T08:10",
        ),
        line(
            number="EARLY",
            origin="AKL",
            destination="SYD",
            departs_at="2030-07-02T06:35",
            arrives_at="2030-07-02T08:10",
        ),
        line(
            number="LATE",
            origin="LAX",
            destination="JFK",
            departs_at="2030-07-01T22:15",
            arrives_at="2030-07-02T06:40",
        ),
        line(
            number="NOON",
            origin="LAX",
            destination="JFK",
            departs_at="2030-07-01T12:00",
            arrives_at="2030-07-01T20:25",
        ),
        line(number="HOME", origin="JFK", destination="LAX", departs_at="2030-07-03T12:00"),
    )
    content = content.replace(b"2030-07-03T12:00,2030-07-01T13:00", b"2030-07-03T12:00,2030-07-03T15:00")
    assert await run_import(database, content, now) == Imported(5)
    return {f"{flight.number} {flight.departs_on}": flight for flight in await visible(database)}


async def numbers(database: Database, query: FlightQuery) -> list[str]:
    found = [flight.number for flight in await visible(database, query)]
    async with database.reading() as connection:
        assert await flights_count(connection, query) == len(found)
    return found


async def test_a_flight_is_found_by_its_local_date_and_not_by_that_of_utc(
    database: Database, flights: dict[str, Flight]
) -> None:
    early, late = flights["EARLY 2030-07-01"], flights["LATE 2030-07-01"]
    assert to_datetime(early.departs_at).date().isoformat() == "2030-06-30"
    assert to_datetime(late.departs_at).date().isoformat() == "2030-07-02"
    assert await numbers(database, FlightQuery(departs_on="2030-06-30")) == []
    assert await numbers(database, FlightQuery(departs_on="2030-07-01")) == ["EARLY", "NOON", "LATE"]
    assert await numbers(database, FlightQuery(departs_on="2030-07-02")) == ["EARLY"]


async def test_restrictions_are_combined(database: Database, flights: dict[str, Flight]) -> None:
    assert await numbers(database, FlightQuery()) == ["EARLY", "EARLY", "NOON", "LATE", "HOME"]
    assert await numbers(database, FlightQuery(origin="LAX")) == ["NOON", "LATE"]
    assert await numbers(database, FlightQuery(destination="LAX")) == ["HOME"]
    assert await numbers(database, FlightQuery(number="EARLY", departs_on="2030-07-02")) == ["EARLY"]
    assert await numbers(database, FlightQuery(origin="LAX", destination="SYD")) == []


async def test_the_legs_of_a_local_day_leave_after_the_given_moment(
    database: Database, flights: dict[str, Flight], now: int
) -> None:
    noon, late = flights["NOON 2030-07-01"], flights["LATE 2030-07-01"]
    async with database.reading() as connection:
        assert await legs(connection, "LAX", "JFK", "2030-07-01", departs_after=now) == [noon, late]
        assert await legs(connection, "LAX", "JFK", "2030-07-01", departs_after=noon.departs_at) == [late]
        assert await legs(connection, "LAX", "JFK", "2030-07-02", departs_after=now) == []
        early = await legs(connection, "AKL", "SYD", "2030-07-01", departs_after=now)
        assert early == [flights["EARLY 2030-07-01"]]
        assert await legs(connection, "SYD", "AKL", "2030-07-01", departs_after=now) == []


async def test_pages_follow_one_another_without_gap_or_repeat(database: Database, flights: dict[str, Flight]) -> None:
    after: tuple[int, int] | None = None
    paged: list[Flight] = []
    async with database.reading() as connection:
        while page := await flights_page(connection, FlightQuery(), after=after, limit=2):
            assert len(page) <= 2
            paged += page
            after = (page[-1].departs_at, page[-1].id)
    assert len(paged) == 5
    assert paged == sorted(flights.values(), key=lambda flight: (flight.departs_at, flight.id))


async def test_flights_and_airports_are_found_by_what_names_them(
    database: Database, flights: dict[str, Flight]
) -> None:
    home = flights["HOME 2030-07-03"]
    async with database.reading() as connection:
        assert await flights_by_ids(connection, [home.id, 10**9]) == {home.id: home}
        places = await airports_by_codes(connection, ["AKL", "QQQ"])
    assert list(places) == ["AKL"]
    assert (places["AKL"].time_zone, places["AKL"].country) == ("Pacific/Auckland", "NZ")


def test_a_local_date_follows_summer_time() -> None:
    half_past_eleven = datetime(2030, 7, 1, 23, 30, tzinfo=UTC), datetime(2030, 1, 1, 23, 30, tzinfo=UTC)
    in_summer, in_winter = map(from_datetime, half_past_eleven)
    assert local_date(in_summer, "LHR") == "2030-07-02"
    assert local_date(in_winter, "LHR") == "2030-01-01"


def test_a_local_date_needs_an_airport_that_is_there() -> None:
    with pytest.raises(LookupError, match="there is no airport QQQ"):
        local_date(0, "QQQ")
