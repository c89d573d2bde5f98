"""Holds seats for a batch of sagas: the effect of RESERVE_SEAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, Clock
from domain.ids import new_id
from domain.outcome import Busy
from domain.seats.allocation import Allocated, Missing, SeatWish, allocate
from domain.seats.availability import free_seats, without_taken
from domain.seats.locks import lock_free_seats
from domain.seats.model import Closed, Held, HeldSeat, SeatKey, SeatUnavailable
from domain.seats.moves import move_seats
from domain.seats.states import SeatReservationStatus, SeatStatus
from domain.seats.tables import is_live, seat_reservations
from domain.storage import BulkInsert, Query, any_of

__all__ = ["hold"]

_LIVE_OF_SAGAS: Final = Query(
    select(
        seat_reservations.c.saga_id,
        seat_reservations.c.expires_at,
        seat_reservations.c.id,
        seat_reservations.c.flight_id,
        seat_reservations.c.seat,
        seat_reservations.c.segment,
        seat_reservations.c.passenger,
    )
    .where(any_of(seat_reservations.c.saga_id, "sagas"), is_live)
    .order_by(seat_reservations.c.saga_id, seat_reservations.c.segment, seat_reservations.c.passenger)
)
_INSERT: Final = BulkInsert(
    seat_reservations, *(column for column in seat_reservations.c if column is not seat_reservations.c.ended_at)
)


async def hold(
    connection: AsyncConnection,
    wishes: Sequence[SeatWish],
    *,
    clock: Clock,
    hold_seconds: int,
    hold_seconds_min: float = 0,
) -> list[Held | SeatUnavailable | Closed | Busy]:
    """Hold the seats of each wish, all or none of them, in the order of `wishes`; one answer each, in that order.

    Guarantee: a seat is held once. All holds of a saga share one `expires_at`: `hold_seconds`
    after its seats were locked, or its wish's `closes_at` if that is earlier. A saga that already
    has seats is answered with those, unchanged. Answers: Held: written in this transaction. Closed:
    less than `hold_seconds_min` is left until `closes_at`. SeatUnavailable: a plain read showed too few
    seats. Busy: a chosen seat was locked or taken meanwhile; nothing is written for it, and a
    later run decides again. At most nine statements for any number of wishes.
    """
    standing = await _standing(connection, wishes)
    wanting = [wish for wish in wishes if wish.saga_id not in standing]
    free = await free_seats(connection, [segment.flight_id for wish in wanting for segment in wish.segments])
    decisions, grants, won = await _lock(connection, wanting, free)
    if len(won) < len(grants):
        # A seat may be marked as taken without a claim: if it were chosen each time, nobody could book its flight.
        free = await without_taken(connection, free)
        decisions, grants, won = await _lock(connection, wanting, free)
    # Read after the locks.
    held_at = await clock.now(connection) if won else 0
    ends = {grant.wish.saga_id: _end(grant.wish, held_at, hold_seconds) for grant in won}
    earliest = held_at + max(1, round(hold_seconds_min * SECOND))
    closed = {saga_id: Closed() for saga_id, expires_at in ends.items() if expires_at < earliest}
    open_ = [grant for grant in won if grant.wish.saga_id not in closed]
    held = await _write(connection, open_, ends, held_at)
    refused = _refusals(decisions, free, all_won=len(open_) == len(grants))
    answers: dict[str, Held | SeatUnavailable | Closed] = {**standing, **held, **closed, **refused}
    return [answers.get(wish.saga_id, Busy()) for wish in wishes]


@dataclass(frozen=True, slots=True)
class _Grant:
    """The result for a wish: the seats of all segments, and the purpose of each."""

    wish: SeatWish
    keys: tuple[SeatKey, ...]
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, wish: SeatWish, allocated: Allocated) -> _Grant:
        keys: list[SeatKey] = []
        places: list[tuple[int, int]] = []
        for segment, seats in enumerate(allocated.seats):
            flight_id = wish.segments[segment].flight_id
            keys.extend(SeatKey(flight_id, seat) for seat in seats)
            places.extend((segment, passenger) for passenger in range(len(seats)))
        return cls(wish, tuple(keys), tuple(places))


_Decisions = list[tuple[SeatWish, Allocated | Missing]]


async def _lock(
    connection: AsyncConnection, wanting: Sequence[SeatWish], free: Mapping[int, int]
) -> tuple[_Decisions, list[_Grant], list[_Grant]]:
    """The planned answer of each wish for `free`, the grants among these, and the grants whose seats are all locked."""
    decisions = list(zip(wanting, allocate(wanting, free), strict=True))
    grants = [_Grant.of(wish, decision) for wish, decision in decisions if isinstance(decision, Allocated)]
    locked = await lock_free_seats(connection, [key for grant in grants for key in grant.keys])
    return decisions, grants, [grant for grant in grants if locked.issuperset(grant.keys)]


async def _standing(connection: AsyncConnection, wishes: Sequence[SeatWish]) -> dict[str, Held]:
    """The seats that the sagas already hold: the engine may repeat a step whose answer it never saw."""
    rows = await _LIVE_OF_SAGAS(connection, sagas=[wish.saga_id for wish in wishes])
    standing: dict[str, Held] = {}
    for saga_id, group in groupby(rows, key=itemgetter(0)):
        live = list(group)
        standing[saga_id] = Held(min(row[1] for row in live), tuple(HeldSeat(*row[2:]) for row in live))
    return standing


def _end(wish: SeatWish, held_at: int, hold_seconds: int) -> int:
    expires_at = held_at + hold_seconds * SECOND
    return expires_at if wish.closes_at is None else min(expires_at, wish.closes_at)


async def _write(
    connection: AsyncConnection, grants: Sequence[_Grant], ends: Mapping[str, int], held_at: int
) -> dict[str, Held]:
    """Write the reservations of locked seats, and the seats; `ends` are their holds' ends, by saga ID."""
    if not grants:
        return {}
    held: dict[str, Held] = {}
    rows: list[tuple[object, ...]] = []
    for grant in grants:
        wish = grant.wish
        expires_at = ends[wish.saga_id]
        seats = tuple(HeldSeat(new_id(), *key, *place) for key, place in zip(grant.keys, grant.places, strict=True))
        held[wish.saga_id] = Held(expires_at, seats)
        rows.extend(
            (
                seat.reservation_id,
                wish.saga_id,
                wish.correlation_id,
                seat.flight_id,
                seat.seat,
                seat.segment,
                seat.passenger,
                wish.segments[seat.segment].cabin.value,
                SeatReservationStatus.HELD.value,
                held_at,
                expires_at,
            )
            for seat in seats
        )
    await move_seats(connection, [key for grant in grants for key in grant.keys], SeatStatus.HELD)
    await _INSERT(connection, rows)
    return held


def _refusals(
    decisions: Sequence[tuple[SeatWish, Allocated | Missing]], free: Mapping[int, int], *, all_won: bool
) -> dict[str, SeatUnavailable]:
    """The wishes whose seats are taken: according to the read, or by earlier wishes of this batch that got them."""
    return {
        wish.saga_id: SeatUnavailable(missing.message, missing.segment.flight_id, missing.segment.cabin, missing.taken)
        for wish, missing in decisions
        if isinstance(missing, Missing) and (all_won or isinstance(allocate([wish], free)[0], Missing))
    }
