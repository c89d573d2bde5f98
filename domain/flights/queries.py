"""Reads flights and airports. Flights of an incomplete load are left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Select, Text, bindparam, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import to_datetime
from domain.flights.model import Airport, Flight, plain_number
from domain.flights.tables import airports, flight_loads, flights
from domain.money import Money
from domain.storage import AnyRow, Database, Query, any_of, page_of

__all__ = [
    "FlightQuery",
    "airports_by_codes",
    "airports_with_departures",
    "all_airports",
    "departing_after",
    "departures_by_ids",
    "departures_of",
    "flights_by_ids",
    "flights_count",
    "flights_page",
    "has_none",
    "has_others",
    "identities",
    "legs",
]

PAGE_FLIGHTS_MAX: Final = 100
_a = airports.c
_f = flights.c
_rows = bindparam("rows", type_=Integer)
_moment = bindparam("moment", type_=BigInteger)
_revealed = select(flight_loads.c.id).where(flight_loads.c.revealed_at.is_not(None))
_visible = or_(_f.load_id.is_(None), _f.load_id.in_(_revealed))
_any = Query(select(_f.id).where(_visible).limit(1))
_identities = Query(
    select(_f.number, _f.departs_on, _f.origin).where(
        _visible, _f.departs_at > bindparam("departs_after", type_=BigInteger)
    )
)
_by_ids = Query(select(flights).where(any_of(_f.id, "ids"), _visible))
_departures = Query(select(_f.id, _f.departs_at).where(any_of(_f.id, "ids")))
_legs = Query(
    select(flights)
    .where(
        _f.origin == bindparam("origin_"),
        _f.destination == bindparam("destination_"),
        _f.departs_on == bindparam("departs_on_"),
        _f.departs_at > bindparam("departs_after"),
        _visible,
    )
    .order_by(_f.departs_at, _f.id)
    .limit(PAGE_FLIGHTS_MAX)
)
_numbered = select(flights).where(_f.number == bindparam("number_"), _visible)
_departs_on = bindparam("departs_on_", type_=Text)
_departing_on = Query(_numbered.where(_f.departs_on == _departs_on).order_by(_f.departs_at).limit(_rows))
# Also by the local date, which is at most a day off: the index has it.
_next_departures = Query(
    _numbered.where(_f.departs_on >= _departs_on, _f.departs_at > _moment)
    .order_by(_f.departs_on, _f.departs_at)
    .limit(_rows)
)
_last_departures = Query(
    _numbered.where(_f.departs_on <= _departs_on, _f.departs_at <= _moment)
    .order_by(_f.departs_on.desc(), _f.departs_at.desc())
    .limit(_rows)
)
_airports = Query(select(airports).where(any_of(_a.code, "codes")))
_departing = select(airports).where(exists().where(_f.origin == _a.code, _visible)).order_by(_a.code)


@dataclass(frozen=True, slots=True)
class FlightQuery:
    """A filter for flights; None means no restriction.

    `departs_on`: YYYY-MM-DD in the origin's local time. `departs_after`: microseconds.
    """

    origin: str | None = None
    destination: str | None = None
    departs_on: str | None = None
    number: str | None = None
    departs_after: int | None = None


async def has_none(database: Database) -> bool:
    """Whether there is no visible flight."""
    return await database.read(_any.first) is None


async def identities(connection: AsyncConnection, *, departs_after: int) -> set[tuple[str, str, str]]:
    """Number, local date and origin of every visible flight that departs after this moment."""
    return {
        (row.number, row.departs_on, row.origin) for row in await _identities(connection, departs_after=departs_after)
    }


async def has_others(connection: AsyncConnection, routes: Collection[tuple[str, str, str]]) -> bool:
    """Whether there is a visible flight of another (number, origin, destination) than these."""
    of_another = tuple_(_f.number, _f.origin, _f.destination).not_in(list(routes))
    return (await connection.execute(select(_f.id).where(_visible, of_another).limit(1))).first() is not None


async def flights_by_ids(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, Flight]:
    """Flights by id; unknown ones are left out."""
    return {row.id: _flight(row) for row in await _by_ids(connection, ids=list(ids))}


async def departures_by_ids(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, int]:
    """The departure time of each of these flights, by ID; microseconds. Unknown ones are left out."""
    return {row.id: row.departs_at for row in await _departures(connection, ids=list(set(ids)))}


def departing_after(moment: int) -> Select[Any]:
    """The IDs of the flights that depart after `moment`, in microseconds."""
    return select(_f.id).where(_f.departs_at > moment)


async def flights_page(
    connection: AsyncConnection,
    query: FlightQuery,
    *,
    after: tuple[int, int] | None,
    limit: int,
    reverse: bool = False,
) -> list[Flight]:
    """Flights by departure, after the position (departs_at, id); at most `limit`, never more than 101.

    `reverse`: as `page_of`.
    """
    matching, limit = _restrict(select(flights), query), min(limit, PAGE_FLIGHTS_MAX + 1)
    statement = page_of(matching, _f.departs_at, _f.id, after=after, limit=limit, reverse=reverse)
    return [_flight(row) for row in await connection.execute(statement)]


async def flights_count(connection: AsyncConnection, query: FlightQuery) -> int:
    """How many flights match."""
    statement = _restrict(select(func.count()).select_from(flights), query)
    return int((await connection.execute(statement)).scalar_one())


async def legs(
    connection: AsyncConnection, origin: str, destination: str, departs_on: str, *, departs_after: int
) -> list[Flight]:
    """Flights of one local day between two airports that leave after a moment, by departure; at most 100."""
    parameters = {
        "origin_": origin,
        "destination_": destination,
        "departs_on_": departs_on,
        "departs_after": departs_after,
    }
    return [_flight(row) for row in await _legs(connection, **parameters)]


async def departures_of(
    connection: AsyncConnection, number: str, departs_on: str | None, *, now: int, limit: int
) -> list[Flight]:
    """The departures of a flight number, on one local date or all: the next ones first, then the last ones.

    At most two statements. Their cost does not grow with the number of departures.
    """
    parameters = {"number_": plain_number(number), "rows": limit}
    if departs_on is not None:
        return [_flight(row) for row in await _departing_on(connection, departs_on_=departs_on, **parameters)]
    today, day = to_datetime(now).date(), timedelta(days=1)
    rows = list(await _next_departures(connection, departs_on_=str(today - day), moment=now, **parameters))
    if len(rows) < limit:
        rows += await _last_departures(connection, departs_on_=str(today + day), moment=now, **parameters)
    return [_flight(row) for row in rows[:limit]]


async def airports_by_codes(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, Airport]:
    """Airports by IATA code; unknown ones are left out."""
    return {row.code: Airport(*row) for row in await _airports(connection, codes=list(codes))}


async def all_airports(connection: AsyncConnection) -> list[Airport]:
    """Every airport that a flight ever departed from or arrived at, by code: a small table."""
    return [Airport(*row) for row in await connection.execute(select(airports).order_by(_a.code))]


async def airports_with_departures(connection: AsyncConnection) -> list[Airport]:
    """Airports with departing flights, by code."""
    return [Airport(*row) for row in await connection.execute(_departing)]


def _restrict(statement: Select[Any], query: FlightQuery) -> Select[Any]:
    statement = statement.where(_visible)
    for column, value in (
        (_f.origin, query.origin),
        (_f.destination, query.destination),
        (_f.departs_on, query.departs_on),
        (_f.number, None if query.number is None else plain_number(query.number)),
    ):
        if value is not None:
            statement = statement.where(column == value)
    return statement if query.departs_after is None else statement.where(_f.departs_at > query.departs_after)


def _flight(row: AnyRow) -> Flight:
    currency = row.currency
    return Flight(
        id=row.id,
        number=row.number,
        origin=row.origin,
        destination=row.destination,
        departs_at=row.departs_at,
        arrives_at=row.arrives_at,
        departs_on=row.departs_on,
        distance_miles=row.distance_miles,
        fares={
            "ECONOMY": Money(row.economy_minor, currency),
            "BUSINESS": Money(row.business_minor, currency),
            "FIRST": Money(row.first_minor, currency),
        },
        currency=currency,
    )
