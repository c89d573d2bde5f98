"""Money, airports, seats, fares and flights."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

import strawberry

from domain import flights as domain_flights
from domain import money, seats
from schema import ids
from schema.context import RequestInfo
from schema.enums import CabinClass, SeatStatus
from schema.pagination import Connection, connection
from schema.scalars import Instant

__all__ = ["Airport", "Fare", "Flight", "FlightConnection", "Money", "Node", "Seat"]

_CABINS = (CabinClass.ECONOMY, CabinClass.BUSINESS, CabinClass.FIRST)


@strawberry.interface(description="Anything with a globally unique opaque id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Globally unique and opaque.")


@strawberry.type(description="ISO 4217 money.")
class Money:
    amount: Decimal = strawberry.field(description="In major units, with exactly the currency's number of decimals.")
    currency: str = strawberry.field(description="The ISO 4217 code.")

    @classmethod
    def of(cls, value: money.Money) -> Self:
        """The domain's money."""
        return cls(amount=value.amount, currency=value.currency)


@strawberry.type(description="An airport with departures or arrivals.")
class Airport:
    code: str = strawberry.field(description="The IATA code.")
    name: str = strawberry.field(description="Its name.")
    city: str = strawberry.field(description="The city that it serves.")
    country: str = strawberry.field(description="The ISO 3166-1 alpha-2 code of its country.")
    time_zone: str = strawberry.field(description="The IANA time zone of its local time.")

    @classmethod
    def of(cls, airport: domain_flights.Airport) -> Self:
        """The domain's airport."""
        return cls(
            code=airport.code,
            name=airport.name,
            city=airport.city,
            country=airport.country,
            time_zone=airport.time_zone,
        )


@strawberry.type(description="One seat of one flight as it stands.")
class Seat(Node):
    number: str = strawberry.field(description="Row and letter, as printed on a boarding pass: 12C.")
    row: int = strawberry.field(description="1 to 27.")
    letter: str = strawberry.field(description="A to F.")
    cabin_classes: list[CabinClass] = strawberry.field(description="Every cabin in which this seat can be sold.")
    status: SeatStatus = strawberry.field(description="Whether it can be had.")
    hold_expires_at: Instant | None = strawberry.field(description="When the present hold lapses; null unless HELD.")

    @classmethod
    def of(cls, seat: seats.Seat) -> Self:
        """The domain's seat."""
        return cls(
            id=strawberry.ID(ids.encode("Seat", f"{seat.flight_id}/{seat.number}")),
            number=seat.number,
            row=seat.row,
            letter=seat.letter,
            cabin_classes=list(seat.cabins),
            status=seat.status,
            hold_expires_at=None if seat.hold_expires_at is None else Instant(seat.hold_expires_at),
        )


@strawberry.type(description="What one cabin of one flight costs now, and what is left of it.")
class Fare:
    cabin_class: CabinClass = strawberry.field(description="The cabin.")
    price: Money = strawberry.field(description="For one passenger.")
    seats_available: int = strawberry.field(description="How many of its seats are free.")
    miles: int = strawberry.field(description="Miles that one passenger earns.")


@strawberry.type(description="One dated departure with 162 seats.")
class Flight(Node):
    view: strawberry.Private[domain_flights.Flight]
    number: str = strawberry.field(description="The flight number, as SS101.")
    departs_at: Instant = strawberry.field(description="When it departs.")
    arrives_at: Instant = strawberry.field(description="When it arrives.")
    duration_minutes: int = strawberry.field(description="From departure to arrival.")

    @classmethod
    def of(cls, flight: domain_flights.Flight) -> Self:
        """The domain's flight."""
        return cls(
            id=strawberry.ID(ids.encode("Flight", flight.id)),
            view=flight,
            number=flight.number,
            departs_at=Instant(flight.departs_at),
            arrives_at=Instant(flight.arrives_at),
            duration_minutes=flight.duration_minutes,
        )

    @strawberry.field(description="Where it departs from.")
    async def origin(self, info: RequestInfo) -> Airport:
        return await _airport(info, self.view.origin)

    @strawberry.field(description="Where it arrives.")
    async def destination(self, info: RequestInfo) -> Airport:
        return await _airport(info, self.view.destination)

    @strawberry.field(description="Every cabin's price, and what is left of it.")
    async def fares(self, info: RequestInfo) -> list[Fare]:
        available = await info.context.loaders.available.load(self.view.id) or {}
        return [
            Fare(
                cabin_class=cabin,
                price=Money.of(self.view.fares[cabin.value]),
                seats_available=available.get(cabin, 0),
                miles=self.view.miles(cabin.value),
            )
            for cabin in _CABINS
        ]

    @strawberry.field(description="All 162 seats in row order.")
    async def seats(self, info: RequestInfo) -> list[Seat]:
        return [Seat.of(seat) for seat in await info.context.loaders.seat_map.load(self.view.id) or ()]

    @strawberry.field(description="How many of the 162 seats are free.")
    async def seats_available(self, info: RequestInfo) -> int:
        available = await info.context.loaders.available.load(self.view.id) or {}
        # FIRST lies within BUSINESS: its seats are counted once.
        return available.get(CabinClass.ECONOMY, 0) + available.get(CabinClass.BUSINESS, 0)


@connection("flight")
class FlightConnection(Connection[Flight]):
    pass


async def _airport(info: RequestInfo, code: str) -> Airport:
    airport = await info.context.loaders.airport.load(code)
    if airport is None:
        raise LookupError(f"airport {code} is not in the table of airports")
    return Airport.of(airport)


FlightArgument = Annotated[strawberry.ID, strawberry.argument(description="The flight's id.")]
