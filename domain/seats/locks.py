"""Locks seats without waiting: a row that another transaction has locked is left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.seats.cabins import CabinClass
from domain.seats.model import SeatKey
from domain.seats.sql import any_seat, seat_codes
from domain.seats.states import SeatReservationStatus
from domain.seats.tables import is_available, is_live, seat_reservations, seats
from domain.storage import Query, any_of

__all__ = ["LockedReservation", "SagaSeats", "lock_free_seats", "lock_reservations"]

_LOCK_FREE: Final = Query(
    select(seats.c.flight_id, seats.c.seat)
    .where(any_seat(seats.c.flight_id, seats.c.seat, "keys"), is_available)
    .order_by(seats.c.flight_id, seats.c.seat)
    .with_for_update(skip_locked=True)
)

# PostgreSQL returns locked rows as they are now, and other rows as they were when the statement began. So the status
# is taken from `locked` if the row is there, and a live row that is missing there is busy.
_locked = (
    select(seat_reservations.c.id, seat_reservations.c.status)
    .join(
        seats,
        and_(seats.c.flight_id == seat_reservations.c.flight_id, seats.c.seat == seat_reservations.c.seat),
    )
    .where(any_of(seat_reservations.c.saga_id, "sagas"), is_live)
    .order_by(seat_reservations.c.flight_id, seat_reservations.c.seat)
    .with_for_update(of=[seat_reservations, seats], skip_locked=True)
    .cte("locked")
)
_LOCK_RESERVATIONS: Final = Query(
    select(
        seat_reservations.c.saga_id,
        seat_reservations.c.id,
        seat_reservations.c.flight_id,
        seat_reservations.c.seat,
        seat_reservations.c.cabin,
        seat_reservations.c.expires_at,
        func.coalesce(_locked.c.status, seat_reservations.c.status),
        _locked.c.id.is_not(None),
    )
    .join_from(seat_reservations, _locked, _locked.c.id == seat_reservations.c.id, isouter=True)
    .where(any_of(seat_reservations.c.saga_id, "sagas"))
    .order_by(seat_reservations.c.saga_id, seat_reservations.c.segment, seat_reservations.c.passenger)
)
# On SQLite the transaction has the write lock since it began, so every row that it reads is locked.
_READ_RESERVATIONS: Final = Query(
    select(
        seat_reservations.c.saga_id,
        seat_reservations.c.id,
        seat_reservations.c.flight_id,
        seat_reservations.c.seat,
        seat_reservations.c.cabin,
        seat_reservations.c.expires_at,
        seat_reservations.c.status,
        literal_column("1"),
    )
    .where(any_of(seat_reservations.c.saga_id, "sagas"))
    .order_by(seat_reservations.c.saga_id, seat_reservations.c.segment, seat_reservations.c.passenger)
)


@dataclass(frozen=True, slots=True)
class LockedReservation:
    """One reservation as it stood when its row was locked; `locked` is False for a live one that was busy."""

    id: str
    key: SeatKey
    cabin: CabinClass
    status: SeatReservationStatus
    expires_at: int
    locked: bool


@dataclass(frozen=True, slots=True)
class SagaSeats:
    """Every reservation that a saga ever had, by segment and passenger; its live ones are locked unless busy."""

    reservations: tuple[LockedReservation, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether another transaction has locked a live one: then nothing may be decided about this saga now."""
        return any(each.status.is_live and not each.locked for each in self.reservations)

    @property
    def expires_at(self) -> int:
        """When its holds lapse, all at once; 0 if it has none."""
        return min((each.expires_at for each in self.those(SeatReservationStatus.HELD)), default=0)

    def those(self, *statuses: SeatReservationStatus) -> list[LockedReservation]:
        """The reservations with these statuses."""
        return [each for each in self.reservations if each.status in statuses]

    def all_are(self, status: SeatReservationStatus) -> bool:
        """Whether there are reservations and all of them are of `status`."""
        return bool(self.reservations) and all(each.status is status for each in self.reservations)


async def lock_free_seats(connection: AsyncConnection, keys: Collection[SeatKey]) -> set[SeatKey]:
    """Lock those of `keys` that are AVAILABLE and not locked by others, until the transaction ends; return them.

    On SQLite the transaction has the write lock since it began, so they are only read.
    """
    if not keys:
        return set()
    return {SeatKey(*row) for row in await _LOCK_FREE(connection, keys=seat_codes(keys))}


async def lock_reservations(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, SagaSeats]:
    """Lock the live reservations of these sagas, and their seats, until the transaction ends.

    Returns every reservation of every saga asked for, live or not; one statement for all.
    """
    found: dict[str, list[LockedReservation]] = {saga_id: [] for saga_id in saga_ids}
    lock = _READ_RESERVATIONS if connection.dialect.name == "sqlite" else _LOCK_RESERVATIONS
    rows = await lock(connection, sagas=list(found))
    for saga_id, reservation_id, flight_id, seat, cabin, expires_at, status, locked in rows:
        found[saga_id].append(
            LockedReservation(
                reservation_id,
                SeatKey(flight_id, seat),
                CabinClass(cabin),
                SeatReservationStatus(status),
                expires_at,
                bool(locked),
            )
        )
    return {saga_id: SagaSeats(tuple(reservations)) for saga_id, reservations in found.items()}
