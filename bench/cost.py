"""The processor time of a point of cost, over documents of every shape.

The database has lists of the maximum length: bookings of four flights for nine passengers, and members
with a history. So the cost, which is computed before any read, matches the size of the answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import airportsdata
import msgspec
from graphql import get_introspection_query
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.instant import InstantGateway
from bench.world import Bench, bench_on, fill
from domain.bookings import (
    PASSENGERS_MAX,
    SEGMENTS_MAX,
    BookFlight,
    BookingQuery,
    Passenger,
    SegmentWish,
    bookings_page,
)
from domain.bulk import BulkActions
from domain.clock import SECOND, to_datetime, wall_now
from domain.flights import Departure, FlightQuery, flight_number, flights_page, load
from domain.guard import Guard, GuardLimits, GuardWatch, ProviderControls
from domain.saga import SagaView
from domain.seats import SeatChanges, add_seats
from schema import ids
from schema.context import RequestContext, Services, Viewer
from schema.cost import LIST_SIZES
from schema.documents import Limits
from schema.execution import Executable, Execution
from schema.frames import encoded
from schema.root import create_schema

__all__ = ["DOCUMENTS", "Priced", "measure"]

BOOKINGS: Final = 100
#: Of four flights each; sixteen parties of nine fill a cabin.
GROUPS: Final = 8
SECONDS_EACH: Final = 0.3
RUNS_MIN: Final = 3
_FLIGHT: Final = "id number departsAt arrivesAt durationMinutes"
_STEP: Final = "index name status attempt startedAt finishedAt summary compensation failure { code message }"
_QUEUE: Final = "queue { pending executing completed failed compensations compensating compensated }"
_SAGA: Final = "id correlationId definition definitionVersion status sequence startedAt finishedAt"

#: By what it is; `$flight`, `$saga`, `$booking` and `$member` are filled in.
DOCUMENTS: Final[Mapping[str, str]] = {
    "a name": "{ __typename }",
    "names": "{ " + " ".join(f"a{n}: __typename" for n in range(20)) + " }",
    "a flight": f'{{ flight(id: "$flight") {{ {_FLIGHT} }} }}',
    "a flight with everything": (
        f'{{ flight(id: "$flight") {{ {_FLIGHT} origin {{ code name city country timeZone }}'
        " destination { code name } fares { cabinClass price { amount currency } seatsAvailable miles } seatsAvailable"
        " } }"
    ),
    "30 flights by name": "{ " + " ".join(f'a{n}: flight(id: "$flight") {{ number }}' for n in range(30)) + " }",
    "a seat map": '{ flight(id: "$flight") { seats { number status } } }',
    "a seat map with everything": (
        '{ flight(id: "$flight") { seats { id number row letter cabinClasses status holdExpiresAt } } }'
    ),
    "a seat map by 30 names": (
        '{ flight(id: "$flight") { seats { ' + " ".join(f"a{n}: number" for n in range(30)) + " } } }"
    ),
    "cabins of seats": '{ flight(id: "$flight") { seats { cabinClasses } } }',
    "a page of flights": f"{{ flights(first: 20) {{ edges {{ cursor node {{ {_FLIGHT} }} }} }} }}",
    "a long page of flights": f"{{ flights(first: 100) {{ edges {{ cursor node {{ {_FLIGHT} }} }} }} }}",
    "one flight of a page": "{ flights(first: 1) { edges { node { id } } } }",
    "a page of flights with airports": (
        "{ flights(first: 100) { edges { node { id origin { code name city } destination { code name city } } } } }"
    ),
    "a page of flights with fares": (
        "{ flights(first: 100) { edges { node { id fares { cabinClass price { amount currency } seatsAvailable } }"
        " } } }"
    ),
    "a page of flights with free seats": "{ flights(first: 100) { edges { node { seatsAvailable } } } }",
    "ten flights with their seats": (
        "{ flights(first: 10) { edges { node { number seats { number status cabinClasses } } } } }"
    ),
    "a count": "{ flights(first: 1) { totalCount } }",
    "airports": "{ airports { code name city country timeZone } }",
    "a trip": (
        '{ searchTrips(input: {origin: "JFK", destination: "LHR", departsOn: "$day"}) { outbound { id number'
        " fares { cabinClass price { amount currency } } } } }"
    ),
    "a saga": f'{{ saga(correlationId: "$saga") {{ {_SAGA} }} }}',
    "a saga with its steps": f'{{ saga(correlationId: "$saga") {{ {_SAGA} steps {{ {_STEP} }} {_QUEUE} }} }}',
    "a saga with its events": (
        '{ saga(correlationId: "$saga") { id events(first: 10) { id sequence type step attempt message at } } }'
    ),
    "a saga with all of it": (
        f'{{ saga(correlationId: "$saga") {{ {_SAGA} steps {{ {_STEP} }} {_QUEUE} flights {{ {_FLIGHT} }}'
        " passengers { givenName familyName } reservations { id status expiresAt seat { number status }"
        " passenger { familyName } flight { number } } payment { status } booking { reference status } } }"
    ),
    "a page of sagas": f"{{ sagas(first: 20) {{ edges {{ node {{ {_SAGA} }} }} }} }}",
    "a long page of sagas with steps": (
        f"{{ sagas(first: 100) {{ edges {{ node {{ {_SAGA} steps {{ {_STEP} }} }} }} }} }}"
    ),
    "queues of sagas": f"{{ sagas(first: 100) {{ edges {{ node {{ {_QUEUE} }} }} }} }}",
    "sagas with their bookings": (
        "{ sagas(first: 100) { edges { node { id booking { reference total { amount currency } } payment { status }"
        " } } } }"
    ),
    "reservations of sagas": (
        "{ sagas(first: 20) { edges { node { reservations { id status seat { number } passenger { givenName } } } } } }"
    ),
    "a booking": '{ booking(reference: "$booking") { id reference status total { amount currency } createdAt } }',
    "a page of bookings with segments": (
        "{ bookings(first: 20) { edges { node { reference passengers { givenName familyName } segments { cabinClass"
        " flight { number } seats { passenger { familyName } seat { number } } } } } } }"
    ),
    "an account with its entries": (
        '{ loyaltyAccount(memberNumber: "$member") { id name balance entries(first: 20) {'
        " edges { node { id points reason balanceAfter at } } } } }"
    ),
    "reservations": (
        "{ seatReservations(first: 100) { edges { node { id status heldAt expiresAt seat { number status }"
        " passenger { familyName } } } } }"
    ),
    "statistics": "{ sagaStatistics { byStatus { status count } failedAt { step count } successRate } }",
    "the schema": get_introspection_query(),
    "names of types": "{ __schema { types { name } } }",
    "types of types": "{ __schema { types { name fields { name type { name fields { name type { name } } } } } } }",
    "a type": '{ __type(name: "Saga") { name fields { name description args { name } type { name } } } }',
}


def _number(leg: int) -> str:
    return f"C{leg:04d}"


def _leg(now: int, number: int) -> Departure:
    """Of a journey there and back and there and back again."""
    ends = ("JFK", "LHR") if number % 2 == 0 else ("LHR", "JFK")
    return _departure(_number(number), *ends, now + (24 + 24 * (number % SEGMENTS_MAX)) * 3600 * SECOND)


def _departure(number: str, origin: str, destination: str, at: int) -> Departure:
    return Departure(
        flight_number(number), origin, destination, at, at + 7 * 3600 * SECOND, 100_00, 300_00, 500_00, "USD"
    )


class Priced(msgspec.Struct, frozen=True):
    """The cost of one document: points as the limit counts them, microseconds of processor time, bytes of answer."""

    points: int
    microseconds: float
    answer_bytes: int

    @property
    def microseconds_a_point(self) -> float:
        """The processor time of a point."""
        return self.microseconds / self.points


async def measure(folder: Path) -> dict[str, Priced]:
    """Every document, by its name."""
    await fill(folder)
    async with bench_on(folder, InstantGateway()) as bench:
        filled = await _book(bench)
        database = bench.engine.database
        guard = Guard("sandbox", GuardLimits(calls_max=1))
        provider = GuardWatch(database, guard, ProviderControls(database, "sandbox"), _one_replica)
        services = Services(
            database, bench.engine, bench.bookings, SeatChanges(database), provider, BulkActions(bench.engine)
        )
        asked = Executable(create_schema(), Limits(cost_max=10**9))
        found = {}
        for name, text in DOCUMENTS.items():
            for mark, value in filled.items():
                text = text.replace(f"${mark}", value)
            found[name] = await _price(asked, text, services)
        return found


async def _one_replica(connection: AsyncConnection) -> int:
    return 1


async def _book(bench: Bench) -> dict[str, str]:
    """Bookings as large as they may be; what to ask for."""
    database, now = bench.engine.database, wall_now()
    await load(database, [_leg(now, number) for number in range(GROUPS * SEGMENTS_MAX)], add_seats=add_seats)
    async with database.reading() as connection:
        pages = [
            await flights_page(connection, FlightQuery(number=_number(leg)), after=None, limit=1)
            for leg in range(GROUPS * SEGMENTS_MAX)
        ]
    flight_ids = [flight.id for (flight,) in pages]
    elsewhere = [code for code in airportsdata.load("IATA") if code not in ("JFK", "LHR")]
    day = now + 100 * 24 * 3600 * SECOND
    many = [_departure(f"A{n:04d}", elsewhere[n], "JFK", day) for n in range(LIST_SIZES["Query", "airports"])]
    many += [_departure(f"T{n:04d}", "JFK", "LHR", day) for n in range(LIST_SIZES["TripSearchResult", "outbound"])]
    await load(database, many, add_seats=add_seats)
    passengers = [Passenger(f"Grace {number}", "Hopper") for number in range(PASSENGERS_MAX)]
    correlation_id = ""
    for number in range(BOOKINGS):
        correlation_id, first = str(uuid.uuid4()), number % GROUPS * SEGMENTS_MAX
        saga = await bench.bookings.book(
            BookFlight(
                subject="bench",
                segments=[SegmentWish(flight_id) for flight_id in flight_ids[first : first + SEGMENTS_MAX]],
                passengers=passengers,
                correlation_id=correlation_id,
                member_number="SS0000001",
            )
        )
        if not isinstance(saga, SagaView):
            raise RuntimeError(f"refused: {saga}")
        await bench.engine.ended(correlation_id, seconds=30, subject=None)
    async with bench.engine.database.reading() as connection:
        (booking, *_) = await bookings_page(connection, BookingQuery(subject="bench"), after=None, limit=1)
        (flight,) = await flights_page(connection, FlightQuery(number="T0000"), after=None, limit=1)
    return {
        "flight": ids.encode("Flight", flight.id),
        "saga": correlation_id,
        "member": "SS0000001",
        "booking": booking.reference,
        "day": to_datetime(flight.departs_at).date().isoformat(),
    }


async def _price(asked: Executable, text: str, services: Services) -> Priced:
    """The mean over some runs of the text once it is known; every run is a new operation."""
    runs, began, execution, body = 0, 0.0, None, b""
    while runs < RUNS_MIN or time.process_time() - began < SECONDS_EACH:
        execution = asked.begin(text, context=RequestContext(services, Viewer("bench", is_operator=True)))
        if not isinstance(execution, Execution):
            raise RuntimeError(f"refused: {execution.errors}")
        result = await execution.result()
        if result.errors:
            raise RuntimeError(f"failed: {result.errors}")
        body = encoded(result)
        if began == 0:
            # The first has made what is kept.
            began = time.process_time()
        else:
            runs += 1
    assert isinstance(execution, Execution)
    return Priced(execution.cost, (time.process_time() - began) / runs * 1e6, len(body))
