"""Reads free seats without locks: on PostgreSQL only a hint, as the lock decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import ScalarSelect, literal_column, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats.allocation import cabin_mask
from domain.seats.cabins import SEATS, CabinClass
from domain.seats.sql import seat_bits
from domain.seats.tables import is_available, is_live, seat_reservations, seats
from domain.storage import Query, any_of

__all__ = ["available_counts", "free_seats", "without_taken"]

_ALL_SEATS: Final = (1 << SEATS) - 1
_WORD: Final = 54
_flight = seats.alias("flight")


def _taken(first: int) -> ScalarSelect[int]:
    return (
        select(seat_bits(seat_reservations.c.seat, literal_column(str(first))))
        .where(
            seat_reservations.c.flight_id == _flight.c.flight_id,
            seat_reservations.c.seat.between(literal_column(str(first)), literal_column(str(first + _WORD - 1))),
            is_live,
        )
        .correlate(_flight)
        .scalar_subquery()
    )


# A seat without a live claim is free, and the unique index of live claims is the shortest list of taken seats. It
# is read as three words of 54 bits a flight: for 206 flights on SQLite, with a tenth of the seats sold, this took
# 3 ms; the bits of all seats took 5 ms, and their rows 27 ms.
_TAKEN = Query(
    select(
        _flight.c.flight_id, *(_taken(first).label(f"taken_from_{first}") for first in range(0, SEATS, _WORD))
    ).where(any_of(_flight.c.flight_id, "flights"), _flight.c.seat == literal_column("0"))
)

_NOT_AVAILABLE = Query(
    select(seats.c.flight_id, seats.c.seat).where(any_of(seats.c.flight_id, "flights"), not_(is_available))
)


async def free_seats(connection: AsyncConnection, flight_ids: Iterable[int]) -> dict[int, int]:
    """The AVAILABLE seats of each flight as bits (bit `i` is seat `i`); an unknown flight is left out.

    One statement for any number of flights.
    """
    wanted = sorted(set(flight_ids))
    if not wanted:
        return {}
    rows = await _TAKEN(connection, flights=wanted)
    return {
        flight_id: _ALL_SEATS & ~((low or 0) | (middle or 0) << _WORD | (high or 0) << 2 * _WORD)
        for flight_id, low, middle, high in rows
    }


async def without_taken(connection: AsyncConnection, free: Mapping[int, int]) -> dict[int, int]:
    """`free` without the seats that are not AVAILABLE, with or without a claim on them. One statement."""
    left = dict(free)
    for flight_id, seat in await _NOT_AVAILABLE(connection, flights=list(free)):
        left[flight_id] &= ~(1 << seat)
    return left


async def available_counts(connection: AsyncConnection, flight_ids: Iterable[int]) -> dict[int, dict[CabinClass, int]]:
    """How many seats each cabin of each flight can sell now; FIRST and BUSINESS both count the rows they share."""
    wanted = set(flight_ids)
    free = await free_seats(connection, wanted)
    return {
        flight_id: {cabin: (free.get(flight_id, 0) & cabin_mask(cabin)).bit_count() for cabin in CabinClass}
        for flight_id in wanted
    }
