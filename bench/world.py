"""A timetable large enough for the load, and an engine over it, without a server."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from app.limit_settings import SANDBOX_CALLS_DEFAULT
from app.migrations import upgrade
from domain import flights, loyalty, seats
from domain.bookings import BookFlight, Bookings, InventoryLimits, Passenger, SegmentWish, build_definitions
from domain.clock import SECOND, wall_now
from domain.events import EventType
from domain.flights import Departure
from domain.guard import Guard, GuardLimits, GuardWatch, ProviderControls
from domain.payments import PaymentGateway
from domain.saga import Committed, SagaEngine, SagaView, Simulation
from domain.storage import Database, database_url
from sandbox import Books, PostgresBooks, SandboxGateway, SqliteBooks, books_beside

__all__ = [
    "HOLD_SECONDS",
    "MEMBERS",
    "Bench",
    "bench_on",
    "bench_over",
    "books_of",
    "database_file",
    "fill",
    "fill_database",
]

#: 86,400 economy seats.
FLIGHTS: Final = 600
MEMBERS: Final = 100
HOLD_SECONDS: Final = 900
NO_LIMITS: Final = InventoryLimits()
#: Of the file that `fill` copies.
_FLIGHT_IDS: Final[list[int]] = []


@dataclass
class Bench:
    """An engine, and a way to book and wait for the end. `ends` counts how sagas ended."""

    engine: SagaEngine
    bookings: Bookings
    flight_ids: list[int]
    members: int = MEMBERS
    ends: Counter[EventType] = field(default_factory=Counter)
    _waiting: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    async def book(self, number: int, flight_id: int | None = None) -> None:
        """The `number`-th booking, flights and members in turn; returns once the saga has ended."""
        saga = await self.start(number, flight_id)
        if saga.id in self._ended:
            self._ended.discard(saga.id)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[saga.id] = future
        await future

    async def start(self, number: int, flight_id: int | None = None, simulation: Simulation | None = None) -> SagaView:
        """The `number`-th booking's saga, just begun."""
        request = BookFlight(
            subject="bench",
            segments=[SegmentWish(flight_id or self.flight_ids[number % len(self.flight_ids)])],
            passengers=[Passenger("Grace", "Hopper")],
            correlation_id=str(uuid.uuid4()),
            member_number=f"SS{number % self.members + 1:07d}",
            simulation=simulation,
        )
        saga = await self.bookings.book(request)
        if not isinstance(saga, SagaView):
            raise RuntimeError(f"refused: {saga}")
        return saga

    def hear(self, signal: object) -> None:
        """Telemetry: who has ended."""
        if not isinstance(signal, Committed):
            return
        for event in signal.events:
            if event.type.is_terminal:
                self.ends[event.type] += 1
                future = self._waiting.pop(event.saga_id, None)
                if future is None:
                    self._ended.add(event.saga_id)
                else:
                    future.set_result(None)

    async def run(self, bookings: int, in_flight: int, flight_id: int | None = None, *, first: int = 0) -> float:
        """Sagas a second over `bookings`, the `first` and those after it, so many at once, each from start to end."""
        numbers = iter(range(first, first + bookings))

        async def buyer() -> None:
            for number in numbers:
                await self.book(number, flight_id)

        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(in_flight)))
        return bookings / (time.perf_counter() - began)

    async def one_at_a_time(self, bookings: int) -> list[float]:
        """Seconds of each booking, with nothing else going on."""
        found = []
        for number in range(bookings):
            began = time.perf_counter()
            await self.book(number)
            found.append(time.perf_counter() - began)
        return found


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


def database_file(folder: Path) -> Path:
    """The path of the bench's database file."""
    return folder / "seatsaga.db"


async def fill(folder: Path) -> list[int]:
    """A fresh file with the bench's timetable and the demo members; the flights' ids. All are copies of the first."""
    filled = Path(_filled_folder().name)
    if not _FLIGHT_IDS:
        _FLIGHT_IDS.extend(await fill_database(_url(filled)))
    await asyncio.to_thread(shutil.copytree, filled, folder, dirs_exist_ok=True)
    return list(_FLIGHT_IDS)


@cache
def _filled_folder() -> tempfile.TemporaryDirectory[str]:
    """The folder of the file that others are copied from, until the process ends."""
    return tempfile.TemporaryDirectory(prefix="seatsaga-bench-filled-")


def _url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{database_file(folder)}"


async def fill_database(url: str) -> list[int]:
    """Bring an empty database's schema, the bench's timetable and the demo members; the flights' ids."""
    await upgrade(url)
    database = Database(url)
    try:
        await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
        await loyalty.seed_members(database)
        return await _flight_ids(database)
    finally:
        await database.close()


async def _flight_ids(database: Database) -> list[int]:
    found: list[int] = []
    position = None
    async with database.reading() as connection:
        while page := await flights.flights_page(connection, flights.FlightQuery(), after=position, limit=100):
            found += [flight.id for flight in page]
            position = (page[-1].departs_at, page[-1].id)
    return found


@asynccontextmanager
async def bench_on(
    folder: Path,
    gateway: PaymentGateway | None = None,
    *,
    limits: InventoryLimits = NO_LIMITS,
    calls_max: int | None = SANDBOX_CALLS_DEFAULT,
    flight_ids: list[int] | None = None,
) -> AsyncIterator[Bench]:
    """An engine over the file in `folder`, as shipped: synchronous=FULL, and the sandbox's books in a file beside.

    It books on `flight_ids`, or on all flights.
    """
    async with bench_over(_url(folder), gateway, limits=limits, calls_max=calls_max, flight_ids=flight_ids) as bench:
        yield bench


@asynccontextmanager
async def bench_over(
    url: str,
    gateway: PaymentGateway | None = None,
    *,
    hints: bool = True,
    simulation_allowed: bool = False,
    limits: InventoryLimits = NO_LIMITS,
    calls_max: int | None = SANDBOX_CALLS_DEFAULT,
    flight_ids: list[int] | None = None,
) -> AsyncIterator[Bench]:
    """An engine over the database at `url`, on PostgreSQL one replica of several; the sandbox's books beside.

    The guard before the provider is the sandbox's, as shipped; `calls_max` None: there is none.
    """
    database = Database(url)
    guard = None if calls_max is None else Guard("bench", GuardLimits(calls_max, is_shared=False))
    on_request = guard.note_request if guard is not None else lambda: None
    provider = gateway or SandboxGateway(_books(url), on_request=on_request)
    await provider.start()
    definitions = build_definitions(provider, hold_seconds=HOLD_SECONDS, gate=guard)
    engine = SagaEngine(database, definitions.all, hints=hints)
    watch = None
    if guard is not None:
        watch = GuardWatch(database, guard, ProviderControls(database, "bench"), _one_replica)
        await watch.start()
    await engine.open(alone=database.dialect == "sqlite")
    bookings = Bookings(
        engine, definitions, simulation_allowed=simulation_allowed, default_token="pm_card_visa", limits=limits
    )
    bench = Bench(engine, bookings, flight_ids or await _flight_ids(database))
    engine.telemetry.attach(bench.hear)
    try:
        yield bench
    finally:
        await engine.close()
        if watch is not None:
            await watch.stop()
        await provider.close()
        await database.close()


async def _one_replica(connection: AsyncConnection) -> int:
    return 1


def books_of(folder: Path) -> Books:
    """The sandbox's books beside the file in `folder`."""
    return _books(_url(folder))


def _books(url: str) -> Books:
    source = books_beside(database_url(url))
    return SqliteBooks(source) if isinstance(source, Path) else PostgresBooks(source)
