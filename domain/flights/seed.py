"""Fills an empty database with the demo timetable, and later adds the days that have come since."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.flights.loading import Departure, FlightsThereError, load
from domain.flights.loads import LoadSource, SeatKeeper, hidden_loads, remove_remains, wait_for_doubtful
from domain.flights.queries import has_none, has_others, identities
from domain.flights.timetable import demo_timetable
from domain.storage import Database

__all__ = ["extend_demo", "seed_flights"]


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
    """Load the demo timetable's flights that are missing; return how many were added.

    Adds nothing beside any other flight: own timetables stay as they are. Idempotent: a second run on one day adds
    nothing. An interrupted run leaves nothing visible and starts again from the beginning. If another process loads
    flights, it adds nothing. A START does not wait: if an import has left remains, it adds nothing. `progress` is
    called with (done, of how many). `asked`: the operator, if it is an operator's action.
    """
    if not await _missing(database, now):
        return 0
    if source is not LoadSource.START:
        await wait_for_doubtful(database, list(await hidden_loads(database)))
    alone = source if source is LoadSource.START else None
    await remove_remains(database, remove_seats=remove_seats, alone=alone)
    # In this order: if a load ends in between, one of the two checks sees it.
    if await hidden_loads(database):
        return 0
    departures = await _missing(database, now)
    if not departures:
        return 0
    try:
        return await load(
            database,
            departures,
            source=source,
            add_seats=add_seats,
            progress=progress,
            asked=asked,
        )
    except FlightsThereError:
        return 0


async def extend_demo(database: Database, *, now: int, add_seats: SeatKeeper, remove_seats: SeatKeeper) -> int:
    """Add the demo timetable's next days to a database that has it; return how many flights were added.

    Never fills an empty database.
    """
    if await has_none(database):
        return 0
    return await seed_flights(database, now=now, add_seats=add_seats, remove_seats=remove_seats)


async def _missing(database: Database, now: int) -> list[Departure]:
    """The demo timetable's flights that the database lacks; none if it has others."""
    timetable = demo_timetable(now)
    routes = {(flight.number, flight.origin, flight.destination) for flight in timetable}

    async def work(connection: AsyncConnection) -> list[Departure]:
        if await has_others(connection, routes):
            return []
        known = await identities(connection, departs_after=now)
        return [flight for flight in timetable if (flight.number, flight.departs_on, flight.origin) not in known]

    return await database.read(work)
