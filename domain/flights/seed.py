"""Fills an empty database with the demo timetable."""

from __future__ import annotations

from collections.abc import Callable

from domain.flights.loading import FlightsThereError, load
from domain.flights.loads import LoadSource, SeatKeeper, hidden_loads, remove_remains, wait_for_doubtful
from domain.flights.queries import has_none
from domain.flights.timetable import demo_timetable
from domain.storage import Database

__all__ = ["seed_flights"]


async def seed_flights(
    database: Database,
    *,
    now: int,
    source: LoadSource = LoadSource.SEED,
    add_seats: SeatKeeper,
    remove_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Load the demo timetable where there is no flight at all; returns how many flights were added.

    Idempotent: a second run adds nothing, and one that was interrupted has left nothing visible
    and begins anew. Where somebody else is loading flights, nothing is added. A START waits for
    nobody: where an import has left something, it adds nothing. `progress` hears (done, of how many).
    """
    if not await has_none(database):
        return 0
    if source is not LoadSource.START:
        await wait_for_doubtful(database, list(await hidden_loads(database)))
    alone = source if source is LoadSource.START else None
    await remove_remains(database, remove_seats=remove_seats, alone=alone)
    # In this order: a load that ends in between is seen by the one or the other.
    if await hidden_loads(database) or not await has_none(database):
        return 0
    try:
        return await load(
            database,
            demo_timetable(now),
            source=source,
            add_seats=add_seats,
            progress=progress,
        )
    except FlightsThereError:
        return 0
