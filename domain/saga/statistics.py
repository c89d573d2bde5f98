"""Statistics of sagas since a moment, from counts that are written as sagas end; and live sagas, counted on request.

An answer costs a few statements, however many sagas there are: it reads the periods of
`saga_counts` that make up the time, and the sagas that are not over, by a partial index.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Select, Table, bindparam, case, func, literal_column, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.saga.counting import PERIODS_SECONDS, period
from domain.saga.sketch import quantiles, unpack
from domain.saga.states import SagaStatus, StepStatus
from domain.saga.tables import ACTIVE, saga_counts, saga_durations, saga_steps, sagas
from domain.storage import Query

__all__ = ["BUCKETS_MAX", "LiveSagas", "QueueTotals", "SagaBucket", "SagaStatistics", "buckets", "live", "statistics"]

BUCKETS_MAX: Final = 300
_SHARES: Final = (0.5, 0.95)
_s = sagas.c
_t = saga_steps.c


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """Steps and compensations of all live sagas; `completed` and `failed` also of those that ended since."""

    pending: int
    executing: int
    completed: int
    failed: int
    compensations_pending: int
    compensating: int
    stuck: int


@dataclass(frozen=True, slots=True)
class LiveSagas:
    """The number of sagas of one definition in one live status; the oldest began at `oldest_started_at`."""

    definition: str
    status: SagaStatus
    sagas: int
    oldest_started_at: int


@dataclass(frozen=True, slots=True)
class SagaBucket:
    """Sagas that ended, or got stuck, in one stretch of time from `starts_at` on (microseconds)."""

    starts_at: int
    completed: int
    compensated: int
    abandoned: int
    stuck: int
    duration_ms_p50: float | None
    duration_ms_p95: float | None


@dataclass(frozen=True, slots=True)
class SagaStatistics:
    """Sagas since `since` (microseconds, a whole minute), and all live sagas, whenever they started.

    `by_status`: sagas that ended since, for terminal statuses; live sagas, for the others. `failed_at`: of both,
    the failed ones, by step. `got_stuck`: how often a saga got stuck since. Rates are shares from 0 to 1, None
    if there is nothing to count. Saga rate: completed sagas among those that ended since. Compensation rate:
    compensations that succeeded among those that ran, of sagas that ended since or are live.
    """

    since: int
    at: int
    started: int
    finished: int
    unfinished: int
    got_stuck: int
    by_status: dict[SagaStatus, int]
    queue: QueueTotals
    success_rate: float | None
    compensation_success_rate: float | None
    duration_ms_p50: float | None
    duration_ms_p95: float | None
    failed_at: dict[str, int]


def _since(table: Table, *columns: Any) -> Select[Any]:
    """The rows of the fewest periods that cover the time from a minute on: short ones until a longer one begins."""
    parts = []
    for seconds, longer in zip(PERIODS_SECONDS, (*PERIODS_SECONDS[1:], None), strict=True):
        part = select(*columns).where(
            table.c.seconds == literal_column(str(seconds)),
            table.c.starts_at >= bindparam(f"from_{seconds}", type_=BigInteger),
        )
        if longer is not None:
            part = part.where(table.c.starts_at < bindparam(f"from_{longer}", type_=BigInteger))
        parts.append(part)
    return select(union_all(*parts).subquery())


def _periods_since(since: int) -> dict[str, int]:
    """The parameters of `_since`: the starts of the periods of each length."""
    begins = {}
    for seconds in PERIODS_SECONDS:
        since = -period(-since, seconds)
        begins[f"from_{seconds}"] = since
    return begins


def _sum(column: Any) -> Any:
    # The sum of integers is a decimal on PostgreSQL.
    return func.sum(column).cast(BigInteger)


_c = saga_counts.c
_STEPS: Final = (_c.steps_completed, _c.steps_failed, _c.undos_completed, _c.undos_skipped)
_counted_since = _since(saga_counts, _c.status, _c.failed_step, _c.sagas, *_STEPS).subquery().c
_counts = Query(
    select(
        _counted_since.status,
        _counted_since.failed_step,
        *(_sum(_counted_since[column.name]).label(column.name) for column in (_c.sagas, *_STEPS)),
    ).group_by(_counted_since.status, _counted_since.failed_step)
)
_sketches = Query(_since(saga_durations, saga_durations.c.sketch))
_live = Query(
    select(_s.definition, _s.status, func.count().label("number"), func.min(_s.started_at).label("oldest"))
    .where(text(f"sagas.{ACTIVE}"))
    .group_by(_s.definition, _s.status)
)
_live_now = Query(
    select(
        _s.status,
        _s.failure_step,
        func.count().label("number"),
        _sum(case((_s.started_at >= bindparam("since", type_=BigInteger), 1), else_=0)).label("started"),
    )
    .where(text(f"sagas.{ACTIVE}"))
    .group_by(_s.status, _s.failure_step)
)
_live_steps = Query(
    select(_t.status, _t.undo_status, _s.failure_code.is_(None).label("forward"), func.count().label("number"))
    .select_from(saga_steps.join(sagas, _s.id == _t.saga_id))
    .where(text(f"sagas.{ACTIVE}"))
    .group_by(_t.status, _t.undo_status, _s.failure_code.is_(None))
)


async def statistics(connection: AsyncConnection, *, since: int, at: int) -> SagaStatistics:
    """Statistics since the start of the minute of `since`."""
    since = period(since, PERIODS_SECONDS[0])
    periods = _periods_since(since)
    by_status: Counter[SagaStatus] = Counter()
    failed_at: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    for row in await _counts(connection, **periods):
        status = SagaStatus.read(row.status)
        by_status[status] += row.sagas
        if status.is_terminal:
            steps.update({column.name: getattr(row, column.name) for column in _STEPS})
            if row.failed_step:
                failed_at[row.failed_step] += row.sagas
    started, got_stuck = by_status.pop(SagaStatus.PENDING, 0), by_status.pop(SagaStatus.STUCK, 0)
    finished = sum(number for status, number in by_status.items() if status.is_terminal)
    for row in await _live_now(connection, since=since):
        by_status[SagaStatus.read(row.status)] += row.number
        started += row.started
        if row.failure_step is not None:
            failed_at[row.failure_step] += row.number
    queue, undone, tried = await _queue(connection, steps)
    packed = await _sketches.column(connection, **periods)
    p50, p95 = quantiles(sum(map(unpack, packed)), _SHARES)
    return SagaStatistics(
        since=since,
        at=at,
        started=started,
        finished=finished,
        unfinished=by_status.total() - finished,
        got_stuck=got_stuck,
        by_status={status: by_status[status] for status in SagaStatus},
        queue=queue,
        success_rate=by_status[SagaStatus.COMPLETED] / finished if finished else None,
        compensation_success_rate=undone / tried if tried else None,
        duration_ms_p50=p50,
        duration_ms_p95=p95,
        failed_at=dict(failed_at),
    )


async def live(connection: AsyncConnection) -> list[LiveSagas]:
    """All sagas that are not over, on all replicas, by definition and status; does not read finished sagas."""
    return [
        LiveSagas(row.definition, SagaStatus.read(row.status), row.number, row.oldest)
        for row in await _live(connection)
    ]


async def _queue(connection: AsyncConnection, ended: Counter[str]) -> tuple[QueueTotals, int, int]:
    """The queues of live sagas, the results of `ended` steps, and how many compensations succeeded and ran."""
    pending = executing = compensations_pending = compensating = stuck = undos_stuck = 0
    completed, failed = ended["steps_completed"], ended["steps_failed"]
    undone, skipped = ended["undos_completed"], ended["undos_skipped"]
    for row in await _live_steps(connection):
        match row.status:
            case StepStatus.PENDING if row.forward:
                pending += row.number
            case StepStatus.EXECUTING | StepStatus.RETRYING | StepStatus.WAITING:
                executing += row.number
            case StepStatus.COMPLETED:
                completed += row.number
            case StepStatus.FAILED:
                failed += row.number
            case StepStatus.STUCK:
                stuck += row.number
        match row.undo_status:
            case StepStatus.PENDING:
                compensations_pending += row.number
            case StepStatus.EXECUTING | StepStatus.RETRYING | StepStatus.WAITING:
                compensating += row.number
            case StepStatus.COMPLETED:
                undone += row.number
            case StepStatus.STUCK:
                undos_stuck += row.number
            case StepStatus.SKIPPED:
                skipped += row.number
    queue = QueueTotals(pending, executing, completed, failed, compensations_pending, compensating, stuck + undos_stuck)
    return queue, undone, undone + skipped + undos_stuck


_bucket = (_c.starts_at // bindparam("width", type_=BigInteger)).label("number")
_bucket_counts = Query(
    select(_bucket, _c.status, _sum(_c.sagas).label("sagas"))
    .where(
        _c.seconds == bindparam("length"),
        _c.starts_at >= bindparam("first", type_=BigInteger),
        _c.starts_at < bindparam("end", type_=BigInteger),
    )
    .group_by(text("number"), _c.status)
)
_bucket_sketches = Query(
    select(saga_durations.c.starts_at, saga_durations.c.sketch).where(
        saga_durations.c.seconds == bindparam("length"),
        saga_durations.c.starts_at >= bindparam("first", type_=BigInteger),
        saga_durations.c.starts_at < bindparam("end", type_=BigInteger),
    )
)


async def buckets(connection: AsyncConnection, *, since: int, at: int, seconds: int) -> list[SagaBucket]:
    """Stretches of `seconds`, rounded up to whole periods, from the one that has `since` to the one that has `at`.

    In order of time; the last 300 of them if there are more. Each is whole, also the first.
    """
    length, seconds = _lengths(seconds)
    width = seconds * SECOND
    first = max(since // width, at // width - BUCKETS_MAX + 1)
    bounds = {"length": length, "first": first * width, "end": (at // width + 1) * width}
    counts: Counter[tuple[int, str]] = Counter()
    for row in await _bucket_counts(connection, width=width, **bounds):
        counts[int(row.number), row.status] = row.sagas
    sketches: Counter[int] = Counter()
    for row in await _bucket_sketches(connection, **bounds):
        sketches[row.starts_at // width] += unpack(row.sketch)
    found = []
    for bucket in range(first, at // width + 1):
        p50, p95 = quantiles(sketches[bucket], _SHARES)
        found.append(
            SagaBucket(
                starts_at=bucket * width,
                completed=counts[bucket, SagaStatus.COMPLETED],
                compensated=counts[bucket, SagaStatus.COMPENSATED],
                abandoned=counts[bucket, SagaStatus.ABANDONED],
                stuck=counts[bucket, SagaStatus.STUCK],
                duration_ms_p50=p50,
                duration_ms_p95=p95,
            )
        )
    return found


def _lengths(seconds: int) -> tuple[int, int]:
    """The period length for a stretch of `seconds`, and the stretch's own length: a multiple of the period.

    Minutes below five minutes, five minutes below an hour, then hours, and a day: 300 stretches are few periods.
    """
    length = max((length for length in PERIODS_SECONDS if length <= seconds), default=PERIODS_SECONDS[0])
    return length, -(-seconds // length) * length
