"""CSV timetables, and what is to be seen of the flights and seats that they became."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from domain import seats
from domain.flights import (
    COLUMNS,
    Flight,
    FlightQuery,
    Imported,
    ImportRefused,
    SeatKeeper,
    flights_page,
    import_flights,
)
from domain.seats.tables import seats as seats_table
from domain.storage import Database

EVERY_FLIGHT = FlightQuery()
SEATS_A_FLIGHT = 162
GOOD = {
    "number": "SS900",
    "origin": "LHR",
    "destination": "JFK",
    "departs_at": "2030-07-01T10:00",
    "arrives_at": "2030-07-01T13:00",
    "economy_price": "199.50",
    "business_price": "600",
    "first_price": "1000.00",
    "currency": "USD",
}


class InterruptedLoadError(Exception):
    """What stops a load half-way."""


@dataclass
class Interruption:
    """Progress that stops the load once `after` flights are in."""

    after: int

    def __call__(self, done: int, total: int) -> None:
        assert done <= total
        if done >= self.after:
            raise InterruptedLoadError


def line(**changes: str) -> str:
    """One line of a timetable, good but for `changes`."""
    return ",".join((GOOD | changes)[column] for column in COLUMNS)


def csv(*lines: str) -> bytes:
    """A timetable of these lines below the columns' names."""
    return "\n".join([",".join(COLUMNS), *lines, ""]).encode()


def many(count: int) -> bytes:
    """A timetable of `count` good flights, each with a number of its own."""
    return csv(*(line(number=f"SS{1000 + place}") for place in range(count)))


async def run_import(
    database: Database,
    content: bytes,
    now: int,
    *,
    add_seats: SeatKeeper = seats.add_seats,
    progress: Callable[[int, int], None] | None = None,
) -> Imported | ImportRefused:
    return await import_flights(
        database, content, now=now, add_seats=add_seats, remove_seats=seats.remove_seats, progress=progress
    )


async def visible(database: Database, query: FlightQuery = EVERY_FLIGHT) -> list[Flight]:
    """Every flight that can be seen."""
    found: list[Flight] = []
    async with database.reading() as connection:
        while page := await flights_page(
            connection, query, after=(found[-1].departs_at, found[-1].id) if found else None, limit=100
        ):
            found += page
    return found


async def seat_rows(database: Database) -> int:
    """How many seats there are, seen or not."""
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(seats_table))).scalar_one())
