"""What is not sold any more is not offered, and everything else shows it as before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.clock import SECOND, ManualClock
from domain.storage import Database
from tests.domain.bookings.world import World, world_of
from tests.schema.api import Api

CLOSING_SECONDS: Final = 1_800
TRIP: Final = """query($day: Date!, $back: Date) { searchTrips(input: { tripType: %s, origin: "LHR",
  destination: "JFK", departsOn: $day, returnsOn: $back }) { outbound { number } inbound { number } } }"""
SHOWN: Final = """query($id: ID!) { flights { edges { node { number } } } flight(id: $id) { seats { status } } }"""
BOOK: Final = """mutation($id: ID!) { bookFlight(input: { segments: [{ flightId: $id }],
  passengers: [{ givenName: "Ada", familyName: "Byron" }] }) { saga { status } errors { __typename } } }"""


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path, closing_seconds=CLOSING_SECONDS) as world:
        yield world


async def flight(world: World) -> Any:
    async with world.database.reading() as connection:
        statement = text("SELECT departs_at, departs_on FROM flights WHERE id = :id")
        return (await connection.execute(statement, {"id": world.flight_ids[0]})).one()


@pytest.mark.parametrize(
    ("seconds_left", "is_sold"), [(120, True), (60, False), (-1, False), (-CLOSING_SECONDS, False)]
)
async def test_search_offers_a_flight_until_it_closes_and_the_listing_until_it_departs(
    api: Api, world: World, clock: ManualClock, seconds_left: int, is_sold: bool
) -> None:
    departs_at, day = await flight(world)
    async with world.database.reading() as connection:
        clock.offset_us += departs_at - (CLOSING_SECONDS + seconds_left) * SECOND - await clock.now(connection)

    found = (await api.read(TRIP % "ONE_WAY", day=day))["searchTrips"]["outbound"]
    shown = await api.read(SHOWN, id=api.flight_id())
    booked = (await api.read(BOOK, id=api.flight_id()))["bookFlight"]

    assert [leg["number"] for leg in found] == (["T100"] if is_sold else [])
    has_departed = seconds_left == -CLOSING_SECONDS
    assert ({"node": {"number": "T100"}} in shown["flights"]["edges"]) is not has_departed
    assert [seat["status"] for seat in shown["flight"]["seats"]] == ["AVAILABLE"] * 162
    assert [error["__typename"] for error in booked["errors"]] == ([] if is_sold else ["FlightDepartedError"])
