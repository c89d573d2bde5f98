"""Lists of bookings by what they are of: `bookings` and `viewer.bookings`."""

from __future__ import annotations

from typing import Any, Final

from domain.bookings import SegmentWish
from domain.clock import SECOND, ManualClock
from domain.flights import flights_by_ids
from domain.saga import SagaView
from schema.context import Viewer
from tests.domain.bookings.world import ADA, World
from tests.schema.api import OPERATOR, OTHER, OWNER, Api

LIST: Final = """query($filter: BookingFilter) {
  bookings(filter: $filter) { totalCount edges { node { reference } } }
  viewer { bookings(filter: $filter) { totalCount edges { node { reference } } } }
}"""


async def booked(world: World, *flights: int, **changes: Any) -> SagaView:
    """A saga of a journey on these of the world's flights."""
    return await world.book(segments=[SegmentWish(world.flight_ids[flight]) for flight in flights], **changes)


async def reference(world: World, saga: SagaView) -> str:
    booking = await world.booking(await world.ended(saga))
    assert booking is not None
    return booking.reference


async def listed(api: Api, viewer: Viewer, **filter_: Any) -> tuple[list[str], list[str]]:
    """The references of `bookings`, and of `viewer.bookings`."""
    data = await api.read(LIST, viewer, filter=filter_)
    found = [data["bookings"], data["viewer"]["bookings"]]
    for connection in found:
        assert connection["totalCount"] == len(connection["edges"])
    theirs, own = ([edge["node"]["reference"] for edge in connection["edges"]] for connection in found)
    return theirs, own


async def test_bookings_are_listed_by_status_flight_and_member(api: Api) -> None:
    world = api.world
    plain = await reference(world, await booked(world, 0))
    of_ada = await reference(world, await booked(world, 1, member_number=ADA))
    others = await reference(world, await booked(world, 1, subject=OTHER.subject))
    begun = await world.bookings.cancel_booking(
        plain, correlation_id=None, simulation=None, subject=OWNER.subject, by=OWNER.subject
    )
    assert isinstance(begun, SagaView)
    await world.ended(begun)

    assert await listed(api, OWNER) == ([of_ada, plain],) * 2
    assert await listed(api, OPERATOR) == ([others, of_ada, plain], [])
    assert await listed(api, OPERATOR, status=["CANCELLED"]) == ([plain], [])
    assert await listed(api, OWNER, status=["CONFIRMED", "CANCELLING"]) == ([of_ada],) * 2
    assert await listed(api, OPERATOR, flightId=api.flight_id(1)) == ([others, of_ada], [])
    assert await listed(api, OWNER, flightId=api.flight_id(1)) == ([of_ada],) * 2
    # A cancelled booking is still one of its flight.
    assert await listed(api, OWNER, flightId=api.flight_id(0)) == ([plain],) * 2
    assert await listed(api, OPERATOR, memberNumber=ADA) == ([of_ada], [])
    assert await listed(api, OTHER, memberNumber=ADA) == ([], [])
    assert await listed(api, OPERATOR, memberNumber="SS9999999") == ([], [])
    assert await listed(api, OPERATOR, flightId="bm90aGluZw==") == ([], [])
    # An empty list does not restrict.
    assert await listed(api, OPERATOR, status=[], flightId=None) == ([others, of_ada, plain], [])
    everything = {"status": ["CONFIRMED"], "flightId": api.flight_id(1), "memberNumber": ADA, "isUpcoming": True}
    assert await listed(api, OPERATOR, **everything) == ([of_ada], [])


async def test_a_booking_is_upcoming_until_its_last_flight_departs(api: Api, clock: ManualClock) -> None:
    world = api.world
    there = await reference(world, await booked(world, 0))
    both = await reference(world, await booked(world, 0, 1))
    async with world.database.reading() as connection:
        found = await flights_by_ids(connection, world.flight_ids)
        now = await world.database.clock.now(connection)
    departures = [found[world.flight_ids[number]].departs_at for number in (0, 1)]
    assert departures[0] < departures[1]

    assert await listed(api, OWNER, isUpcoming=True) == ([both, there],) * 2
    assert await listed(api, OWNER, isUpcoming=False) == ([], [])
    clock.advance((departures[0] - now) / SECOND)
    assert await listed(api, OWNER, isUpcoming=True) == ([both],) * 2
    assert await listed(api, OWNER, isUpcoming=False) == ([there],) * 2
    clock.advance((departures[1] - departures[0]) / SECOND)
    assert await listed(api, OWNER, isUpcoming=True) == ([], [])
    assert await listed(api, OWNER, isUpcoming=False) == ([both, there],) * 2
