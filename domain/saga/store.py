"""The engine's statements, each in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import bindparam, case, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events
from domain.events import EventType, Failure, SagaEvent
from domain.saga import counting
from domain.saga.definition import SagaDefinition, Simulation, Wait
from domain.saga.machine import Run, StepChange
from domain.saga.states import Direction, Phase, SagaStatus, StepStatus
from domain.saga.tables import NOBODY, saga_labels, saga_steps, sagas
from domain.storage import AnyRow, BulkInsert, BulkUpdate, Query, any_of

__all__ = ["NOT_BEGUN", "Definitions", "FencedError", "Unreadable", "fence", "flush", "insert", "park", "still_owned"]

Definitions = Mapping[tuple[str, int], SagaDefinition]

_s = sagas.c
_t = saga_steps.c

_owned = Query(
    select(_s.id).where(any_of(_s.id, "ids"), _s.replica == bindparam("replica_id"), _s.finished_at.is_(None))
)

#: The unconverted columns of a run, from the class's fields. No turn changes those of its identity.
_IDENTITY = ("id", "correlation_id", "started_at", "epoch")
_SAME = Run.columns()
_PLAIN = tuple(name for name in _SAME if name not in (*_IDENTITY, "finished_at"))
#: The columns of a wait, also of one for calls to leave or for an operator: read for every run, written only for those
#: whose wait changed.
_WAIT = (_s.awaits, _s.awaited_since, _s.awaited_until, _s.word, _s.word_at, _s.word_fingerprint, _s.stuck_since)
#: The converted columns: `_run` reads them, `_values` writes them, both in this order.
_TRANSLATED = (
    _s.status,
    _s.direction,
    _s.phase,
    _s.uncertain,
    _s.given_up,
    _s.context,
    _s.simulation,
    _s.failure_code,
    _s.failure_message,
    _s.failure_step,
)
_LIVE = (*_TRANSLATED, *(_s[name] for name in _PLAIN), _s.updated_at)
_WRITTEN = (*_LIVE, _s.finished_at)
_FENCED = (
    _s.definition,
    _s.version,
    _s.definition_fingerprint,
    _s.parked_from,
    *_TRANSLATED,
    *(_s[name] for name in _SAME),
    *_WAIT,
)
_plain_of = attrgetter(*_PLAIN)
#: Every read for a batch begins here: only sagas that are still ours, locked, in key order.
_fence = Query(
    select(*_FENCED)
    .where(any_of(_s.id, "ids"), _s.replica == bindparam("replica_id"), _s.finished_at.is_(None))
    .order_by(_s.id)
    .with_for_update(skip_locked=True)
)

_KEY = (_s.id, _s.replica, _s.epoch)
_update_sagas = BulkUpdate(sagas, key=_KEY, change=_WRITTEN)
_update_live = BulkUpdate(sagas, key=_KEY, change=_LIVE)
_update_waits = BulkUpdate(sagas, key=(_s.id,), change=_WAIT)
#: For an unreadable row: only its ID and its owner are used.
_park = (
    update(sagas)
    .where(_s.id == bindparam("id_"), _s.replica == bindparam("replica_id"), _s.finished_at.is_(None))
    .values(
        status=SagaStatus.PARKED.value,
        parked_at=bindparam("at"),
        parked_from=case((_s.status == SagaStatus.PARKED.value, _s.parked_from), else_=_s.status),
        parked_code=bindparam("code"),
        parked_reason=bindparam("reason"),
        replica=NOBODY,
        due_at=null(),
        retry_requested_at=null(),
        sequence=1 + case((_s.sequence < bindparam("newest"), bindparam("newest")), else_=_s.sequence),
        updated_at=bindparam("at"),
    )
    .returning(_s.correlation_id, _s.sequence)
)


def _kept_while_tried(status: str, *columns: str) -> dict[str, str]:
    """What an operation is stuck with is still so while it is tried again."""
    is_tried = f"saga_steps.{status} = '{StepStatus.STUCK.value}' AND {{{status}}} = '{StepStatus.EXECUTING.value}'"
    return {name: f"CASE WHEN {is_tried} THEN saga_steps.{name} ELSE {{{name}}} END" for name in columns}


_update_steps = BulkUpdate(
    saga_steps,
    key=(_t.saga_id, _t.position),
    change=(
        _t.status,
        _t.attempt,
        _t.next_attempt_at,
        _t.started_at,
        _t.finished_at,
        _t.summary,
        _t.failure_code,
        _t.failure_message,
    ),
    expressions={
        "started_at": "coalesce(saga_steps.started_at, {started_at})",
        **_kept_while_tried("status", "failure_code", "failure_message"),
    },
)
_update_undos = BulkUpdate(
    saga_steps,
    key=(_t.saga_id, _t.position),
    change=(
        _t.undo_status,
        _t.undo_attempt,
        _t.undo_next_attempt_at,
        _t.undo_started_at,
        _t.undo_finished_at,
        _t.undo_summary,
        _t.undo_failure_code,
        _t.undo_failure_message,
    ),
    expressions={
        "undo_started_at": "coalesce(saga_steps.undo_started_at, {undo_started_at})",
        **_kept_while_tried("undo_status", "undo_failure_code", "undo_failure_message"),
    },
)
_insert_sagas = BulkInsert(
    sagas,
    _s.id,
    _s.correlation_id,
    _s.definition,
    _s.version,
    _s.subject,
    _s.fingerprint,
    _s.definition_fingerprint,
    _s.replica,
    _s.epoch,
    _s.started_at,
    *_WRITTEN,
)
_insert_steps = BulkInsert(
    saga_steps,
    _t.saga_id,
    _t.position,
    _t.name,
    _t.compensation,
    _t.undo_attempt,
    _t.status,
    _t.attempt,
    _t.next_attempt_at,
    _t.started_at,
    _t.finished_at,
    _t.summary,
    _t.failure_code,
    _t.failure_message,
)
#: The half of a step that nothing has happened to.
NOT_BEGUN = StepChange(StepStatus.PENDING, 0)
_insert_labels = BulkInsert(saga_labels, saga_labels.c.label, saga_labels.c.saga_id)


_STATUSES = {status.value: status for status in SagaStatus}
_DIRECTIONS = {direction.value: direction for direction in Direction}
_PHASES = {phase.value: phase for phase in Phase}
_encoder = msgspec.json.Encoder()
_simulation = msgspec.json.Decoder(Simulation)
_decoder = cache(msgspec.json.Decoder)


class FencedError(Exception):
    """A saga of this turn has another owner now, though its row was locked: the turn must not commit."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A saga whose row this release cannot read, or whose steps it does not have; and the reason."""

    saga_id: str
    code: str
    reason: str


async def fence(
    connection: AsyncConnection, definitions: Definitions, replica_id: str, saga_ids: Iterable[str]
) -> tuple[list[Run], list[Unreadable]]:
    """Lock and read those of `saga_ids` that this replica still owns and that are not over, in key order.

    Rows that another transaction has locked are left out: they are read in a later turn. Each row is
    read separately, so an unreadable row does not stop the others; unreadable ones are returned apart.
    """
    runs: list[Run] = []
    unreadable: list[Unreadable] = []
    for row in await _fence(connection, ids=list(saga_ids), replica_id=replica_id):
        try:
            run = _run(row, definitions)
        except Exception as error:
            unreadable.append(Unreadable(row.id, "UNREADABLE", f"its row cannot be read ({_told(error)})"))
            continue
        misfit = _misfit(row, run)
        if misfit is None:
            runs.append(run)
        else:
            unreadable.append(misfit)
    return runs, unreadable


async def park(
    connection: AsyncConnection, replica_id: str, saga_id: str, failure: Failure, at: int
) -> SagaEvent | None:
    """Park the saga, with its event; None if it is no longer ours.

    Nothing of it is lost or decided: after a retry a replica resumes it where it stood.
    """
    newest = (await events.newest_sequences(connection, [saga_id])).get(saga_id, 0)
    values = {
        "id_": saga_id,
        "replica_id": replica_id,
        "at": at,
        "code": failure.code,
        "reason": failure.message,
        # If a row's sequence is behind its own events, no new event could be written: it could neither park nor expire.
        "newest": newest,
    }
    row = (await connection.execute(_park, values)).one_or_none()
    if row is None:
        return None
    message = f"The saga is parked: {failure.message}."
    event = SagaEvent(
        saga_id, row.correlation_id, row.sequence, EventType.SAGA_PARKED, None, None, None, message, failure, at
    )
    await events.append(connection, [event])
    return event


async def still_owned(connection: AsyncConnection, replica_id: str, saga_ids: Iterable[str]) -> set[str]:
    """The sagas that the fence left out but that are still ours: their rows are locked for a moment."""
    if connection.dialect.name == "sqlite":
        return set()
    rows = await _owned(connection, ids=list(saga_ids), replica_id=replica_id)
    return {row.id for row in rows}


async def flush(connection: AsyncConnection, replica_id: str, lane: int, at: int, runs: Sequence[Run]) -> None:
    """Write the changes of `runs`: saga rows, step rows and events, one statement each, and count the ended ones.

    `lane`: no other turn of this replica uses it at the same time. Raises FencedError.
    """
    changed = [run for run in runs if run.touched]
    if not changed:
        return
    rows = [(run.id, replica_id, run.epoch, *_values(run, at), run.finished_at) for run in changed]
    updated = 0
    if connection.dialect.name == "sqlite":
        # It writes every index that has a column of the statement, also if the value stays the same.
        updated = await _update_live(connection, [row[:-1] for row in rows if row[-1] is None])
        rows = [row for row in rows if row[-1] is not None]
    updated += await _update_sagas(connection, rows)
    if updated != len(changed):
        raise FencedError(f"{len(changed) - updated} of {len(changed)} sagas belong to another replica")
    await _update_steps(connection, _changes(changed, Direction.FORWARD))
    await _write_rest(connection, replica_id, lane, at, changed)


async def insert(
    connection: AsyncConnection,
    runs: Sequence[Run],
    identities: Mapping[str, tuple[str, str]],
    labels: Mapping[str, Sequence[str]],
    replica_id: str,
    lane: int,
    at: int,
) -> None:
    """Write new sagas as they stand, with their steps, labels and events, and count those that are over already.

    `identities`: subject and fingerprint by saga ID. `lane`: as in `flush`.
    """
    await _insert_sagas(
        connection,
        [
            (
                run.id,
                run.correlation_id,
                run.definition.name,
                run.definition.version,
                *identities[run.id],
                run.definition.fingerprint,
                replica_id,
                run.epoch,
                run.started_at,
                *_values(run, at),
                run.finished_at,
            )
            for run in runs
        ],
    )
    await _insert_steps(
        connection,
        [
            (
                run.id,
                position,
                step.name,
                step.compensation.name if step.compensation else None,
                0,
                *_change_values(run.changes.get((position, Direction.FORWARD), NOT_BEGUN)),
            )
            for run in runs
            for position, step in enumerate(run.definition.steps)
        ],
    )
    await _insert_labels(connection, [(label, run.id) for run in runs for label in sorted(set(labels[run.id]))])
    await _write_rest(connection, replica_id, lane, at, runs)


async def _write_rest(connection: AsyncConnection, replica_id: str, lane: int, at: int, runs: Sequence[Run]) -> None:
    """What sagas that begin and sagas that go on write alike."""
    await _update_waits(connection, [(run.id, *_wait_of(run)) for run in runs if run.wait_changed])
    await _update_undos(connection, _changes(runs, Direction.BACKWARD))
    await events.append(connection, [event for run in runs for event in run.events])
    await counting.count(connection, replica_id, lane, at, runs)


def _run(row: AnyRow, definitions: Definitions) -> Run:
    """A run from a row of _fence, whose columns are _FENCED."""
    (
        name,
        version,
        _,
        parked_from,
        status,
        direction,
        phase,
        uncertain,
        given_up,
        context,
        simulation,
        failure_code,
        failure_message,
        failure_step,
        *plain,
        awaits,
        since,
        until,
        word,
        word_at,
        word_fingerprint,
        stuck_since,
    ) = row
    definition = definitions[name, version]
    run = Run(definition, _decoder(definition.context).decode(context), *plain)
    run.status = _STATUSES[status]
    run.direction = _DIRECTIONS[direction]
    run.phase = _PHASES[phase]
    run.uncertain = bool(uncertain)
    run.given_up = bool(given_up)
    if simulation:
        run.simulation = _simulation.decode(simulation)
    if failure_code:
        run.failure = Failure(failure_code, failure_message, failure_step)
    if run.status is SagaStatus.PARKED:
        run.parked_from = _STATUSES[parked_from]
    if awaits is not None:
        run.wait = Wait(awaits, since, until)
        run.word = word
        run.word_at = word_at
    else:
        run.unsent_since = since
    run.word_fingerprint = word_fingerprint
    run.stuck_since = stuck_since
    return run


def _told(error: Exception) -> str:
    """A description of a row's fault, without the row's content."""
    return str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__


def _misfit(row: AnyRow, run: Run) -> Unreadable | None:
    """Why this definition cannot run a saga that can be read; None if it can."""
    definition = run.definition
    steps = len(definition.steps)
    began_with = row.definition_fingerprint
    if began_with is not None and began_with != definition.fingerprint:
        return Unreadable(
            run.id,
            "DEFINITION_CHANGED",
            f"{definition.name} version {definition.version} has other steps here ({definition.fingerprint})"
            f" than the saga began with ({began_with})",
        )
    if not 0 <= run.position < steps:
        return Unreadable(run.id, "UNREADABLE", f"it stands at step {run.position} of {steps}, counted from 0")
    if run.effects < 0 or run.effects >> steps:
        return Unreadable(run.id, "UNREADABLE", f"its effects {run.effects:#b} are of more than {steps} steps")
    if run.direction is Direction.BACKWARD and (run.effects | 1 << run.position) & ~definition.undoable:
        return Unreadable(run.id, "UNREADABLE", "it must undo a step that has no compensation")
    return None


def encode_context(run: Run) -> str:
    """The run's context as text for storage."""
    return _encoder.encode(run.context).decode()


def _values(run: Run, at: int) -> tuple[Any, ...]:
    """The run's values in the order of _LIVE."""
    failure = run.failure
    return (
        run.status.value,
        run.direction.value,
        run.phase.value,
        int(run.uncertain),
        int(run.given_up),
        encode_context(run),
        _encoder.encode(run.simulation).decode() if run.simulation is not None else None,
        failure.code if failure else None,
        failure.message if failure else None,
        failure.step if failure else None,
        *_plain_of(run),
        at,
    )


def _wait_of(run: Run) -> tuple[Any, ...]:
    """The run's values in the order of _WAIT."""
    wait = run.wait
    stands = (wait.wants, wait.since, wait.until) if wait is not None else (None, run.unsent_since, None)
    return (*stands, run.word, run.word_at, run.word_fingerprint, run.stuck_since)


def _changes(runs: Sequence[Run], direction: Direction) -> list[tuple[Any, ...]]:
    return [
        (run.id, position, *_change_values(change))
        for run in runs
        for (position, of), change in run.changes.items()
        if of is direction
    ]


def _change_values(change: StepChange) -> tuple[Any, ...]:
    return (
        change.status.value,
        change.attempt,
        change.next_attempt_at,
        change.started_at,
        change.finished_at,
        change.summary,
        change.failure.code if change.failure else None,
        change.failure.message if change.failure else None,
    )
