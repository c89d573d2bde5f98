"""Reads seats and reservations; no function here locks or writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats.cabins import CabinClass
from domain.seats.model import Seat, SeatKey, SeatReservation
from domain.seats.sql import any_seat, seat_codes
from domain.seats.states import SeatReservationStatus, SeatStatus
from domain.seats.tables import is_held, is_live, one_of, seat_reservations, seats
from domain.storage import Query, any_of, is_known, page_of

__all__ = [
    "ReservationQuery",
    "claims_seat_on",
    "reservations_by_ids",
    "reservations_count",
    "reservations_of",
    "reservations_page",
    "sagas_on",
    "seat_map",
    "seats_by_ids",
]

_RESERVATIONS: Final = select(seat_reservations)
_is_known: Final = and_(
    is_known(seat_reservations.c.status, SeatReservationStatus), is_known(seat_reservations.c.cabin, CabinClass)
)
_OF_SAGAS: Final = Query(
    _RESERVATIONS.where(any_of(seat_reservations.c.saga_id, "sagas"), _is_known).order_by(
        seat_reservations.c.segment, seat_reservations.c.passenger, seat_reservations.c.id
    )
)
_BY_IDS: Final = Query(_RESERVATIONS.where(any_of(seat_reservations.c.id, "ids")))
_SEATS: Final = (
    select(seats.c.flight_id, seats.c.seat, seats.c.status, seat_reservations.c.expires_at)
    .join_from(
        seats,
        seat_reservations,
        and_(
            seat_reservations.c.flight_id == seats.c.flight_id,
            seat_reservations.c.seat == seats.c.seat,
            is_live,
            is_held,
        ),
        isouter=True,
    )
    .order_by(seats.c.flight_id, seats.c.seat)
)
_SEATS_OF_FLIGHTS: Final = Query(
    _SEATS.where(any_of(seats.c.flight_id, "flights"), is_known(seats.c.status, SeatStatus))
)
_SEATS_BY_IDS: Final = Query(_SEATS.where(any_seat(seats.c.flight_id, seats.c.seat, "keys")))


@dataclass(frozen=True, slots=True)
class ReservationQuery:
    """A filter for reservations; None or empty does not restrict. `expires_before` in microseconds, exclusive."""

    statuses: Collection[SeatReservationStatus] = ()
    flight_id: int | None = None
    expires_before: int | None = None

    def conditions(self) -> list[ColumnElement[Any]]:
        """The filter as SQL."""
        found: list[ColumnElement[Any]] = [_is_known]
        if self.statuses:
            found.append(literal_column(f"seat_reservations.status IN {one_of(*sorted(set(self.statuses)))}"))
            # Repeats the partial indexes' conditions, so that they are used.
            if all(status is SeatReservationStatus.HELD for status in self.statuses):
                found.append(is_held)
            if all(status.is_live for status in self.statuses):
                found.append(is_live)
        if self.flight_id is not None:
            found.append(seat_reservations.c.flight_id == self.flight_id)
        if self.expires_before is not None:
            found.append(seat_reservations.c.expires_at < self.expires_before)
        return found


async def reservations_of(
    connection: AsyncConnection, saga_ids: Sequence[str]
) -> dict[str, tuple[SeatReservation, ...]]:
    """Every reservation that each saga ever had, by segment and passenger; a saga without any has an empty entry."""
    found: dict[str, list[SeatReservation]] = {saga_id: [] for saga_id in saga_ids}
    for row in await _OF_SAGAS(connection, sagas=list(found)):
        found[row.saga_id].append(_reservation(row))
    return {saga_id: tuple(reservations) for saga_id, reservations in found.items()}


async def reservations_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, SeatReservation]:
    """The reservations with these IDs, by ID; unknown IDs are left out."""
    rows = await _BY_IDS(connection, ids=list(ids))
    return {row.id: _reservation(row) for row in rows}


def claims_seat_on(saga_id: ColumnElement[Any], flights: Select[Any]) -> ColumnElement[bool]:
    """A condition: the saga claims, or has claimed, a seat on one of these flights."""
    claims = select(seat_reservations.c.id).where(
        seat_reservations.c.saga_id == saga_id, seat_reservations.c.flight_id.in_(flights)
    )
    return claims.exists()


def sagas_on(flight_id: int) -> Select[Any]:
    """The sagas that claim, or have claimed, a seat on the flight."""
    return select(seat_reservations.c.saga_id).where(seat_reservations.c.flight_id == flight_id)


async def reservations_page(
    connection: AsyncConnection,
    query: ReservationQuery,
    *,
    after: tuple[int, str] | None,
    limit: int,
    reverse: bool = False,
) -> list[SeatReservation]:
    """At most `limit` reservations, soonest to expire first, beginning after (expires_at, id) `after`.

    `reverse`: as `page_of`.
    """
    key = seat_reservations.c.expires_at, seat_reservations.c.id
    statement = page_of(_RESERVATIONS.where(*query.conditions()), *key, after=after, limit=limit, reverse=reverse)
    return [_reservation(row) for row in await connection.execute(statement)]


async def reservations_count(connection: AsyncConnection, query: ReservationQuery) -> int:
    """The number of reservations of a `reservations_page` without limit."""
    statement = select(func.count()).select_from(seat_reservations).where(*query.conditions())
    return int((await connection.execute(statement)).scalar_one())


async def seat_map(connection: AsyncConnection, flight_ids: Sequence[int]) -> dict[int, tuple[Seat, ...]]:
    """All seats of each flight in row order; an unknown flight has none."""
    found: dict[int, list[Seat]] = {flight_id: [] for flight_id in flight_ids}
    for seat in map(_seat, await _SEATS_OF_FLIGHTS(connection, flights=list(found))):
        found[seat.flight_id].append(seat)
    return {flight_id: tuple(each) for flight_id, each in found.items()}


async def seats_by_ids(connection: AsyncConnection, keys: Collection[tuple[int, int]]) -> dict[SeatKey, Seat]:
    """The seats with these (flight ID, seat) pairs, by key; unknown pairs are left out."""
    rows = await _SEATS_BY_IDS(connection, keys=seat_codes(keys))
    return {seat.key: seat for seat in map(_seat, rows)}


def _reservation(row: Sequence[Any]) -> SeatReservation:
    values = list(row)
    values[7:9] = CabinClass(row[7]), SeatReservationStatus(row[8])
    return SeatReservation(*values)


def _seat(row: Sequence[Any]) -> Seat:
    flight_id, seat, status, hold_expires_at = row
    return Seat(flight_id, seat, SeatStatus(status), hold_expires_at)
