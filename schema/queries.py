"""Every query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import strawberry

from domain import bookings as domain_bookings
from domain import flights as domain_flights
from domain import incidents as domain_incidents
from domain import operators as domain_operators
from domain import saga as domain_saga
from domain import seats as domain_seats
from domain.clock import SECOND
from schema.arguments import checked
from schema.bulk_actions import BULK_ACTIONS, BulkAction, BulkActionConnection, bulk_key
from schema.context import RequestInfo, Scope, may_see_account, require_scope
from schema.definitions import SagaDefinition
from schema.enums import SagaOrder, TripType
from schema.errors import bad_input
from schema.flights import Airport, Flight, FlightConnection, Node
from schema.incidents import INCIDENTS_MAX, Incident
from schema.inputs import (
    BookingFilter,
    FlightFilter,
    OperatorActionFilter,
    SagaFilter,
    SeatReservationFilter,
    TripSearchInput,
    flight_id_of,
)
from schema.loyalty import LoyaltyAccount
from schema.nodes import find_node
from schema.pagination import (
    FIRST_DEFAULT,
    After,
    Before,
    First,
    Keyset,
    Last,
    Wanted,
    instant_and_uuid,
    instant_or_none_and_uuid,
    keyset_page,
    page_check,
    two_integers,
    uuid_key,
)
from schema.providers import PaymentProvider
from schema.sagas import (
    OPERATOR_ACTIONS,
    Booking,
    BookingConnection,
    OperatorActionConnection,
    Saga,
    SagaConnection,
    SeatReservationConnection,
)
from schema.scalars import Instant, Uuid
from schema.search import SearchHit, find
from schema.statistics import SagaStatistics
from schema.viewers import BOOKINGS_CHECK, Viewer, list_bookings

__all__ = ["Query", "TripSearchResult"]

PASSENGERS_MAX = 9
STATISTICS_SECONDS = 86_400
#: What documentation and clients use: proxies often give up after 30 s.
WAIT_SECONDS_ADVISED = 20
WAIT_SECONDS_MAX = 30

_FLIGHTS: Final = Keyset(
    "flights",
    lambda row: f"{row.departs_at}/{row.id}",
    two_integers,
    domain_flights.flights_page,
    domain_flights.flights_count,
)
_SAGAS: Final = {
    SagaOrder.NEWEST_FIRST: Keyset("sagas", lambda row: row.id, uuid_key, domain_saga.page, domain_saga.count),
    SagaOrder.OLDEST_FIRST: Keyset(
        "sagas-oldest", lambda row: row.id, uuid_key, domain_saga.page_oldest, domain_saga.count
    ),
    SagaOrder.LONGEST_STUCK_FIRST: Keyset(
        "sagas-stuck",
        lambda row: "/".join("" if part is None else str(part) for part in domain_saga.stuck_key(row)),
        instant_or_none_and_uuid,
        domain_saga.page_longest_stuck,
        domain_saga.count,
    ),
}
_RESERVATIONS: Final = Keyset(
    "reservations",
    lambda row: f"{row.expires_at}/{row.id}",
    instant_and_uuid,
    domain_seats.reservations_page,
    domain_seats.reservations_count,
)

WaitSeconds = Annotated[
    int,
    strawberry.argument(
        description=(
            "Answer once the saga is over or waits for its customer, or as it stands after so many seconds: for "
            f"clients that do not subscribe. Use {WAIT_SECONDS_ADVISED}, as many proxies give up after 30; at most "
            f"{WAIT_SECONDS_MAX}. 0 answers at once, and so does an ID that there is not."
        )
    ),
]


@strawberry.type(description="Flights with enough seats left; both lists are empty where there are none.")
class TripSearchResult:
    outbound: list[Flight] = strawberry.field(description="There, by departure.")
    inbound: list[Flight] = strawberry.field(description="Back, by departure; empty for ONE_WAY.")


@strawberry.type(description="What can be read.")
class Query:
    @strawberry.field(description="Any object by its id; null where there is none that the caller may see.")
    async def node(
        self, info: RequestInfo, id: Annotated[strawberry.ID, strawberry.argument(description="A node id.")]
    ) -> Node | None:
        return await find_node(info, id)

    @strawberry.field(description="One flight.")
    async def flight(
        self, info: RequestInfo, id: Annotated[strawberry.ID, strawberry.argument(description="The flight's id.")]
    ) -> Flight | None:
        flight_id = flight_id_of(id)
        found = None if flight_id is None else await info.context.loaders.flight.load(flight_id)
        return None if found is None else Flight.of(found)

    @strawberry.field(
        description="Flights by departure, from now on.", metadata=checked(page_check(lambda given: _FLIGHTS))
    )
    async def flights(
        self,
        info: RequestInfo,
        filter: Annotated[FlightFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> FlightConnection:
        departs_after = None
        if not (filter and filter.include_departed):
            database = info.context.services.database
            async with database.reading() as connection:
                departs_after = await database.clock.now(connection)
        query = domain_flights.FlightQuery(
            origin=await _airport_code(info, filter.origin, "filter", "origin") if filter else None,
            destination=await _airport_code(info, filter.destination, "filter", "destination") if filter else None,
            departs_on=filter.departs_on if filter else None,
            number=domain_flights.flight_number(filter.number) if filter and filter.number else None,
            departs_after=departs_after,
        )
        return FlightConnection(page=await keyset_page(info, _FLIGHTS, query, Wanted(first, after, last, before)))

    @strawberry.field(
        description="Flights for a trip, with enough seats left in the cabin.",
        metadata=checked(lambda context, given: _check_given_trip(given["input"])),
    )
    async def search_trips(
        self,
        info: RequestInfo,
        input: Annotated[TripSearchInput, strawberry.argument(description="The trip.")],
    ) -> TripSearchResult:
        _check_trip(input.trip_type, input.departs_on, input.returns_on, input.passengers)
        origin = await _airport_code(info, input.origin, "input", "origin") or ""
        destination = await _airport_code(info, input.destination, "input", "destination") or ""
        outbound = await _legs(info, input, origin, destination, input.departs_on)
        if input.returns_on is None:
            return TripSearchResult(outbound=outbound, inbound=[])
        inbound = await _legs(info, input, destination, origin, input.returns_on)
        if not outbound or not inbound:
            return TripSearchResult(outbound=[], inbound=[])
        return TripSearchResult(outbound=outbound, inbound=inbound)

    @strawberry.field(description="Airports with departures, by code.")
    async def airports(self, info: RequestInfo) -> list[Airport]:
        async with info.context.services.database.reading() as connection:
            return [Airport.of(airport) for airport in await domain_flights.airports_with_departures(connection)]

    @strawberry.field(description="All definitions and versions that this server can run.")
    def saga_definitions(self, info: RequestInfo) -> list[SagaDefinition]:
        found = info.context.services.bookings.definitions
        return [SagaDefinition.of(definition, is_current=is_current) for definition, is_current in found]

    @strawberry.field(description="One saga; null where there is none that the caller may see.")
    async def saga(
        self,
        info: RequestInfo,
        correlation_id: Annotated[Uuid, strawberry.argument(description="The saga's.")],
        wait_seconds: WaitSeconds = 0,
    ) -> Saga | None:
        if not 0 <= wait_seconds <= WAIT_SECONDS_MAX:
            raise bad_input(f"waitSeconds must be 0 to {WAIT_SECONDS_MAX}; got {wait_seconds}.", "waitSeconds")
        found = await info.context.services.engine.ended(
            correlation_id,
            seconds=info.context.seconds_to_wait(wait_seconds),
            subject=info.context.viewer.sees_only,
        )
        if found is None:
            return None
        info.context.note_correlation(correlation_id)
        return Saga.of(found)

    @strawberry.field(
        description="An operator sees all; anyone else their own.",
        metadata=checked(page_check(lambda given: _SAGAS[given["orderBy"]])),
    )
    async def sagas(
        self,
        info: RequestInfo,
        filter: Annotated[SagaFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
        order_by: Annotated[
            SagaOrder, strawberry.argument(description="A cursor is valid in its own order only.")
        ] = SagaOrder.NEWEST_FIRST,
    ) -> SagaConnection:
        subject = info.context.viewer.sees_only
        every = domain_saga.SagaQuery(subject=subject)
        query = filter.query(subject) if filter else every
        return SagaConnection(
            page=await keyset_page(
                info, _SAGAS[order_by], query or every, Wanted(first, after, last, before), is_empty=query is None
            )
        )

    @strawberry.field(description="Operator.")
    async def saga_statistics(
        self,
        info: RequestInfo,
        since: Annotated[
            Instant | None, strawberry.argument(description="Rounded down to the minute. Left out: the last 24 hours.")
        ] = None,
    ) -> SagaStatistics | None:
        require_scope(info, Scope.SAGAS_READ)
        database = info.context.services.database
        async with database.reading() as connection:
            now = await database.clock.now(connection)
            start = now - STATISTICS_SECONDS * SECOND if since is None else int(since)
            return SagaStatistics.of(await domain_saga.statistics(connection, since=start, at=now))

    @strawberry.field(description="One booking; null where there is none that the caller may see.")
    async def booking(
        self,
        info: RequestInfo,
        reference: Annotated[str, strawberry.argument(description="Its six characters.")],
    ) -> Booking | None:
        wanted = domain_bookings.written_reference(reference)
        async with info.context.services.database.reading() as connection:
            found = (await domain_bookings.bookings_by_references(connection, [wanted])).get(wanted)
        return Booking.of(found) if found is not None and info.context.viewer.may_see(found.subject) else None

    @strawberry.field(
        description=(
            "A booking for a visitor who is not signed in, by reference and a passenger's family name. Leaves out "
            "personal and payment details. Rate-limited; a wrong name and an unknown reference get the same answer."
        )
    )
    async def guest_booking(
        self,
        info: RequestInfo,
        reference: Annotated[
            str, strawberry.argument(description="Its six characters, in either case, also with spaces between them.")
        ],
        family_name: Annotated[
            str,
            strawberry.argument(
                description="Compared without accents, spaces and case. A passenger with one name has that one."
            ),
        ],
    ) -> Booking | None:
        info.context.count_guest()
        async with info.context.services.database.reading() as connection:
            found = await domain_bookings.booking_of_guest(connection, reference, family_name)
        return None if found is None else Booking.of(found, for_guest=True)

    @strawberry.field(
        description="Newest first. An operator sees all; anyone else their own.", metadata=checked(BOOKINGS_CHECK)
    )
    async def bookings(
        self,
        info: RequestInfo,
        filter: Annotated[BookingFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> BookingConnection:
        return await list_bookings(info, info.context.viewer.sees_only, filter, Wanted(first, after, last, before))

    @strawberry.field(description="Operator. Soonest to expire first.")
    async def seat_reservations(
        self,
        info: RequestInfo,
        filter: Annotated[SeatReservationFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> SeatReservationConnection | None:
        require_scope(info, Scope.SAGAS_READ)
        flight_id = flight_id_of(filter.flight_id) if filter and filter.flight_id else None
        query = domain_seats.ReservationQuery(
            statuses=(filter.status if filter else None) or (),
            flight_id=flight_id,
            expires_before=filter.expires_before if filter else None,
        )
        is_empty = bool(filter and filter.flight_id and flight_id is None)
        return SeatReservationConnection(
            page=await keyset_page(info, _RESERVATIONS, query, Wanted(first, after, last, before), is_empty=is_empty)
        )

    @strawberry.field(description="The caller, as the token describes them.")
    def viewer(self, info: RequestInfo) -> Viewer:
        return Viewer.of(info.context.viewer)

    @strawberry.field(
        description=(
            "Operator: one search box. Accepts a correlation ID or its beginning, a booking reference, a family name, "
            "a flight number with or without a date, a member number, or the provider's reference. Best match first. "
            "A full name narrows it. Names are compared without accents, spaces and case; they need people:read."
        )
    )
    async def search(
        self,
        info: RequestInfo,
        text: Annotated[str, strawberry.argument(description="At most 200 characters.")],
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = FIRST_DEFAULT,
    ) -> list[SearchHit] | None:
        require_scope(info, Scope.SAGAS_READ)
        return await find(info, text, first)

    @strawberry.field(
        description=(
            "Operator: stuck and parked sagas grouped by cause, the most money at stake first. Each currency has "
            "an order of its own, and the best place in any of them counts. "
            f"At most {INCIDENTS_MAX}, the worst."
        )
    )
    async def incidents(self, info: RequestInfo) -> list[Incident] | None:
        require_scope(info, Scope.SAGAS_READ)
        database = info.context.services.database
        async with database.reading() as connection:
            found = await domain_incidents.incidents(connection, at=await database.clock.now(connection))
        return [Incident.of(each) for each in found[:INCIDENTS_MAX]]

    @strawberry.field(description="Operator: everything operators did, newest first.")
    async def operator_actions(
        self,
        info: RequestInfo,
        filter: Annotated[OperatorActionFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> OperatorActionConnection | None:
        require_scope(info, Scope.SAGAS_READ)
        correlation_id = filter.correlation_id if filter else None
        about = None if correlation_id is None else await info.context.services.engine.saga(correlation_id)
        query = domain_operators.ActionQuery(
            kinds=[kind.value for kind in (filter.kind if filter else None) or ()],
            subject=filter.subject if filter else None,
            saga_id=None if about is None else about.id,
            since=filter.after if filter else None,
            until=filter.before if filter else None,
        )
        is_empty = correlation_id is not None and about is None
        return OperatorActionConnection(
            page=await keyset_page(info, OPERATOR_ACTIONS, query, Wanted(first, after, last, before), is_empty=is_empty)
        )

    @strawberry.field(
        description="Operator: one bulk action; null where there is none. Callers with sagas:mend alone see their own."
    )
    async def bulk_action(
        self,
        info: RequestInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="The bulk action's id.")],
    ) -> BulkAction | None:
        require_scope(info, Scope.SAGAS_READ, Scope.SAGAS_MEND)
        key = bulk_key(id)
        found = None if key is None else await info.context.loaders.bulk_action.load(key)
        return BulkAction.shown(found, info.context.viewer)

    @strawberry.field(description="Operator: bulk actions, newest first.")
    async def bulk_actions(
        self,
        info: RequestInfo,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> BulkActionConnection | None:
        require_scope(info, Scope.SAGAS_READ)
        return BulkActionConnection(
            page=await keyset_page(info, BULK_ACTIONS, None, Wanted(first, after, last, before))
        )

    @strawberry.field(description="Operator: the state of the payment provider and of the circuit breaker before it.")
    def payment_provider(self, info: RequestInfo) -> PaymentProvider | None:
        require_scope(info, Scope.SAGAS_READ, Scope.PROVIDER_WRITE)
        return PaymentProvider.of(info.context.services.provider.guard)

    @strawberry.field(description="One loyalty account; null where there is none that the caller may see.")
    async def loyalty_account(
        self,
        info: RequestInfo,
        member_number: Annotated[str, strawberry.argument(description="As SS0000001.")],
    ) -> LoyaltyAccount | None:
        if not may_see_account(info, member_number):
            return None
        found = await info.context.loaders.account.load(member_number)
        return None if found is None else LoyaltyAccount.of(found)


async def _legs(
    info: RequestInfo, trip: TripSearchInput, origin: str, destination: str, departs_on: str
) -> list[Flight]:
    """Flights of one day that are still sold, with enough seats left in the cabin."""
    database = info.context.services.database
    async with database.reading() as connection:
        now = await database.clock.now(connection)
        departs_after = info.context.services.bookings.departs_after(now)
        found = await domain_flights.legs(connection, origin, destination, departs_on, departs_after=departs_after)
        available = await domain_seats.available_counts(connection, [flight.id for flight in found])
    return [
        Flight.of(flight)
        for flight in found
        if available.get(flight.id, {}).get(trip.cabin_class, 0) >= trip.passengers
    ]


def _check_given_trip(given: Mapping[str, Any]) -> None:
    _check_trip(given["tripType"], given["departsOn"], given.get("returnsOn"), given["passengers"])


def _check_trip(trip_type: TripType, departs_on: str, returns_on: str | None, passengers: int) -> None:
    if not 1 <= passengers <= PASSENGERS_MAX:
        raise bad_input(f"passengers must be 1 to {PASSENGERS_MAX}; got {passengers}.", "input", "passengers")
    if trip_type is TripType.ROUND_TRIP and returns_on is None:
        raise bad_input("returnsOn is required for ROUND_TRIP.", "input", "returnsOn")
    if trip_type is TripType.ONE_WAY and returns_on is not None:
        raise bad_input("returnsOn is refused for ONE_WAY; leave it out or ask for ROUND_TRIP.", "input", "returnsOn")
    if returns_on is not None and returns_on < departs_on:
        raise bad_input("returnsOn must not be before departsOn.", "input", "returnsOn")


async def _airport_code(info: RequestInfo, text: str | None, *path: str) -> str | None:
    """The code of the airport that the argument names, by its code, city or name; or BAD_USER_INPUT."""
    if not text:
        return None
    found = domain_flights.airport_code(text)
    if not isinstance(found, str):
        known = await info.context.services.database.read(domain_flights.all_airports)
        found = domain_flights.airport_code(text, known)
    if isinstance(found, str):
        return found
    near = " or ".join(found.nearest)
    which = f"did you mean {near}?" if near else "`airports` lists those with departures."
    raise bad_input(f"{path[-1]} must be an airport's IATA code, city or name; {which}", *path, nearest=found.nearest)
