"""Runs the jobs when they are due. APScheduler ticks; the state of the jobs is in the database.

Every replica has a scheduler with a store in memory and needs no leader election: the jobs are sweeps
that may run on several replicas at once. At each tick the job's control is read, so a pause reaches
every replica. Between ticks all controls are read every few seconds, for a new interval or a run that
was requested elsewhere. A missed tick loses nothing: the next run finds everything that is due. Jobs
wait in monotonic time, so setting the machine's clock does not affect them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from app.ticker import Every, Ticker
from domain.actors import Asked
from domain.clock import ClockWatch, from_datetime
from domain.errors import PassedOverError
from domain.jobs import (
    IntervalOutOfRange,
    InvalidReason,
    Job,
    JobRun,
    Jobs,
    JobView,
    ReasonRequired,
    RunOutcome,
    UnknownJob,
)
from domain.storage import trouble_of
from domain.telemetry import Telemetry

__all__ = [
    "EXPIRY_JOB",
    "TURNS_MAX_DEFAULT",
    "AlreadyRunning",
    "ScheduledJob",
    "Scheduler",
    "SchedulerJob",
    "known_jobs",
    "scheduled_jobs",
]

R = TypeVar("R")
TURNS_MAX_DEFAULT: Final = 100
CONTROLS_SECONDS: Final = 2
#: The number of missed reads of the controls after which the scheduler counts as stalled.
CONTROLS_MISSED_MAX: Final = 5
STOP_SECONDS: Final = 3.0
RECOVERY_INTERVAL_SECONDS: Final = 30
PRUNING_INTERVAL_SECONDS: Final = 3_600
RECONCILIATION_INTERVAL_SECONDS: Final = 3_600
FILLING_INTERVAL_SECONDS: Final = 60
DEMO_INTERVAL_SECONDS: Final = 300
EXPIRY_JOB: Final = "release-expired-reservations"
_CONTROLS: Final = "read-controls"
_logger = logging.getLogger("seatsaga.scheduler")


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job and its `turn`: one bounded sweep that returns its number of processed items, called until that is 0.

    A turn that raises PassedOverError processed the other items: the job continues, and the run ends FAILED with its
    message. `turns_max` limits one run; the rest waits for the next run.
    """

    job: Job
    turn: Callable[[], Awaitable[int]]
    turns_max: int = TURNS_MAX_DEFAULT


def known_jobs(expiry_interval_seconds: float) -> tuple[Job, ...]:
    """All jobs, with their default intervals; an operator may set others."""
    return (
        Job(
            EXPIRY_JOB,
            "Releases every seat reservation that was held for too long and tells its saga, which compensates.",
            expiry_interval_seconds,
            pause_needs_reason=True,
        ),
        Job(
            "recover-sagas",
            "Takes over the sagas of replicas whose lease has lapsed; the runner does so all the time."
            " Counts what replicas of a release without statistics ended.",
            RECOVERY_INTERVAL_SECONDS,
        ),
        Job(
            "prune-history",
            "Removes old records of job runs, and what killed imports left; never sagas.",
            PRUNING_INTERVAL_SECONDS,
        ),
        Job(
            "reconcile-payments",
            "Compares the payment provider's books with ours; gives back what belongs to sagas that are undone, and"
            " reports all other differences.",
            RECONCILIATION_INTERVAL_SECONDS,
        ),
        Job(
            "fill-family-names",
            "Makes passengers that an earlier release wrote findable by their family name.",
            FILLING_INTERVAL_SECONDS,
        ),
        Job(
            "extend-demo-timetable",
            "Adds the next days to the demo timetable; never beside flights of your own.",
            DEMO_INTERVAL_SECONDS,
        ),
    )


def scheduled_jobs(
    known: tuple[Job, ...],
    *,
    release_expired: Callable[[], Awaitable[int]],
    recover: Callable[[], Awaitable[int]],
    prune: Callable[[], Awaitable[int]],
    reconcile: Callable[[], Awaitable[int]],
    fill_names: Callable[[], Awaitable[int]],
    extend_demo: Callable[[], Awaitable[int]],
) -> tuple[ScheduledJob, ...]:
    """Each known job with its function."""
    turns = (release_expired, recover, prune, reconcile, fill_names, extend_demo)
    return tuple(ScheduledJob(job, turn) for job, turn in zip(known, turns, strict=True))


@dataclass(frozen=True, slots=True)
class SchedulerJob:
    """A job as this replica sees it. `next_run_at` is in microseconds since the epoch; None while it will not run."""

    view: JobView
    next_run_at: int | None
    running: bool


@dataclass(frozen=True, slots=True)
class AlreadyRunning:
    """The job runs in this process right now."""

    job_id: str


class Scheduler:
    """The scheduler of one replica. It runs from `start` to `stop`."""

    def __init__(
        self,
        jobs: Jobs,
        scheduled: Sequence[ScheduledJob],
        *,
        replica: str,
        telemetry: Telemetry | None = None,
        controls_seconds: float = CONTROLS_SECONDS,
    ) -> None:
        self._jobs = jobs
        self._scheduled = {item.job.id: item for item in scheduled}
        self._replica = replica
        self._controls_seconds = controls_seconds
        self._intervals: dict[str, float] = {}
        self._runs: dict[str, asyncio.Task[JobRun]] = {}
        self._ticker = Ticker(ClockWatch("machine", telemetry or Telemetry()))
        self._controls_read_at = time.monotonic()

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Start to tick."""
        for view in await self._jobs.all():
            self._intervals[view.id] = view.interval_seconds
            self._add(view.id, self._tick, view.interval_seconds, view.id)
        self._add(_CONTROLS, self._read_controls, self._controls_seconds)
        self._controls_read_at = time.monotonic()
        self._ticker.start()

    async def stop(self) -> None:
        """Begin no more runs. Give running ones a few seconds, then interrupt them and record that."""
        if self._ticker.running:
            self._ticker.shutdown(wait=False)
            # The ticker shuts down in the loop's next iteration.
            await asyncio.sleep(0)
        running = set(self._runs.values())
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def is_running(self) -> bool:
        """Whether it ticks."""
        return bool(self._ticker.running)

    @property
    def standstill(self) -> str | None:
        """None while due jobs are run, else the reason why not."""
        if not self.is_running:
            return "the scheduler has stopped"
        silent_seconds = time.monotonic() - self._controls_read_at
        if silent_seconds > self._controls_seconds * CONTROLS_MISSED_MAX:
            return f"the scheduler could not read the jobs' controls for {silent_seconds:.0f} s"
        return None

    # ------------------------------------------------------------------ for operators

    async def jobs(self) -> list[SchedulerJob]:
        """The current state of every job."""
        return [self._seen(view) for view in await self._jobs.all()]

    async def job(self, job_id: str) -> SchedulerJob | UnknownJob:
        """The current state of one job."""
        return self._answer(await self._jobs.get(job_id))

    async def run(self, job_id: str, asked: Asked) -> JobRun | AlreadyRunning | UnknownJob | InvalidReason:
        """Run the job at once in this process, paused or not, and return its run.

        Guarantee: the caller is on the record before the run begins.
        """
        if job_id in self._runs:
            return AlreadyRunning(job_id)
        match await self._jobs.begin_run(job_id, asked):
            case JobView():
                # A run that has begun meanwhile counts as the requested one.
                return await asyncio.shield(self._runs.get(job_id) or self._start(job_id))
            case refusal:
                return refusal

    async def pause(self, job_id: str, asked: Asked) -> SchedulerJob | UnknownJob | ReasonRequired | InvalidReason:
        """Pause the job: no run begins on any replica until it is resumed."""
        return self._answer(await self._jobs.pause(job_id, asked))

    async def resume(self, job_id: str, asked: Asked) -> SchedulerJob | UnknownJob | InvalidReason:
        """Resume the job: runs begin again when they are due."""
        return self._answer(await self._jobs.resume(job_id, asked))

    async def set_interval(
        self, job_id: str, seconds: int, asked: Asked
    ) -> SchedulerJob | UnknownJob | IntervalOutOfRange | InvalidReason:
        """Run every `seconds`; the other replicas follow within seconds."""
        match await self._jobs.set_interval(job_id, seconds, asked):
            case JobView() as view:
                self._follow_interval(view)
                return self._seen(view)
            case refusal:
                return refusal

    async def runs(self, job_id: str, limit: int) -> list[JobRun] | UnknownJob:
        """The newest runs of the job, on all replicas, newest first."""
        return await self._jobs.runs(job_id, limit)

    # ------------------------------------------------------------------ ticks

    def _add(self, tick_id: str, tick: Callable[..., Awaitable[None]], seconds: float, *arguments: str) -> None:
        self._ticker.add_job(
            tick,
            Every(seconds),
            args=arguments,
            id=tick_id,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    async def _tick(self, job_id: str) -> None:
        try:
            view = await self._jobs.get(job_id)
        except Exception as error:
            _say_fault(error, "Job %s: its control could not be read; it runs when it is due again.", job_id)
            return
        if isinstance(view, UnknownJob):
            return
        self._follow_interval(view)
        if view.paused:
            _logger.info("Job %s is paused (by %s); nothing is done.", job_id, view.paused_by)
            return
        task = self._begin(job_id)
        if task is not None:
            # Not the task itself: the ticker cancels its ticks when it stops, but a run is given time to end; and
            # `_ended` reports its fault.
            await asyncio.wait([task])

    async def _read_controls(self) -> None:
        try:
            for view in await self._jobs.all():
                self._follow_interval(view)
                if view.run_requested_at is not None and view.id not in self._runs:
                    if await self._jobs.claim_request(view.id):
                        self._begin(view.id)
            self._controls_read_at = time.monotonic()
        except Exception as error:
            _say_fault(error, "The jobs' controls could not be read; trying again soon.")

    def _follow_interval(self, view: JobView) -> None:
        if self._intervals.get(view.id) == view.interval_seconds or not self._ticker.running:
            return
        self._intervals[view.id] = view.interval_seconds
        self._ticker.follow_clock()
        self._ticker.reschedule_job(view.id, trigger=Every(view.interval_seconds))
        _logger.info("Job %s runs every %g s from now on.", view.id, view.interval_seconds)

    # ------------------------------------------------------------------ runs

    def _begin(self, job_id: str) -> asyncio.Task[JobRun] | None:
        """Start a run; None if one is already running."""
        return None if job_id in self._runs else self._start(job_id)

    def _start(self, job_id: str) -> asyncio.Task[JobRun]:
        """Start a run in a task of its own."""
        task = asyncio.create_task(self._run(self._scheduled[job_id]), name=f"job-{job_id}")
        self._runs[job_id] = task
        task.add_done_callback(lambda done: self._ended(job_id, done))
        return task

    def _ended(self, job_id: str, task: asyncio.Task[JobRun]) -> None:
        del self._runs[job_id]
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _say_fault(fault, "Job %s: its run could not be recorded.", job_id)

    async def _run(self, scheduled: ScheduledJob) -> JobRun:
        began = time.monotonic()
        progress = _Progress()
        outcome, error = RunOutcome.OK, None
        try:
            await self._turn(scheduled, progress)
        except asyncio.CancelledError:
            outcome, error = RunOutcome.INTERRUPTED, "The process stopped."
        except PassedOverError as fault:
            outcome, error = RunOutcome.FAILED, str(fault)
            _logger.error("Job %s: %s", scheduled.job.id, fault)
        except Exception as fault:
            outcome, error = RunOutcome.FAILED, f"{type(fault).__name__}: {fault}"
            _say_fault(fault, "Job %s failed; the next run comes when it is due.", scheduled.job.id)
        duration_ms = round((time.monotonic() - began) * 1_000)
        if progress.affected:
            _logger.info("Job %s: %d affected in %d ms.", scheduled.job.id, progress.affected, duration_ms)
        return await self._jobs.record(
            scheduled.job.id,
            duration_ms=duration_ms,
            outcome=outcome,
            affected=progress.affected,
            error=error,
            replica=self._replica,
        )

    async def _turn(self, scheduled: ScheduledJob, progress: _Progress) -> None:
        """Call the turn until nothing is left or the limit is reached. A PassedOverError is raised at the end."""
        passed_over: PassedOverError | None = None
        for _ in range(scheduled.turns_max):
            try:
                affected = await scheduled.turn()
            except PassedOverError as fault:
                passed_over, affected = fault, fault.done
            progress.affected += affected
            if not affected:
                break
        else:
            _logger.warning(
                "Job %s: %d turns were not enough; the next run goes on.", scheduled.job.id, scheduled.turns_max
            )
        if passed_over is not None:
            raise passed_over

    # ------------------------------------------------------------------ views

    def _answer(self, answer: JobView | R) -> SchedulerJob | R:
        return self._seen(answer) if isinstance(answer, JobView) else answer

    def _seen(self, view: JobView) -> SchedulerJob:
        self._ticker.follow_clock()
        ticked = self._ticker.get_job(view.id)
        at = ticked.next_run_time if ticked is not None and self._ticker.running and not view.paused else None
        return SchedulerJob(view, from_datetime(at) if at else None, view.id in self._runs)


def _say_fault(error: BaseException, message: str, *arguments: str) -> None:
    """Log one line if the database cannot be used now, as that is not our fault; else log the traceback."""
    trouble = trouble_of(error)
    if trouble is None:
        _logger.error(message, *arguments, exc_info=error)
    else:
        _logger.warning(f"{message} The database: %s.", *arguments, trouble)


@dataclass(slots=True)
class _Progress:
    """The number of items that a run has processed so far, also if it fails later."""

    affected: int = 0
