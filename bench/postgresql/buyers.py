"""One process of buyers over HTTP: `python -m bench.postgresql.buyers PORT`.

The number of buyers is the round's `in_flight`, each with its own connection. They buy one seat after
another on the flights in the round's `given`, until no seat is left or all of the round's bookings are
requested.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
import uuid
from typing import Final

import uvloop

from bench.connection import Connection, flight_node
from bench.postgresql.booking import MEMBERS
from bench.postgresql.contestants import Round, take_turns

_BOOK: Final = (
    "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { correlationId } errors { __typename } } }"
)
_END: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 30) { status } }"


async def main() -> None:
    """Buy when told to."""
    port = int(sys.argv[1])

    async def run(round_: Round) -> dict[str, float]:
        sold, refused = 0, 0
        numbers = itertools.islice(itertools.count(uuid.uuid4().int % MEMBERS), round_.bookings)
        connections = [await Connection.to(port) for _ in range(round_.in_flight)]

        async def buyer(connection: Connection) -> None:
            nonlocal sold, refused
            for number in numbers:
                if await _buy(connection, round_.given[number % len(round_.given)], number):
                    sold += 1
                else:
                    refused += 1
                    return

        began = time.perf_counter()
        await asyncio.gather(*map(buyer, connections))
        seconds = time.perf_counter() - began
        for connection in connections:
            connection.close()
        return {"sold": sold, "refused": refused, "seconds": seconds}

    await take_turns(run)


async def _buy(connection: Connection, flight_id: int, number: int) -> bool:
    """Whether a seat was to be had."""
    correlation_id = str(uuid.uuid4())
    wish = {
        "correlationId": correlation_id,
        "segments": [{"flightId": flight_node(flight_id)}],
        "passengers": [{"givenName": "Grace", "familyName": "Hopper"}],
        "loyalty": {"memberNumber": f"SS{number % MEMBERS + 1:07d}"},
    }
    answer = await connection.ask(_BOOK, {"input": wish})
    if b"SeatUnavailable" in answer:
        return False
    if b'"errors":[]' not in answer:
        raise RuntimeError(answer.decode())
    answer = await connection.ask(_END, {"id": correlation_id})
    if b'"COMPLETED"' in answer:
        return True
    if b'"COMPENSATED"' in answer:
        return False
    raise RuntimeError(answer.decode())


if __name__ == "__main__":
    uvloop.run(main())
