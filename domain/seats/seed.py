"""The seats of new flights."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats.cabins import SEATS
from domain.seats.states import SeatStatus
from domain.seats.tables import seats
from domain.storage import BulkInsert, any_of

__all__ = ["add_seats", "remove_seats"]

#: 10,368 rows a statement: few statements, and no array of unbounded size.
FLIGHTS_PER_STATEMENT_MAX: Final = 64
_INSERT: Final = BulkInsert(seats, seats.c.flight_id, seats.c.seat, seats.c.status, skip_existing=True)


async def add_seats(connection: AsyncConnection, flight_ids: Iterable[int]) -> int:
    """Give each flight its 162 seats, AVAILABLE; return how many were added.

    Existing seats stay as they are.
    """
    added = 0
    flights = iter(flight_ids)
    while chunk := list(islice(flights, FLIGHTS_PER_STATEMENT_MAX)):
        rows = [(flight_id, seat, SeatStatus.AVAILABLE.value) for flight_id in chunk for seat in range(SEATS)]
        added += await _INSERT(connection, rows)
    return added


async def remove_seats(connection: AsyncConnection, flight_ids: Iterable[int]) -> int:
    """Remove the seats of flights that were never visible; return how many. Fails if a seat was ever reserved."""
    statement = delete(seats).where(any_of(seats.c.flight_id, "flights"))
    return int((await connection.execute(statement, {"flights": list(flight_ids)})).rowcount)
