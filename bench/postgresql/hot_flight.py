"""Sixteen processes of buyers on two replicas sell out one flight; compared with as many buyers over all flights."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.clients import served
from bench.postgresql.contestants import Contestant, contestant
from bench.postgresql.server import BenchServer, dsn

__all__ = ["HotFlightOnTwo", "hot_flight_on_two"]

PROCESSES: Final = 16
BUYERS_EACH: Final = 4
REPLICAS: Final = 2
#: More than there are seats: a process buys until there is none.
_UNTIL_SOLD_OUT: Final = 1_000
_SOLD: Final = (
    "SELECT count(*) AS owners, count(DISTINCT seat) AS seats FROM seat_reservations"
    " WHERE flight_id = $1 AND status = 'CONFIRMED'"
)


@dataclass(frozen=True)
class HotFlightOnTwo:
    """Seats sold, each to one; buyers refused; and bookings a second, refused ones too, there and elsewhere."""

    seats: int
    refused: int
    seconds: float
    rate: float
    spread_out: float


async def hot_flight_on_two(server: BenchServer, folder: Path) -> HotFlightOnTwo:
    """Raises RuntimeError where the buyers were told of more seats, or of fewer, than the database has sold."""
    url = await server.copy("hot_flight")
    hot, *others = server.flight_ids
    before, _ = await _sold(url, hot)
    async with AsyncExitStack() as stack:
        ports = []
        for number in range(REPLICAS):
            place = folder / f"replica-{number}"
            place.mkdir(parents=True)
            ports.append((await stack.enter_async_context(served(place, url=url))).port)
        buyers = [
            await stack.enter_async_context(contestant("bench.postgresql.buyers", str(ports[number % REPLICAS])))
            for number in range(PROCESSES)
        ]
        await _all(buyers, 4, others)
        spread_out = [await _all(buyers, 16, others)]
        found = await _all(buyers, _UNTIL_SOLD_OUT, [hot])
        spread_out.append(await _all(buyers, 16, others))
    owners, seats = await _sold(url, hot)
    sold, refused = sum(answer["sold"] for answer in found), sum(answer["refused"] for answer in found)
    if not owners == seats == sold + before:
        raise RuntimeError(f"{sold} seats were sold, say the buyers; {seats} to {owners} owners, says the database")
    return HotFlightOnTwo(
        seats=sold,
        refused=refused,
        seconds=max(answer["seconds"] for answer in found),
        rate=_rate(found),
        spread_out=statistics.mean(map(_rate, spread_out)),
    )


async def _sold(url: str, flight_id: int) -> tuple[int, int]:
    """The number of buyers with a seat on the flight, and the number of their seats."""
    connection = await asyncpg.connect(dsn(url))
    try:
        row = await connection.fetchrow(_SOLD, flight_id)
        assert row is not None, "a count has always one row"
        return row["owners"], row["seats"]
    finally:
        await connection.close()


async def _all(buyers: list[Contestant], bookings: int, flight_ids: list[int]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(process.run(bookings, BUYERS_EACH, flight_ids) for process in buyers)))


def _rate(answers: list[dict[str, Any]]) -> float:
    """Bookings a second, until the last buyer has an answer."""
    bookings = sum(answer["sold"] for answer in answers)
    return float(bookings / max(answer["seconds"] for answer in answers))
