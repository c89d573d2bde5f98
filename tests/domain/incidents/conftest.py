from __future__ import annotations

import pytest

from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.storage import Database
from tests.domain.bookings.world import departures
from tests.domain.incidents.ledger import Ledger


@pytest.fixture
async def ledger(database: Database) -> Ledger:
    """An airline whose histories the test writes by hand; nothing runs."""
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    async with database.reading() as connection:
        found = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=1)
        return Ledger(database, await database.clock.now(connection), found[0].id)
