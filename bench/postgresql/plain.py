"""The reference for the engine: a plain asyncpg loop without an engine, one fenced commit a step.

A careful program would work so if it books on several connections at once and must survive a crash
between steps, and another process that takes its saga over. It has no lease and no batches, and calls
no provider. `python -m bench.postgresql.plain DSN CONNECTIONS_MAX`.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from functools import cache
from typing import Any

import asyncpg
import uvloop

from bench.postgresql.booking import FENCE, PlainBooking, Step
from bench.postgresql.contestants import Round, take_turns
from domain.ids import new_id


async def main() -> None:
    """Book when told to, one booking a connection at once, on as many of its connections as are asked for."""
    dsn, connections_max = sys.argv[1], int(sys.argv[2])
    connections = [await asyncpg.connect(dsn) for _ in range(connections_max)]
    flight_ids = [row["id"] for row in await connections[0].fetch("SELECT id FROM flights ORDER BY id")]
    replica, numbers = new_id(), itertools.count()

    async def run(round_: Round) -> dict[str, float]:
        left = iter(range(round_.bookings))

        async def buyer(connection: asyncpg.Connection) -> None:
            for _ in left:
                await _book(connection, PlainBooking(next(numbers), flight_ids, replica))

        began = time.perf_counter()
        await asyncio.gather(*(buyer(connection) for connection in connections[: round_.in_flight]))
        return {"rate": round_.bookings / (time.perf_counter() - began)}

    await take_turns(run)
    for connection in connections:
        await connection.close()


async def _book(connection: asyncpg.Connection, booking: PlainBooking) -> None:
    async with connection.transaction():
        await _take(connection, booking.start())
    for step in (booking.reserve, booking.authorize, booking.award, booking.confirm):
        async with connection.transaction():
            ours = {"saga_id": booking.saga_id, "replica": booking.replica}
            if await _execute(connection, FENCE, ours) is None:
                raise RuntimeError("the saga was taken over")
            await _take(connection, step())


async def _take(connection: asyncpg.Connection, step: Step) -> None:
    value = None
    try:
        while True:
            value = await _execute(connection, *step.send(value))
    except StopIteration:
        return


async def _execute(connection: asyncpg.Connection, statement: str, parameters: dict[str, Any]) -> Any:
    text, names = _positional(statement)
    return await connection.fetchval(text, *[parameters[name] for name in names])


@cache
def _positional(statement: str) -> tuple[str, list[str]]:
    """The statement as asyncpg takes it, and its parameters' names in order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return re.sub(r":(\w+)", number, statement), names


if __name__ == "__main__":
    uvloop.run(main())
