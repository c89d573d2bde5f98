"""An engine beside sagas that wait for their customers: its start, memory and speed, and how soon a word is obeyed.

The waiting sagas are copies of one held booking, without its seats, owned by a replica that is gone.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.world import Bench, bench_over
from domain.actors import Actor, ActorRole
from domain.bookings import BookFlight, Passenger, SegmentWish
from domain.events import EventType
from domain.events.tables import saga_events
from domain.ids import new_id
from domain.saga import Committed, SagaView
from domain.saga.tables import saga_steps, sagas
from domain.storage import BulkInsert, Database

__all__ = ["Beside", "beside_waiting"]

IN_FLIGHT: Final = 256
CHUNK_SAGAS: Final = 5_000
_KEYS: Final = {sagas: sagas.c.id, saga_steps: saga_steps.c.saga_id, saga_events: saga_events.c.saga_id}
CUSTOMER: Final = Actor(ActorRole.CUSTOMER, "bench")


class Beside(msgspec.Struct, frozen=True):
    """What one engine does beside so many waiting sagas."""

    start_seconds: float
    memory_mib: float
    sagas_per_second: float
    word_ms_p50: float
    word_ms_p99: float


async def beside_waiting(url: str, waiting: int, *, bookings: int, words: int) -> Beside:
    """Measure on the filled database at `url`, after `waiting` sagas that wait are put in."""
    if waiting:
        await _put_in(url, waiting)
    gc.collect()
    before = _own_mib()
    began = time.perf_counter()
    async with bench_over(url) as bench:
        # Its lease has lapsed: this start takes all of its sagas over.
        start_seconds = time.perf_counter() - began
        gc.collect()
        memory_mib = _own_mib() - before
        await bench.run(IN_FLIGHT * 2, IN_FLIGHT)
        rate = await bench.run(bookings, IN_FLIGHT, first=IN_FLIGHT * 2)
        took = sorted(await _obeyed(bench, words))
    return Beside(
        start_seconds, memory_mib, rate, statistics.median(took) * 1e3, took[round(len(took) * 0.99) - 1] * 1e3
    )


async def _hold(bench: Bench, number: int) -> SagaView:
    """A held booking that waits for its payment."""
    wish = [SegmentWish(bench.flight_ids[number % len(bench.flight_ids)])]
    request = BookFlight("bench", wish, [Passenger("Grace", "Hopper")], pay_later=True)
    saga = await bench.bookings.book(request)
    assert isinstance(saga, SagaView), saga
    found = await bench.engine.ended(saga.correlation_id, seconds=30)
    assert found is not None
    assert found.awaiting is not None, found
    return found


async def _obeyed(bench: Bench, words: int) -> list[float]:
    """The seconds from each card, given one after another, until its attempt has begun."""
    begun: dict[str, asyncio.Future[None]] = {}

    def hear(signal: object) -> None:
        if isinstance(signal, Committed):
            for event in signal.events:
                if event.type is EventType.STEP_STARTED and event.saga_id in begun:
                    begun.pop(event.saga_id).set_result(None)

    held = [await _hold(bench, number) for number in range(words)]
    detach = bench.engine.telemetry.attach(hear)
    took = []
    for saga in held:
        future = begun[saga.id] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await bench.bookings.pay_for_hold(saga.correlation_id, None, subject=None, by=CUSTOMER)
        await future
        took.append(time.perf_counter() - began)
    detach()
    return took


async def _put_in(url: str, waiting: int) -> None:
    async with bench_over(url) as bench:
        original = await _hold(bench, 0)
    async with _database(url) as database:
        async with database.reading() as connection:
            kept = {
                table: list((await connection.execute(select(table).where(key == original.id))).mappings())
                for table, key in _KEYS.items()
            }
        inserts = {table: BulkInsert(table, *table.c) for table in kept}
        for first in range(0, waiting, CHUNK_SAGAS):
            ids = [(new_id(), new_id()) for _ in range(min(CHUNK_SAGAS, waiting - first))]

            async def work(connection: AsyncConnection, ids: list[tuple[str, str]] = ids) -> None:
                for table, rows in kept.items():
                    await inserts[table](connection, [_copied(table, row, *each) for each in ids for row in rows])

            await database.write(work)
        if database.dialect == "postgresql":
            await database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))


def _copied(table: Table, row: Mapping[Any, Any], saga_id: str, correlation_id: str) -> tuple[Any, ...]:
    own = {_KEYS[table].name: saga_id, "correlation_id": correlation_id}
    return tuple(own.get(column.name, row[column.name]) for column in table.c)


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


def _own_mib() -> float:
    """The process's own memory; pages of a mapped database file are the page cache's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024
