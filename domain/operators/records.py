"""Writes and reads the record of operator actions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, ActorRole, Asked
from domain.ids import new_id
from domain.operators.model import OperatorAction, OperatorActionKind
from domain.operators.tables import operator_actions
from domain.storage import AnyRow, Id, Query, any_of

__all__ = ["ActionQuery", "SignalAsked", "actions_by_ids", "count_actions", "page_actions", "record", "signals_asked"]

_a = operator_actions.c
_BY_IDS: Final = Query(select(operator_actions).where(any_of(_a.id, "ids")))
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
    await connection.execute(
        insert(operator_actions).values(
            id=new_id(),
            at=at,
            role=asked.by.role.value,
            subject=asked.by.subject,
            kind=kind.value,
            reason=asked.reason,
            saga_id=saga_id,
            job_id=job_id,
            request_id=asked.request_id,
            state_before=before,
            state_after=after,
        )
    )


async def page_actions(
    connection: AsyncConnection, query: ActionQuery, *, after: tuple[int, str] | None, limit: int
) -> list[OperatorAction]:
    """At most `limit` entries, newest first, beginning after (at, id) `after`."""
    statement = select(operator_actions).where(*query.conditions())
    if after is not None:
        statement = statement.where(tuple_(_a.at, _a.id) < tuple_(*after, types=[_a.at.type, Id]))
    ordered = statement.order_by(_a.at.desc(), _a.id.desc()).limit(limit)
    return [_action(row) for row in await connection.execute(ordered)]


async def count_actions(connection: AsyncConnection, query: ActionQuery) -> int:
    """The number of entries of a `page_actions` without limit."""
    statement = select(func.count()).select_from(operator_actions).where(*query.conditions())
    return int((await connection.execute(statement)).scalar_one())


async def actions_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, OperatorAction]:
    """The entries with these IDs, by ID; unknown IDs are left out."""
    return {row.id: _action(row) for row in await _BY_IDS(connection, ids=list(ids))}


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
        request_id=row.request_id,
        before=row.state_before,
        after=row.state_after,
    )
