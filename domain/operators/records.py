"""Writes and reads the record of operator actions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, ActorRole, Asked
from domain.ids import new_id
from domain.operators.model import Entry, OperatorAction, OperatorActionKind
from domain.operators.tables import operator_actions
from domain.storage import AnyRow, BulkInsert, Query, any_of, page_of

__all__ = [
    "ActionQuery",
    "Change",
    "SignalAsked",
    "actions_by_ids",
    "count_actions",
    "page_actions",
    "record",
    "record_all",
    "record_entry",
    "settlements_of",
    "signals_asked",
]

_a = operator_actions.c
_BY_IDS: Final = Query(select(operator_actions).where(any_of(_a.id, "ids")))
_INSERT: Final = BulkInsert(
    operator_actions,
    _a.id,
    _a.at,
    _a.role,
    _a.subject,
    _a.kind,
    _a.reason,
    _a.request_id,
    _a.bulk_action_id,
    _a.saga_id,
    _a.job_id,
    _a.state_before,
    _a.state_after,
)
_other = operator_actions.alias("other")
_newest = (
    select(_other.c.id)
    .where(_other.c.saga_id == _a.saga_id, _other.c.kind == _a.kind)
    .order_by(_other.c.at.desc(), _other.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_SIGNALS: Final = Query(
    select(_a.saga_id, _a.kind, _a.at, _a.reason, _a.role, _a.subject).where(
        any_of(_a.saga_id, "sagas"), any_of(_a.kind, "kinds"), _a.id == _newest
    )
)
_SETTLEMENTS: Final = Query(
    select(operator_actions).where(any_of(_a.saga_id, "sagas"), _a.kind == OperatorActionKind.SETTLE.value)
)
_SIGNAL_KINDS: Final = [OperatorActionKind.RETRY_SAGA.value, OperatorActionKind.SKIP_STEP.value]


@dataclass(frozen=True, slots=True)
class ActionQuery:
    """A filter for entries; None or empty does not restrict. `since` inclusive, `until` exclusive, microseconds."""

    kinds: Collection[str] = ()
    subject: str | None = None
    saga_id: str | None = None
    since: int | None = None
    until: int | None = None

    def conditions(self) -> list[ColumnElement[Any]]:
        """The filter as SQL."""
        found: list[ColumnElement[Any]] = []
        if self.kinds:
            found.append(_a.kind.in_(sorted(self.kinds)))
        if self.subject is not None:
            found.append(_a.subject == self.subject)
        if self.saga_id is not None:
            found.append(_a.saga_id == self.saga_id)
        if self.since is not None:
            found.append(_a.at >= self.since)
        if self.until is not None:
            found.append(_a.at < self.until)
        return found


@dataclass(frozen=True, slots=True)
class SignalAsked:
    """The actor of a signal on a saga: a retry at `at`, or a skip for `reason`."""

    saga_id: str
    kind: OperatorActionKind
    at: int
    reason: str | None
    by: Actor


@dataclass(frozen=True, slots=True)
class Change:
    """One entry's part of an action: the state before and after, one line each, and what it is about."""

    before: str
    after: str
    saga_id: str | None = None
    job_id: str | None = None


async def record(
    connection: AsyncConnection,
    asked: Asked,
    kind: OperatorActionKind,
    *,
    at: int,
    saga_id: str | None = None,
    job_id: str | None = None,
    before: str,
    after: str,
) -> None:
    """Write one entry in the transaction of the action; `at` by the database's clock.

    Guarantee: the entry exists if and only if the action took effect.
    """
    await record_all(connection, asked, kind, [Change(before, after, saga_id, job_id)], at=at)


async def record_all(
    connection: AsyncConnection, asked: Asked, kind: OperatorActionKind, changes: Sequence[Change], *, at: int
) -> None:
    """Write an entry for each of `changes`, with one statement; see `record`."""
    by = asked.by
    who = (at, by.role.value, by.subject, kind.value, asked.reason, asked.request_id, asked.bulk_action_id)
    await _INSERT(
        connection,
        [(new_id(), *who, change.saga_id, change.job_id, change.before, change.after) for change in changes],
    )


async def record_entry(connection: AsyncConnection, entry: Entry, *, at: int, saga_id: str | None = None) -> None:
    """`record` for an entry that was made before its transaction."""
    await record(connection, entry.asked, entry.kind, at=at, saga_id=saga_id, before=entry.before, after=entry.after)


async def page_actions(
    connection: AsyncConnection,
    query: ActionQuery,
    *,
    after: tuple[int, str] | None,
    limit: int,
    reverse: bool = False,
) -> list[OperatorAction]:
    """At most `limit` entries, newest first, beginning after (at, id) `after`. `reverse`: as `page_of`."""
    matching = select(operator_actions).where(*query.conditions())
    statement = page_of(matching, _a.at, _a.id, after=after, limit=limit, descending=True, reverse=reverse)
    return [_action(row) for row in await connection.execute(statement)]


async def count_actions(connection: AsyncConnection, query: ActionQuery) -> int:
    """The number of entries of a `page_actions` without limit."""
    statement = select(func.count()).select_from(operator_actions).where(*query.conditions())
    return int((await connection.execute(statement)).scalar_one())


async def actions_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, OperatorAction]:
    """The entries with these IDs, by ID; unknown IDs are left out."""
    return {row.id: _action(row) for row in await _BY_IDS(connection, ids=list(ids))}


async def settlements_of(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, OperatorAction]:
    """The entries of SETTLE about these sagas, by saga ID; a saga is settled once."""
    return {row.saga_id: _action(row) for row in await _SETTLEMENTS(connection, sagas=list(saga_ids))}


async def signals_asked(connection: AsyncConnection, saga_ids: Sequence[str]) -> list[SignalAsked]:
    """The newest retry and the newest skip of each of these sagas, if there are any."""
    rows = await _SIGNALS(connection, sagas=list(saga_ids), kinds=_SIGNAL_KINDS)
    return [
        SignalAsked(
            row.saga_id, OperatorActionKind(row.kind), row.at, row.reason, Actor(ActorRole(row.role), row.subject)
        )
        for row in rows
    ]


def _action(row: AnyRow) -> OperatorAction:
    return OperatorAction(
        id=row.id,
        at=row.at,
        by=Actor(ActorRole(row.role), row.subject),
        kind=row.kind,
        reason=row.reason,
        saga_id=row.saga_id,
        job_id=row.job_id,
        bulk_action_id=row.bulk_action_id,
        request_id=row.request_id,
        before=row.state_before,
        after=row.state_after,
    )
