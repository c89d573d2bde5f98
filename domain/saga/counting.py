"""Counts the results of sagas (`saga_counts`, `saga_durations`) in the transaction that writes them.

::

    one turn ──▶ minute, 5 minutes, hour, day ──▶ rows of this replica and lane, added to

Any period can be read from a few rows of each length. The rows of a replica count exactly the sagas
that it ended. Sagas that ended on a release that does not count are counted once that replica is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, case, exists, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.events import EventType
from domain.saga.machine import Run
from domain.saga.sketch import pack, sketch_of, unpack
from domain.saga.states import Direction, SagaStatus, StepStatus
from domain.saga.tables import FOREVER, replicas, saga_counts, saga_durations, saga_steps, sagas
from domain.storage import BulkInsert, Query, any_of

__all__ = ["PERIODS_SECONDS", "count", "count_for_the_gone", "is_any_uncounted", "period", "recount"]

#: The lengths of the periods; each is a multiple of the one before.
PERIODS_SECONDS: Final = (60, 300, 3_600, 86_400)
_ROWS_READ: Final = 5_000
_ROWS_WRITTEN: Final = 500
_LANE_OF_THE_GONE: Final = 1
_d = saga_durations.c
_r = replicas.c
_t = saga_steps.c
#: Steps completed, steps failed, compensations completed, compensations skipped.
_Steps = tuple[int, int, int, int]

_add = BulkInsert(
    saga_counts,
    *saga_counts.c,
    merge={
        column.name: f"saga_counts.{column.name} + excluded.{column.name}"
        for column in saga_counts.c
        if not column.primary_key
    },
)
_put = BulkInsert(saga_durations, *saga_durations.c, merge={"sketch": "excluded.sketch"})
_sketches = Query(
    select(_d.seconds, _d.starts_at, _d.sketch)
    .where(
        any_of(_d.seconds, "periods"),
        any_of(_d.starts_at, "starts"),
        _d.replica == bindparam("replica_id"),
        _d.lane == bindparam("lane"),
    )
    .with_for_update()
)
_undone = Query(
    select(
        _t.saga_id,
        *(
            func.sum(case((column == status.value, 1), else_=0)).label(name)
            for name, column, status in (
                ("completed", _t.status, StepStatus.COMPLETED),
                ("failed", _t.status, StepStatus.FAILED),
                ("undone", _t.undo_status, StepStatus.COMPLETED),
                ("skipped", _t.undo_status, StepStatus.SKIPPED),
            )
        ),
    )
    .where(any_of(_t.saga_id, "ids"))
    .group_by(_t.saga_id)
)


def period(at: int, seconds: int) -> int:
    """The start of the period of this length that contains `at`; both in microseconds since the epoch."""
    return at - at % (seconds * SECOND)


async def count(connection: AsyncConnection, replica_id: str, lane: int, at: int, runs: Sequence[Run]) -> None:
    """Count those of `runs` that ended or got stuck in this turn, at `at`. The runs are written already.

    At most four statements, and none if there is no such run. No other turn writes the rows of
    this replica and lane.
    """
    over = [run for run in runs if run.finished_at is not None]
    stuck = [run for run in runs if run.got_stuck]
    if not (over or stuck):
        return
    tally: Counter[tuple[int, str, str, str, _Steps]] = Counter()

    def note(run: Run, when: int, status: SagaStatus, steps: _Steps = (0, 0, 0, 0)) -> None:
        failed_step = run.failure.step if run.failure is not None and status is not SagaStatus.PENDING else None
        minute = period(when, PERIODS_SECONDS[0])
        tally[minute, run.definition.name, status.value, failed_step or "", steps] += 1

    steps_of = await _steps_of(connection, over)
    for run in over:
        note(run, at, run.status, steps_of[run.id])
        note(run, run.started_at, SagaStatus.PENDING)
    for run in stuck:
        note(run, at, SagaStatus.STUCK)
    rows: dict[tuple[Any, ...], list[int]] = {}
    for (minute, *what, steps), number in tally.items():
        for seconds in PERIODS_SECONDS:
            row = rows.setdefault((seconds, period(minute, seconds), replica_id, lane, *what), [0] * 5)
            for place, value in enumerate((1, *steps)):
                row[place] += number * value
    await _add(connection, [(*key, *rows[key]) for key in sorted(rows)])
    if over:
        await _add_durations(connection, replica_id, lane, at, sketch_of(at - run.started_at for run in over))


async def _steps_of(connection: AsyncConnection, runs: Sequence[Run]) -> dict[str, _Steps]:
    """The step counts of these ended sagas; a saga that only went forward needs no statement."""
    found = {run.id: (run.effects.bit_count(), 0, 0, 0) for run in runs if run.direction is Direction.FORWARD}
    backward = [run.id for run in runs if run.direction is Direction.BACKWARD]
    if backward:
        rows = await _undone(connection, ids=backward)
        found |= {row[0]: (int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in rows}
    return found


async def _add_durations(connection: AsyncConnection, replica_id: str, lane: int, at: int, sketch: int) -> None:
    starts = {seconds: period(at, seconds) for seconds in PERIODS_SECONDS}
    kept = await _sketches(
        connection, periods=list(starts), starts=sorted(set(starts.values())), replica_id=replica_id, lane=lane
    )
    before = {row.seconds: unpack(row.sketch) for row in kept if row.starts_at == starts[row.seconds]}
    await _put(
        connection,
        [
            (seconds, start, replica_id, lane, pack(before.get(seconds, 0) + sketch))
            for seconds, start in starts.items()
        ],
    )


# ---------------------------------------------------------------------- counting again

_COUNTS: Final = "saga_counts (seconds, starts_at, replica, lane, definition, status, failed_step, sagas"
_STEPS: Final = "steps_completed, steps_failed, undos_completed, undos_skipped"
_NO_STEPS: Final = "0, 0, 0, 0"
_SMALLEST: Final = PERIODS_SECONDS[0]


def _minute(column: str) -> str:
    return f"{column} / {_SMALLEST * SECOND} * {_SMALLEST * SECOND}"


def _number(column: str, status: StepStatus) -> str:
    return f"sum(CASE WHEN {column} = '{status.value}' THEN 1 ELSE 0 END)"


def recount(
    connection: Connection, whose: str = "1 = 1", *, lane: int = 0, since: int = 0, until: int = FOREVER
) -> None:
    """Count again, into one lane of each replica, the sagas of some replicas from `since` to before `until`.

    Reads the rows and the logs of the sagas. `whose`: an SQL condition on a replica's ID, as `replica`. No other
    transaction writes these rows. Names every column, as a migration uses it too. If a log was pruned, the moments at
    which its saga got stuck are lost.
    """
    given = {"since": since, "until": until, "lane": lane}

    def run(statement: str) -> None:
        connection.execute(text(statement), {name: given[name] for name in given if f":{name}" in statement})

    for table in ("saga_counts", "saga_durations"):
        run(f"DELETE FROM {table} WHERE lane = :lane AND {whose}")
    ended = f"sagas.finished_at >= :since AND sagas.finished_at < :until AND {whose}"
    begin = f"INSERT INTO {_COUNTS}, {_STEPS}) SELECT {_SMALLEST}"
    # Every saga has a step 0.
    run(
        f"{begin}, {_minute('sagas.finished_at')}, replica, {lane}, definition, sagas.status,"
        " coalesce(failure_step, ''), sum(CASE WHEN saga_steps.position = 0 THEN 1 ELSE 0 END),"
        f" {_number('saga_steps.status', StepStatus.COMPLETED)}, {_number('saga_steps.status', StepStatus.FAILED)},"
        f" {_number('undo_status', StepStatus.COMPLETED)}, {_number('undo_status', StepStatus.SKIPPED)}"
        f" FROM sagas JOIN saga_steps ON saga_steps.saga_id = sagas.id WHERE {ended}"
        " GROUP BY 2, 3, 5, 6, 7"
    )
    run(
        f"{begin}, {_minute('started_at')}, replica, {lane}, definition, '{SagaStatus.PENDING.value}', '',"
        f" count(*), {_NO_STEPS} FROM sagas WHERE {ended} GROUP BY 2, 3, 5"
    )
    run(
        f"{begin}, {_minute('at')}, replica, {lane}, definition, '{SagaStatus.STUCK.value}',"
        f" coalesce(sagas.failure_step, ''), count(*), {_NO_STEPS}"
        " FROM saga_events JOIN sagas ON sagas.id = saga_events.saga_id"
        f" WHERE type = '{EventType.SAGA_STUCK.value}' AND at >= :since AND at < :until AND {whose}"
        # Sagas that ended before are not read.
        " AND (sagas.finished_at IS NULL OR sagas.finished_at >= :since) GROUP BY 2, 3, 5, 7"
    )
    for shorter, seconds in pairwise(PERIODS_SECONDS):
        long = seconds * SECOND
        run(
            f"INSERT INTO {_COUNTS}, {_STEPS})"
            f" SELECT {seconds}, starts_at / {long} * {long}, replica, lane, definition, status, failed_step,"
            " sum(sagas), sum(steps_completed), sum(steps_failed), sum(undos_completed), sum(undos_skipped)"
            f" FROM saga_counts WHERE seconds = {shorter} AND lane = :lane AND {whose} GROUP BY 2, 3, 4, 5, 6, 7"
        )
    _remeasure(connection, whose, **given)


def _remeasure(connection: Connection, whose: str, lane: int, since: int, until: int) -> None:
    """Fill saga_durations. Sketches are made here: sagas come in order of time, so that few periods are open."""
    open_: dict[int, tuple[int, dict[str, int]]] = {}
    whole: list[dict[str, Any]] = []

    def close(seconds: int) -> None:
        start, sketches = open_.pop(seconds)
        for replica, sketch in sketches.items():
            key = {"seconds": seconds, "starts_at": start, "replica": replica, "lane": lane}
            whole.append({**key, "sketch": pack(sketch)})

    for finished_at, replica, started_at in _ended(connection, whose, since, until):
        sketch = sketch_of((finished_at - started_at,))
        for seconds in PERIODS_SECONDS:
            start = period(finished_at, seconds)
            if seconds in open_ and open_[seconds][0] != start:
                close(seconds)
            sketches = open_.setdefault(seconds, (start, {}))[1]
            sketches[replica] = sketches.get(replica, 0) + sketch
        if len(whole) >= _ROWS_WRITTEN:
            connection.execute(insert(saga_durations), whole)
            whole.clear()
    for seconds in list(open_):
        close(seconds)
    if whole:
        connection.execute(insert(saga_durations), whole)


def _ended(connection: Connection, whose: str, since: int, until: int) -> Iterator[tuple[int, str, int]]:
    """The end, the owner and the start of each ended saga, in order of the end, read page by page."""
    page = text(
        "SELECT finished_at, id, replica, started_at FROM sagas"
        f" WHERE finished_at >= :since AND (finished_at, id) > (:since, :id) AND finished_at < :until AND {whose}"
        " ORDER BY finished_at, id LIMIT :rows"
    ).bindparams(bindparam("id", type_=sagas.c.id.type))
    after = {"since": since, "id": "00000000-0000-0000-0000-000000000000"}
    while rows := connection.execute(page, {**after, "until": until, "rows": _ROWS_READ}).all():
        for finished_at, _, replica, started_at in rows:
            yield finished_at, str(replica), started_at
        after = {"since": rows[-1][0], "id": str(rows[-1][1])}


_uncounted = (
    select(_r.id, func.coalesce(_r.counted_until, _r.started_at).label("since"))
    .where(
        func.coalesce(_r.counted_until, 0) < FOREVER,
        _r.lease_until < bindparam("now", type_=BigInteger),
        ~exists().where(sagas.c.finished_at.is_(None), sagas.c.replica == _r.id),
    )
    .order_by(_r.id)
)
_any_uncounted = Query(_uncounted.limit(1))
_lock_uncounted = _uncounted.with_for_update(skip_locked=True)


async def is_any_uncounted(connection: AsyncConnection, now: int) -> bool:
    """Whether `count_for_the_gone` has anything to count."""
    return await _any_uncounted.first(connection, now=now) is not None


async def count_for_the_gone(connection: AsyncConnection, now: int) -> int:
    """Count the sagas of replicas that do not count themselves, once these are gone and own nothing; return how many.

    The migration has counted sagas that ended before `counted_until`, in lane 0; the rest goes into a lane of its own.
    """
    gone = (await connection.execute(_lock_uncounted, {"now": now})).all()
    for row in gone:
        # The ID comes from the database and is canonical.
        whose = f"replica = '{row.id}'"
        await connection.run_sync(partial(recount, whose=whose, lane=_LANE_OF_THE_GONE, since=row.since))
    if gone:
        counted = update(replicas).where(any_of(_r.id, "ids")).values(counted_until=FOREVER)
        await connection.execute(counted, {"ids": [row.id for row in gone]})
    return len(gone)
