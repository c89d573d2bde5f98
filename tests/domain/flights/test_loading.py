"""Flights come in by bounded chunks, and are seen all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import seats
from domain.flights import (
    BadLine,
    FlightQuery,
    Imported,
    ImportRefused,
    airports_with_departures,
    flights_by_ids,
    flights_count,
    legs,
)
from domain.storage import Database
from tests.domain.flights.timetables import (
    EVERY_FLIGHT,
    SEATS_A_FLIGHT,
    InterruptedLoadError,
    Interruption,
    csv,
    line,
    many,
    run_import,
    seat_rows,
    visible,
)

T = TypeVar("T")


class WatchedDatabase(Database):
    """A database of which someone counts the visible flights and all seats after every commit."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seen: list[tuple[int, int]] = []

    async def write(self, work: Callable[[AsyncConnection], Coroutine[Any, Any, T]]) -> T:
        result = await super().write(work)
        self.seen.append((len(await visible(self)), await seat_rows(self)))
        return result


async def test_a_good_timetable_is_seen_all_at_once(database_url: str, now: int) -> None:
    steps: list[tuple[int, int]] = []
    database = WatchedDatabase(database_url)
    try:
        answer = await run_import(database, many(120), now, progress=lambda *step: steps.append(step))
        assert answer == Imported(120)
        assert steps == [(50, 120), (100, 120), (120, 120)]
        assert [flights for flights, _ in database.seen] == sorted(flights for flights, _ in database.seen)
        assert {flights for flights, _ in database.seen} == {0, 120}
        assert {seats for flights, seats in database.seen if not flights} >= {50 * SEATS_A_FLIGHT, 120 * SEATS_A_FLIGHT}
        assert database.seen[-1] == (120, 120 * SEATS_A_FLIGHT)
    finally:
        await database.close()


async def test_what_is_in_the_database_already_is_refused_with_all_else(database: Database, now: int) -> None:
    assert await run_import(database, csv(line(number="SS1"), line(number="SS2")), now) == Imported(2)
    before = await visible(database)
    content = csv(line(number="SS3"), line(number="SS2"), line(number="SS4", origin="QQQ"), line(number="SS1"))
    answer = await run_import(database, content, now)
    assert answer == ImportRefused(
        (
            BadLine(3, "SS2 on 2030-07-01 is in the database already"),
            BadLine(4, "origin 'QQQ' is not a known IATA airport code"),
            BadLine(5, "SS1 on 2030-07-01 is in the database already"),
        )
    )
    assert await visible(database) == before
    assert await seat_rows(database) == 2 * SEATS_A_FLIGHT


async def test_an_interrupted_load_shows_nothing_and_the_next_begins_anew(database: Database, now: int) -> None:
    with pytest.raises(InterruptedLoadError):
        await run_import(database, many(120), now, progress=Interruption(100))
    assert await seat_rows(database) == 100 * SEATS_A_FLIGHT
    assert await visible(database) == []
    async with database.reading() as connection:
        assert await flights_count(connection, EVERY_FLIGHT) == 0
        assert await flights_count(connection, FlightQuery(origin="LHR", departs_on="2030-07-01")) == 0
        assert await legs(connection, "LHR", "JFK", "2030-07-01", departs_after=now) == []
        assert await airports_with_departures(connection) == []
        assert await flights_by_ids(connection, range(1, 200)) == {}
    assert await run_import(database, many(60), now) == Imported(60)
    assert len(await visible(database)) == 60
    assert await seat_rows(database) == 60 * SEATS_A_FLIGHT


async def test_an_interrupted_load_leaves_what_was_there_before(database: Database, now: int) -> None:
    await run_import(database, csv(line(number="SS1")), now)
    before = await visible(database)
    with pytest.raises(InterruptedLoadError):
        await run_import(database, many(10), now, progress=Interruption(10))
    assert await visible(database) == before
    refused = await run_import(database, csv(line(origin="QQQ")), now)
    assert isinstance(refused, ImportRefused)
    assert await visible(database) == before
    assert await seat_rows(database) == 11 * SEATS_A_FLIGHT, "a faulty file is refused before anything is cleaned up"
    assert await run_import(database, csv(line(number="SS2")), now) == Imported(1)
    assert await seat_rows(database) == 2 * SEATS_A_FLIGHT


async def test_a_load_whose_seats_cannot_be_added_shows_nothing(database: Database, now: int) -> None:
    chunks = 0

    async def add_seats(connection: AsyncConnection, flight_ids: Sequence[int]) -> int:
        nonlocal chunks
        chunks += 1
        added = await seats.add_seats(connection, flight_ids)
        if chunks == 2:
            raise InterruptedLoadError
        return added

    with pytest.raises(InterruptedLoadError):
        await run_import(database, many(60), now, add_seats=add_seats)
    assert await visible(database) == []
    assert await seat_rows(database) == 50 * SEATS_A_FLIGHT
    assert await run_import(database, many(60), now) == Imported(60)
    assert await seat_rows(database) == 60 * SEATS_A_FLIGHT
