"""Checks whether sagas agree with their steps, logs and owners; reads the sagas for the rules between rooms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, bindparam, case, func, literal_column, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.events import SagaLog
from domain.audit.findings import SLICE_SAGAS_MAX, Finding, Listing, Slice, look, within
from domain.events import EventType
from domain.saga import PERIODS_SECONDS, Direction, Phase, SagaStatus, StepStatus
from domain.saga.tables import ACTIVE, FOREVER, NOBODY, replicas, saga_counts, saga_steps, sagas
from domain.storage import any_of

__all__ = [
    "LogFindings",
    "RecordedSaga",
    "check_sagas",
    "given_up",
    "list_parked",
    "list_stuck",
    "sagas_within",
    "settled",
    "slices",
    "statuses",
]

_s = sagas.c
_t = saga_steps.c
_active = text(f"sagas.{ACTIVE}")
_UNDER_WAY: Final = [
    status.value for status in (StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.WAITING, StepStatus.STUCK)
]
_DONE: Final = [status.value for status in (StepStatus.COMPLETED, StepStatus.SKIPPED)]

_END_OF_SLICE: Final = (
    select(_s.id).where(_s.id > bindparam("after", type_=_s.id.type)).order_by(_s.id).offset(SLICE_SAGAS_MAX - 1)
).limit(1)
_WITHIN: Final = select(
    _s.id,
    _s.correlation_id,
    _s.definition,
    _s.version,
    _s.status,
    _s.sequence,
    _s.context,
    _s.pinned_at.is_not(None).label("is_pinned"),
).where(within(_s.id))
_UNFINISHED: Final = (
    select(_s.correlation_id, _s.status, _t.name, _t.status.label("step"), _t.compensation, _t.undo_status)
    .join(saga_steps, _t.saga_id == _s.id)
    .where(
        _s.finished_at.is_not(None),
        or_(
            _t.status.in_(_UNDER_WAY),
            _t.undo_status.in_([*_UNDER_WAY, StepStatus.PENDING.value]),
            and_(_s.status == SagaStatus.COMPLETED.value, _t.status.not_in(_DONE)),
        ),
    )
    .order_by(_s.id, _t.position)
)
_LEFT_EFFECTS: Final = (
    select(_s.correlation_id, _s.effects)
    .where(_s.status == SagaStatus.COMPENSATED.value, _s.effects != 0)
    .order_by(_s.id)
)
_FORGOTTEN: Final = (
    select(_s.correlation_id, _s.status)
    .where(_active, _s.due_at.is_(None), _s.phase == Phase.READY.value, _s.status != SagaStatus.PARKED.value)
    .order_by(_s.id)
)
_OWNERLESS: Final = (
    select(_s.correlation_id, _s.status, _s.replica)
    .select_from(sagas.outerjoin(replicas, replicas.c.id == _s.replica))
    .where(_active, replicas.c.id.is_(None), _s.status != SagaStatus.PARKED.value)
    .order_by(_s.id)
)
_here = and_(_t.saga_id == _s.id, _t.position == _s.position)
_backward = _s.direction == Direction.BACKWARD.value
#: The step, or the compensation, at which the saga stands.
_stands = case((_backward, _t.undo_status), else_=_t.status)
_PARKED_OR_WAITING: Final = (SagaStatus.WAITING.value, SagaStatus.PARKED.value)
_MISWAITING: Final = (
    select(_s.correlation_id, _s.status, _s.awaits, _t.name, _stands.label("step"))
    .join(saga_steps, _here)
    .where(
        _active,
        _s.status != SagaStatus.PARKED.value,
        or_(
            _s.awaits.is_not(None) != (_stands == StepStatus.WAITING.value),
            and_(_s.status == SagaStatus.WAITING.value, _s.awaits.is_(None)),
            and_(_s.status == SagaStatus.WAITING.value, _s.direction == Direction.BACKWARD.value),
            and_(_s.awaits.is_not(None), or_(_s.awaited_since.is_(None), _s.awaited_until.is_(None))),
        ),
    )
    .order_by(_s.id)
)
_WAITING_ELSEWHERE: Final = (
    select(_s.correlation_id, _s.status, _t.name)
    .join(saga_steps, and_(_t.saga_id == _s.id, _t.position != _s.position))
    .where(_active, or_(_t.status == StepStatus.WAITING.value, _t.undo_status == StepStatus.WAITING.value))
    .order_by(_s.id, _t.position)
)
_STRAY_WORDS: Final = (
    select(_s.correlation_id, _s.status)
    .where(
        or_(
            and_(_s.word.is_not(None), _s.status.not_in(_PARKED_OR_WAITING)),
            and_(_s.word.is_not(None), or_(_s.word_at.is_(None), _s.word_fingerprint.is_(None))),
            and_(_s.word_at.is_not(None), _s.awaits.is_(None)),
        )
    )
    .order_by(_s.id)
)
_c = saga_counts.c
_uncounted = select(replicas.c.id).where(func.coalesce(replicas.c.counted_until, 0) < FOREVER)
_ended = (
    select(
        _s.replica,
        _s.definition,
        _s.status,
        func.coalesce(_s.failure_step, literal_column("''")).label("failed_step"),
        func.count().label("sagas"),
        literal_column("0").label("counted"),
    )
    .where(_s.finished_at.is_not(None))
    .group_by(_s.replica, _s.definition, _s.status, func.coalesce(_s.failure_step, literal_column("''")))
)
#: Each saga that has ended counts as started, too.
_begun = select(
    _s.replica,
    _s.definition,
    literal_column(f"'{SagaStatus.PENDING.value}'"),
    literal_column("''"),
    func.count(),
    literal_column("0"),
).where(_s.finished_at.is_not(None))
_minutes = select(_c.replica, _c.definition, _c.status, _c.failed_step, literal_column("0"), func.sum(_c.sagas)).where(
    _c.seconds == PERIODS_SECONDS[0], _c.status != SagaStatus.STUCK.value
)
_told = union_all(
    _ended,
    _begun.group_by(_s.replica, _s.definition),
    _minutes.group_by(_c.replica, _c.definition, _c.status, _c.failed_step),
).subquery()
#: Sagas that ended on a replica of a release that does not count are counted later.
_MISCOUNTED: Final = (
    select(
        _told.c.replica,
        _told.c.definition,
        _told.c.status,
        _told.c.failed_step,
        func.sum(_told.c.sagas).label("sagas"),
        func.sum(_told.c.counted).label("counted"),
    )
    .where(_told.c.replica.not_in(_uncounted))
    .group_by(_told.c.replica, _told.c.definition, _told.c.status, _told.c.failed_step)
    .having(func.sum(_told.c.sagas) != func.sum(_told.c.counted))
    .order_by(_told.c.replica, _told.c.definition, _told.c.status, _told.c.failed_step)
)
_of_period = {seconds: func.sum(case((_c.seconds == seconds, _c.sagas), else_=0)) for seconds in PERIODS_SECONDS}
_UNEVEN: Final = (
    select(_c.replica, _c.definition, _c.status, _c.failed_step)
    .group_by(_c.replica, _c.definition, _c.status, _c.failed_step)
    .having(or_(*(_of_period[PERIODS_SECONDS[0]] != _of_period[seconds] for seconds in PERIODS_SECONDS[1:])))
    .order_by(_c.replica, _c.definition, _c.status, _c.failed_step)
)
_STUCK: Final = (
    select(
        _s.correlation_id,
        case((_backward, _t.compensation), else_=_t.name).label("name"),
        case((_backward, _t.undo_failure_code), else_=_t.failure_code).label("code"),
        case((_backward, _t.undo_failure_message), else_=_t.failure_message).label("message"),
    )
    .join(saga_steps, _here)
    .where(_active, _s.status == SagaStatus.STUCK.value)
    .order_by(_s.id)
)
_PARKED: Final = (
    select(_s.correlation_id, _s.definition, _s.version, _s.parked_code, _s.parked_reason)
    .where(_active, _s.replica == NOBODY)
    .order_by(_s.id)
)
_STATUSES: Final = select(_s.id, _s.status).where(any_of(_s.id, "ids"))
_GIVEN_UP: Final = (
    select(
        _s.id,
        case((_backward, _t.compensation), else_=_t.name).label("name"),
        case((_backward, _t.undo_summary), else_=_t.summary).label("reason"),
    )
    .join(saga_steps, _t.saga_id == _s.id)
    .where(any_of(_s.id, "ids"), case((_backward, _t.undo_status), else_=_t.status) == StepStatus.SKIPPED.value)
    .order_by(_s.id, _t.position)
)
_SETTLED: Final = select(_s.id).where(any_of(_s.id, "ids"), _s.settled_at.is_not(None))

_UNDOING: Final = frozenset(
    {
        EventType.STEP_FAILED,
        EventType.COMPENSATION_STARTED,
        EventType.COMPENSATION_COMPLETED,
        EventType.COMPENSATION_RETRYING,
        EventType.COMPENSATION_SKIPPED,
        EventType.COMPENSATION_WAITING,
    }
)
_LAST_EVENTS: Final = {
    SagaStatus.COMPLETED: EventType.SAGA_COMPLETED,
    SagaStatus.COMPENSATED: EventType.SAGA_COMPENSATED,
    SagaStatus.ABANDONED: EventType.SAGA_ABANDONED,
}


@dataclass(frozen=True, slots=True)
class RecordedSaga:
    """The compared fields of a saga; `context` is its definition's struct as JSON text."""

    id: str
    correlation_id: str
    definition: str
    version: int
    status: SagaStatus
    sequence: int
    context: str
    is_pinned: bool


async def check_sagas(connection: AsyncConnection) -> list[Finding]:
    """Check every saga and its steps."""
    ended = Finding("saga-ended", "No saga that is over has a step or compensation under way, or an effect to undo.")
    await look(
        connection,
        ended,
        _UNFINISHED,
        lambda row: (
            f"saga {row.correlation_id}",
            f"it is {row.status}, and its step {row.name} is {row.step}"
            + (f", {row.compensation} is {row.undo_status}" if row.undo_status else ""),
        ),
    )
    await look(
        connection,
        ended,
        _LEFT_EFFECTS,
        lambda row: (
            f"saga {row.correlation_id}",
            f"it is COMPENSATED with effects left: {', '.join(map(str, _positions(row.effects)))} (steps from 0)",
        ),
    )
    goes_on = Finding(
        "saga-goes-on",
        "Every active saga has a time to be looked at or a call that is out, and an owner that is known.",
    )
    await look(
        connection,
        goes_on,
        _FORGOTTEN,
        lambda row: (f"saga {row.correlation_id}", f"it is {row.status}, due at no time, and no call is out"),
    )
    await look(
        connection,
        goes_on,
        _OWNERLESS,
        lambda row: (
            f"saga {row.correlation_id}",
            f"it is {row.status}, and its owner {row.replica} is not a known replica, so no other takes it over",
        ),
    )
    waits = Finding(
        "saga-waits", "A saga waits exactly if the step at which it stands does; a word stands only on such a saga."
    )
    await look(
        connection,
        waits,
        _MISWAITING,
        lambda row: (
            f"saga {row.correlation_id}",
            f"it is {row.status}, waits for {row.awaits or 'nothing'}, and its step {row.name} is {row.step}",
        ),
    )
    await look(
        connection,
        waits,
        _WAITING_ELSEWHERE,
        lambda row: (
            f"saga {row.correlation_id}",
            f"it is {row.status}, and {row.name}, at which it does not stand, waits",
        ),
    )
    await look(
        connection,
        waits,
        _STRAY_WORDS,
        lambda row: (f"saga {row.correlation_id}", f"it is {row.status}, and a word stands that nothing waits for"),
    )
    counted = Finding("statistics", "The statistics count each saga that is over once, as it ended.")
    await look(
        connection,
        counted,
        _MISCOUNTED,
        lambda row: (
            f"replica {row.replica}",
            f"{row.definition} {row.status} {row.failed_step}".rstrip()
            + f": {row.sagas} sagas of its own are over, {row.counted} are counted",
        ),
    )
    await look(
        connection,
        counted,
        _UNEVEN,
        lambda row: (
            f"replica {row.replica}",
            f"{row.definition} {row.status} {row.failed_step}".rstrip() + ": minutes, hours and days do not agree",
        ),
    )
    return [ended, goes_on, waits, counted]


class LogFindings:
    """Compares sagas with their logs, slice after slice."""

    def __init__(self) -> None:
        self.numbered = Finding("log-numbers", "Every saga's log is numbered without a gap, from 1 or where pruned.")
        self.agrees = Finding("log-agrees", "Every saga's log ends with what the saga's status and sequence say.")

    def compare(self, recorded: Mapping[str, RecordedSaga], logs: Mapping[str, SagaLog]) -> None:
        """Check the sagas and the logs of one slice."""
        for saga_id, log in logs.items():
            saga = recorded.get(saga_id)
            subject = f"saga {saga.correlation_id if saga else saga_id}"
            if log.missing:
                self.numbered.add(subject, f"{log.missing} of the events {log.oldest} to {log.newest} are missing")
            if saga is None:
                self.agrees.add(subject, f"there are {log.number} events, and no saga")
                continue
            if log.oldest > 1 and not saga.status.is_terminal:
                self.numbered.add(subject, f"the log begins with {log.oldest}, and nothing prunes a saga that goes on")
            if log.newest != saga.sequence:
                self.agrees.add(subject, f"the newest event is {log.newest}, the saga's sequence {saga.sequence}")
            if log.last is None:
                self.agrees.add(subject, f"this release does not know the type of its event {log.newest}")
            elif not _may_follow(saga.status, log.last):
                self.agrees.add(subject, f"it is {saga.status.value}, and its last event is {log.last.value}")
        for saga_id in recorded.keys() - logs.keys():
            self.agrees.add(f"saga {recorded[saga_id].correlation_id}", "it has no event at all")


async def slices(connection: AsyncConnection) -> AsyncIterator[Slice]:
    """All sagas, in slices of at most SLICE_SAGAS_MAX; the slices also cover IDs without a saga."""
    after = Slice().after
    while (upto := (await connection.execute(_END_OF_SLICE, {"after": after})).scalar()) is not None:
        yield Slice(after, upto)
        after = upto
    yield Slice(after)


async def sagas_within(connection: AsyncConnection, part: Slice) -> Mapping[str, RecordedSaga]:
    """The sagas of the slice, by id."""
    rows = await connection.execute(_WITHIN, part.parameters)
    return {
        id_: RecordedSaga(id_, correlation_id, name, version, SagaStatus.read(status), sequence, context, bool(pinned))
        for id_, correlation_id, name, version, status, sequence, context, pinned in rows
    }


async def statuses(connection: AsyncConnection, saga_ids: Sequence[str]) -> Mapping[str, SagaStatus]:
    """The status of each of these sagas that exists."""
    if not saga_ids:
        return {}
    rows = await connection.execute(_STATUSES, {"ids": list(saga_ids)})
    return {row.id: SagaStatus.read(row.status) for row in rows}


async def list_stuck(connection: AsyncConnection) -> Listing:
    """Sagas that keep failing, and their errors. They are still retried, and an operator is needed."""
    stuck = Listing("STUCK", "sagas that keep failing; they are retried slowly, and an operator may retry or skip")
    await look(
        connection,
        stuck,
        _STUCK,
        lambda row: (
            f"saga {row.correlation_id}",
            f"{row.name}: {row.code or 'no code'}, {row.message or 'no reason'}",
        ),
    )
    return stuck


async def list_parked(connection: AsyncConnection) -> Listing:
    """Sagas that a release could not read or run, and the reasons. They are left alone until they are retried."""
    parked = Listing("PARKED", "sagas that cannot be read or run; fix the cause, then retry them (docs/operations.md)")
    await look(
        connection,
        parked,
        _PARKED,
        lambda row: (
            f"saga {row.correlation_id}",
            f"{row.definition} version {row.version}: {row.parked_code}, {row.parked_reason}",
        ),
    )
    return parked


async def settled(connection: AsyncConnection, saga_ids: Sequence[str]) -> set[str]:
    """Those of these sagas for which an operator has recorded how the rest was settled."""
    return set((await connection.execute(_SETTLED, {"ids": list(saga_ids)})).scalars()) if saga_ids else set()


async def given_up(connection: AsyncConnection, saga_ids: Sequence[str]) -> Mapping[str, str]:
    """The skipped operations of each of these sagas and the reasons, in words, by saga ID."""
    found: dict[str, list[str]] = {}
    if saga_ids:
        for row in await connection.execute(_GIVEN_UP, {"ids": list(saga_ids)}):
            found.setdefault(row.id, []).append(f"{row.name} skipped: {row.reason}")
    return {saga_id: "; ".join(parts) for saga_id, parts in found.items()}


def _may_follow(status: SagaStatus, last: EventType) -> bool:
    """Whether a saga of this status may have this last event."""
    if status.is_terminal or last.is_terminal:
        return _LAST_EVENTS.get(status) is last
    return status not in (SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.WAITING) or last not in _UNDOING


def _positions(effects: int) -> list[int]:
    return [position for position in range(effects.bit_length()) if effects >> position & 1]
