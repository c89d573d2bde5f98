"""Appends to the saga log and reads it. The log is the truth; feeds only deliver it sooner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts
from domain.actors import Actor, ActorRole
from domain.errors import UnreadableEventError
from domain.events.model import EventType, Failure, SagaEvent
from domain.events.tables import saga_events
from domain.storage import AnyRow, BulkInsert, Query, any_of

__all__ = [
    "READ_EVENTS_MAX",
    "Beginning",
    "append",
    "beginnings",
    "newest_of",
    "newest_sequences",
    "oldest_sequence",
    "prune",
    "read",
    "read_above",
    "read_many",
]

READ_EVENTS_MAX: Final = 1_000

_e = saga_events.c
_insert = BulkInsert(
    saga_events,
    _e.saga_id,
    _e.sequence,
    _e.correlation_id,
    _e.type,
    _e.step,
    _e.compensation,
    _e.attempt,
    _e.message,
    _e.failure_code,
    _e.failure_message,
    _e.failure_step,
    _e.at,
    _e.actor_role,
    _e.actor_subject,
    _e.facts,
)
_after = Query(
    select(saga_events)
    .where(_e.saga_id == bindparam("saga_id"), _e.sequence > bindparam("after"))
    .order_by(_e.sequence)
    .limit(bindparam("limit"))
)
_newest = Query(
    select(_e.saga_id, func.max(_e.sequence).label("newest")).where(any_of(_e.saga_id, "ids")).group_by(_e.saga_id)
)
_newest_of = Query(
    select(_e.sequence, _e.type).where(_e.saga_id == bindparam("saga_id")).order_by(_e.sequence.desc()).limit(1)
)
_oldest = Query(select(func.min(_e.sequence)).where(_e.saga_id == bindparam("saga_id")))


class Beginning(NamedTuple):
    """The log's newest sequence (0 for none), its oldest, whether it has ended, and the first events to deliver."""

    newest: int
    oldest: int | None
    is_over: bool
    events: list[SagaEvent]


async def append(connection: AsyncConnection, events: Sequence[SagaEvent]) -> None:
    """Write `events` in the transaction of their changes, with one statement."""
    await _insert(
        connection,
        [
            (
                event.saga_id,
                event.sequence,
                event.correlation_id,
                event.type.value,
                event.step,
                event.compensation,
                event.attempt,
                event.message,
                event.failure.code if event.failure else None,
                event.failure.message if event.failure else None,
                event.failure.step if event.failure else None,
                event.at,
                event.actor.role.value if event.actor else None,
                event.actor.subject if event.actor else None,
                facts.encode(event.facts) if event.facts else None,
            )
            for event in events
        ],
    )


async def read(
    connection: AsyncConnection, saga_id: str, *, after: int, limit: int = READ_EVENTS_MAX
) -> list[SagaEvent]:
    """The saga's events with a sequence above `after`, in order, at most `limit`, up to the first unreadable one.

    Raises UnreadableEventError if the very next one is unreadable.
    """
    rows = await _after(connection, saga_id=saga_id, after=after, limit=min(limit, READ_EVENTS_MAX))
    found = _readable(rows)
    if rows and not found:
        raise UnreadableEventError(saga_id, rows[0].sequence)
    return found


async def read_many(
    connection: AsyncConnection, saga_ids: Iterable[str], *, after: int, limit: int
) -> Mapping[str, list[SagaEvent]]:
    """For each saga, up to `limit` events above `after`, with one statement (sequences have no gap).

    If an event of a saga cannot be read, only the events before it; other sagas are not affected.
    """
    ids = list(saga_ids)
    statement = (
        select(saga_events)
        .where(any_of(_e.saga_id, "ids"), _e.sequence > after, _e.sequence <= after + limit)
        .order_by(_e.saga_id, _e.sequence)
    )
    rows: dict[str, list[AnyRow]] = {saga_id: [] for saga_id in ids}
    for row in await connection.execute(statement, {"ids": ids}):
        rows[row.saga_id].append(row)
    return {saga_id: _readable(its) for saga_id, its in rows.items()}


async def read_above(connection: AsyncConnection, afters: Mapping[str, int]) -> list[SagaEvent]:
    """Each saga's events above its number in `afters`, in order, at most `READ_EVENTS_MAX` of each.

    One statement for each different number: sagas that are followed live mostly have the same one.
    """
    alike: dict[int, list[str]] = {}
    for saga_id, after in afters.items():
        alike.setdefault(after, []).append(saga_id)
    found: list[SagaEvent] = []
    for after, saga_ids in alike.items():
        for events in (await read_many(connection, saga_ids, after=after, limit=READ_EVENTS_MAX)).values():
            found += events
    return found


async def newest_sequences(connection: AsyncConnection, saga_ids: Iterable[str]) -> dict[str, int]:
    """The newest sequence of each saga that has events, with one statement."""
    rows = await _newest(connection, ids=list(saga_ids))
    return {row.saga_id: row.newest for row in rows}


async def newest_of(connection: AsyncConnection, saga_id: str) -> tuple[int, EventType | None] | None:
    """The newest sequence of the saga and the type of that event, or None if there is none.

    The type is None if this release does not know it.
    """
    row = await _newest_of.first(connection, saga_id=saga_id)
    return None if row is None else (row.sequence, _TYPES.get(row.type))


async def beginnings(connection: AsyncConnection, afters: Sequence[int], *, saga_id: str) -> list[Beginning]:
    """What followers of the saga begin with, by the sequence that each has seen, in order; all at one moment."""
    last, oldest = await newest_of(connection, saga_id), await oldest_sequence(connection, saga_id)
    newest, newest_type = last or (0, None)
    found: dict[int, list[SagaEvent]] = {}
    for after in set(afters):
        is_there = after < newest and (oldest is None or oldest <= after + 1)
        try:
            found[after] = await read(connection, saga_id, after=after) if is_there else []
        except UnreadableEventError:
            # The follower reads it once more, and gets the error alone.
            found[after] = []
    is_over = newest_type is not None and newest_type.is_terminal
    return [Beginning(newest, oldest, is_over, found[after]) for after in afters]


async def oldest_sequence(connection: AsyncConnection, saga_id: str) -> int | None:
    """The oldest sequence still kept, or None if none is."""
    row = await _oldest.first(connection, saga_id=saga_id)
    return None if row is None else row[0]


async def prune(connection: AsyncConnection, saga_ids: Iterable[str]) -> int:
    """Remove the events of these sagas except each one's newest, so that its sequence stays known; return how many."""
    kept = saga_events.alias("kept")
    newest_kept = select(func.max(kept.c.sequence)).where(kept.c.saga_id == _e.saga_id).scalar_subquery()
    statement = delete(saga_events).where(any_of(_e.saga_id, "ids"), _e.sequence < newest_kept)
    return int((await connection.execute(statement, {"ids": list(saga_ids)})).rowcount)


_TYPES: Final = {type_.value: type_ for type_ in EventType}
_ROLES: Final = {role.value: role for role in ActorRole}


def _readable(rows: Iterable[AnyRow]) -> list[SagaEvent]:
    """The events of one saga's rows, in order, up to the first with a type that this release does not know."""
    return [_event(row) for row in takewhile(lambda row: row.type in _TYPES, rows)]


def _event(row: AnyRow) -> SagaEvent:
    failure = Failure(row.failure_code, row.failure_message, row.failure_step) if row.failure_code else None
    role = _ROLES.get(row.actor_role)
    return SagaEvent(
        row.saga_id,
        row.correlation_id,
        row.sequence,
        _TYPES[row.type],
        row.step,
        row.compensation,
        row.attempt,
        row.message,
        failure,
        row.at,
        None if role is None else Actor(role, row.actor_subject),
        facts.decode(row.facts),
    )
