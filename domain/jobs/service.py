"""The operations on jobs: list, pause, resume, set an interval, request a run, read the history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked, reason_fault
from domain.ids import new_id
from domain.jobs.model import (
    INTERVAL_SECONDS_MAX,
    INTERVAL_SECONDS_MIN,
    IntervalOutOfRange,
    InvalidReason,
    Job,
    JobRun,
    JobView,
    ReasonRequired,
    RunOutcome,
    UnknownJob,
)
from domain.jobs.tables import job_controls, job_runs
from domain.operators import OperatorActionKind, record
from domain.storage import AnyRow, BulkInsert, Database, Sweep, any_of
from domain.telemetry import Telemetry

__all__ = ["RUNS_KEPT_DEFAULT", "RUNS_PAGE_MAX", "RUNS_PRUNED_MAX", "Jobs"]

RUNS_KEPT_DEFAULT: Final = 1_000
RUNS_PAGE_MAX: Final = 100
RUNS_PRUNED_MAX: Final = 1_000
_ERROR_CHARACTERS_MAX: Final = 2_000
_c = job_controls.c
_r = job_runs.c

_insert_controls = BulkInsert(job_controls, _c.job_id, _c.updated_at, skip_existing=True)
_controls = select(job_controls).where(any_of(_c.job_id, "job_ids"))
_locked = select(_c.job_id).where(_c.job_id == bindparam("job")).with_for_update()
_newest = job_runs.alias("newest")
_newest_id = (
    select(_newest.c.id).where(_newest.c.job_id == _c.job_id).order_by(_newest.c.id.desc()).limit(1).scalar_subquery()
)
_last_runs = select(job_runs).join(job_controls, _r.id == _newest_id)
_succeeded = job_runs.alias("succeeded")
_newest_success = (
    select(_succeeded.c.id)
    .where(_succeeded.c.job_id == _c.job_id, _succeeded.c.outcome == RunOutcome.OK.value)
    .order_by(_succeeded.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_last_successes = select(_r.job_id, _r.started_at, _r.duration_ms).join(job_controls, _r.id == _newest_success)
_runs = select(job_runs).where(_r.job_id == bindparam("job")).order_by(_r.id.desc()).limit(bindparam("number"))
_count = (
    update(job_controls)
    .where(_c.job_id == bindparam("job"))
    .values(runs=_c.runs + 1, failures=_c.failures + bindparam("failed"))
)
_beyond = (
    select(_r.id)
    .where(_r.job_id == bindparam("job"))
    .order_by(_r.id.desc())
    .offset(bindparam("kept", type_=Integer))
    .limit(RUNS_PRUNED_MAX)
)
# Each replica prunes: rows that another one is removing are skipped, so that neither waits.
_remove = delete(job_runs).where(
    _r.id.in_(select(_r.id).where(any_of(_r.id, "ids")).order_by(_r.id).with_for_update(skip_locked=True))
)


class Jobs:
    """The stored state of the `known` jobs in one database.

    Refusals are `UnknownJob`, `IntervalOutOfRange`, `ReasonRequired` and `InvalidReason`; then nothing is done.
    `telemetry` gets each JobRun that is recorded here.
    """

    def __init__(self, database: Database, known: Iterable[Job], *, telemetry: Telemetry | None = None) -> None:
        self._database = database
        self._known = {job.id: job for job in known}
        self._telemetry = telemetry or Telemetry()

    # ------------------------------------------------------------------ read

    async def all(self) -> list[JobView]:
        """Every known job as it stands, in the order of `known`."""
        return await self._database.read(lambda connection: self._views(connection, list(self._known)))

    async def get(self, job_id: str) -> JobView | UnknownJob:
        """One job as it stands."""
        if job_id not in self._known:
            return UnknownJob(job_id)
        return (await self._database.read(lambda connection: self._views(connection, [job_id])))[0]

    async def last_successes(self) -> dict[str, int]:
        """The end of each job's newest OK run on any replica, in microseconds; jobs without one are absent."""

        async def work(connection: AsyncConnection) -> dict[str, int]:
            rows = await connection.execute(_last_successes)
            return {row.job_id: row.started_at + row.duration_ms * 1_000 for row in rows}

        return await self._database.read(work)

    async def runs(self, job_id: str, limit: int = RUNS_PAGE_MAX) -> list[JobRun] | UnknownJob:
        """The newest runs of a job, newest first; at most 100."""
        if job_id not in self._known:
            return UnknownJob(job_id)
        number = min(max(limit, 0), RUNS_PAGE_MAX)

        async def work(connection: AsyncConnection) -> list[JobRun]:
            return [_run(row) for row in await connection.execute(_runs, {"job": job_id, "number": number})]

        return await self._database.read(work)

    # ------------------------------------------------------------------ steer

    async def pause(self, job_id: str, asked: Asked) -> JobView | UnknownJob | ReasonRequired | InvalidReason:
        """Begin no run on any replica until the job is resumed. A second pause does not change the recorded actor."""
        job = self._known.get(job_id)
        if job is not None and job.pause_needs_reason and not asked.reason:
            return ReasonRequired(job_id)
        return await self._change(
            job_id,
            asked,
            OperatorActionKind.JOB_PAUSE,
            {"paused": True, "paused_by": asked.by.subject},
            unless=_c.paused.is_(True),
            stamp="paused_at",
        )

    async def resume(self, job_id: str, asked: Asked) -> JobView | UnknownJob | InvalidReason:
        """Let runs begin again when they are due."""
        return await self._change(
            job_id,
            asked,
            OperatorActionKind.JOB_RESUME,
            {"paused": False, "paused_at": None, "paused_by": None},
            unless=_c.paused.is_(False),
        )

    async def set_interval(
        self, job_id: str, seconds: int, asked: Asked
    ) -> JobView | UnknownJob | IntervalOutOfRange | InvalidReason:
        """Run every `seconds` from now on."""
        if not INTERVAL_SECONDS_MIN <= seconds <= INTERVAL_SECONDS_MAX:
            return IntervalOutOfRange()
        return await self._change(
            job_id,
            asked,
            OperatorActionKind.JOB_INTERVAL,
            {"interval_seconds": seconds},
            unless=func.coalesce(_c.interval_seconds, 0) == seconds,
        )

    async def request_run(self, job_id: str, asked: Asked) -> JobView | UnknownJob | InvalidReason:
        """Ask for a run soon on any replica, paused or not. A request that already waits is not doubled."""
        return await self._change(
            job_id,
            asked,
            OperatorActionKind.JOB_RUN,
            {},
            unless=_c.run_requested_at.is_not(None),
            stamp="run_requested_at",
        )

    async def begin_run(self, job_id: str, asked: Asked) -> JobView | UnknownJob | InvalidReason:
        """Record a requested run of this process, before it begins."""
        return await self._change(job_id, asked, OperatorActionKind.JOB_RUN, {}, done="run begun")

    async def claim_request(self, job_id: str) -> bool:
        """Take the requested run. Guarantee: one replica gets True, of all that ask."""

        async def work(connection: AsyncConnection) -> bool:
            claimed = await connection.execute(
                update(job_controls)
                .where(_c.job_id == job_id, _c.run_requested_at.is_not(None))
                .values(run_requested_at=None)
            )
            return bool(claimed.rowcount)

        return await self._database.write(work)

    # ------------------------------------------------------------------ the history

    async def record(
        self, job_id: str, *, duration_ms: int, outcome: RunOutcome, affected: int, error: str | None, replica: str
    ) -> JobRun:
        """Record a run that has just ended; it began `duration_ms` ago by the database's clock."""

        async def work(connection: AsyncConnection) -> JobRun:
            now = await self._database.clock.now(connection)
            text = error[:_ERROR_CHARACTERS_MAX] if error else None
            run = JobRun(new_id(), job_id, now - duration_ms * 1_000, duration_ms, outcome, affected, text, replica)
            await _insert_controls(connection, [(job_id, now)])
            await connection.execute(_count, {"job": job_id, "failed": int(outcome is RunOutcome.FAILED)})
            await connection.execute(
                insert(job_runs).values(
                    id=run.id,
                    job_id=run.job_id,
                    started_at=run.started_at,
                    duration_ms=run.duration_ms,
                    outcome=run.outcome.value,
                    affected=run.affected,
                    error=run.error,
                    replica=run.replica,
                )
            )
            return run

        run = await self._database.write(work)
        self._telemetry.emit(run)
        return run

    async def prune(self, *, runs_kept: int = RUNS_KEPT_DEFAULT) -> int:
        """Remove records beyond the newest `runs_kept` of each job, at most 1000 a job; return how many.

        Raises PassedOverError, with all others removed, if one cannot be removed.
        """
        sweep = Sweep("job run")

        async def beyond(connection: AsyncConnection) -> list[str]:
            found: list[str] = []
            for job_id in self._known:
                found += (await connection.execute(_beyond, {"job": job_id, "kept": runs_kept})).scalars()
            return found

        async def remove(ids: Sequence[str]) -> int:
            async def work(connection: AsyncConnection) -> int:
                return (await connection.execute(_remove, {"ids": ids})).rowcount

            return await self._database.write(work)

        sweep.done = sum(await sweep.batch(await self._database.read(beyond), remove))
        return sweep.end()

    # ------------------------------------------------------------------ within

    async def _change(
        self,
        job_id: str,
        asked: Asked,
        kind: OperatorActionKind,
        values: dict[str, Any],
        *,
        unless: ColumnElement[bool] | None = None,
        stamp: str | None = None,
        done: str | None = None,
    ) -> JobView | UnknownJob | InvalidReason:
        """Change the job's control and record it, unless it has these values already.

        `stamp`: the column for the time of the change. `done`: a text that the record adds to the job's new state.
        """
        if job_id not in self._known:
            return UnknownJob(job_id)
        if asked.reason is not None:
            fault = reason_fault(asked.reason)
            if fault is not None:
                return InvalidReason(fault)
            asked = replace(asked, reason=asked.reason.strip())

        async def work(connection: AsyncConnection) -> JobView:
            now = await self._database.clock.now(connection)
            await _insert_controls(connection, [(job_id, now)])
            await connection.execute(_locked, {"job": job_id})
            (before,) = await self._views(connection, [job_id])
            stamped = {**values, stamp: now} if stamp else values
            change = update(job_controls).where(_c.job_id == job_id).values(**stamped, updated_at=now)
            changed = await connection.execute(change if unless is None else change.where(~unless))
            (after,) = await self._views(connection, [job_id])
            if changed.rowcount:
                stands = f"{_line(after)}; {done}" if done else _line(after)
                await record(connection, asked, kind, at=now, job_id=job_id, before=_line(before), after=stands)
            return after

        return await self._database.write(work)

    async def _views(self, connection: AsyncConnection, job_ids: list[str]) -> list[JobView]:
        rows = (await connection.execute(_controls, {"job_ids": job_ids})).all()
        controls = {row.job_id: row for row in rows}
        last = {row.job_id: _run(row) for row in await connection.execute(_last_runs)} if rows else {}
        return [_view(self._known[job_id], controls.get(job_id), last.get(job_id)) for job_id in job_ids]


def _line(view: JobView) -> str:
    """The job's state, for the record."""
    paused = f"paused by {view.paused_by}" if view.paused else "on"
    waits = "; run requested" if view.run_requested_at is not None else ""
    return f"{paused}, every {view.interval_seconds:g} s{waits}"


def _view(job: Job, row: AnyRow | None, last_run: JobRun | None) -> JobView:
    if row is None:
        return JobView(job.id, job.description, job.interval_seconds, False, None, None, None, 0, 0, last_run)
    return JobView(
        id=job.id,
        description=job.description,
        # A longer one would end the scheduler. It cannot be set here.
        interval_seconds=min(row.interval_seconds or job.interval_seconds, INTERVAL_SECONDS_MAX),
        paused=row.paused,
        paused_at=row.paused_at,
        paused_by=row.paused_by,
        run_requested_at=row.run_requested_at,
        runs=row.runs,
        failures=row.failures,
        last_run=last_run,
    )


def _run(row: AnyRow) -> JobRun:
    return JobRun(
        row.id,
        row.job_id,
        row.started_at,
        row.duration_ms,
        RunOutcome(row.outcome),
        row.affected,
        row.error,
        row.replica,
    )
