"""Airports and flight numbers in every spelling, wherever a client may write one."""

from __future__ import annotations

from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.schema.api import OPERATOR, Api

shared_sqlite_alone = pytest.mark.parametrize("shared_api", ["sqlite"], indirect=True)
pytestmark = [pytest.mark.asyncio(loop_scope="module"), shared_sqlite_alone]
FLIGHTS: Final = "query($f: FlightFilter) { flights(filter: $f) { edges { node { id } } } }"
SEARCH: Final = "query($text: String!) { search(text: $text) { ... on Flight { id } } }"
TRIPS: Final = "query($i: TripSearchInput!) { searchTrips(input: $i) { outbound { id } } }"


@pytest_asyncio.fixture(loop_scope="module")
async def first(shared_api: Api) -> dict[str, Any]:
    """The first flight, from LHR to JFK."""
    asked = "{ flights(first: 1) { edges { node { id number departsAt origin { code } destination { code } } } } }"
    found: dict[str, Any] = (await shared_api.read(asked))["flights"]["edges"][0]["node"]
    return found


async def test_a_filter_and_a_search_know_a_flight_number_in_every_spelling(
    shared_api: Api, first: dict[str, Any]
) -> None:
    named = text("UPDATE flights SET number = 'SS101' WHERE id = :id").bindparams(id=shared_api.world.flight_ids[0])
    await shared_api.world.database.write(lambda connection: connection.execute(named))

    for number in ("SS101", "ss 101", "SS-101", "ss0101", " SS 0101 "):
        listed = (await shared_api.read(FLIGHTS, f={"number": number}))["flights"]["edges"]
        assert listed == [{"node": {"id": first["id"]}}], number
        assert (await shared_api.read(SEARCH, OPERATOR, text=number))["search"] == [{"id": first["id"]}], number


@pytest.mark.parametrize(("origin", "destination"), [("lhr ", "jfk"), ("London", "New York"), ("londón", "new-york")])
async def test_a_filter_and_a_trip_know_an_airport_by_code_or_city(
    shared_api: Api, first: dict[str, Any], origin: str, destination: str
) -> None:
    assert (first["origin"]["code"], first["destination"]["code"]) == ("LHR", "JFK")
    filtered = await shared_api.read(FLIGHTS, f={"origin": origin, "destination": destination})
    trip = {"origin": origin, "destination": destination, "departsOn": first["departsAt"][:10]}
    found = await shared_api.read(TRIPS, i=trip)

    assert {"node": {"id": first["id"]}} in filtered["flights"]["edges"]
    assert {"id": first["id"]} in found["searchTrips"]["outbound"]


@pytest.mark.parametrize(("asked", "nearest"), [("LHRR", ["LHR"]), ("Xanadu", [])])
async def test_an_unknown_airport_is_answered_with_the_nearest(
    shared_api: Api, first: dict[str, Any], asked: str, nearest: list[str]
) -> None:
    trip = {"origin": asked, "destination": "JFK", "departsOn": first["departsAt"][:10]}
    for path, answer in (
        (["filter", "origin"], await shared_api.ask(FLIGHTS, f={"origin": asked})),
        (["input", "origin"], await shared_api.ask(TRIPS, i=trip)),
    ):
        assert answer.errors[0].extensions == {"code": "BAD_USER_INPUT", "argument": path, "nearest": nearest}
        assert asked not in answer.errors[0].message


async def test_an_airport_that_no_flight_serves_has_no_flights(shared_api: Api) -> None:
    assert (await shared_api.read(FLIGHTS, f={"origin": "HND"}))["flights"]["edges"] == []
