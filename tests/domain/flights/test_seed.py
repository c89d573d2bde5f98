"""The demo timetable: 453 flights and their seats, once, all in the future."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from domain import seats
from domain.clock import SECOND, from_datetime
from domain.flights import (
    DAYS,
    DEPARTURES,
    airports_with_departures,
    demo_timetable,
    extend_demo,
    flights_count,
    load,
    seed_flights,
)
from domain.seats import seat_map
from domain.storage import Database
from tests.domain.flights.timetables import EVERY_FLIGHT, InterruptedLoadError, Interruption, seat_rows, visible

DAY = 24 * 3600 * SECOND


@pytest.fixture
def backend() -> str:
    """The whole timetable is loaded, and one database is enough for that."""
    return "sqlite"


async def seed(database: Database, now: int, progress: Interruption | None = None) -> int:
    return await seed_flights(
        database, now=now, add_seats=seats.add_seats, remove_seats=seats.remove_seats, progress=progress
    )


async def extend(database: Database, now: int) -> int:
    return await extend_demo(database, now=now, add_seats=seats.add_seats, remove_seats=seats.remove_seats)


async def test_the_seed_has_453_flights_and_73386_seats_once(database: Database, now: int) -> None:
    assert await seed(database, now) == 453
    flights = await visible(database)
    assert len(flights) == 453
    assert await seat_rows(database) == 73_386
    async with database.reading() as connection:
        assert await flights_count(connection, EVERY_FLIGHT) == 453
        every_seat = await seat_map(connection, [flights[0].id, flights[-1].id])
        places = {airport.code for airport in await airports_with_departures(connection)}
    assert {len(found) for found in every_seat.values()} == {162}
    assert places == {flight.origin for flight in flights} == {flight.destination for flight in flights}
    assert all(now < flight.departs_at <= now + 30 * DAY for flight in flights)

    assert await seed(database, now) == 0
    assert await visible(database) == flights
    assert await seat_rows(database) == 73_386


@pytest.mark.parametrize("days", [1, 2, 31, 400])
async def test_the_timetable_of_a_later_day_adds_what_is_missing(database: Database, now: int, days: int) -> None:
    await seed(database, now)
    before = await visible(database)
    later = now + days * DAY

    added = await extend(database, later)

    after = await visible(database)
    there = {(flight.number, flight.departs_on) for flight in after}
    assert {(flight.number, flight.departs_on) for flight in before + demo_timetable(later)} == there
    assert added == len(there) - len(before) > 0
    assert await seat_rows(database) == 162 * len(there)
    assert await extend(database, later) == 0
    assert await seed(database, later) == 0


async def test_flights_of_ones_own_end_the_demo(database: Database, now: int) -> None:
    await seed(database, now)
    own = replace(demo_timetable(now)[0], number="XY1")
    await load(database, [own], add_seats=seats.add_seats)

    assert await extend(database, now + 5 * DAY) == 0
    assert await seed(database, now + 5 * DAY) == 0


async def test_an_empty_database_is_never_filled_by_the_job(database: Database, now: int) -> None:
    assert await extend(database, now) == 0
    assert await visible(database) == []


async def test_an_interrupted_seed_shows_nothing_and_the_next_begins_anew(database: Database, now: int) -> None:
    with pytest.raises(InterruptedLoadError):
        await seed(database, now, Interruption(DEPARTURES // 2))
    assert await visible(database) == []
    assert await seat_rows(database) > 0
    assert await seed(database, now) == 453
    assert len(await visible(database)) == 453
    assert await seat_rows(database) == 73_386


@pytest.mark.parametrize("hour", [0, *range(2, 24, 3)])
@pytest.mark.parametrize("month", [1, 7])
def test_the_timetable_is_in_the_coming_30_days_whenever_it_is_made(month: int, hour: int) -> None:
    now = from_datetime(datetime(2030, month, 15, hour, tzinfo=UTC))
    timetable = demo_timetable(now)
    assert len(timetable) == DEPARTURES
    assert [departure for departure in timetable if not now < departure.departs_at <= now + DAYS * DAY] == []


@pytest.mark.parametrize("moment", [(2028, 2, 28), (2030, 3, 9), (2030, 3, 30), (2030, 10, 26), (2030, 12, 31)])
def test_the_timetable_is_plausible_on_every_day_of_the_year(moment: tuple[int, int, int]) -> None:
    timetable = demo_timetable(from_datetime(datetime(*moment, tzinfo=UTC)))
    assert len(timetable) == 453
    assert len({(departure.number, departure.departs_on) for departure in timetable}) == 453
    for departure in timetable:
        assert 30 * 60 * SECOND < departure.arrives_at - departure.departs_at < DAY
        assert 0 < departure.economy_minor < departure.business_minor < departure.first_minor
        assert departure.currency == "USD"


def test_every_flight_of_the_timetable_has_one_back(now: int) -> None:
    timetable = demo_timetable(now)
    there = Counter((departure.origin, departure.destination) for departure in timetable)
    assert all(abs(there[destination, origin] - count) <= 1 for (origin, destination), count in there.items())


def test_the_timetable_of_a_day_is_the_same_all_day(now: int) -> None:
    assert demo_timetable(now) == demo_timetable(now + 3600 * SECOND)
