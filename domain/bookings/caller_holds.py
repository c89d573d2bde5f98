"""The seats of one caller, counted in the transaction that starts a booking.

A saga claims its seats from its start, and holds them until they are confirmed, released or lapsed.
So the seats that a caller holds on a flight are those of the caller's sagas in flight; an unpinned
saga whose hold has lapsed holds nothing any more, swept or not. A purchase is noted when its booking
is confirmed (`caller_seats`). It counts while the booking stands, and if cancelled for a while after
it was made, so that buying and cancelling in turn is bounded too. Failures are read from the sagas
that were undone, and from those in flight that had cards declined. Only a start can increase a
caller's share, so a start that has counted under its caller's *gate* stays correct until it commits::

    lock the gates ──▶ count what is in flight, ──▶ let in, or refuse ──▶ write the sagas ──▶ commit
    one a caller       bought, failed               in arrival order

On SQLite the transaction has the write lock since it began, so it needs no gate. On PostgreSQL the
count is in a later statement than the lock, as a single statement could count the state before it got
the lock. A gate that another transaction has locked is not waited for: the starts of its callers get
a passing refusal, and `Bookings` tries again.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import saga
from domain.bookings import records
from domain.bookings.caller_limits import CALLERS_FAULTS, FAILURES_KEPT_SECONDS, CallerRecord, Claim, claims_of
from domain.bookings.contexts import BookingContext
from domain.bookings.model import DefinitionName
from domain.bookings.tables import HOLD_GATES, hold_gates
from domain.clock import SECOND
from domain.outcome import Refused
from domain.saga import Batch, Member
from domain.storage import Query, any_of

__all__ = ["refuse_too_many"]

_BOOKINGS: Final = frozenset({DefinitionName.BOOK_AND_EARN.value, DefinitionName.BOOK_AND_REDEEM.value})
_pass_gates = Query(
    select(hold_gates.c.gate)
    .where(any_of(hold_gates.c.gate, "gates"))
    .order_by(hold_gates.c.gate)
    .with_for_update(skip_locked=True)
)
_context = msgspec.json.Decoder(BookingContext)
_BUSY: Final = Refused("BUSY", "Another booking of this caller is being started.", passing=True)


async def refuse_too_many(batch: Batch[BookingContext]) -> dict[str, Refused]:
    """The refused members, by saga ID: those that their context's `limits` do not allow.

    Members that are let in count for those after them. Refused as passing: another transaction is
    starting sagas of the same caller. No statement if no member has `limits`; else at most four
    statements for any number of members.
    """
    limited = [member for member in batch.members if member.context.limits is not None]
    if not limited:
        return {}
    through = await _through_gates(batch.connection, {_gate(member.context.subject) for member in limited})
    judged = [member for member in limited if _gate(member.context.subject) in through]
    callers = await _callers(batch, judged)
    refused = {member.saga_id: _BUSY for member in limited if _gate(member.context.subject) not in through}
    for member in judged:
        context = member.context
        assert context.limits is not None
        refusal = callers[context.subject].admit(context, context.limits, batch.at)
        if refusal is not None:
            refused[member.saga_id] = refusal
    return refused


async def _through_gates(connection: AsyncConnection, gates: Collection[int]) -> Collection[int]:
    """Lock these gates until the transaction ends; gates that others have locked are left out."""
    if connection.dialect.name == "sqlite":
        return gates
    return set(await _pass_gates.column(connection, gates=sorted(gates)))


async def _callers(batch: Batch[BookingContext], judged: Sequence[Member[BookingContext]]) -> dict[str, CallerRecord]:
    """The seats and failures of each of the members' callers, by subject.

    Purchases are read after sagas in flight: a saga that is confirmed in between is in both, and counts once.
    """
    connection, at = batch.connection, batch.at
    callers: dict[str, CallerRecord] = defaultdict(CallerRecord)
    subjects = sorted({member.context.subject for member in judged})
    running: set[str] = set()
    for found in await saga.in_flight_of(connection, subjects, at=at):
        context = _decoded(found)
        if context is not None:
            caller = callers[found.subject]
            running.add(found.saga_id)
            # One that waits may last as long as its hold: a wait for its result would be no matter of seconds.
            caller.running += not found.waits
            caller.note_failures(context.declines, context.declined_at)
            caller.claims += claims_of(context, found.deadline_at or at + _hold_us(judged))
    for bought in await _bought(batch, judged):
        if bought.saga_id not in running:
            callers[bought.subject].claims.append(Claim(bought.flight_id, bought.seats, bought.ends_at, is_held=False))
    if any(member.context.limits and member.context.limits.failures is not None for member in judged):
        since = at - FAILURES_KEPT_SECONDS * SECOND
        for failed in await saga.undone_of(connection, subjects, CALLERS_FAULTS, since=since):
            callers[failed.subject].note_failures(failed.sagas, failed.latest_at)
    return callers


def _decoded(found: saga.InFlight) -> BookingContext | None:
    """The booking context; None for other sagas, and for an unreadable row, which must not stop the others."""
    if found.definition not in _BOOKINGS:
        return None
    try:
        return _context.decode(found.context)
    except msgspec.DecodeError:
        return None


async def _bought(batch: Batch[BookingContext], judged: Sequence[Member[BookingContext]]) -> list[records.BoughtSeats]:
    """The purchases of callers with a purchase limit, on the flights that they now ask for."""
    limits = [member.context.limits for member in judged if member.context.limits]
    if all(each.seats is None for each in limits):
        return []
    pairs = {
        (member.context.subject, segment.flight_id)
        for member in judged
        if member.context.limits and member.context.limits.seats is not None
        for segment in member.context.segments
    }
    kept_us = max(each.cancelled_seconds for each in limits) * SECOND
    return await records.bought(batch.connection, pairs, at=batch.at, cancelled_kept_us=kept_us)


def _hold_us(judged: Sequence[Member[BookingContext]]) -> int:
    return max(member.context.limits.hold_seconds for member in judged if member.context.limits) * SECOND


def _gate(subject: str) -> int:
    return zlib.crc32(subject.encode()) % HOLD_GATES
