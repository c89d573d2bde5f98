"""Signals: requests, and words, that a non-owner leaves on a saga. They change no step and no status.

A signal is written with its event, in one transaction that locks the saga's row. The owner's
next turn obeys it, under the fence; the owner looks when it is woken, or polls. The sender
need not know the saga's definition: a release older than the owner's does not know it.

An operator's signal also goes into the record of operator actions, in the same transaction.
`asked` is None if no actor is to be named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events, operators
from domain.actors import SCHEDULER, Actor, Asked
from domain.clock import Clock
from domain.events import EventType, Failure, SagaEvent
from domain.operators import OperatorActionKind
from domain.outcome import Refused
from domain.saga.states import Direction, Phase, SagaStatus
from domain.saga.tables import saga_steps, sagas
from domain.storage import AnyRow, BulkUpdate, any_of

__all__ = [
    "WORD_CHARACTERS_MAX",
    "CancelRequested",
    "NotAwaited",
    "NotWaiting",
    "NothingToUndo",
    "PivotDecided",
    "RetryRequested",
    "SkipRequested",
    "WaitIsOver",
    "WordAnswer",
    "WordSaid",
    "WordStands",
    "expire",
    "lock_unpinned",
    "request_cancel",
    "request_retry",
    "request_skip",
    "say",
    "set_deadlines",
]

_s = sagas.c
#: The longest word, as JSON text.
WORD_CHARACTERS_MAX: Final = 4_096
_ACTIVE_VALUES: Final = [status.value for status in SagaStatus if not status.is_terminal]


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The signal is durable; the saga compensates once its present attempt has settled."""

    saga_id: str
    events: tuple[SagaEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class NothingToUndo:
    """Cancelling changes nothing: the saga already compensates, is already signalled, or is already undone."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class PivotDecided:
    """The pivot has decided, or the saga is completed."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """The signal is durable; the next attempt is due now. `taken_up`: it was parked, and this replica owns it now."""

    saga_id: str
    taken_up: bool = False


@dataclass(frozen=True, slots=True)
class SkipRequested:
    """The signal is durable; the stuck operation is given up."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class NotWaiting:
    """The saga waits for no attempt, or is not stuck at the named step."""

    saga_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WordSaid:
    """The word is durable; it ends the wait, as long as enough is left of the saga's deadline."""

    saga_id: str
    events: tuple[SagaEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class WordStands:
    """The same word was said before, for the same wait; nothing has changed."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class NotAwaited:
    """The saga does not wait for this, or another word is being tried; nothing has changed."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class WaitIsOver:
    """The deadline has passed; nothing has changed."""

    saga_id: str


WordAnswer = WordSaid | WordStands | NotAwaited | WaitIsOver


_locked = select(sagas).where(_s.correlation_id == bindparam("correlation")).with_for_update()
_step = select(saga_steps.c.name, saga_steps.c.compensation).where(
    saga_steps.c.saga_id == bindparam("saga"), saga_steps.c.position == bindparam("position")
)
_unpinned = (
    select(_s.id, _s.correlation_id, _s.sequence, _s.phase, _s.direction, _s.hold_expired_at, _s.status)
    .where(any_of(_s.id, "ids"), _s.pinned_at.is_(None))
    .order_by(_s.id)
    .with_for_update(skip_locked=True)
)
_set_deadlines = BulkUpdate(sagas, key=(_s.id,), change=(_s.deadline_at,), guard="sagas.finished_at IS NULL")
_mark_expired = BulkUpdate(
    sagas, key=(_s.id,), change=(_s.hold_expired_at, _s.sequence, _s.due_at), guard="sagas.pinned_at IS NULL"
)


async def request_cancel(
    connection: AsyncConnection, correlation_id: str, at: int, asked: Asked | None = None
) -> CancelRequested | NothingToUndo | PivotDecided:
    """Ask a saga to stop and undo its steps. The saga must exist."""
    row = (await connection.execute(_locked, {"correlation": correlation_id})).one()
    status = SagaStatus(row.status)
    forward = row.direction == Direction.FORWARD.value
    if status in (SagaStatus.COMPLETED,) or (forward and row.pinned_at is not None):
        return PivotDecided(row.id)
    if status.is_terminal or not forward or row.cancel_requested_at is not None:
        return NothingToUndo(row.id)
    event = _event(row, EventType.CANCEL_REQUESTED, "Cancel requested.", None, at, asked.by if asked else None)
    await connection.execute(
        update(sagas)
        .where(_s.id == row.id, _s.pinned_at.is_(None))
        .values(cancel_requested_at=at, sequence=_s.sequence + 1, due_at=_due(row, at))
    )
    await events.append(connection, [event])
    await _record(connection, asked, OperatorActionKind.CANCEL_SAGA, row, "cancel requested", at)
    return CancelRequested(row.id, (event,))


async def request_retry(
    connection: AsyncConnection,
    correlation_id: str,
    at: int,
    asked: Asked | None = None,
    *,
    replica_id: str,
    known: Container[tuple[str, int]],
) -> RetryRequested | NotWaiting:
    """Make the next attempt of a saga that backs off or is stuck due now.

    A parked saga has no owner. `replica_id` claims it, as in a takeover, if its definition is
    one of the `known` (name, version) pairs, and looks at it again.
    """
    row = (await connection.execute(_locked, {"correlation": correlation_id})).one()
    if row.status == SagaStatus.PARKED.value:
        if (row.definition, row.version) not in known:
            return NotWaiting(
                row.id,
                f"This replica does not know {row.definition} version {row.version}; retry the saga at one that does.",
            )
        claim = {"replica": replica_id, "epoch": _s.epoch + 1, "retry_requested_at": at, "due_at": at}
        await connection.execute(update(sagas).where(_s.id == row.id).values(claim))
        await _record(connection, asked, OperatorActionKind.RETRY_SAGA, row, "retry requested", at)
        return RetryRequested(row.id, taken_up=True)
    if row.status == SagaStatus.WAITING.value:
        return NotWaiting(row.id, f"The saga waits for {row.awaits}, not for another attempt.")
    waits = row.phase == Phase.READY.value and (row.attempt > 0 or row.awaited_since is not None)
    if SagaStatus(row.status).is_terminal or not (waits or row.status == SagaStatus.STUCK.value):
        return NotWaiting(row.id, "The saga does not wait for another attempt.")
    await connection.execute(update(sagas).where(_s.id == row.id).values(retry_requested_at=at, due_at=_due(row, at)))
    await _record(connection, asked, OperatorActionKind.RETRY_SAGA, row, "retry requested", at)
    return RetryRequested(row.id)


async def request_skip(
    connection: AsyncConnection, correlation_id: str, step: str, reason: str, at: int, asked: Asked | None = None
) -> SkipRequested | NotWaiting:
    """Give up the stuck step, or the compensation of `step`; the rest continues, and the saga ends ABANDONED."""
    row = (await connection.execute(_locked, {"correlation": correlation_id})).one()
    if row.status != SagaStatus.STUCK.value:
        return NotWaiting(row.id, "The saga is not stuck.")
    # The saga's row has the name, even if this process does not know the definition.
    stuck = (await connection.execute(_step, {"saga": row.id, "position": row.position})).one().name
    if stuck != step:
        return NotWaiting(row.id, f"The saga is stuck at {stuck}, not at {step}.")
    await connection.execute(
        update(sagas).where(_s.id == row.id).values(skip_step=step, skip_reason=reason, due_at=_due(row, at))
    )
    if asked is not None:
        asked = replace(asked, reason=reason)
    await _record(connection, asked, OperatorActionKind.SKIP_STEP, row, f"skip of {step} requested", at)
    return SkipRequested(row.id)


async def say(
    connection: AsyncConnection, clock: Clock, correlation_id: str, wants: str, word: str | None, by: Actor | None
) -> WordAnswer:
    """End the saga's wait for `wants` with `word`, JSON text; None: let its step look now whether the wait is over.

    The saga must exist. A repeated word is told from another by its text. The text stays on the row until the owner
    obeys it; afterwards only its fingerprint does, until the saga waits for the same again. A look is asked for without
    an event.
    """
    if word is not None and len(word) > WORD_CHARACTERS_MAX:
        raise ValueError(f"a word may have {WORD_CHARACTERS_MAX} characters, not {len(word)}")
    row = (await connection.execute(_locked, {"correlation": correlation_id})).one()
    at = await clock.now(connection)
    fingerprint = None if word is None else _fingerprint(row.id, wants, word)
    if fingerprint is not None and row.word_fingerprint == fingerprint:
        return WordStands(row.id)
    # Only the customer is waited for with a word; a look may also be due while the saga undoes, or after the pivot.
    status = SagaStatus.read(row.status)
    may_hear = status is SagaStatus.WAITING if word is not None else status is not SagaStatus.PARKED
    if row.hold_expired_at is not None or (row.awaits == wants and may_hear and row.awaited_until <= at):
        return WaitIsOver(row.id)
    if row.awaits != wants or not may_hear or row.word is not None or row.cancel_requested_at is not None:
        return NotAwaited(row.id)
    values = {"word": word, "word_at": at, "due_at": _due(row, at)}
    told: list[SagaEvent] = []
    if word is not None:
        step = (await connection.execute(_step, {"saga": row.id, "position": row.position})).one().name
        told.append(_event(row, EventType.STEP_RESUMED, f"{step} goes on.", None, at, by, step))
        values |= {"word_fingerprint": fingerprint, "sequence": row.sequence + 1}
    await connection.execute(update(sagas).where(_s.id == row.id).values(values))
    await events.append(connection, told)
    return WordSaid(row.id, tuple(told))


def _fingerprint(saga_id: str, wants: str, word: str) -> str:
    """`wants:digest`; a new wait for the same forgets it."""
    return f"{wants}:{hashlib.sha256(f'{saga_id} {wants} {word}'.encode()).hexdigest()[:32]}"


async def lock_unpinned(connection: AsyncConnection, saga_ids: Sequence[str]) -> list[AnyRow]:
    """Lock those of the sagas whose pivot has not decided, in any status; sagas locked by others are left out."""
    return list(await connection.execute(_unpinned, {"ids": list(saga_ids)}))


async def expire(connection: AsyncConnection, rows: Sequence[AnyRow], at: int, why: Refused) -> list[SagaEvent]:
    """Signal these sagas that their time is over; skip those that have ended or have the signal.

    `lock_unpinned` has locked them. The record names the scheduler, also if an operator started its job.
    """
    told: list[SagaEvent] = []
    changes: list[tuple[Any, ...]] = []
    for row in rows:
        forward = row.direction == Direction.FORWARD.value
        if row.status not in _ACTIVE_VALUES or not forward or row.hold_expired_at is not None:
            continue
        failure = Failure(why.code, why.message)
        told.append(_event(row, EventType.HOLD_EXPIRED, failure.message, failure, at, SCHEDULER))
        changes.append((row.id, at, row.sequence + 1, _due(row, at)))
    await _mark_expired(connection, changes)
    await events.append(connection, told)
    return told


async def set_deadlines(connection: AsyncConnection, deadlines: Mapping[str, int]) -> None:
    """Set new deadlines of sagas, by ID. `lock_unpinned` has locked them."""
    await _set_deadlines(connection, list(deadlines.items()))


def _due(row: AnyRow, at: int) -> int | None:
    """Now. Unchanged while a call is out or the saga is parked: the next turn reads the signals anyway."""
    return None if row.phase == Phase.CALLING.value or row.status == SagaStatus.PARKED.value else at


async def _record(
    connection: AsyncConnection, asked: Asked | None, kind: OperatorActionKind, row: AnyRow, signal: str, at: int
) -> None:
    """Record an operator's signal; `row` is the saga's locked row, before the signal."""
    if asked is None or not asked.is_operators:
        return
    step = (await connection.execute(_step, {"saga": row.id, "position": row.position})).one_or_none()
    if step is None:
        # A parked saga can be at any position.
        before = f"{row.status} at position {row.position}"
    else:
        at_step = step.name if row.direction == Direction.FORWARD.value else step.compensation or step.name
        before = f"{row.status} at {at_step}, attempt {row.attempt}"
    await operators.record(connection, asked, kind, at=at, saga_id=row.id, before=before, after=f"{before}; {signal}")


def _event(
    row: AnyRow,
    kind: EventType,
    message: str,
    failure: Failure | None,
    at: int,
    actor: Actor | None,
    step: str | None = None,
) -> SagaEvent:
    return SagaEvent(row.id, row.correlation_id, row.sequence + 1, kind, step, None, None, message, failure, at, actor)
