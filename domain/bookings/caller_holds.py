"""How many seats of one flight one caller may hold: judged in the transaction that starts a booking.

A saga wants its seats from its start, and holds them until they are confirmed, given back or
lapsed. So what a caller has of a flight is what the caller's sagas in flight are for; those
whose hold has lapsed unpinned hold nothing any more, swept or not. Nothing but a start makes
it more, so that a start which has counted under its caller's *gate* is right until it commits::

    lock the gates ──▶ count what is in flight ──▶ let in, or refuse ──▶ write the sagas ──▶ commit
    one a caller       one indexed statement       in arrival order

On SQLite the transaction has the write lock since it began, and no gate is needed. On
PostgreSQL the count stands in a later statement than the lock, as one statement could count
what was so before it got the lock. A gate that another transaction has locked is not waited
for: its callers' starts are refused in passing, and the door asks again.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import saga
from domain.bookings.contexts import BookingContext
from domain.bookings.model import DefinitionName
from domain.bookings.tables import HOLD_GATES, hold_gates
from domain.outcome import Refused
from domain.saga import Batch, Member
from domain.storage import Query, any_of

__all__ = ["TooManyHeld", "refuse_too_many"]

_BOOKINGS: Final = frozenset({DefinitionName.BOOK_AND_EARN.value, DefinitionName.BOOK_AND_REDEEM.value})
_pass_gates = Query(
    select(hold_gates.c.gate)
    .where(any_of(hold_gates.c.gate, "gates"))
    .order_by(hold_gates.c.gate)
    .with_for_update(skip_locked=True)
)
_context = msgspec.json.Decoder(BookingContext)
_Held = Counter[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class TooManyHeld(Refused):
    """With this booking its caller would hold more than `limit` seats of the flight of `segment` (0-based)."""

    segment: int = 0
    limit: int = 0


async def refuse_too_many(batch: Batch[BookingContext]) -> dict[str, Refused]:
    """Which members may not start, by saga id: those that want more than their context's `holds_max` allows.

    Members that are let in count for those behind them. Refused in passing: another transaction
    is starting sagas of the same caller. Where no member has a `holds_max` nothing is asked.
    """
    limited = [member for member in batch.members if member.context.holds_max is not None]
    if not limited:
        return {}
    through = await _through_gates(batch.connection, {_gate(member.context.subject) for member in limited})
    judged = [member for member in limited if _gate(member.context.subject) in through]
    held = await _held(batch.connection, {member.context.subject for member in judged}, at=batch.at)
    refused: dict[str, Refused] = {
        member.saga_id: Refused("BUSY", "Another booking of this caller is being started.", passing=True)
        for member in limited
        if _gate(member.context.subject) not in through
    }
    for member in judged:
        too_many = _too_many(member, held)
        if too_many is None:
            held.update(_wanted(member.context))
        else:
            refused[member.saga_id] = too_many
    return refused


async def _through_gates(connection: AsyncConnection, gates: Collection[int]) -> Collection[int]:
    """Lock these gates until the transaction ends; those that others have locked are left out."""
    if connection.dialect.name == "sqlite":
        return gates
    return set(await _pass_gates.column(connection, gates=sorted(gates)))


async def _held(connection: AsyncConnection, subjects: Collection[str], *, at: int) -> _Held:
    """How many seats each of these callers holds, or is about to, by subject and flight."""
    held: _Held = Counter()
    for running in await saga.in_flight_of(connection, sorted(subjects), at=at):
        if running.definition in _BOOKINGS:
            held.update(_wanted(_context.decode(running.context)))
    return held


def _wanted(context: BookingContext) -> dict[tuple[str, int], int]:
    return {(context.subject, segment.flight_id): context.passengers for segment in context.segments}


def _too_many(member: Member[BookingContext], held: _Held) -> TooManyHeld | None:
    context, limit = member.context, member.context.holds_max
    assert limit is not None
    for position, segment in enumerate(context.segments):
        has = held[context.subject, segment.flight_id]
        if has + context.passengers > limit:
            message = (
                f"You hold {has} of the {limit} seats of flight {segment.number} that one caller may hold at once;"
                f" {context.passengers} more are too many."
            )
            return TooManyHeld("TOO_MANY_HOLDS", message, segment=position, limit=limit)
    return None


def _gate(subject: str) -> int:
    return zlib.crc32(subject.encode()) % HOLD_GATES
