"""A small airline: a few flights, members, the sandbox as provider, and an engine that books."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain import events, flights, loyalty, payments, seats
from domain.bookings import (
    BookFlight,
    Booking,
    BookingDefinitions,
    Bookings,
    Passenger,
    SegmentWish,
    bookings_of_sagas,
    build_definitions,
)
from domain.clock import SECOND, wall_now
from domain.events import SagaEvent
from domain.flights import Departure
from domain.loyalty import LoyaltyAccount
from domain.payments import Payment
from domain.payments.sandbox import Books, Entry, PostgresBooks, SandboxGateway, SqliteBooks
from domain.saga import CommitPoints, SagaEngine, SagaView, Simulation
from domain.seats import SeatReservation, SeatStatus
from domain.storage import Database
from tests.support.waiting import eventually

ADA = "SS0000001"
HOLD_SECONDS = 900
JOHN = Passenger("John", "Smith")
JANE = Passenger("Jane", "Smith", "1990-04-01")


@dataclass
class World:
    """Everything that a booking test touches."""

    database: Database
    engine: SagaEngine
    bookings: Bookings
    definitions: BookingDefinitions
    gateway: SandboxGateway
    flight_ids: list[int]

    def request(self, **changes: Any) -> BookFlight:
        request = BookFlight(
            subject="someone",
            segments=[SegmentWish(self.flight_ids[0])],
            passengers=[JOHN],
            correlation_id=str(uuid.uuid4()),
        )
        return replace(request, **changes)

    async def book(self, simulation: Simulation | None = None, **changes: Any) -> SagaView:
        answer = await self.bookings.book(self.request(simulation=simulation, **changes))
        assert isinstance(answer, SagaView), answer
        return answer

    async def ended(self, saga: SagaView, seconds: float = 20) -> SagaView:
        async with asyncio.timeout(seconds):
            async for _ in self.engine.follow(saga.id):
                pass
        return await self.view(saga)

    async def view(self, saga: SagaView) -> SagaView:
        found = await self.engine.saga(saga.correlation_id)
        assert found is not None
        return found

    async def reached(self, saga: SagaView, status: str) -> SagaView:
        async def check() -> SagaView:
            found = await self.view(saga)
            assert found.status == status, found
            return found

        return await eventually(check)

    async def history(self, saga: SagaView) -> list[SagaEvent]:
        async with self.database.read() as connection:
            return await events.read(connection, saga.id, after=0)

    async def reservations(self, saga: SagaView) -> tuple[SeatReservation, ...]:
        async with self.database.read() as connection:
            return (await seats.reservations_of(connection, [saga.id]))[saga.id]

    async def seat_statuses(self, flight: int = 0) -> list[SeatStatus]:
        async with self.database.read() as connection:
            found = await seats.seat_map(connection, [self.flight_ids[flight]])
        return [seat.status for seat in found[self.flight_ids[flight]]]

    async def payment(self, saga: SagaView) -> Payment | None:
        async with self.database.read() as connection:
            return (await payments.payments_of(connection, [saga.id])).get(saga.id)

    async def entry(self, saga: SagaView) -> Entry | None:
        """What the provider's own books say about the saga's payment."""
        payment = await self.payment(saga)
        if payment is None or payment.reference is None:
            return None
        return (await self.gateway.books.entries([payment.reference])).get(payment.reference)

    async def account(self, number: str = ADA) -> LoyaltyAccount:
        async with self.database.read() as connection:
            return (await loyalty.accounts_by_numbers(connection, [number]))[number]

    async def booking(self, saga: SagaView) -> Booking | None:
        async with self.database.read() as connection:
            return (await bookings_of_sagas(connection, [saga.id])).get(saga.id)


def departures(now: int) -> list[Departure]:
    """Out and back between London and New York, and a flight on from there."""
    legs = (("T100", "LHR", "JFK", 24), ("T101", "JFK", "LHR", 48), ("T102", "JFK", "LAX", 36))
    return [
        Departure(
            number,
            origin,
            destination,
            now + hours * 3600 * SECOND,
            now + (hours + 7) * 3600 * SECOND,
            100_00,
            300_00,
            500_00,
            "USD",
        )
        for number, origin, destination, hours in legs
    ]


@asynccontextmanager
async def world_of(
    database: Database, tmp_path: Path, *, hold_seconds: int = HOLD_SECONDS, points: CommitPoints | None = None
) -> AsyncIterator[World]:
    """A world on `database`; a second one on the same database shares flights and the provider's books."""
    books: Books
    if database.dialect == "sqlite":
        books = SqliteBooks(tmp_path / "sandbox.db")
    else:
        books = PostgresBooks(database.url.set(drivername="postgresql").render_as_string(hide_password=False))
    gateway = SandboxGateway(books)
    await gateway.start()
    definitions = build_definitions(gateway, hold_seconds=hold_seconds)
    engine = SagaEngine(database, definitions.all, poll_seconds=0.1, unknown_saga_wait_seconds=2, points=points)
    async with database.read() as connection:
        known = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
    if not known:
        await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
        await loyalty.seed_members(database)
    async with database.read() as connection:
        known = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
    numbers = {flight.number: flight.id for flight in known}
    await engine.open()
    bookings = Bookings(engine, definitions, simulation_allowed=True, default_token="pm_card_visa")
    try:
        ids = [numbers["T100"], numbers["T101"], numbers["T102"]]
        yield World(database, engine, bookings, definitions, gateway, ids)
    finally:
        await engine.close()
        await gateway.close()
