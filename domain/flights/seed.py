"""Fills an empty database with the demo timetable."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select

from domain.flights.loading import SeatKeeper, load, remove_remains
from domain.flights.tables import flights
from domain.flights.timetable import demo_timetable
from domain.storage import Database

__all__ = ["seed_flights"]


async def seed_flights(
    database: Database,
    *,
    now: int,
    add_seats: SeatKeeper,
    remove_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Load the demo timetable where there is no flight at all; returns how many flights were added.

    Idempotent: a second run adds nothing, and one that was interrupted has left nothing visible
    and begins anew. `progress` hears (done, of how many).
    """
    await remove_remains(database, remove_seats=remove_seats)
    async with database.reading() as connection:
        known = (await connection.execute(select(func.count()).select_from(flights))).scalar_one()
    if known:
        return 0
    return await load(database, demo_timetable(now), add_seats=add_seats, progress=progress)
