"""Reads sagas with their steps, in one short transaction, so that steps and sequence belong together.

With a `subject`, a saga of another subject is dropped before its steps are read. That takes the
same statements as an ID that does not exist, so the response time reveals nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.events import Failure
from domain.saga.states import Direction, SagaStatus, StepStatus
from domain.saga.tables import (
    CODE_UNKNOWN,
    NOBODY,
    STUCK,
    STUCK_SINCE,
    TROUBLED,
    UNDONE,
    UNSETTLED,
    saga_labels,
    saga_steps,
    sagas,
)
from domain.saga.views import Awaiting, SagaView, StepView, UndoView
from domain.storage import AnyRow, Id, Query, any_of, page_of

__all__ = [
    "PAGE_SAGAS_MAX",
    "InFlight",
    "SagaOrder",
    "SagaQuery",
    "Undone",
    "by_beginning",
    "by_correlation_ids",
    "by_ids",
    "count",
    "in_flight_of",
    "labelled",
    "matching",
    "matching_ids",
    "page",
    "page_longest_stuck",
    "page_oldest",
    "parked_count",
    "standing",
    "statuses_by",
    "stuck_key",
    "undone_of",
]

PAGE_SAGAS_MAX: Final = 100
_s = sagas.c
_t = saga_steps.c
#: The wait of such a saga is over as soon as its owner obeys the signal; nothing more is asked of its customer.
_goes_on = or_(_s.word.is_not(None), _s.cancel_requested_at.is_not(None), _s.hold_expired_at.is_not(None))
_stuck_since: ColumnElement[int] = literal_column(STUCK_SINCE, BigInteger)
_columns = (
    _s.id,
    _s.correlation_id,
    _s.definition,
    _s.version,
    _s.subject,
    _s.status,
    _s.context,
    _s.failure_code,
    _s.failure_message,
    _s.failure_step,
    _s.sequence,
    _s.started_at,
    _s.finished_at,
    _s.parked_code,
    _s.parked_reason,
    _s.position,
    _s.awaits,
    _s.awaited_since,
    _s.awaited_until,
    _goes_on.label("goes_on"),
    _stuck_since.label("stuck_since"),
    _s.settled_at,
)
_status_shown = case((and_(_s.status == SagaStatus.WAITING.value, _goes_on), SagaStatus.RUNNING.value), else_=_s.status)
_WAITING_OR_NOT: Final = frozenset({SagaStatus.RUNNING, SagaStatus.WAITING})
_present = (_t.saga_id == _s.id, _t.position == _s.position)
#: What a STUCK or PARKED saga is stuck or parked with, and since when.
_trouble_code = func.coalesce(
    case(
        (_s.status == SagaStatus.PARKED.value, _s.parked_code),
        else_=select(case((_s.direction == Direction.FORWARD.value, _t.failure_code), else_=_t.undo_failure_code))
        .where(*_present)
        .scalar_subquery(),
    ),
    CODE_UNKNOWN,
)
_troubled_since = case((_s.status == SagaStatus.PARKED.value, _s.parked_at), else_=_stuck_since)
#: These repeat the words of partial indexes. Without a type: of a Boolean SQLAlchemy would write `(...) = 1`.
_is_troubled: ColumnElement[Any] = literal_column(f"(sagas.{TROUBLED})")
_is_unsettled: ColumnElement[Any] = literal_column("(sagas." + UNSETTLED.replace(" AND ", " AND sagas.") + ")")
_TROUBLED: Final = frozenset({SagaStatus.STUCK, SagaStatus.PARKED})
_by_ids = Query(select(*_columns).where(any_of(_s.id, "ids")))
_by_correlation_ids = Query(select(*_columns).where(any_of(_s.correlation_id, "ids")))
_by_beginning = Query(
    select(*_columns)
    .where(_s.correlation_id >= bindparam("lowest", type_=Id), _s.correlation_id <= bindparam("highest", type_=Id))
    .order_by(_s.correlation_id.desc())
    .limit(bindparam("rows", type_=Integer))
)
_running = Query(select(_s.id, _s.sequence).where(_s.finished_at.is_(None)))
_ended_since = Query(select(_s.id, _s.sequence).where(_s.finished_at >= bindparam("since", type_=BigInteger)))
_steps = Query(select(saga_steps).where(any_of(_t.saga_id, "ids")).order_by(_t.saga_id, _t.position))

#: Uses the index of owners, so the cost does not grow with the number of sagas.
_parked_count = Query(select(func.count().label("number")).where(_s.replica == NOBODY, _s.finished_at.is_(None)))

_in_flight = Query(
    select(_s.id, _s.subject, _s.definition, _s.context, _s.deadline_at, _s.status == SagaStatus.WAITING.value).where(
        any_of(_s.subject, "subjects"),
        _s.finished_at.is_(None),
        or_(_s.deadline_at.is_(None), _s.deadline_at > bindparam("at", type_=BigInteger), _s.pinned_at.is_not(None)),
    )
)


_undone = Query(
    select(_s.subject, func.count(), func.max(_s.finished_at))
    .where(
        any_of(_s.subject, "subjects"),
        # Repeats the partial index's condition.
        text(f"sagas.{UNDONE}"),
        _s.finished_at > bindparam("since", type_=BigInteger),
        any_of(_s.failure_code, "codes"),
    )
    .group_by(_s.subject)
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """A saga that is not over: its subject, its context, and its deadline (the later steps must have begun by then).

    `waits`: for its customer.
    """

    saga_id: str
    subject: str
    definition: str
    context: str
    deadline_at: int | None
    waits: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """The number of a caller's sagas that were undone lately, and the time of the last one (microseconds)."""

    subject: str
    sagas: int
    latest_at: int


class SagaOrder(StrEnum):
    """The order of a list of sagas."""

    NEWEST_FIRST = "NEWEST_FIRST"
    """By their start, the last first."""
    OLDEST_FIRST = "OLDEST_FIRST"
    """By their start, the first first."""
    LONGEST_STUCK_FIRST = "LONGEST_STUCK_FIRST"
    """STUCK ones before all others, the longest stuck first; then the newest first."""


@dataclass(frozen=True, slots=True)
class SagaQuery:
    """A filter for lists of sagas. None, or an empty sequence, is no restriction; times in microseconds, half open.

    `failure_codes`: of the saga's failure, or of what it is STUCK or PARKED with; `stuck_with`: only of the latter.
    `stuck_at` is the step that it stands at, forward or backward, and `stuck_before` when that began; `is_undoing`:
    whether it stands there backward; `is_place_known`: whether it stands at a step of its own. All of these are of a
    STUCK or PARKED saga; the code of one that keeps none is CODE_UNKNOWN.
    """

    subject: str | None = None
    statuses: Sequence[SagaStatus] = ()
    step_statuses: Sequence[StepStatus] = ()
    definition: str | None = None
    failed_step: str | None = None
    label: Sequence[str] = ()
    started_after: int | None = None
    started_before: int | None = None
    failure_codes: Sequence[str] = ()
    stuck_at: str | None = None
    stuck_with: Sequence[str] = ()
    stuck_before: int | None = None
    is_unsettled: bool | None = None
    is_undoing: bool | None = None
    is_place_known: bool | None = None

    @property
    def _is_of_trouble(self) -> bool:
        """Whether only STUCK and PARKED sagas can match."""
        places = (self.stuck_at, self.stuck_before, self.is_undoing, self.is_place_known)
        asks = self.stuck_with or any(place is not None for place in places)
        return bool(asks or (self.statuses and _TROUBLED.issuperset(self.statuses)))


async def by_ids(
    connection: AsyncConnection, saga_ids: Sequence[str], *, subject: str | None = None
) -> dict[str, SagaView]:
    """The sagas with these IDs and their steps, of `subject`, or of all subjects if it is None; two statements."""
    rows = await _by_ids(connection, ids=list(saga_ids))
    return {view.id: view for view in await _with_steps(connection, [row for row in rows if _is_of(row, subject)])}


async def standing(connection: AsyncConnection, ended_since: int) -> Mapping[str, int]:
    """The sequence of each saga that is not over, or that ended at or after this time (microseconds)."""
    rows = [*await _running(connection), *await _ended_since(connection, since=ended_since)]
    return {row.id: row.sequence for row in rows}


async def by_correlation_ids(
    connection: AsyncConnection, asks: Sequence[tuple[str, str | None]]
) -> list[SagaView | None]:
    """The saga of each (correlation ID, subject or None for all) and its steps, in order; two statements."""
    rows = await _by_correlation_ids(connection, ids=list({correlation_id for correlation_id, _ in asks}))
    wanted = set(asks)
    seen = [row for row in rows if wanted & {(row.correlation_id, None), (row.correlation_id, row.subject)}]
    views = {view.correlation_id: view for view in await _with_steps(connection, seen)}
    found = ((views.get(correlation_id), subject) for correlation_id, subject in asks)
    return [view if view is not None and subject in (None, view.subject) else None for view, subject in found]


async def by_beginning(connection: AsyncConnection, digits: str, *, limit: int) -> list[SagaView]:
    """Sagas whose correlation ID begins with these hexadecimal digits (1 to 32, without hyphens), the highest first.

    Two statements; their cost does not grow with the number of sagas.
    """
    lowest, highest = (str(UUID(digits.ljust(32, filler))) for filler in "0f")
    rows = await _by_beginning(connection, lowest=lowest, highest=highest, rows=limit)
    return await _with_steps(connection, rows)


async def in_flight_of(connection: AsyncConnection, subjects: Sequence[str], *, at: int) -> list[InFlight]:
    """All sagas of these subjects that are not over, except unpinned ones whose deadline passed by `at`.

    One statement, by the index of sagas in flight.
    """
    return [InFlight(*row) for row in await _in_flight(connection, subjects=list(subjects), at=at)]


async def undone_of(
    connection: AsyncConnection, subjects: Sequence[str], codes: Sequence[str], *, since: int
) -> list[Undone]:
    """The sagas of these subjects that ended COMPENSATED after `since` for one of these reasons; only those with any.

    One statement, by the index of undone sagas.
    """
    rows = await _undone(connection, subjects=list(subjects), codes=list(codes), since=since)
    return [Undone(*row) for row in rows]


async def page(
    connection: AsyncConnection, query: SagaQuery, *, after: str | None, limit: int, reverse: bool = False
) -> list[SagaView]:
    """The newest matching sagas, below the ID `after` if it is given; at most `limit` and never more than 101.

    `reverse`: as `page_of`.
    """
    return await _with_steps(connection, await _by_id(connection, query, after, limit, descending=not reverse))


async def page_oldest(
    connection: AsyncConnection, query: SagaQuery, *, after: str | None, limit: int, reverse: bool = False
) -> list[SagaView]:
    """As `page`, but the oldest first."""
    return await _with_steps(connection, await _by_id(connection, query, after, limit, descending=reverse))


async def page_longest_stuck(
    connection: AsyncConnection,
    query: SagaQuery,
    *,
    after: tuple[int | None, str] | None,
    limit: int,
    reverse: bool = False,
) -> list[SagaView]:
    """As `page`, but STUCK sagas first, the longest stuck of them first. `after`: as `stuck_key`."""
    limit = min(limit, PAGE_SAGAS_MAX + 1)
    rows: list[AnyRow] = []
    for of_stuck in (False, True) if reverse else (True, False):
        if after is not None and of_stuck is (after[0] is None):
            # The page begins in the other part.
            continue
        if len(rows) == limit:
            break
        if of_stuck:
            rows += await _longest_stuck(connection, query, after, limit - len(rows), reverse=reverse)
        else:
            others, newest = _s.status != SagaStatus.STUCK.value, None if after is None else after[1]
            rows += await _by_id(connection, query, newest, limit - len(rows), others, descending=not reverse)
        after = None
    return await _with_steps(connection, rows)


def stuck_key(view: SagaView) -> tuple[int | None, str]:
    """The place of a saga in `page_longest_stuck`: since when it is stuck, if it is, and its ID."""
    return view.stuck_since, view.id


async def _by_id(
    connection: AsyncConnection,
    query: SagaQuery,
    after: str | None,
    limit: int,
    *more: ColumnElement[bool],
    descending: bool,
) -> Sequence[AnyRow]:
    limit = min(limit, PAGE_SAGAS_MAX + 1)
    conditions = [*_conditions(query), *more]
    if not query.failure_codes:
        statement = select(*_columns).where(*conditions)
    else:
        # The first of each code by its index: one index has no order over several codes.
        firsts = [
            select(
                page_of(select(_s.id).where(*conditions, code), _s.id, after=after, limit=limit, descending=descending)
                .subquery()
                .c.id
            )
            for code in _codes(query)
        ]
        statement = select(*_columns).where(_s.id.in_(union_all(*firsts)))
    ordered = page_of(statement, _s.id, after=after, limit=limit, descending=descending)
    return (await connection.execute(ordered)).all()


async def _longest_stuck(
    connection: AsyncConnection, query: SagaQuery, after: tuple[int | None, str] | None, limit: int, *, reverse: bool
) -> Sequence[AnyRow]:
    """The STUCK sagas, the longest stuck first: by the index, and beside it the few without `stuck_since`."""
    parts = []
    for is_set, since in ((_s.stuck_since.is_not(None), _s.stuck_since), (_s.stuck_since.is_(None), _s.updated_at)):
        statement = select(*_columns).where(text(f"sagas.{STUCK}"), is_set, *_conditions(query), *_any_code(query))
        part = page_of(statement, since, _s.id, after=after, limit=limit, reverse=reverse).subquery()
        parts.append(select(part))
    both = union_all(*parts).subquery()
    ordered = page_of(select(both), both.c.stuck_since, both.c.id, after=None, limit=limit, reverse=reverse)
    return (await connection.execute(ordered)).all()


async def count(connection: AsyncConnection, query: SagaQuery) -> int:
    """How many sagas match."""
    matching = matching_ids(query).subquery()
    return int((await connection.execute(select(func.count()).select_from(matching))).scalar_one())


def matching_ids(query: SagaQuery) -> Select[str]:
    """The IDs of all sagas that match, as a statement to be a part of another."""
    statement = select(_s.id).where(*_conditions(query))
    if query.failure_codes:
        found = union_all(*(select(_s.id).where(*_conditions(query), code) for code in _codes(query)))
        statement = select(_s.id).where(_s.id.in_(found))
    return statement


async def matching(connection: AsyncConnection, query: SagaQuery, saga_ids: Sequence[str]) -> set[str]:
    """Which of these sagas, as they stand, match the query."""
    statement = select(_s.id).where(_s.id.in_(saga_ids), *_conditions(query), *_any_code(query))
    return set((await connection.execute(statement)).scalars())


async def statuses_by(
    connection: AsyncConnection, groups: Select[str, str], parameters: Mapping[str, Any]
) -> list[tuple[str, SagaStatus, int]]:
    """Per group and status, as readers see it now, the number of sagas. `groups` selects (group, saga ID)."""
    of = groups.subquery()
    group, saga_id = of.c
    statement = select(group, _status_shown, func.count()).join_from(of, sagas, _s.id == saga_id)
    rows = await connection.execute(statement.group_by(group, _status_shown), parameters)
    return [(group, SagaStatus.read(status), number) for group, status, number in rows]


async def parked_count(connection: AsyncConnection) -> int:
    """How many sagas are PARKED."""
    return int((await _parked_count.column(connection))[0])


def _is_of(row: AnyRow, subject: str | None) -> bool:
    return subject is None or row.subject == subject


def labelled(label: str) -> Select[tuple[str]]:
    """The sagas with this label."""
    return select(saga_labels.c.saga_id).where(saga_labels.c.label == label)


def _conditions(query: SagaQuery) -> list[ColumnElement[bool]]:
    """The filter as SQL, but for `failure_codes`."""
    found: list[ColumnElement[bool]] = []
    if query._is_of_trouble:
        found.append(_is_troubled)
    if query.subject is not None:
        found.append(_s.subject == query.subject)
    if query.statuses:
        status = _s.status if _WAITING_OR_NOT.isdisjoint(query.statuses) else _status_shown
        found.append(status.in_([status.value for status in query.statuses]))
    if query.step_statuses:
        values = [status.value for status in query.step_statuses]
        found.append(
            select(_t.saga_id).where(_t.saga_id == _s.id, _t.status.in_(values) | _t.undo_status.in_(values)).exists()
        )
    if query.definition is not None:
        found.append(_s.definition == query.definition)
    if query.failed_step is not None:
        found.append(_s.failure_step == query.failed_step)
    found += [_s.id.in_(labelled(label)) for label in query.label]
    if query.started_after is not None:
        found.append(_s.started_at >= query.started_after)
    if query.started_before is not None:
        found.append(_s.started_at < query.started_before)
    if query.stuck_at is not None:
        found.append(select(_t.saga_id).where(*_present, _t.name == query.stuck_at).exists())
    if query.stuck_with:
        found.append(_trouble_code.in_(query.stuck_with))
    if query.is_undoing is not None:
        found.append(_s.direction == (Direction.BACKWARD if query.is_undoing else Direction.FORWARD).value)
    if query.is_place_known is not None:
        at_step = select(_t.saga_id).where(*_present).exists()
        found.append(at_step if query.is_place_known else not_(at_step))
    if query.stuck_before is not None:
        found.append(_troubled_since < query.stuck_before)
    if query.is_unsettled is not None:
        found.append(_is_unsettled if query.is_unsettled else not_(_is_unsettled))
    return found


def _codes(query: SagaQuery) -> list[ColumnElement[bool]]:
    """The filter by `failure_codes`, as conditions of which each is answered by one index."""
    codes = sorted(set(query.failure_codes))
    return [*(_s.failure_code == code for code in codes), _troubled_with(codes)]


def _any_code(query: SagaQuery) -> list[ColumnElement[bool]]:
    """The filter by `failure_codes` in one condition; none if there is no such filter."""
    codes = sorted(set(query.failure_codes))
    return [or_(_s.failure_code.in_(codes), _troubled_with(codes))] if codes else []


def _troubled_with(codes: Sequence[str]) -> ColumnElement[bool]:
    return and_(_is_troubled, _trouble_code.in_(codes))


async def _with_steps(connection: AsyncConnection, rows: Sequence[AnyRow]) -> list[SagaView]:
    """A view of each row. An unreadable row is shown as PARKED; the other rows are not affected."""
    steps: dict[str, list[AnyRow]] = {row.id: [] for row in rows}
    if rows:
        for row in await _steps(connection, ids=list(steps)):
            steps[row.saga_id].append(row)
    return [_view(row, steps[row.id]) for row in rows]


#: The row comes from a newer release, or was changed by hand.
_UNREADABLE: Final = Failure("UNREADABLE", "This release does not know a status of the saga, or of one of its steps.")


def _view(row: AnyRow, steps: Sequence[AnyRow]) -> SagaView:
    awaiting = None
    try:
        status, read = SagaStatus(row.status), tuple(map(_step, steps))
        parked = _failure(row.parked_code, row.parked_reason, None) if status is SagaStatus.PARKED else None
        if status is SagaStatus.WAITING:
            if row.goes_on:
                status, read = SagaStatus.RUNNING, tuple(_resumed(step) for step in read)
            else:
                step = read[row.position]
                awaiting = Awaiting(row.awaits, row.awaited_since, row.awaited_until, step.name, step.failure)
    except (ValueError, IndexError):
        status, read, parked = SagaStatus.PARKED, (), _UNREADABLE
    return SagaView(
        id=row.id,
        correlation_id=row.correlation_id,
        definition=row.definition,
        version=row.version,
        subject=row.subject,
        status=status,
        context=row.context,
        failure=_failure(row.failure_code, row.failure_message, row.failure_step),
        sequence=row.sequence,
        started_at=row.started_at,
        finished_at=row.finished_at,
        steps=read,
        parked=parked,
        awaiting=awaiting,
        stuck_since=row.stuck_since if status is SagaStatus.STUCK else None,
        is_settled=row.settled_at is not None,
    )


def _resumed(step: StepView) -> StepView:
    """The step of a saga whose wait is over as soon as its signal is obeyed."""
    return msgspec.structs.replace(step, status=StepStatus.EXECUTING) if step.status is StepStatus.WAITING else step


def _step(row: AnyRow) -> StepView:
    undo = None
    if row.undo_status is not None:
        undo = UndoView(
            name=row.compensation,
            status=StepStatus(row.undo_status),
            attempt=row.undo_attempt,
            next_attempt_at=row.undo_next_attempt_at,
            started_at=row.undo_started_at,
            finished_at=row.undo_finished_at,
            summary=row.undo_summary,
            failure=_failure(row.undo_failure_code, row.undo_failure_message, row.name),
        )
    return StepView(
        saga_id=row.saga_id,
        index=row.position,
        name=row.name,
        status=StepStatus(row.status),
        attempt=row.attempt,
        next_attempt_at=row.next_attempt_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        summary=row.summary,
        failure=_failure(row.failure_code, row.failure_message, row.name),
        compensation=row.compensation,
        undo=undo,
    )


def _failure(code: str | None, message: str | None, step: str | None) -> Failure | None:
    return Failure(code, message or "", step) if code is not None else None
