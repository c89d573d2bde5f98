"""A small airline: a few flights, members, the sandbox as provider, and an engine that books."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events, flights, loyalty, payments, seats
from domain.bookings import (
    BookFlight,
    Booking,
    BookingDefinitions,
    Bookings,
    InventoryLimits,
    Passenger,
    Refusal,
    SegmentWish,
    bookings_of_sagas,
    build_definitions,
)
from domain.clock import SECOND, ManualClock, wall_now
from domain.events import EventType, SagaEvent
from domain.flights import Departure
from domain.guard import Guard, GuardLimits, GuardWatch, ProviderControls
from domain.loyalty import LoyaltyAccount
from domain.payments import Payment, PaymentGateway
from domain.saga import CommitPoints, SagaEngine, SagaQuery, SagaView, Simulation, StepStatus, count
from domain.seats import SeatReservation, SeatStatus
from domain.storage import Database, Server
from sandbox import Books, Entry, PostgresBooks, SandboxGateway, SqliteBooks
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
    provider: GuardWatch

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

    async def refusals(self, request: BookFlight) -> tuple[Refusal, ...]:
        """Why `request` is not begun; fails where it is."""
        answer = await self.bookings.book(request)
        assert isinstance(answer, tuple), answer
        return answer

    async def sagas_count(self) -> int:
        async with self.database.reading() as connection:
            return await count(connection, SagaQuery())

    async def add_flight(self, number: str, origin: str, destination: str, hours: int, currency: str = "USD") -> int:
        """One more flight, `hours` from now."""
        departs_at = wall_now() + hours * 3600 * SECOND
        arrives_at = departs_at + 7 * 3600 * SECOND
        departure = Departure(number, origin, destination, departs_at, arrives_at, 100_00, 300_00, 500_00, currency)
        await flights.load(self.database, [departure], add_seats=seats.add_seats)
        async with self.database.reading() as connection:
            found = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=20)
        return next(flight.id for flight in found if flight.number == number)

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

    async def reached_event(self, saga: SagaView, kind: EventType, *, after: int = 0) -> SagaEvent:
        """The first event of this type after the sequence `after`, once it has happened."""

        async def check() -> SagaEvent:
            found = [event for event in await self.history(saga) if event.type is kind and event.sequence > after]
            assert found, kind
            return found[0]

        return await eventually(check)

    async def hurried(self, saga: SagaView, clock: ManualClock, *statuses: str, seconds: float = 0.5) -> SagaView:
        """The saga once it has one of these statuses; the time it waits passes quickly, `seconds` at each look."""

        async def check() -> SagaView:
            clock.advance(seconds)
            found = await self.view(saga)
            assert found.status in statuses, found
            return found

        return await eventually(check)

    async def step_reached(self, saga: SagaView, step: str, status: StepStatus, attempt: int = 1) -> SagaView:
        """The saga once its `step` has this status, at this attempt or a later one."""

        async def check() -> SagaView:
            found = await self.view(saga)
            assert any((s.name, s.status) == (step, status) and s.attempt >= attempt for s in found.steps), found
            return found

        return await eventually(check)

    async def history(self, saga: SagaView) -> list[SagaEvent]:
        async with self.database.reading() as connection:
            return await events.read(connection, saga.id, after=0)

    async def reservations(self, saga: SagaView) -> tuple[SeatReservation, ...]:
        async with self.database.reading() as connection:
            return (await seats.reservations_of(connection, [saga.id]))[saga.id]

    async def seat_statuses(self, flight: int = 0) -> list[SeatStatus]:
        async with self.database.reading() as connection:
            found = await seats.seat_map(connection, [self.flight_ids[flight]])
        return [seat.status for seat in found[self.flight_ids[flight]]]

    async def payment(self, saga: SagaView) -> Payment | None:
        async with self.database.reading() as connection:
            return (await payments.payments_of(connection, [saga.id])).get(saga.id)

    async def entry(self, saga: SagaView) -> Entry | None:
        """What the provider's own books say about the saga's payment."""
        payment = await self.payment(saga)
        if payment is None or payment.reference is None:
            return None
        return (await self.gateway.books.entries([payment.reference])).get(payment.reference)

    async def account(self, number: str = ADA) -> LoyaltyAccount:
        async with self.database.reading() as connection:
            return (await loyalty.accounts_by_numbers(connection, [number]))[number]

    async def booking(self, saga: SagaView) -> Booking | None:
        async with self.database.reading() as connection:
            return (await bookings_of_sagas(connection, [saga.id])).get(saga.id)


async def begun(world: World, request: BookFlight) -> SagaView:
    """What is answered to a request that starts a saga."""
    answer = await world.bookings.book(request)
    assert isinstance(answer, SagaView), answer
    return answer


def until_the_passengers(heard: Sequence[Sequence[str]]) -> list[str]:
    """Of these transactions, the statements of the first group of starts before its rows are written."""
    for statements in heard:
        for number, statement in enumerate(statements):
            if "INSERT INTO passengers" in statement:
                return list(statements[:number])
    raise AssertionError("no group of starts was heard")


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
    database: Database,
    tmp_path: Path,
    *,
    hold_seconds: int = HOLD_SECONDS,
    closing_seconds: int = 0,
    points: CommitPoints | None = None,
    active_sagas_max: int = 10_000,
    holds_per_caller_max: int | None = None,
    limits: InventoryLimits | None = None,
    alone: bool = False,
    unknown_saga_wait_seconds: float = 2,
    gateway: PaymentGateway | None = None,
) -> AsyncIterator[World]:
    """A world on `database`; a second one on the same database shares flights and the provider's books.

    With another `gateway` the sandbox is not used.
    """
    books: Books
    if database.dialect == "sqlite":
        books = SqliteBooks(tmp_path / "sandbox.db")
    else:
        books = PostgresBooks(Server(database.url))
    sandbox = SandboxGateway(books)
    provider = gateway or sandbox
    await provider.start()
    definitions = build_definitions(provider, hold_seconds=hold_seconds, closing_seconds=closing_seconds)
    engine = SagaEngine(
        database,
        definitions.all,
        active_sagas_max=active_sagas_max,
        poll_seconds=0.1,
        unknown_saga_wait_seconds=unknown_saga_wait_seconds,
        points=points,
    )
    async with database.reading() as connection:
        known = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
    if not known:
        await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
        await loyalty.seed_members(database)
    async with database.reading() as connection:
        known = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
    numbers = {flight.number: flight.id for flight in known}
    guard = Guard(provider.name, GuardLimits(calls_max=256))
    watch = GuardWatch(database, guard, ProviderControls(database, provider.name), _one_replica)
    await engine.open(alone=alone)
    bookings = Bookings(
        engine,
        definitions,
        simulation_allowed=True,
        default_token="pm_card_visa",
        limits=limits or InventoryLimits(holds=holds_per_caller_max, hold_seconds=hold_seconds),
        payments_unavailable=lambda: guard.unavailable_seconds,
    )
    try:
        ids = [numbers["T100"], numbers["T101"], numbers["T102"]]
        yield World(database, engine, bookings, definitions, sandbox, ids, watch)
    finally:
        await engine.close()
        await provider.close()


async def _one_replica(connection: AsyncConnection) -> int:
    return 1
