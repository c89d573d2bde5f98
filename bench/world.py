"""A timetable large enough for the load, and an engine over it, without a server."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.migrations import upgrade
from domain import flights, loyalty, seats
from domain.bookings import BookFlight, Bookings, Passenger, SegmentWish, build_definitions
from domain.clock import SECOND, wall_now
from domain.flights import Departure
from domain.payments.sandbox import SandboxGateway, SqliteBooks
from domain.saga import Committed, SagaEngine, SagaView
from domain.storage import Database

__all__ = ["FLIGHTS", "MEMBERS", "Bench", "bench_on"]

FLIGHTS: Final = 300
MEMBERS: Final = 100
HOLD_SECONDS: Final = 900


@dataclass
class Bench:
    """An engine, and a way to book and wait for the end."""

    engine: SagaEngine
    bookings: Bookings
    flight_ids: list[int]
    waiting: dict[str, asyncio.Future[None]]
    ended: set[str]

    def request(self, number: int) -> BookFlight:
        """The `number`-th booking: flights and members in turn."""
        return BookFlight(
            subject="bench",
            segments=[SegmentWish(self.flight_ids[number % len(self.flight_ids)])],
            passengers=[Passenger("Grace", "Hopper")],
            correlation_id=str(uuid.uuid4()),
            member_number=f"SS{number % MEMBERS + 1:07d}",
        )

    async def book(self, number: int) -> None:
        """Book, and return once the saga has ended."""
        saga = await self.bookings.book(self.request(number))
        if not isinstance(saga, SagaView):
            raise RuntimeError(f"refused: {saga}")
        if saga.id in self.ended:
            self.ended.discard(saga.id)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[saga.id] = future
        await future

    def hear(self, signal: object) -> None:
        """Telemetry: who has ended."""
        if not isinstance(signal, Committed):
            return
        for event in signal.events:
            if event.type.is_terminal:
                future = self.waiting.pop(event.saga_id, None)
                if future is None:
                    self.ended.add(event.saga_id)
                else:
                    future.set_result(None)

    async def run(self, bookings: int, in_flight: int) -> float:
        """Seconds for `bookings`, so many at once, each from its start to its end."""
        numbers = iter(range(bookings))

        async def buyer() -> None:
            for number in numbers:
                await self.book(number)

        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(in_flight)))
        return time.perf_counter() - began


def departures(now: int) -> list[Departure]:
    """Enough seats for tens of thousands of bookings."""
    return [
        Departure(
            f"B{number:04d}",
            "JFK",
            "LHR",
            now + (24 + number % 700) * 3600 * SECOND,
            now + (31 + number % 700) * 3600 * SECOND,
            100_00,
            300_00,
            500_00,
            "USD",
        )
        for number in range(FLIGHTS)
    ]


@asynccontextmanager
async def bench_on(folder: Path) -> AsyncIterator[Bench]:
    """A fresh SQLite file with synchronous=FULL, as shipped, and the sandbox's books beside it."""
    path = folder / "seatsaga.db"
    url = f"sqlite+aiosqlite:///{path}"
    await upgrade(url)
    database = Database(url)
    gateway = SandboxGateway(SqliteBooks(folder / "sandbox.db"))
    await gateway.start()
    definitions = build_definitions(gateway, hold_seconds=HOLD_SECONDS)
    engine = SagaEngine(database, definitions.all)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    async with database.read() as connection:
        found: list[int] = []
        position = None
        while page := await flights.flights_page(connection, flights.FlightQuery(), after=position, limit=100):
            found += [flight.id for flight in page]
            position = (page[-1].departs_at, page[-1].id)
    await engine.open(alone=True)
    bookings = Bookings(engine, definitions, simulation_allowed=False, default_token="pm_card_visa")
    bench = Bench(engine, bookings, found, {}, set())
    engine.telemetry.attach(bench.hear)
    try:
        yield bench
    finally:
        await engine.close()
        await gateway.close()
        await database.close()
