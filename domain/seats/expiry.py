"""Ends holds by time. The sweep has two halves: find lapsed holds, and expire them. Also counts holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, bindparam, func, not_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.seats.locks import lock_reservations
from domain.seats.model import SeatKey
from domain.seats.moves import move_reservations
from domain.seats.states import SeatReservationStatus
from domain.seats.tables import is_held, seat_reservations
from domain.storage import Query, any_of

__all__ = ["HoldTotals", "begun_ahead", "bring_back", "expire", "hold_totals", "lapsed"]

# In the order of the index over held reservations, so that the limit ends the search.
_LAPSED: Final = Query(
    select(seat_reservations.c.expires_at, seat_reservations.c.saga_id)
    .distinct()
    .where(
        is_held,
        seat_reservations.c.expires_at <= bindparam("at", type_=BigInteger),
        not_(any_of(seat_reservations.c.saga_id, "besides")),
    )
    .order_by(seat_reservations.c.expires_at, seat_reservations.c.saga_id)
    .limit(bindparam("sagas_max", type_=BigInteger))
)

# The holds that end last, by the same index read backwards; only these are checked for a start ahead of the clock.
_last: Final = (
    select(seat_reservations.c.saga_id, seat_reservations.c.held_at)
    .where(is_held)
    .order_by(seat_reservations.c.expires_at.desc(), seat_reservations.c.saga_id.desc())
    .limit(bindparam("holds_max", type_=BigInteger))
    .subquery("last_to_end")
)
_BEGUN_AHEAD: Final = Query(
    select(_last.c.saga_id).distinct().where(_last.c.held_at > bindparam("at", type_=BigInteger))
)
_now: Final = bindparam("now", type_=BigInteger)
_BRING_BACK: Final = (
    update(seat_reservations)
    .where(any_of(seat_reservations.c.saga_id, "sagas"), is_held, seat_reservations.c.held_at > _now)
    .values(held_at=_now, expires_at=_now + seat_reservations.c.expires_at - seat_reservations.c.held_at)
)

_TOTALS: Final = Query(
    select(
        func.count().label("held"),
        func.count().filter(seat_reservations.c.expires_at <= bindparam("at", type_=BigInteger)).label("lapsed"),
    ).where(is_held)
)


@dataclass(frozen=True, slots=True)
class HoldTotals:
    """How many reservations are HELD, and how many of these have lapsed but not ended yet."""

    held: int
    lapsed: int


async def hold_totals(connection: AsyncConnection, *, at: int) -> HoldTotals:
    """All holds, and those lapsed by `at`: their sagas are pinned, or the next sweep ends them."""
    (row,) = await _TOTALS(connection, at=at)
    return HoldTotals(row.held, row.lapsed)


async def lapsed(connection: AsyncConnection, *, at: int, sagas_max: int, besides: Sequence[str] = ()) -> list[str]:
    """The sagas, at most `sagas_max`, with holds that have lapsed by `at`, the longest lapsed first.

    A plain read and so only a hint: `expire` decides. `besides` are sagas to skip, such as those
    that this sweep has met and could not expire (pinned, or busy): they must not hide the others.
    """
    rows = await _LAPSED(connection, at=at, sagas_max=sagas_max, besides=list(besides))
    return [saga_id for _, saga_id in rows]


async def expire(
    connection: AsyncConnection, saga_ids: Sequence[str], *, clock: Clock
) -> dict[str, tuple[SeatKey, ...]]:
    """Expire the holds of those sagas whose holds have lapsed, all holds of a saga together.

    Returns the seats set free, by saga; a saga is absent if its holds are busy, not lapsed, or
    gone. The caller has locked the sagas and left out those that are pinned. Expiry is checked
    after the lock, by a clock that is read in its own statement. At most four statements for any
    number of sagas.
    """
    locked = await lock_reservations(connection, saga_ids)
    now = await clock.now(connection)
    holds = {
        saga_id: held
        for saga_id, own in locked.items()
        if not own.busy and (held := own.those(SeatReservationStatus.HELD)) and own.expires_at <= now
    }
    ended = [reservation for held in holds.values() for reservation in held]
    await move_reservations(connection, ended, SeatReservationStatus.EXPIRED, at=now)
    return {saga_id: tuple(reservation.key for reservation in held) for saga_id, held in holds.items()}


async def begun_ahead(connection: AsyncConnection, *, at: int, holds_max: int) -> list[str]:
    """The sagas of those holds, at most `holds_max`, that began later than `at`: the clock was set back since.

    A plain read and so only a hint: `bring_back` decides.
    """
    return await _BEGUN_AHEAD.column(connection, at=at, holds_max=holds_max)


async def bring_back(connection: AsyncConnection, saga_ids: Sequence[str], *, clock: Clock) -> dict[str, int]:
    """Move the start of holds that begin in the future to now, and keep their length: this only shortens them.

    Returns the new end of each changed saga's holds. The caller has locked the sagas and left out pinned ones;
    sagas with busy holds are left out here.
    """
    locked = await lock_reservations(connection, saga_ids)
    free = [saga_id for saga_id, own in locked.items() if not own.busy]
    now = await clock.now(connection)
    await connection.execute(_BRING_BACK, {"sagas": free, "now": now})
    after = await lock_reservations(connection, free)
    return {
        saga_id: own.expires_at
        for saga_id, own in after.items()
        if own.expires_at and own.expires_at != locked[saga_id].expires_at
    }
