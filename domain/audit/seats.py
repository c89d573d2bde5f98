"""Checks whether seats and reservations agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Text, and_, case, cast, func, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Finding, Slice, look, within
from domain.seats import SeatReservationStatus, SeatStatus, seat_number
from domain.seats.tables import is_live, seat_reservations, seats

__all__ = ["LiveReservation", "check_seats", "live_reservations"]

_r = seat_reservations.c
_on_seat: Final = and_(_r.flight_id == seats.c.flight_id, _r.seat == seats.c.seat, is_live)
_due_status: Final = case(
    {status.value: status.seat_status.value for status in SeatReservationStatus if status.is_live},
    value=_r.status,
    else_=SeatStatus.AVAILABLE.value,
)
_SHARED: Final = (
    select(_r.flight_id, _r.seat, func.aggregate_strings(cast(_r.id, Text), ", ").label("ids"))
    .where(is_live)
    .group_by(_r.flight_id, _r.seat)
    .having(func.count() > 1)
    .order_by(_r.flight_id, _r.seat)
)
_DISAGREEING: Final = (
    select(
        seats.c.flight_id,
        seats.c.seat,
        seats.c.status,
        _r.id.label("reservation_id"),
        _r.status.label("reservation_status"),
    )
    .select_from(seats.outerjoin(seat_reservations, _on_seat))
    .where(seats.c.status != _due_status)
    .order_by(seats.c.flight_id, seats.c.seat)
)
_SEATLESS: Final = (
    select(_r.id, _r.flight_id, _r.seat, _r.status)
    .select_from(seat_reservations.outerjoin(seats, _on_seat))
    .where(is_live, seats.c.flight_id.is_(null()))
    .order_by(_r.id)
)
_LIVE: Final = (
    select(_r.saga_id, _r.id, _r.flight_id, _r.seat, _r.segment, _r.passenger, _r.status, _r.expires_at)
    .where(is_live, within(_r.saga_id))
    .order_by(_r.saga_id, _r.segment, _r.passenger)
)


@dataclass(frozen=True, slots=True)
class LiveReservation:
    """A reservation that owns its seat; `expires_at` in microseconds since the epoch."""

    id: str
    flight_id: int
    seat: int
    segment: int
    passenger: int
    status: SeatReservationStatus
    expires_at: int


async def check_seats(connection: AsyncConnection) -> list[Finding]:
    """Check every seat and every live reservation."""
    owner = Finding("seat-owner", "No seat has two owners.")
    await look(
        connection,
        owner,
        _SHARED,
        lambda row: (_seat(row.flight_id, row.seat), f"live reservations {row.ids}"),
    )
    status = Finding("seat-status", "Every seat has the status that its live reservation gives it.")
    await look(
        connection,
        status,
        _DISAGREEING,
        lambda row: (
            _seat(row.flight_id, row.seat),
            f"the seat is {row.status}, and reservation {row.reservation_id} is {row.reservation_status}"
            if row.reservation_id
            else f"the seat is {row.status}, and no live reservation is for it",
        ),
    )
    await look(
        connection,
        status,
        _SEATLESS,
        lambda row: (
            f"reservation {row.id}",
            f"it is {row.status} for {_seat(row.flight_id, row.seat)}, and there is no such seat",
        ),
    )
    return [owner, status]


async def live_reservations(connection: AsyncConnection, part: Slice) -> Mapping[str, list[LiveReservation]]:
    """The live reservations of every saga of the slice that has any, by saga id."""
    found: dict[str, list[LiveReservation]] = {}
    for saga_id, id_, flight_id, seat, segment, passenger, status, expires_at in await connection.execute(
        _LIVE, part.parameters
    ):
        found.setdefault(saga_id, []).append(
            LiveReservation(id_, flight_id, seat, segment, passenger, SeatReservationStatus(status), expires_at)
        )
    return found


def _seat(flight_id: int, seat: int) -> str:
    return f"flight {flight_id} seat {seat_number(seat)}"
