"""Writes and reads bulk actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Integer, bindparam, case, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import saga
from domain.actors import Actor, ActorRole, Asked
from domain.bulk.model import BulkAction, BulkActionKind, BulkActionStatus, BulkRequest, TargetState
from domain.bulk.tables import PENDING, RUNNING, bulk_action_sagas, bulk_actions
from domain.clock import SECOND
from domain.saga import SagaQuery, SagaStatus
from domain.storage import AnyRow, BulkInsert, BulkUpdate, Id, Query, any_of, is_known, page_of

__all__ = [
    "Due",
    "PassedOver",
    "action_by_key",
    "actions_by_ids",
    "actions_count",
    "actions_page",
    "insert_action",
    "is_pending",
    "lock",
    "lock_due",
    "mark",
    "matching",
    "move",
    "next_due",
    "passed_over_of",
    "pending_after",
    "statuses_of",
]

#: The most reasons that a report names.
REASONS_MAX: Final = 20
#: The targets that one statement writes: a driver that encodes more at once holds everything else up for long.
TARGETS_AT_ONCE: Final = 5_000
#: The longest time between two turns of an action, in microseconds: one saga a second.
_APART_MAX: Final = SECOND
_a = bulk_actions.c
_t = bulk_action_sagas.c
_is_running = text(f"bulk_actions.{RUNNING}")
#: A newer release may know more kinds; its replicas take their turns.
_is_ours = is_known(_a.kind, BulkActionKind)
_at = bindparam("at", type_=BigInteger)
#: A turn that is due later than any turn can be was set by a clock that was ahead.
_is_due = or_(_a.next_at <= _at, _a.next_at > bindparam("ahead", type_=BigInteger))

_BY_IDS: Final = Query(select(bulk_actions).where(any_of(_a.id, "ids")))
_NEXT: Final = Query(select(func.min(case((_is_due, _at), else_=_a.next_at))).where(_is_running, _is_ours))
_due = (
    select(bulk_actions)
    .where(_is_running, _is_ours, _is_due)
    .order_by(_a.next_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_locked = select(bulk_actions).where(_a.id == bindparam("id", type_=Id)).with_for_update()
_PENDING: Final = Query(
    select(_t.saga_id)
    .where(
        _t.bulk_action_id == bindparam("action", type_=Id),
        text(f"bulk_action_sagas.{PENDING}"),
        or_(bindparam("after", type_=Id).is_(None), _t.saga_id > bindparam("after", type_=Id)),
    )
    .order_by(_t.saga_id)
    .limit(bindparam("most", type_=Integer))
)
_query: Final = msgspec.json.Decoder(SagaQuery)
_insert_targets = BulkInsert(bulk_action_sagas, _t.bulk_action_id, _t.saga_id, _t.state)
_mark = BulkUpdate(
    bulk_action_sagas,
    key=(_t.bulk_action_id, _t.saga_id),
    change=(_t.state, _t.why),
    guard=f"bulk_action_sagas.{PENDING}",
)
_handled = select(_t.bulk_action_id, _t.saga_id).where(
    any_of(_t.bulk_action_id, "ids"), _t.state == TargetState.DONE.value
)
_PASSED_OVER: Final = Query(
    select(_t.bulk_action_id, _t.why, func.count())
    .where(any_of(_t.bulk_action_id, "ids"), _t.state == TargetState.PASSED_OVER.value)
    .group_by(_t.bulk_action_id, _t.why)
    .order_by(_t.bulk_action_id, func.count().desc(), _t.why)
)


@dataclass(frozen=True, slots=True)
class Due:
    """An action whose turn is due, locked. `asked`: the actor of each of its signals."""

    action: BulkAction
    query: SagaQuery
    asked: Asked
    next_at: int


@dataclass(frozen=True, slots=True)
class PassedOver:
    """How many sagas an action passed over for one reason."""

    why: str
    sagas: int


# ---------------------------------------------------------------------- write


async def insert_action(
    connection: AsyncConnection,
    action_id: str,
    request: BulkRequest,
    saga_ids: Sequence[str],
    asked: Asked,
    at: int,
) -> None:
    """Store a RUNNING action and its sagas."""
    await connection.execute(
        insert(bulk_actions).values(
            id=action_id,
            kind=request.kind.value,
            status=BulkActionStatus.RUNNING.value,
            role=asked.by.role.value,
            subject=asked.by.subject,
            reason=request.reason,
            request_id=asked.request_id,
            filter=request.filter,
            query=msgspec.json.encode(request.query).decode(),
            step=request.step,
            sagas_per_second=request.sagas_per_second,
            started_at=at,
            matched=len(saga_ids),
            done=0,
            passed_over=0,
            next_at=at,
            idempotency_key=request.key,
        )
    )
    for first in range(0, len(saga_ids), TARGETS_AT_ONCE):
        some = saga_ids[first : first + TARGETS_AT_ONCE]
        await _insert_targets(connection, [(action_id, saga_id, TargetState.PENDING.value) for saga_id in some])


async def lock(connection: AsyncConnection, action_id: str) -> BulkAction | None:
    """The action, locked; None if there is none."""
    row = (await connection.execute(_locked, {"id": action_id})).one_or_none()
    return None if row is None else _action(row)


async def lock_due(connection: AsyncConnection, at: int) -> Due | None:
    """The action whose turn has been due for longest, locked; None if none is due or others have them locked."""
    row = (await connection.execute(_due, {"at": at, "ahead": at + _APART_MAX})).one_or_none()
    if row is None:
        return None
    action = _action(row)
    asked = Asked(action.by, action.reason, row.request_id, action.id)
    return Due(action, _query.decode(row.query), asked, row.next_at)


async def pending_after(connection: AsyncConnection, action_id: str, after: str | None, limit: int) -> list[str]:
    """At most `limit` sagas of the action whose turn has not come, in ID order, after the ID `after`."""
    return await _PENDING.column(connection, action=action_id, after=after, most=limit)


async def is_pending(connection: AsyncConnection, action_id: str, saga_id: str) -> bool:
    """Whether the turn of this saga has not come."""
    where = (_t.bulk_action_id == action_id, _t.saga_id == saga_id, _t.state == TargetState.PENDING.value)
    return (await connection.execute(select(_t.saga_id).where(*where))).first() is not None


async def mark(connection: AsyncConnection, action_id: str, why: Mapping[str, str | None]) -> None:
    """Mark these sagas as handled: passed over for the reason, or done if it is None. They must be PENDING."""
    rows = [
        (action_id, saga_id, (TargetState.DONE if reason is None else TargetState.PASSED_OVER).value, reason)
        for saga_id, reason in why.items()
    ]
    if await _mark(connection, rows) != len(rows):
        raise RuntimeError(f"Bulk action {action_id}: a saga was handled by someone else, though it is locked.")


async def move(connection: AsyncConnection, action: BulkAction, next_at: int | None = None) -> None:
    """Store how far the locked action is; `next_at`: when its next turn is due, if there is one."""
    values: dict[str, Any] = {
        "status": action.status.value,
        "done": action.done,
        "passed_over": action.passed_over,
        "finished_at": action.finished_at,
    }
    if next_at is not None:
        values["next_at"] = next_at
    await connection.execute(update(bulk_actions).where(_a.id == action.id).values(values))


# ---------------------------------------------------------------------- read


async def matching(connection: AsyncConnection, query: SagaQuery, most: int) -> list[str]:
    """The sagas that match now, at most `most`."""
    return list((await connection.execute(saga.matching_ids(query).limit(most))).scalars())


async def next_due(connection: AsyncConnection, at: int) -> int | None:
    """When the first turn of all RUNNING actions is due, `at` if one is; None if none is RUNNING."""
    due: list[int | None] = await _NEXT.column(connection, at=at, ahead=at + _APART_MAX)
    return due[0]


async def action_by_key(connection: AsyncConnection, key: str) -> BulkAction | None:
    """The action that was started with this idempotency key."""
    row = (await connection.execute(select(bulk_actions).where(_a.idempotency_key == key))).one_or_none()
    return None if row is None else _action(row)


async def actions_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, BulkAction]:
    """The actions with these IDs, by ID; unknown IDs are left out."""
    return {row.id: _action(row) for row in await _BY_IDS(connection, ids=list(ids))}


async def actions_page(
    connection: AsyncConnection, query: None, *, after: str | None, limit: int, reverse: bool = False
) -> list[BulkAction]:
    """At most `limit` actions, newest first, below the ID `after`. `reverse`: as `page_of`."""
    statement = page_of(select(bulk_actions), _a.id, after=after, limit=limit, descending=True, reverse=reverse)
    return [_action(row) for row in await connection.execute(statement)]


async def actions_count(connection: AsyncConnection, query: None) -> int:
    """The number of actions."""
    return int((await connection.execute(select(func.count()).select_from(bulk_actions))).scalar_one())


async def statuses_of(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[SagaStatus, int]]:
    """For each of these actions: how many of the sagas that got its signal have each status now."""
    found: dict[str, dict[SagaStatus, int]] = {action_id: {} for action_id in ids}
    for action_id, status, number in await saga.statuses_by(connection, _handled, {"ids": list(ids)}):
        found[action_id][status] = found[action_id].get(status, 0) + number
    return found


async def passed_over_of(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, list[PassedOver]]:
    """For each of these actions: why sagas were passed over, the most frequent reason first."""
    found: dict[str, list[PassedOver]] = {action_id: [] for action_id in ids}
    for action_id, why, number in await _PASSED_OVER(connection, ids=list(ids)):
        if len(found[action_id]) < REASONS_MAX:
            found[action_id].append(PassedOver(why, number))
    return found


def _action(row: AnyRow) -> BulkAction:
    return BulkAction(
        id=row.id,
        kind=row.kind,
        status=BulkActionStatus(row.status),
        by=Actor(ActorRole(row.role), row.subject),
        reason=row.reason,
        filter=row.filter,
        step=row.step,
        sagas_per_second=row.sagas_per_second,
        started_at=row.started_at,
        finished_at=row.finished_at,
        matched=row.matched,
        done=row.done,
        passed_over=row.passed_over,
    )
