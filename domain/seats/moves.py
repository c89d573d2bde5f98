"""Every change of state, written once: it names the allowed old states and checks the row count.

The guards are made from the TRANSITIONS tables, so the database refuses any other transition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import StorageError
from domain.seats.locks import LockedReservation
from domain.seats.model import SeatKey
from domain.seats.states import RESERVATION_TRANSITIONS, SEAT_TRANSITIONS, SeatReservationStatus, SeatStatus
from domain.seats.tables import one_of, seat_reservations, seats
from domain.storage import BulkUpdate

__all__ = ["move_reservations", "move_seats"]

S = TypeVar("S", bound=StrEnum)


def _guard(table: Table, transitions: Mapping[S, frozenset[S]], to: S) -> str:
    return f"{table.name}.status IN {one_of(*(status for status, after in transitions.items() if to in after))}"


_SEATS: Final[Mapping[SeatStatus, BulkUpdate]] = {
    to: BulkUpdate(
        seats,
        key=[seats.c.flight_id, seats.c.seat],
        change=[seats.c.status],
        guard=_guard(seats, SEAT_TRANSITIONS, to),
    )
    for to in SeatStatus
}
_RESERVATIONS: Final[Mapping[SeatReservationStatus, BulkUpdate]] = {
    to: BulkUpdate(
        seat_reservations,
        key=[seat_reservations.c.id],
        change=[seat_reservations.c.status, seat_reservations.c.ended_at],
        guard=_guard(seat_reservations, RESERVATION_TRANSITIONS, to),
    )
    for to in RESERVATION_TRANSITIONS
    if to is not SeatReservationStatus.HELD
}


async def move_seats(connection: AsyncConnection, keys: Sequence[SeatKey], to: SeatStatus) -> None:
    """Move all of these locked seats to `to`. Raises StorageError if one is not in the state that its lock showed."""
    moved = await _SEATS[to](connection, [(flight_id, seat, to.value) for flight_id, seat in keys])
    _expect(moved, len(keys), f"seats to {to}")


async def move_reservations(
    connection: AsyncConnection, reservations: Sequence[LockedReservation], to: SeatReservationStatus, *, at: int
) -> None:
    """Move all of these locked reservations and their seats to `to`. Raises StorageError if one cannot move.

    A reservation that ends gets the end time `at` (microseconds).
    """
    ended_at = None if to.is_live else at
    rows = [(each.id, to.value, ended_at) for each in reservations]
    _expect(await _RESERVATIONS[to](connection, rows), len(rows), f"reservations to {to}")
    await move_seats(connection, [each.key for each in reservations], to.seat_status)


def _expect(moved: int, wanted: int, what: str) -> None:
    if moved != wanted:
        raise StorageError(f"Moved {moved} of {wanted} {what}: a row was not in the state that its lock showed.")
