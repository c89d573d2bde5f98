"""Loads flights in bounded chunks behind a flag; they become visible all at once or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.clock import to_datetime
from domain.flights.atlas import airport
from domain.flights.loads import (
    CHUNK_FLIGHTS,
    LoadSource,
    SeatKeeper,
    abandon,
    add_chunk,
    begin,
    chunk_pause,
    clear_flags,
    reveal,
)
from domain.flights.model import great_circle_miles
from domain.flights.tables import airports, flights
from domain.operators import Entry, OperatorActionKind
from domain.storage import BulkInsert, Database

__all__ = ["Departure", "FlightsThereError", "load", "local_date"]

_Row = tuple[object, ...]
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
    skip_existing=True,
    returned=_f.id,
)


@dataclass(frozen=True, slots=True)
class Departure:
    """A flight to load: airports by code, instants in microseconds, prices in minor units."""

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


class Departures(Protocol):
    """Departures whose number is known; they need not all be in memory at once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Departure]: ...


def local_date(moment: int, code: str) -> str:
    """The local date, YYYY-MM-DD, at the airport `code` at a moment in microseconds."""
    place = airport(code)
    if place is None:
        raise LookupError(f"there is no airport {code}")
    return _in_zone(moment, place.time_zone).date().isoformat()


def _in_zone(moment: int, zone: str) -> datetime:
    return to_datetime(moment).astimezone(ZoneInfo(zone))


class FlightsThereError(Exception):
    """Another load has added a flight of this one meanwhile."""


async def load(
    database: Database,
    departures: Departures,
    *,
    source: LoadSource = LoadSource.FILE,
    add_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None = None,
    asked: Asked | None = None,
) -> int:
    """Load all of `departures`, with their seats; return how many. `asked`: the operator whose action it is.

    Guarantee: none of them is visible before all are loaded, and then all are visible. If this process
    dies before that, `remove_remains` removes the invisible ones. Raises FlightsThereError if another
    load was faster, LoadLostError if flights were lost.
    """
    flights_expected = len(departures)
    load_id = await begin(database, source, flights_expected)
    try:
        await _add_all(database, departures, load_id, add_seats, progress)
        await reveal(database, load_id, flights_expected, _entry(asked, source, flights_expected))
    except BaseException:
        # So the next load need not wait to see whether this one is alive.
        with suppress(Exception):
            await abandon(database, load_id)
        raise
    await clear_flags(database, load_id)
    return flights_expected


def _entry(asked: Asked | None, source: LoadSource, flights_loaded: int) -> Entry | None:
    if asked is None:
        return None
    kind = OperatorActionKind.IMPORT_FLIGHTS if source is LoadSource.FILE else OperatorActionKind.SEED
    return Entry(asked, kind, "not loaded", f"{flights_loaded:,} flights loaded")


async def _add_all(
    database: Database,
    departures: Departures,
    load_id: str,
    add_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None,
) -> None:
    coming, places, done = iter(departures), set[str](), 0
    while chunk := list(islice(coming, CHUNK_FLIGHTS)):
        new_places = {code for departure in chunk for code in (departure.origin, departure.destination)} - places
        rows = [_row(departure, load_id) for departure in chunk]

        async def add(
            connection: AsyncConnection, new_places: Iterable[str] = new_places, rows: Sequence[_Row] = rows
        ) -> None:
            await _add_airports(connection, new_places)
            added = await _insert_flights.returning(connection, rows)
            if len(added) != len(rows):
                raise FlightsThereError
            await add_seats(connection, sorted(added))

        began = time.monotonic()
        await add_chunk(database, load_id, add)
        places |= new_places
        done += len(chunk)
        if progress is not None:
            progress(done, len(departures))
        await chunk_pause(database, time.monotonic() - began)


async def _add_airports(connection: AsyncConnection, codes: Iterable[str]) -> None:
    known = [place for place in map(airport, sorted(codes)) if place is not None]
    await _insert_airports(
        connection,
        [(p.code, p.name, p.city, p.country, p.time_zone, p.latitude, p.longitude) for p in known],
    )


def _row(departure: Departure, load_id: str) -> _Row:
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
