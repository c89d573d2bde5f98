"""Gives seats back by intent: the effect of CANCEL_SEAT."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.outcome import Busy
from domain.seats.locks import lock_reservations
from domain.seats.model import Released, ReleasedSeat
from domain.seats.moves import move_reservations
from domain.seats.states import SeatReservationStatus

__all__ = ["cancel", "release"]


async def release(connection: AsyncConnection, saga_ids: Sequence[str], *, at: int) -> list[Released | Busy]:
    """Give back the seats that each saga holds; confirmed seats stay.

    It also succeeds if no seat is left to release: the hold may have expired, or this may be a
    repetition. At most three statements for any number of sagas; one answer each, in order.
    """
    return await _give_back(connection, saga_ids, SeatReservationStatus.HELD, at=at)


async def cancel(connection: AsyncConnection, saga_ids: Sequence[str], *, at: int) -> list[Released | Busy]:
    """Like `release`, but also for confirmed seats: their booking is cancelled."""
    return await _give_back(connection, saga_ids, SeatReservationStatus.HELD, SeatReservationStatus.CONFIRMED, at=at)


async def _give_back(
    connection: AsyncConnection, saga_ids: Sequence[str], *statuses: SeatReservationStatus, at: int
) -> list[Released | Busy]:
    locked = await lock_reservations(connection, saga_ids)
    given = {saga_id: own.those(*statuses) for saga_id, own in locked.items() if not own.busy}
    ended = [reservation for reservations in given.values() for reservation in reservations]
    await move_reservations(connection, ended, SeatReservationStatus.RELEASED, at=at)
    return [
        Released(tuple(ReleasedSeat(*each.key, each.cabin) for each in given[saga_id])) if saga_id in given else Busy()
        for saga_id in saga_ids
    ]
