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

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events, operators
from domain.actors import SCHEDULER, Actor, Asked
from domain.clock import Clock
from domain.events import EventType, Failure, SagaEvent
from domain.operators import OperatorActionKind
from domain.outcome import Refused
from domain.saga.definition import Simulation
from domain.saga.states import Direction, Phase, SagaStatus
from domain.saga.tables import saga_steps, sagas
from domain.storage import AnyRow, BulkUpdate, any_of

__all__ = [
    "WORD_CHARACTERS_MAX",
    "CancelAnswer",
    "CancelRequested",
    "NotAwaited",
    "NotWaiting",
    "NothingToSettle",
    "NothingToUndo",
    "PivotDecided",
    "RetryAnswer",
    "RetryRequested",
    "SettleAnswer",
    "Settled",
    "SkipAnswer",
    "SkipRequested",
    "WaitIsOver",
    "WordAnswer",
    "WordSaid",
    "WordStands",
    "expire",
    "lock_free",
    "lock_unpinned",
    "request_cancel",
    "request_cancels",
    "request_retries",
    "request_retry",
    "request_skip",
    "request_skips",
    "say",
    "set_deadlines",
    "settle",
]

_s = sagas.c
_simulation = msgspec.json.Decoder(Simulation)
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
    correlation_id: str
    taken_up: bool = False


@dataclass(frozen=True, slots=True)
class SkipRequested:
    """The signal is durable; the stuck operation is given up."""

    saga_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class NotWaiting:
    """The saga waits for no attempt, or is not stuck at the named step."""

    saga_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What the saga left behind is recorded as settled."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class NothingToSettle:
    """The saga is not ABANDONED, or is settled already; nothing has changed."""

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


CancelAnswer = CancelRequested | NothingToUndo | PivotDecided
RetryAnswer = RetryRequested | NotWaiting
SkipAnswer = SkipRequested | NotWaiting
SettleAnswer = Settled | NothingToSettle
WordAnswer = WordSaid | WordStands | NotAwaited | WaitIsOver


_locked = select(sagas).where(_s.correlation_id == bindparam("correlation")).with_for_update()
_locked_free = select(sagas).where(any_of(_s.id, "ids")).order_by(_s.id).with_for_update(skip_locked=True)
_present_steps = (
    select(saga_steps.c.saga_id, saga_steps.c.name, saga_steps.c.compensation)
    .join(sagas, (_s.id == saga_steps.c.saga_id) & (_s.position == saga_steps.c.position))
    .where(any_of(saga_steps.c.saga_id, "ids"))
)
_unpinned = (
    select(_s.id, _s.correlation_id, _s.sequence, _s.phase, _s.direction, _s.hold_expired_at, _s.status)
    .where(any_of(_s.id, "ids"), _s.pinned_at.is_(None))
    .order_by(_s.id)
    .with_for_update(skip_locked=True)
)
_set_deadlines = BulkUpdate(sagas, key=(_s.id,), change=(_s.deadline_at,), guard="sagas.finished_at IS NULL")
_mark_cancelled = BulkUpdate(
    sagas, key=(_s.id,), change=(_s.cancel_requested_at, _s.sequence, _s.due_at), guard="sagas.pinned_at IS NULL"
)
_mark_retried = BulkUpdate(sagas, key=(_s.id,), change=(_s.retry_requested_at, _s.due_at))
_claim_parked = BulkUpdate(sagas, key=(_s.id,), change=(_s.replica, _s.epoch, _s.retry_requested_at, _s.due_at))
_mark_skipped = BulkUpdate(sagas, key=(_s.id,), change=(_s.skip_step, _s.skip_reason, _s.due_at))
_mark_expired = BulkUpdate(
    sagas, key=(_s.id,), change=(_s.hold_expired_at, _s.sequence, _s.due_at), guard="sagas.pinned_at IS NULL"
)


async def request_cancel(
    connection: AsyncConnection, correlation_id: str, at: int, asked: Asked | None = None
) -> CancelAnswer:
    """Ask a saga to stop and undo its steps. The saga must exist."""
    row = await _lock(connection, correlation_id)
    return (await _cancel(connection, [row], at, asked))[row.id]


async def request_retry(
    connection: AsyncConnection,
    correlation_id: str,
    at: int,
    asked: Asked | None = None,
    *,
    replica_id: str,
    known: Container[tuple[str, int]],
) -> RetryAnswer:
    """Make the next attempt of a saga that backs off or is stuck due now.

    A parked saga has no owner. `replica_id` claims it, as in a takeover, if its definition is
    one of the `known` (name, version) pairs, and looks at it again.
    """
    row = await _lock(connection, correlation_id)
    return (await _retry(connection, [row], at, asked, replica_id, known))[row.id]


async def request_skip(
    connection: AsyncConnection, correlation_id: str, step: str, reason: str, at: int, asked: Asked | None = None
) -> SkipAnswer:
    """Give up the stuck step, or the compensation of `step`; the rest continues, and the saga ends ABANDONED."""
    row = await _lock(connection, correlation_id)
    return (await _skip(connection, [row], step, reason, at, asked))[row.id]


async def lock_free(connection: AsyncConnection, saga_ids: Sequence[str]) -> list[str]:
    """Lock those of the sagas that no other transaction has locked, in key order; their IDs."""
    return [row.id for row in await _lock_free(connection, saga_ids)]


async def request_cancels(
    connection: AsyncConnection, saga_ids: Sequence[str], at: int, asked: Asked | None = None
) -> dict[str, CancelAnswer]:
    """`request_cancel` for many sagas, with a fixed number of statements.

    This and the two below lock rows in key order and never wait for one. They answer for each saga that they could
    lock; the others are busy, and the caller asks again later.
    """
    return await _cancel(connection, await _lock_free(connection, saga_ids), at, asked)


async def request_retries(
    connection: AsyncConnection,
    saga_ids: Sequence[str],
    at: int,
    asked: Asked | None = None,
    *,
    replica_id: str,
    known: Container[tuple[str, int]],
    of_parked: bool | None = None,
    leaves_unknown: bool = False,
) -> dict[str, RetryAnswer]:
    """`request_retry` for many sagas; see `request_cancels`. `of_parked`: only of parked ones, or only of others.

    `leaves_unknown`: parked sagas whose definition is not `known` have no answer, as if they were locked.
    """
    rows = await _lock_free(connection, saga_ids)
    if leaves_unknown:
        rows = [row for row in rows if not _is_unknown(row, known)]
    return await _retry(connection, rows, at, asked, replica_id, known, of_parked)


async def request_skips(
    connection: AsyncConnection, saga_ids: Sequence[str], step: str, reason: str, at: int, asked: Asked | None = None
) -> dict[str, SkipAnswer]:
    """`request_skip` for many sagas; see `request_cancels`."""
    return await _skip(connection, await _lock_free(connection, saga_ids), step, reason, at, asked)


async def settle(connection: AsyncConnection, correlation_id: str, how: str, at: int, asked: Asked) -> SettleAnswer:
    """Record how something that an ABANDONED saga left behind was settled. The saga must exist.

    No event follows a saga's terminal one, as its followers have left: the record of operator actions says how.
    """
    row = await _lock(connection, correlation_id)
    if row.status != SagaStatus.ABANDONED.value:
        return NothingToSettle(row.id, f"The saga is {row.status}; only an ABANDONED saga can be settled.")
    if row.settled_at is not None:
        return NothingToSettle(row.id, "The saga is settled already.")
    await connection.execute(update(sagas).where(_s.id == row.id).values(settled_at=at))
    await _record(connection, replace(asked, reason=how), OperatorActionKind.SETTLE, [row], "settled", at)
    return Settled(row.id)


async def _lock(connection: AsyncConnection, correlation_id: str) -> AnyRow:
    """The saga's row, locked as soon as no other transaction holds it."""
    return (await connection.execute(_locked, {"correlation": correlation_id})).one()


async def _lock_free(connection: AsyncConnection, saga_ids: Sequence[str]) -> list[AnyRow]:
    return list(await connection.execute(_locked_free, {"ids": list(saga_ids)}))


async def _cancel(
    connection: AsyncConnection, rows: Sequence[AnyRow], at: int, asked: Asked | None
) -> dict[str, CancelAnswer]:
    answers: dict[str, CancelAnswer] = {}
    told: list[SagaEvent] = []
    marked: list[AnyRow] = []
    for row in rows:
        status = SagaStatus.read(row.status)
        forward = row.direction == Direction.FORWARD.value
        if status is SagaStatus.COMPLETED or (forward and row.pinned_at is not None):
            answers[row.id] = PivotDecided(row.id)
        elif status.is_terminal or not forward or row.cancel_requested_at is not None:
            answers[row.id] = NothingToUndo(row.id)
        else:
            by = asked.by if asked else None
            event = _event(row, EventType.CANCEL_REQUESTED, "Cancel requested.", None, at, by)
            answers[row.id] = CancelRequested(row.id, (event,))
            told.append(event)
            marked.append(row)
    await _mark_cancelled(connection, [(row.id, at, row.sequence + 1, _due(row, at)) for row in marked])
    await events.append(connection, told)
    await _record(connection, asked, OperatorActionKind.CANCEL_SAGA, marked, "cancel requested", at)
    return answers


async def _retry(
    connection: AsyncConnection,
    rows: Sequence[AnyRow],
    at: int,
    asked: Asked | None,
    replica_id: str,
    known: Container[tuple[str, int]],
    of_parked: bool | None = None,
) -> dict[str, RetryAnswer]:
    answers: dict[str, RetryAnswer] = {}
    parked, marked = list[AnyRow](), list[AnyRow]()
    for row in rows:
        why_not = _why_not_retried(row, known, of_parked)
        if why_not is not None:
            answers[row.id] = NotWaiting(row.id, why_not)
        else:
            is_parked = row.status == SagaStatus.PARKED.value
            (parked if is_parked else marked).append(row)
            answers[row.id] = RetryRequested(row.id, row.correlation_id, taken_up=is_parked)
    await _claim_parked(connection, [(row.id, replica_id, row.epoch + 1, at, at) for row in parked])
    await _mark_retried(connection, [(row.id, at, _due(row, at)) for row in marked])
    requested = [row for row in rows if isinstance(answers[row.id], RetryRequested)]
    await _record(connection, asked, OperatorActionKind.RETRY_SAGA, requested, "retry requested", at)
    return answers


def _why_not_retried(row: AnyRow, known: Container[tuple[str, int]], of_parked: bool | None) -> str | None:
    """Why a retry changes nothing for the saga of this row; None if it does."""
    if of_parked is not None and of_parked != (row.status == SagaStatus.PARKED.value):
        return "The saga is not parked." if of_parked else "The saga is parked."
    if _is_unknown(row, known):
        return f"This replica does not know {row.definition} version {row.version}; retry the saga at one that does."
    if row.status == SagaStatus.PARKED.value:
        return None
    if row.status == SagaStatus.WAITING.value:
        return f"The saga waits for {row.awaits}, not for another attempt."
    is_under_way = row.phase == Phase.CALLING.value or _is_pausing(row)
    waits = not is_under_way and (row.attempt > 0 or row.awaited_since is not None)
    if SagaStatus.read(row.status).is_terminal or not (waits or row.status == SagaStatus.STUCK.value):
        return "The saga does not wait for another attempt."
    return None


def _is_unknown(row: AnyRow, known: Container[tuple[str, int]]) -> bool:
    """Whether the saga is parked, and this process cannot run it."""
    return row.status == SagaStatus.PARKED.value and (row.definition, row.version) not in known


def _is_pausing(row: AnyRow) -> bool:
    """Whether the attempt of this saga has begun and pauses."""
    if row.simulation is None:
        return False
    try:
        return _simulation.decode(row.simulation).pausing
    except msgspec.MsgspecError:
        # Its owner will park it.
        return False


async def _skip(
    connection: AsyncConnection, rows: Sequence[AnyRow], step: str, reason: str, at: int, asked: Asked | None
) -> dict[str, SkipAnswer]:
    answers: dict[str, SkipAnswer] = {}
    # The saga's row has the name, even if this process does not know the definition.
    stuck_at = await _steps_of(connection, [row for row in rows if row.status == SagaStatus.STUCK.value])
    marked: list[AnyRow] = []
    for row in rows:
        if row.status != SagaStatus.STUCK.value:
            answers[row.id] = NotWaiting(row.id, "The saga is not stuck.")
        elif stuck_at[row.id].name != step:
            answers[row.id] = NotWaiting(row.id, f"The saga is stuck at {stuck_at[row.id].name}, not at {step}.")
        else:
            answers[row.id] = SkipRequested(row.id, row.correlation_id)
            marked.append(row)
    await _mark_skipped(connection, [(row.id, step, reason, _due(row, at)) for row in marked])
    asked = replace(asked, reason=reason) if asked is not None else None
    await _record(connection, asked, OperatorActionKind.SKIP_STEP, marked, f"skip of {step} requested", at)
    return answers


async def say(
    connection: AsyncConnection,
    clock: Clock,
    correlation_id: str,
    wants: str,
    word: str | None,
    by: Actor | None,
    entry: operators.Entry | None = None,
) -> WordAnswer:
    """End the saga's wait for `wants` with `word`, JSON text; None: let its step look now whether the wait is over.

    The saga must exist. A repeated word is told from another by its text. The text stays on the row until the owner
    obeys it; afterwards only its fingerprint does, until the saga waits for the same again. A look is asked for without
    an event. `entry` goes on the record of operator actions, if the word or the look is accepted.
    """
    if word is not None and len(word) > WORD_CHARACTERS_MAX:
        raise ValueError(f"a word may have {WORD_CHARACTERS_MAX} characters, not {len(word)}")
    row = await _lock(connection, correlation_id)
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
        step = (await _steps_of(connection, [row]))[row.id].name
        told.append(_event(row, EventType.STEP_RESUMED, f"{step} goes on.", None, at, by, step))
        values |= {"word_fingerprint": fingerprint, "sequence": row.sequence + 1}
    await connection.execute(update(sagas).where(_s.id == row.id).values(values))
    await events.append(connection, told)
    if entry is not None:
        await operators.record_entry(connection, entry, at=at, saga_id=row.id)
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
    connection: AsyncConnection,
    asked: Asked | None,
    kind: OperatorActionKind,
    rows: Sequence[AnyRow],
    signal: str,
    at: int,
) -> None:
    """Record an operator's signal; `rows` are the sagas' locked rows, before the signal."""
    if asked is None or not asked.is_operators or not rows:
        return
    steps = await _steps_of(connection, rows)
    entries = []
    for row in rows:
        before = _standing(row, steps.get(row.id))
        entries.append(operators.Change(before, f"{before}; {signal}", saga_id=row.id))
    await operators.record_all(connection, asked, kind, entries, at=at)


def _standing(row: AnyRow, step: AnyRow | None) -> str:
    """The status of the saga and where it stands, in one line."""
    if SagaStatus.read(row.status).is_terminal:
        return str(row.status)
    if step is None:
        # A parked saga can be at any position.
        return f"{row.status} at position {row.position}"
    at_step = step.name if row.direction == Direction.FORWARD.value else step.compensation or step.name
    return f"{row.status} at {at_step}, attempt {row.attempt}"


async def _steps_of(connection: AsyncConnection, rows: Sequence[AnyRow]) -> dict[str, AnyRow]:
    """Name and compensation of the step at which each of these sagas stands, by saga ID; one statement."""
    if not rows:
        return {}
    found = await connection.execute(_present_steps, {"ids": [row.id for row in rows]})
    return {step.saga_id: step for step in found}


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
