"""Fills an empty database with the demo timetable."""

from __future__ import annotations

from collections.abc import Callable

from domain.actors import Asked
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
    asked: Asked | None = None,
) -> int:
    """Load the demo timetable if there is no flight at all; return how many flights were added.

    Idempotent: a second run adds nothing. An interrupted run leaves nothing visible and starts again
    from the beginning. If another process is loading flights, it adds nothing. A START does not wait:
    if an import has left remains, it adds nothing. `progress` is called with (done, of how many).
    `asked`: the operator, if it is an operator's action.
    """
    if not await has_none(database):
        return 0
    if source is not LoadSource.START:
        await wait_for_doubtful(database, list(await hidden_loads(database)))
    alone = source if source is LoadSource.START else None
    await remove_remains(database, remove_seats=remove_seats, alone=alone)
    # In this order: if a load ends in between, one of the two checks sees it.
    if await hidden_loads(database) or not await has_none(database):
        return 0
    try:
        return await load(
            database,
            demo_timetable(now),
            source=source,
            add_seats=add_seats,
            progress=progress,
            asked=asked,
        )
    except FlightsThereError:
        return 0
