"""Brings flights in: in bounded chunks behind a flag, visible all at once or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import to_datetime
from domain.flights.atlas import airport
from domain.flights.model import great_circle_miles
from domain.flights.tables import airports, flights
from domain.ids import new_id
from domain.storage import BulkInsert, Database, any_of

__all__ = ["Departure", "SeatKeeper", "load", "local_date", "remove_remains"]

#: Flights a transaction: with 162 seats each, small enough that others hardly wait.
CHUNK_FLIGHTS: Final = 50

SeatKeeper = Callable[[AsyncConnection, Sequence[int]], Awaitable[object]]
"""Adds, or removes, the seats of flights within a transaction."""

_a = airports.c
_f = flights.c
_insert_airports = BulkInsert(
    airports, _a.code, _a.name, _a.city, _a.country, _a.time_zone, _a.latitude, _a.longitude, skip_existing=True
)
_insert_flights = BulkInsert(
    flights,
    _f.number,
    _f.origin,
    _f.destination,
    _f.departs_at,
    _f.arrives_at,
    _f.departs_on,
    _f.distance_miles,
    _f.economy_minor,
    _f.business_minor,
    _f.first_minor,
    _f.currency,
    _f.load_id,
)


@dataclass(frozen=True, slots=True)
class Departure:
    """A flight to bring in: airports by code, instants in microseconds, prices in minor units."""

    number: str
    origin: str
    destination: str
    departs_at: int
    arrives_at: int
    economy_minor: int
    business_minor: int
    first_minor: int
    currency: str

    @property
    def departs_on(self) -> str:
        """The date of departure in the origin's local time."""
        return local_date(self.departs_at, self.origin)


def local_date(moment: int, code: str) -> str:
    """The date, YYYY-MM-DD, that it is at the airport `code` at a moment in microseconds."""
    place = airport(code)
    if place is None:
        raise LookupError(f"there is no airport {code}")
    return _in_zone(moment, place.time_zone).date().isoformat()


def _in_zone(moment: int, zone: str) -> datetime:
    return to_datetime(moment).astimezone(ZoneInfo(zone))


async def load(
    database: Database,
    departures: Sequence[Departure],
    *,
    add_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Bring all of `departures` in, with their seats; returns how many.

    Guarantee: nobody sees any of them before all are there, and then everybody sees all of
    them. If this process dies on the way, `remove_remains` removes what nobody has seen.
    """
    load_id = new_id()
    await database.write(lambda connection: _add_airports(connection, departures))
    for start in range(0, len(departures), CHUNK_FLIGHTS):
        chunk = departures[start : start + CHUNK_FLIGHTS]

        async def add(connection: AsyncConnection, chunk: Sequence[Departure] = chunk) -> None:
            await _insert_flights(connection, [_row(departure, load_id) for departure in chunk])
            keys = {(departure.number, departure.departs_on) for departure in chunk}
            statement = select(_f.id, _f.number, _f.departs_on).where(_f.load_id == load_id)
            added = [row.id for row in await connection.execute(statement) if (row.number, row.departs_on) in keys]
            await add_seats(connection, added)

        await database.write(add)
        if progress is not None:
            progress(start + len(chunk), len(departures))

    async def reveal(connection: AsyncConnection) -> None:
        await connection.execute(update(flights).where(_f.load_id == load_id).values(load_id=None))

    await database.write(reveal)
    return len(departures)


async def remove_remains(database: Database, *, remove_seats: SeatKeeper) -> int:
    """Remove flights of loads that never became visible, with their seats; returns how many.

    Only for when no load is under way: one load at a time is the operator's business.
    """

    async def work(connection: AsyncConnection) -> int:
        ids = list((await connection.execute(select(_f.id).where(_f.load_id.is_not(None)))).scalars())
        if ids:
            await remove_seats(connection, ids)
            await connection.execute(delete(flights).where(any_of(_f.id, "ids")), {"ids": ids})
        return len(ids)

    return await database.write(work)


async def _add_airports(connection: AsyncConnection, departures: Iterable[Departure]) -> None:
    codes = sorted({code for departure in departures for code in (departure.origin, departure.destination)})
    known = [place for place in map(airport, codes) if place is not None]
    await _insert_airports(
        connection,
        [(p.code, p.name, p.city, p.country, p.time_zone, p.latitude, p.longitude) for p in known],
    )


def _row(departure: Departure, load_id: str) -> tuple[object, ...]:
    origin, destination = airport(departure.origin), airport(departure.destination)
    if origin is None or destination is None:
        raise LookupError(f"there is no airport {departure.origin} or {departure.destination}")
    return (
        departure.number,
        departure.origin,
        departure.destination,
        departure.departs_at,
        departure.arrives_at,
        departure.departs_on,
        great_circle_miles(origin, destination),
        departure.economy_minor,
        departure.business_minor,
        departure.first_minor,
        departure.currency,
        load_id,
    )
