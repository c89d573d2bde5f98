"""Rates, durations and queues over all sagas since a moment, and how many are live. A handful of statements each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, case, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.saga.states import SagaStatus, StepStatus
from domain.saga.tables import ACTIVE, saga_steps, sagas
from domain.storage import Query

__all__ = ["BUCKETS_MAX", "LiveSagas", "QueueTotals", "SagaBucket", "SagaStatistics", "buckets", "live", "statistics"]

BUCKETS_MAX: Final = 300
_s = sagas.c
_t = saga_steps.c
_ACTIVE_VALUES: Final = [status.value for status in SagaStatus if not status.is_terminal]
_STATUSES: Final = frozenset(status.value for status in SagaStatus)


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """All active sagas' queues in total; completed and failed steps of sagas started since the moment asked for."""

    pending: int
    executing: int
    completed: int
    failed: int
    compensations_pending: int
    compensating: int
    stuck: int


@dataclass(frozen=True, slots=True)
class LiveSagas:
    """So many sagas of one definition have one status that is not terminal, the oldest since `oldest_started_at`."""

    definition: str
    status: SagaStatus
    sagas: int
    oldest_started_at: int


@dataclass(frozen=True, slots=True)
class SagaBucket:
    """Sagas that finished, or are stuck, in one stretch of time beginning at `starts_at` (microseconds)."""

    starts_at: int
    completed: int
    compensated: int
    abandoned: int
    stuck: int
    duration_ms_p50: float | None
    duration_ms_p95: float | None


@dataclass(frozen=True, slots=True)
class SagaStatistics:
    """What became of the sagas started since `since` (microseconds).

    Rates are shares from 0 to 1; None where nothing counts.
    """

    since: int
    at: int
    started: int
    by_status: dict[SagaStatus, int]
    queue: QueueTotals
    success_rate: float | None
    compensation_success_rate: float | None
    duration_ms_p50: float | None
    duration_ms_p95: float | None
    failed_at: dict[str, int]


_by_status = (
    select(_s.status, func.count().label("number")).where(_s.started_at >= bindparam("since")).group_by(_s.status)
)
_failed_at = (
    select(_s.failure_step, func.count().label("number"))
    .where(_s.started_at >= bindparam("since"), _s.failure_step.is_not(None))
    .group_by(_s.failure_step)
)
_steps = (
    select(_t.status, _t.undo_status, _s.status.label("saga_status"), _s.failure_code, func.count().label("number"))
    .select_from(saga_steps.join(sagas, _s.id == _t.saga_id))
    .where(_s.started_at >= bindparam("since"))
    .group_by(_t.status, _t.undo_status, _s.status, _s.failure_code)
)
_live = Query(
    select(_s.definition, _s.status, func.count().label("number"), func.min(_s.started_at).label("oldest"))
    .where(text(f"sagas.{ACTIVE}"))
    .group_by(_s.definition, _s.status)
)
_duration = (_s.finished_at - _s.started_at).label("duration_us")
_finished = (
    select(_duration).where(_s.started_at >= bindparam("since"), _s.finished_at.is_not(None)).order_by(_duration)
)


async def statistics(connection: AsyncConnection, *, since: int, at: int) -> SagaStatistics:
    """Statistics over the sagas started at or after `since`."""
    rows = (await connection.execute(_by_status, {"since": since})).all()
    by_status: Counter[SagaStatus] = Counter()
    for row in rows:
        by_status[_readable(row.status)] += int(row.number)
    finished = sum(number for status, number in by_status.items() if status.is_terminal)
    failed = {row.failure_step: int(row.number) for row in await connection.execute(_failed_at, {"since": since})}
    queue, undone, tried = await _queue(connection, since)
    p50, p95 = await _percentiles(connection, since, finished)
    return SagaStatistics(
        since=since,
        at=at,
        started=sum(by_status.values()),
        by_status={status: by_status.get(status, 0) for status in SagaStatus},
        queue=queue,
        success_rate=by_status.get(SagaStatus.COMPLETED, 0) / finished if finished else None,
        compensation_success_rate=undone / tried if tried else None,
        duration_ms_p50=p50,
        duration_ms_p95=p95,
        failed_at=failed,
    )


async def live(connection: AsyncConnection) -> list[LiveSagas]:
    """All sagas that are not over, on all replicas, by definition and status; never looks at those that are."""
    return [LiveSagas(row.definition, _readable(row.status), row.number, row.oldest) for row in await _live(connection)]


def _readable(status: str) -> SagaStatus:
    """A status that only a newer release has counts as PARKED, as what has it is shown."""
    return SagaStatus(status) if status in _STATUSES else SagaStatus.PARKED


async def _queue(connection: AsyncConnection, since: int) -> tuple[QueueTotals, int, int]:
    totals = dict.fromkeys(
        ("pending", "executing", "completed", "failed", "compensations_pending", "compensating", "stuck"), 0
    )
    undone = tried = 0
    for row in await connection.execute(_steps, {"since": since}):
        active = row.saga_status in _ACTIVE_VALUES
        number = int(row.number)
        match row.status:
            case StepStatus.PENDING if active and row.failure_code is None:
                totals["pending"] += number
            case StepStatus.EXECUTING | StepStatus.RETRYING if active:
                totals["executing"] += number
            case StepStatus.COMPLETED:
                totals["completed"] += number
            case StepStatus.FAILED:
                totals["failed"] += number
            case StepStatus.STUCK:
                totals["stuck"] += number
        match row.undo_status:
            case StepStatus.PENDING:
                totals["compensations_pending"] += number
            case StepStatus.EXECUTING | StepStatus.RETRYING:
                totals["compensating"] += number
            case StepStatus.COMPLETED:
                undone += number
                tried += number
            case StepStatus.STUCK:
                totals["stuck"] += number
                tried += number
            case StepStatus.SKIPPED:
                tried += number
    return QueueTotals(**totals), undone, tried


async def _percentiles(connection: AsyncConnection, since: int, finished: int) -> tuple[float | None, float | None]:
    """The median and the 95th percentile (nearest rank) of the durations, in milliseconds."""
    values: list[float | None] = []
    for share in (0.5, 0.95):
        rank = min(finished - 1, int(share * finished)) if finished else 0
        row = (await connection.execute(_finished.offset(rank).limit(1), {"since": since})).first()
        values.append(row.duration_us / 1_000 if row else None)
    return values[0], values[1]


async def buckets(connection: AsyncConnection, *, since: int, at: int, seconds: int) -> list[SagaBucket]:
    """Stretches of `seconds` from `since` to `at` in order of time; the last 300 of them where there are more."""
    width = seconds * SECOND
    first = max(since // width, at // width - BUCKETS_MAX + 1)
    number = (func.coalesce(_s.finished_at, _s.updated_at) / literal_column(str(width))).label("number")
    statement = (
        select(number, _s.status, case((_s.finished_at.is_(None), None), else_=_duration).label("duration_us"))
        .where(
            _s.started_at >= since,
            _s.status.in_([SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.ABANDONED, SagaStatus.STUCK]),
            func.coalesce(_s.finished_at, _s.updated_at) >= first * width,
        )
        .limit(1_000_000)
    )
    counts: dict[int, dict[str, int]] = {}
    durations: dict[int, list[int]] = {}
    for row in await connection.execute(statement):
        bucket = int(row.number)
        counts.setdefault(bucket, {})[row.status] = counts.get(bucket, {}).get(row.status, 0) + 1
        if row.duration_us is not None:
            durations.setdefault(bucket, []).append(row.duration_us)
    found = []
    for bucket in range(first, at // width + 1):
        count = counts.get(bucket, {})
        ordered = sorted(durations.get(bucket, ()))
        found.append(
            SagaBucket(
                starts_at=bucket * width,
                completed=count.get(SagaStatus.COMPLETED, 0),
                compensated=count.get(SagaStatus.COMPENSATED, 0),
                abandoned=count.get(SagaStatus.ABANDONED, 0),
                stuck=count.get(SagaStatus.STUCK, 0),
                duration_ms_p50=_rank(ordered, 0.5),
                duration_ms_p95=_rank(ordered, 0.95),
            )
        )
    return found


def _rank(ordered: Sequence[int], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1_000 if ordered else None
