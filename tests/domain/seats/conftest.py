"""Flights with seats, for tests of what becomes of the seats."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats import add_seats
from domain.storage import Database


@pytest.fixture
async def flights(database: Database) -> tuple[int, ...]:
    """The ids of three flights, every seat AVAILABLE."""
    flight_ids = (1, 2, 3)

    async def add(connection: AsyncConnection) -> None:
        for flight_id in flight_ids:
            await connection.execute(text("INSERT INTO flights (id) VALUES (:id)"), {"id": flight_id})
        await add_seats(connection, flight_ids)

    await database.write(add)
    return flight_ids


@pytest.fixture
def flight(flights: tuple[int, ...]) -> int:
    """The id of one flight, every seat AVAILABLE."""
    return flights[0]


@pytest.fixture
def many_writers(database: Database) -> Database:
    """A database on which transactions write at the same time, so that a row can be busy."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time: no row is ever busy.")
    return database
