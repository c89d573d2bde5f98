"""What operators say about jobs and what runs come to is kept in the database, for all replicas."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain.clock import ManualClock
from domain.errors import PassedOverError
from domain.jobs import (
    INTERVAL_SECONDS_MAX,
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
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.storage import Database, Server
from domain.telemetry import Telemetry
from tests.support.asking import AN_OPERATOR, operator
from tests.support.triggers import refuse_deletes

SWEEP = Job("sweep", "Sweeps.", 30)
PRUNE = Job("prune", "Prunes.", 3600)


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database, [SWEEP, PRUNE])


async def record(
    jobs: Jobs, outcome: RunOutcome = RunOutcome.OK, *, job: Job = SWEEP, error: str | None = None
) -> None:
    await jobs.record(job.id, duration_ms=40, outcome=outcome, affected=3, error=error, replica="here")


def seen(answer: object) -> JobView:
    assert isinstance(answer, JobView)
    return answer


async def test_a_job_that_nobody_spoke_of_stands_at_its_defaults(jobs: Jobs) -> None:
    first, second = await jobs.all()

    assert first == JobView("sweep", "Sweeps.", 30, False, None, None, None, 0, 0, None)
    assert second.interval_seconds == 3600


async def test_a_pause_reaches_who_reads_the_same_database(jobs: Jobs, database: Database) -> None:
    paused = seen(await jobs.pause("sweep", operator("ada")))
    elsewhere = Jobs(database, [SWEEP, PRUNE])

    assert (paused.paused, paused.paused_by) == (True, "ada")
    assert paused.paused_at is not None
    assert (await elsewhere.all())[0] == paused
    assert not (await elsewhere.all())[1].paused


async def test_pausing_twice_keeps_who_paused_first(jobs: Jobs, clock: ManualClock) -> None:
    first = await jobs.pause("sweep", operator("ada"))
    clock.advance(5)

    assert await jobs.pause("sweep", operator("grace")) == first


async def test_resuming_forgets_the_pause_and_may_be_said_twice(jobs: Jobs) -> None:
    await jobs.pause("sweep", operator("ada"))

    resumed = seen(await jobs.resume("sweep", AN_OPERATOR))

    assert (resumed.paused, resumed.paused_at, resumed.paused_by) == (False, None, None)
    assert await jobs.resume("sweep", AN_OPERATOR) == resumed


async def test_an_interval_stands_until_another_is_set(jobs: Jobs) -> None:
    assert seen(await jobs.set_interval("sweep", 7, AN_OPERATOR)).interval_seconds == 7
    assert seen(await jobs.set_interval("sweep", 7, AN_OPERATOR)).interval_seconds == 7
    assert (await jobs.all())[0].interval_seconds == 7


async def test_an_interval_of_a_damaged_row_is_bounded(database: Database, jobs: Jobs) -> None:
    await jobs.set_interval("sweep", 7, AN_OPERATOR)
    damage = text("UPDATE job_controls SET interval_seconds = 2000000000")
    await database.write(lambda connection: connection.execute(damage))
    assert (await jobs.all())[0].interval_seconds == INTERVAL_SECONDS_MAX


@pytest.mark.parametrize("seconds", [0, -1, INTERVAL_SECONDS_MAX + 1])
async def test_an_interval_has_bounds(jobs: Jobs, seconds: int) -> None:
    assert await jobs.set_interval("sweep", seconds, AN_OPERATOR) == IntervalOutOfRange()


async def test_a_job_that_there_is_not_is_unknown_to_every_question(jobs: Jobs) -> None:
    unknown = UnknownJob("nothing")

    assert await jobs.get("nothing") == unknown
    assert await jobs.runs("nothing") == unknown
    assert await jobs.pause("nothing", operator("ada")) == unknown
    assert await jobs.resume("nothing", AN_OPERATOR) == unknown
    assert await jobs.set_interval("nothing", 5, AN_OPERATOR) == unknown
    assert await jobs.request_run("nothing", AN_OPERATOR) == unknown


async def test_a_requested_run_is_claimed_once(jobs: Jobs) -> None:
    asked = seen(await jobs.request_run("sweep", AN_OPERATOR))
    again = seen(await jobs.request_run("sweep", AN_OPERATOR))

    assert asked.run_requested_at is not None
    assert again.run_requested_at == asked.run_requested_at
    assert sorted(await asyncio.gather(*(jobs.claim_request("sweep") for _ in range(4)))) == [False, False, False, True]
    assert seen(await jobs.get("sweep")).run_requested_at is None


async def test_a_run_is_recorded_with_when_it_began(jobs: Jobs, database: Database, clock: ManualClock) -> None:
    async with database.reading() as connection:
        now = await clock.now(connection)

    await record(jobs, RunOutcome.FAILED, error="OSError: no disk")

    view = seen(await jobs.get("sweep"))
    assert (view.runs, view.failures) == (1, 1)
    run = view.last_run
    assert run is not None
    assert (run.outcome, run.affected, run.error, run.replica) == (RunOutcome.FAILED, 3, "OSError: no disk", "here")
    assert run.duration_ms == 40
    assert now - 40_000 <= run.started_at <= now + 5_000_000


async def test_the_history_is_newest_first_and_bounded(jobs: Jobs) -> None:
    for outcome in (RunOutcome.OK, RunOutcome.INTERRUPTED, RunOutcome.FAILED):
        await record(jobs, outcome)
    await record(jobs, job=PRUNE)

    runs = await jobs.runs("sweep", limit=2)

    assert not isinstance(runs, UnknownJob)
    assert [run.outcome for run in runs] == [RunOutcome.FAILED, RunOutcome.INTERRUPTED]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_two_replicas_that_prune_do_not_wait_for_one_another(jobs: Jobs, database: Database) -> None:
    for _ in range(5):
        await record(jobs)
    other = await Server(database.url).connect()
    async with asyncio.timeout(20):
        async with other.transaction():
            await other.execute("SELECT id FROM job_runs FOR UPDATE")
            assert await jobs.prune(runs_kept=2) == 0
        assert await jobs.prune(runs_kept=2) == 3
    await other.close()


async def test_pruning_keeps_the_newest_of_each_job_and_the_counts(jobs: Jobs) -> None:
    for _ in range(5):
        await record(jobs)
    await record(jobs, job=PRUNE)

    assert await jobs.prune(runs_kept=2) == 3
    assert await jobs.prune(runs_kept=2) == 0

    kept = await jobs.runs("sweep")
    assert not isinstance(kept, UnknownJob)
    assert len(kept) == 2
    sweep, prune = await jobs.all()
    assert (sweep.runs, prune.runs) == (5, 1)
    assert sweep.last_run == kept[0]
    assert prune.last_run is not None


async def test_replicas_that_record_at_once_lose_no_count(jobs: Jobs) -> None:
    await asyncio.gather(*(record(jobs) for _ in range(10)))

    assert seen(await jobs.get("sweep")).runs == 10


async def test_the_last_success_is_that_of_the_newest_run_that_was_ok(jobs: Jobs, clock: ManualClock) -> None:
    assert await jobs.last_successes() == {}
    await record(jobs)
    (ran,) = seen_runs(await jobs.runs("sweep"))
    clock.advance(60)
    await record(jobs, RunOutcome.FAILED, error="no disk")
    await record(jobs, RunOutcome.INTERRUPTED)
    await record(jobs, RunOutcome.FAILED, job=PRUNE, error="no disk")

    assert await jobs.last_successes() == {"sweep": ran.started_at + ran.duration_ms * 1_000}


async def test_every_run_that_is_on_the_record_is_told(database: Database) -> None:
    told: list[object] = []
    telemetry = Telemetry()
    telemetry.attach(told.append)
    jobs = Jobs(database, [SWEEP], telemetry=telemetry)

    await record(jobs)
    await record(jobs, RunOutcome.FAILED, error="no disk")

    assert told == seen_runs(await jobs.runs("sweep"))[::-1]


def seen_runs(answer: object) -> list[JobRun]:
    assert isinstance(answer, list)
    return answer


async def test_a_record_that_cannot_be_removed_keeps_no_other(jobs: Jobs, database: Database) -> None:
    for _ in range(8):
        await record(jobs)
    runs = await jobs.runs("sweep")
    assert not isinstance(runs, UnknownJob)
    await refuse_deletes(database, "job_runs", "id", runs[4].id)

    with pytest.raises(PassedOverError, match="no such delete") as caught:
        await jobs.prune(runs_kept=2)

    assert (caught.value.done, list(caught.value.faults)) == (5, [runs[4].id])
    kept = await jobs.runs("sweep")
    assert kept == [*runs[:2], runs[4]]


# ---------------------------------------------------------------------- the record of operator actions


async def recorded(database: Database) -> list[OperatorAction]:
    """Every entry, oldest first."""
    async with database.reading() as connection:
        return (await page_actions(connection, ActionQuery(), after=None, limit=100))[::-1]


async def test_what_changes_a_job_is_on_the_record_with_how_it_stood(jobs: Jobs, database: Database) -> None:
    ada = operator("ada", " Repairs. ", "request-1")
    for _ in range(2):
        await jobs.pause("sweep", ada)
        await jobs.set_interval("sweep", 7, operator("grace"))
        await jobs.request_run("sweep", operator("mary"))
    await jobs.begin_run("sweep", operator("mary"))
    for _ in range(2):
        await jobs.resume("sweep", operator("grace"))

    entries = await recorded(database)

    assert [(entry.kind, entry.by.subject, entry.job_id, entry.before, entry.after) for entry in entries] == [
        ("JOB_PAUSE", "ada", "sweep", "on, every 30 s", "paused by ada, every 30 s"),
        ("JOB_INTERVAL", "grace", "sweep", "paused by ada, every 30 s", "paused by ada, every 7 s"),
        ("JOB_RUN", "mary", "sweep", "paused by ada, every 7 s", "paused by ada, every 7 s; run requested"),
        (
            "JOB_RUN",
            "mary",
            "sweep",
            "paused by ada, every 7 s; run requested",
            "paused by ada, every 7 s; run requested; run begun",
        ),
        (
            "JOB_RESUME",
            "grace",
            "sweep",
            "paused by ada, every 7 s; run requested",
            "on, every 7 s; run requested",
        ),
    ]
    assert (entries[0].reason, entries[0].request_id) == ("Repairs.", "request-1")
    assert (entries[1].reason, entries[1].request_id) == (None, None)


async def test_what_is_refused_is_neither_done_nor_on_the_record(database: Database) -> None:
    expiry = Job("expiry", "Expires.", 30, pause_needs_reason=True)
    jobs = Jobs(database, [SWEEP, expiry])
    forged = operator("ada", "one\n[SAGA] two")

    assert await jobs.pause("expiry", AN_OPERATOR) == ReasonRequired("expiry")
    for reason in ("", "  "):
        assert isinstance(await jobs.pause("expiry", operator("ada", reason)), ReasonRequired | InvalidReason)
    for answer in (
        await jobs.pause("sweep", forged),
        await jobs.resume("sweep", forged),
        await jobs.set_interval("sweep", 7, forged),
        await jobs.request_run("sweep", forged),
        await jobs.begin_run("sweep", forged),
    ):
        assert isinstance(answer, InvalidReason)
        assert "line breaks" in answer.message
    assert await recorded(database) == []
    assert [(view.paused, view.interval_seconds, view.run_requested_at) for view in await jobs.all()] == [
        (False, 30, None),
        (False, 30, None),
    ]

    assert seen(await jobs.pause("expiry", operator("ada", "Repairs."))).paused


async def test_a_change_that_cannot_be_put_on_the_record_is_not_made(jobs: Jobs, database: Database) -> None:
    rename = text("ALTER TABLE operator_actions RENAME TO elsewhere")
    await database.write(lambda connection: connection.execute(rename))

    with pytest.raises(DBAPIError):
        await jobs.pause("sweep", AN_OPERATOR)

    assert not seen(await jobs.get("sweep")).paused
