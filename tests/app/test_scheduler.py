"""The scheduler ticks, and does what the database says of its jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.scheduler import EXPIRY_JOB, AlreadyRunning, ScheduledJob, Scheduler, SchedulerJob, known_jobs
from domain.errors import PassedOverError
from domain.jobs import Job, JobRun, Jobs, RunOutcome, UnknownJob
from domain.storage import Database
from tests.support.asking import AN_OPERATOR, operator
from tests.support.waiting import eventually

FAST = 0.05
SELDOM = 3600


@dataclass
class Sweep:
    """A job's turn as the test scripts it: it answers `answers` one by one, then 0."""

    answers: list[int] = field(default_factory=list)
    fault: Exception | None = None
    gate: asyncio.Event | None = None
    turns: int = 0
    at_once: int = 0
    at_once_max: int = 0

    async def __call__(self) -> int:
        self.turns += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.fault is not None and not self.answers:
                raise self.fault
            return self.answers.pop(0) if self.answers else 0
        finally:
            self.at_once -= 1


@asynccontextmanager
async def scheduling(
    database: Database,
    turn: Callable[[], Awaitable[int]],
    *,
    interval_seconds: float = SELDOM,
    turns_max: int = 100,
    controls_seconds: float = FAST,
    pause_needs_reason: bool = False,
) -> AsyncIterator[tuple[Scheduler, Jobs]]:
    job = Job("sweep", "Sweeps.", interval_seconds, pause_needs_reason)
    jobs = Jobs(database, [job])
    scheduler = Scheduler(jobs, [ScheduledJob(job, turn, turns_max)], replica="here", controls_seconds=controls_seconds)
    await scheduler.start()
    try:
        yield scheduler, jobs
    finally:
        await scheduler.stop()


async def runs_of(jobs: Jobs) -> list[JobRun]:
    runs = await jobs.runs("sweep")
    assert not isinstance(runs, UnknownJob)
    return runs


async def test_a_job_runs_when_it_is_due_and_each_run_is_recorded(database: Database) -> None:
    sweep = Sweep(answers=[2, 3])

    async with scheduling(database, sweep, interval_seconds=FAST) as (_, jobs):

        async def recorded() -> bool:
            return len(await runs_of(jobs)) >= 2

        await eventually(recorded)
        first = (await runs_of(jobs))[-1]

    assert (first.outcome, first.affected, first.error, first.replica) == (RunOutcome.OK, 5, None, "here")
    assert sweep.at_once_max == 1


async def test_run_now_answers_what_the_run_did(database: Database) -> None:
    async with scheduling(database, Sweep(answers=[4])) as (scheduler, jobs):
        run = await scheduler.run("sweep", AN_OPERATOR)

        assert isinstance(run, JobRun)
        assert run.affected == 4
        assert await runs_of(jobs) == [run]


async def test_run_now_refuses_while_the_job_runs(database: Database) -> None:
    sweep = Sweep(gate=asyncio.Event())
    assert sweep.gate is not None

    async with scheduling(database, sweep) as (scheduler, _):
        first = asyncio.create_task(scheduler.run("sweep", AN_OPERATOR))
        await eventually(lambda: sweep.turns == 1)

        assert await scheduler.run("sweep", AN_OPERATOR) == AlreadyRunning("sweep")
        assert (await scheduler.jobs())[0].running
        sweep.gate.set()
        assert isinstance(await first, JobRun)
        assert isinstance(await scheduler.run("sweep", AN_OPERATOR), JobRun)


async def test_a_failing_run_is_recorded_and_the_next_one_comes(database: Database) -> None:
    sweep = Sweep(answers=[7], fault=OSError("no disk"))

    async with scheduling(database, sweep, interval_seconds=FAST) as (_scheduler, jobs):

        async def failed_twice() -> bool:
            return (await jobs.all())[0].failures >= 2

        await eventually(failed_twice)
        first = (await runs_of(jobs))[-1]

    assert (first.outcome, first.affected, first.error) == (RunOutcome.FAILED, 7, "OSError: no disk")


async def test_a_run_that_passes_something_over_does_all_else_and_says_so(database: Database) -> None:
    done = [5, 3, 0, 0]

    async def turn() -> int:
        raise PassedOverError("saga", done.pop(0), {"42": "OSError: no disk"})

    async with scheduling(database, turn) as (scheduler, jobs):
        run = await scheduler.run("sweep", AN_OPERATOR)
        assert (await jobs.all())[0].failures == 1

    assert isinstance(run, JobRun)
    assert (run.outcome, run.affected, done) == (RunOutcome.FAILED, 8, [0])
    assert run.error == "Passed over 1, as each fails alone; the others are done. saga 42: OSError: no disk"


async def test_a_run_is_bounded_and_leaves_the_rest_to_the_next(database: Database) -> None:
    sweep = Sweep(answers=[1] * 10)

    async with scheduling(database, sweep, turns_max=3) as (scheduler, _):
        run = await scheduler.run("sweep", AN_OPERATOR)

    assert isinstance(run, JobRun)
    assert (run.outcome, run.affected, sweep.turns) == (RunOutcome.OK, 3, 3)


async def test_a_paused_job_does_not_tick_but_may_be_run(database: Database) -> None:
    sweep = Sweep(answers=[1])

    async with scheduling(database, sweep, interval_seconds=FAST) as (scheduler, jobs):
        paused = await scheduler.pause("sweep", operator("ada"))
        assert isinstance(paused, SchedulerJob)
        assert paused.next_run_at is None

        async def idle() -> bool:
            return not (await scheduler.jobs())[0].running

        await eventually(idle)
        before = (await jobs.all())[0].runs
        await asyncio.sleep(4 * FAST)
        assert (await jobs.all())[0].runs == before
        assert isinstance(await scheduler.run("sweep", AN_OPERATOR), JobRun)

        await scheduler.resume("sweep", AN_OPERATOR)

        async def ticks() -> bool:
            return (await jobs.all())[0].runs > before + 1

        await eventually(ticks)


async def test_a_word_said_elsewhere_reaches_this_replica(database: Database) -> None:
    sweep = Sweep()

    async with scheduling(database, sweep) as (scheduler, _jobs):
        elsewhere = Jobs(database, [Job("sweep", "Sweeps.", SELDOM)])
        await elsewhere.request_run("sweep", AN_OPERATOR)
        await eventually(lambda: sweep.turns == 1)

        soon = (await scheduler.jobs())[0].next_run_at
        await elsewhere.set_interval("sweep", 1, AN_OPERATOR)

        async def rescheduled() -> bool:
            at = (await scheduler.jobs())[0].next_run_at
            return at is not None and soon is not None and at < soon

        await eventually(rescheduled)
        await eventually(lambda: sweep.turns >= 2)


async def test_a_requested_run_takes_place_on_one_replica(database: Database) -> None:
    here, there = Sweep(), Sweep()

    async with scheduling(database, here) as (_, jobs), scheduling(database, there):
        await jobs.request_run("sweep", AN_OPERATOR)

        async def recorded() -> bool:
            return len(await runs_of(jobs)) == 1

        await eventually(recorded)

    assert here.turns + there.turns == 1


async def test_stopping_lets_a_run_end(database: Database) -> None:
    sweep = Sweep(answers=[1], gate=asyncio.Event())
    assert sweep.gate is not None

    async with scheduling(database, sweep) as (scheduler, jobs):
        task = asyncio.create_task(scheduler.run("sweep", AN_OPERATOR))
        await eventually(lambda: sweep.turns == 1)
        stopping = asyncio.create_task(scheduler.stop())
        await eventually(lambda: not scheduler.is_running)
        sweep.gate.set()
        await stopping

        run = await task
        assert isinstance(run, JobRun)
        assert run.outcome is RunOutcome.OK
        assert await runs_of(jobs) == [run]


async def test_a_job_that_there_is_not_is_unknown(database: Database) -> None:
    async with scheduling(database, Sweep()) as (scheduler, _):
        assert await scheduler.run("nothing", AN_OPERATOR) == UnknownJob("nothing")
        assert await scheduler.job("nothing") == UnknownJob("nothing")


def test_the_job_that_frees_lapsed_holds_is_the_one_that_needs_a_reason() -> None:
    assert [job.id for job in known_jobs(30) if job.pause_needs_reason] == [EXPIRY_JOB]
