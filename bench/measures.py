"""The measurements, each on a new database file."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.clients import book_over_http, cpu_seconds, resident_kib, served
from bench.history import add_flights, add_history, file_bytes_by_table
from bench.instant import InstantGateway
from bench.plain import run_plain_loop
from bench.world import Bench, bench_on, database_file, fill
from domain.events import EventType

__all__ = ["Growth", "HotFlight", "Size", "Throughput", "growth", "hot_flight", "latency", "memory", "throughput"]

IN_FLIGHT: Final = 256
CLIENTS: Final = 64
POLL_SECONDS: Final = 0.1
BUYERS: Final = 1_000
WARM_BOOKINGS: Final = 512
MEMORY_WARM_BOOKINGS: Final = 5_000
#: Of a large timetable; the list of all would cost the collector of this process time.
FLIGHTS_BOOKED: Final = 20_000


class Size(msgspec.Struct, frozen=True):
    """The sizes of the measurements. `share`: of what sections measure that take minutes by themselves."""

    engine: int
    plain: int
    http: int
    alone: int
    pairs: int
    finished: int
    history: int
    timetable: int
    memory: int
    share: float


class Throughput(msgspec.Struct, frozen=True):
    """Sagas a second, all measured one right after another on the same disk.

    And the milliseconds of processor time that a booking takes: the engine alone, and the server over HTTP.
    """

    plain: float
    engine: float
    engine_instant: float
    http: float
    http_quiet: float
    http_instant: float
    http_polled: float
    engine_cpu_ms: float
    http_cpu_ms: float


async def throughput(folder: Path, size: Size) -> Throughput:
    """One round of everything."""
    engine, engine_cpu_ms, plain = await _engine_and_plain(folder / "engine", size)
    instant = folder / "instant"
    await fill(instant)
    async with bench_on(instant, InstantGateway()) as bench:
        await _warm(bench)
        engine_instant = await bench.run(size.engine, IN_FLIGHT)
    rates = []
    polled = http_cpu_ms = 0.0
    for options in ((), ("--quiet",), ("--quiet", "--instant")):
        place = folder / "-".join(("http", *options))
        flights = await fill(place)
        async with served(place, *options) as server:
            await book_over_http(server.port, flights, WARM_BOOKINGS, CLIENTS)
            before = cpu_seconds(server.process)
            rates.append(await book_over_http(server.port, flights, size.http, CLIENTS))
            if not options:
                http_cpu_ms = (cpu_seconds(server.process) - before) / size.http * 1e3
                polled = await book_over_http(server.port, flights, size.http // 2, CLIENTS, poll_seconds=POLL_SECONDS)
    as_shipped, quiet, instantly = rates
    return Throughput(plain, engine, engine_instant, as_shipped, quiet, instantly, polled, engine_cpu_ms, http_cpu_ms)


async def _engine_and_plain(folder: Path, size: Size) -> tuple[float, float, float]:
    """Both rates, and the milliseconds of processor time that a booking takes the engine."""
    flights = await fill(folder)
    async with bench_on(folder) as bench:
        await _warm(bench)
        before = time.process_time()
        engine = await bench.run(size.engine, IN_FLIGHT)
        cpu_ms = (time.process_time() - before) / size.engine * 1e3
    seconds = await asyncio.to_thread(run_plain_loop, database_file(folder), flights, size.plain)
    return engine, cpu_ms, size.plain / sum(seconds)


async def latency(folder: Path, size: Size) -> tuple[float, float]:
    """Medians of the seconds that one booking takes with nothing else going on: the engine's and the plain loop's."""
    flights = await fill(folder)
    async with bench_on(folder) as bench:
        await _warm(bench)
        engine = await bench.one_at_a_time(size.alone)
    plain = await asyncio.to_thread(run_plain_loop, database_file(folder), flights, size.alone)
    return statistics.median(engine), statistics.median(plain)


class HotFlight(msgspec.Struct, frozen=True):
    """The results and the rate of buyers on one flight, compared with as many over all flights."""

    completed: int
    compensated: int
    rate: float
    spread_out: float


async def hot_flight(folder: Path) -> HotFlight:
    """A thousand buyers at once for the 144 economy seats of one flight."""
    await fill(folder)
    async with bench_on(folder) as bench:
        hot = bench.flight_ids.pop()
        await _warm(bench)
        spread_out = statistics.median([await bench.run(BUYERS, BUYERS) for _ in range(3)])
        bench.ends.clear()
        rate = await bench.run(BUYERS, BUYERS, hot)
        ends = bench.ends
        return HotFlight(ends[EventType.SAGA_COMPLETED], ends[EventType.SAGA_COMPENSATED], rate, spread_out)


class Growth(msgspec.Struct, frozen=True):
    """Sagas a second on an empty file and on a full one, in pairs; and the full file's bytes by table."""

    pairs: list[tuple[float, float]]
    file_bytes: dict[str, int]


async def growth(folder: Path, size: Size) -> Growth:
    """The same load on a new file, and on one with a large timetable and many finished sagas.

    The bookings of the full file are spread over all its flights, in random order.
    """
    empty, full = folder / "empty", folder / "full"
    for place in (empty, full):
        await fill(place)
        async with bench_on(place) as bench:
            await _warm(bench)
    file = database_file(full)
    flights = await asyncio.to_thread(add_flights, file, size.timetable)
    await asyncio.to_thread(add_history, file, size.history, flights)
    flights = random.sample(flights, min(len(flights), FLIGHTS_BOOKED))
    pairs = []
    # In turns, so that the machine's mood is shared.
    for number in range(size.pairs):
        rates = []
        for place, chosen in ((empty, None), (full, flights)):
            async with bench_on(place, flight_ids=chosen) as bench:
                await _warm(bench)
                rates.append(await bench.run(size.engine // 2, IN_FLIGHT, first=number * size.engine))
        pairs.append((rates[0], rates[1]))
    return Growth(pairs, await asyncio.to_thread(file_bytes_by_table, file))


async def memory(folder: Path, size: Size) -> tuple[int, int]:
    """KiB that the server has in use once warm, and after many more bookings."""
    flights = await fill(folder)
    async with served(folder) as server:
        await book_over_http(server.port, flights, MEMORY_WARM_BOOKINGS, CLIENTS)
        before = resident_kib(server.process)
        await book_over_http(server.port, flights, size.memory, CLIENTS)
        return before, resident_kib(server.process)


async def _warm(bench: Bench) -> None:
    await bench.run(WARM_BOOKINGS, IN_FLIGHT)
