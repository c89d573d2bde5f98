"""Flights with seats, for tests of what becomes of the seats."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats import add_seats
from domain.storage import Database

_airport = text(
    "INSERT INTO airports (code, name, city, country, time_zone, latitude, longitude)"
    " VALUES (:code, :code, :code, 'XX', 'UTC', 0, 0)"
)
_flight = text(
    "INSERT INTO flights (id, number, origin, destination, departs_at, arrives_at, departs_on, distance_miles,"
    " economy_minor, business_minor, first_minor, currency)"
    " VALUES (:id, :number, 'JFK', 'LHR', 0, 1, '1970-01-01', 3442, 10000, 30000, 50000, 'USD')"
)


@pytest.fixture
async def flights(database: Database) -> tuple[int, ...]:
    """The ids of three flights, every seat AVAILABLE."""
    flight_ids = (1, 2, 3)

    async def add(connection: AsyncConnection) -> None:
        for code in ("JFK", "LHR"):
            await connection.execute(_airport, {"code": code})
        for flight_id in flight_ids:
            await connection.execute(_flight, {"id": flight_id, "number": f"T{flight_id}"})
        await add_seats(connection, flight_ids)

    await database.write(add)
    return flight_ids


@pytest.fixture
def flight(flights: tuple[int, ...]) -> int:
    """The id of one flight, every seat AVAILABLE."""
    return flights[0]


@pytest.fixture
def many_writers(database: Database) -> Database:
    """A database on which transactions write at the same time, so that a row can be busy: PostgreSQL alone."""
    assert database.dialect == "postgresql", "SQLite has one writer at a time"
    return database
