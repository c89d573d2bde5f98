"""What /metrics says is what happened: counted as it is committed, or looked up in what is live."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from seatsaga_client import ApiError
from sqlalchemy import Table, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.http.answers import PROBLEM_JSON
from app.observability.event_counts import STEPS_TIMED_MAX
from app.observability.metrics import TRANSPORTS, Metrics
from app.observability.standing import LiveTotals, StandingGauges, read_standing
from app.readiness import Readiness
from app.scheduler import known_jobs
from domain.events import EventType, SagaEvent
from domain.jobs import Jobs, RunOutcome
from domain.jobs.tables import job_runs
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import CallFinished, Committed, SagaStatus, Simulation, StepStatus
from domain.saga.tables import sagas
from domain.seats import HoldTotals
from domain.seats.tables import seat_reservations
from domain.storage import Database
from tests.app.airline import TOKEN, Airline, Exposition, airline
from tests.domain.bookings.world import world_of
from tests.support.statements import executed, plan
from tests.support.waiting import eventually

CANCEL = """mutation($reference: String!) { cancelBooking(input: {reference: $reference}) {
  saga { correlationId } errors { ... on UserError { message } } } }"""
SKIP = """mutation($id: UUID!) { skipStep(input: {correlationId: $id, step: AUTHORIZE_PAYMENT, reason: "on purpose"}) {
  errors { ... on UserError { message } } } }"""
EXPIRY = "release-expired-reservations"
SECRET = "a secret of thirty-two characters"
HISTORY_ROWS = 3_000


# ---------------------------------------------------------------------- a whole life


async def test_after_a_whole_life_every_number_is_what_happened(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path, expiry_interval_seconds=3600) as served:
        await book_and_cancel(served)
        await fail_and_compensate(served)
        await get_stuck_and_be_given_up(served)
        await outlive_a_hold(served)

        async def settled() -> Exposition:
            found = await served.scrape()
            assert found.by("seatsaga_sagas_live", "definition", "status") == {}
            return found

        found = await eventually(settled)
        # By hand, of what the four functions below do.
        assert found.by("seatsaga_sagas_started_total", "definition") == {
            ("BOOK_AND_EARN",): 6,
            ("BOOK_AND_REDEEM",): 1,
            ("CANCEL_BOOKING",): 1,
        }
        assert found.by("seatsaga_sagas_finished_total", "definition", "status") == {
            ("BOOK_AND_EARN", "COMPLETED"): 2,
            ("BOOK_AND_EARN", "COMPENSATED"): 3,
            ("BOOK_AND_EARN", "ABANDONED"): 1,
            ("BOOK_AND_REDEEM", "COMPLETED"): 1,
            ("CANCEL_BOOKING", "COMPLETED"): 1,
        }
        assert found.by("seatsaga_sagas_stuck_total", "step") == {("AUTHORIZE_PAYMENT",): 1}
        assert found.by("seatsaga_step_retries_total", "step") == {("AUTHORIZE_PAYMENT",): 1}
        assert found.by("seatsaga_step_attempts_total", "step")[("AUTHORIZE_PAYMENT",)] == 7
        assert found.by("seatsaga_compensation_attempts_total", "compensation") == {
            ("REVERSE_MILES",): 2,
            ("CANCEL_PAYMENT",): 7,
            ("CANCEL_SEAT",): 4,
        }
        assert found.by("seatsaga_compensation_retries_total", "compensation") == {("CANCEL_PAYMENT",): 5}
        assert found.by("seatsaga_compensations_total", "compensation", "outcome") == {
            ("REVERSE_MILES", "completed"): 2,
            ("CANCEL_PAYMENT", "completed"): 2,
            ("CANCEL_PAYMENT", "skipped"): 1,
            ("CANCEL_SEAT", "completed"): 4,
        }
        assert found.by("seatsaga_step_duration_seconds_count", "step", "outcome")[("CONFIRM_BOOKING", "failed")] == 2
        assert found("seatsaga_holds_live") == 0
        assert found("seatsaga_holds_expired_total") == 1
        assert found.by("seatsaga_job_runs_total", "job_id", "outcome") == {(EXPIRY, "ok"): 1}
        assert found.by("seatsaga_job_affected_total", "job_id") == {(EXPIRY,): 1}
        # And by the database, which has seen it all.
        assert found.by("seatsaga_sagas_finished_total", "definition", "status") == counted(
            await served.rows("SELECT definition, status, count(*) FROM sagas GROUP BY definition, status")
        )
        assert found.by("seatsaga_saga_events_total", "type") == counted(
            await served.rows("SELECT type, count(*) FROM saga_events GROUP BY type")
        )
        assert found.by("seatsaga_step_duration_seconds_count", "step", "outcome") == counted(
            await served.rows(
                "SELECT name, lower(status), count(*) FROM saga_steps"
                " WHERE status <> 'PENDING' AND attempt > 0 GROUP BY name, status"
            )
        )
        commits = found.by("seatsaga_commit_sagas_count", "kind")
        assert commits == found.by("seatsaga_commit_duration_seconds_count", "kind")
        assert found.by("seatsaga_commit_sagas_sum", "kind")[("start",)] == 8
        lasted = found.by("seatsaga_saga_duration_seconds_count", "definition", "status")
        assert lasted == found.by("seatsaga_sagas_finished_total", "definition", "status")


async def book_and_cancel(served: Airline) -> None:
    """Three bookings, one of them for points and one that loses an answer, and a cancellation."""
    booked = [
        await served.book(),
        await served.book({"loseAnswerAt": ["AUTHORIZE_PAYMENT"]}),
        await served.book(loyalty={"memberNumber": "SS0000001", "pointsToRedeem": 100}),
    ]
    ends = [await served.ended(correlation_id) for correlation_id in booked]
    answer = (await served.api.query(CANCEL, reference=ends[0]["booking"]["reference"]))["cancelBooking"]
    assert answer["errors"] == []
    await served.ended(answer["saga"]["correlationId"])


async def fail_and_compensate(served: Airline) -> None:
    """One that has everything to undo, and one that has a seat."""
    for step in ("CONFIRM_BOOKING", "AUTHORIZE_PAYMENT"):
        saga = await served.ended(await served.book({"failAt": [step]}))
        assert saga["status"] == "COMPENSATED"


async def get_stuck_and_be_given_up(served: Airline) -> None:
    """One whose payment cannot be undone: STUCK after five attempts, until an operator skips it."""
    failing = {"failAt": ["CONFIRM_BOOKING"], "failCompensationAt": ["CANCEL_PAYMENT"]}
    stuck = await served.book(failing)
    await served.until(stuck, "SAGA_STUCK")

    async def shown() -> bool:
        found = await served.scrape()
        assert found.by("seatsaga_sagas_live", "definition", "status") == {("BOOK_AND_EARN", "STUCK"): 1}
        age = found("seatsaga_saga_oldest_age_seconds", definition="BOOK_AND_EARN", status="STUCK")
        assert age is not None
        assert age > 0
        assert (found("seatsaga_holds_live"), found("seatsaga_holds_lapsed")) == (1, 0)
        assert found("seatsaga_sagas_in_flight") == 0
        return True

    await eventually(shown)
    assert (await served.api.query(SKIP, id=stuck))["skipStep"]["errors"] == []
    assert (await served.ended(stuck))["status"] == "ABANDONED"


async def outlive_a_hold(served: Airline) -> None:
    """One whose payment takes longer than its hold lasts, so that the job ends the hold."""
    served.gateway.gate.clear()
    waiting = await served.book()
    await eventually(lambda: served.gateway.calling == 1)
    served.clock.advance(900)

    async def lapsed() -> bool:
        found = await served.scrape()
        assert found.by("seatsaga_sagas_live", "definition", "status") == {("BOOK_AND_EARN", "RUNNING"): 1}
        return (found("seatsaga_holds_live"), found("seatsaga_holds_lapsed")) == (1, 1)

    await eventually(lapsed)
    assert (await served.scrape())("seatsaga_job_last_success_timestamp_seconds", job_id=EXPIRY) is None
    ran = (await served.http.post(f"/admin/scheduler/jobs/{EXPIRY}/run")).json()
    assert (ran["outcome"], ran["affected"]) == ("OK", 1)

    async def swept() -> bool:
        found = await served.scrape()
        ended_at = found("seatsaga_job_last_success_timestamp_seconds", job_id=EXPIRY)
        assert ended_at is not None
        # The clock of the database, which the test has advanced.
        assert abs(ended_at - time.time() - 900) < 60
        return (found("seatsaga_holds_live"), found("seatsaga_holds_lapsed")) == (0, 0)

    await eventually(swept)
    served.gateway.gate.set()
    assert (await served.ended(waiting))["status"] == "COMPENSATED"


def counted(rows: list[tuple[Any, ...]]) -> dict[tuple[str, ...], float]:
    """Rows of labels and a number, as `Exposition.by` gives them."""
    return {tuple(labels): float(number) for *labels, number in rows}


# ---------------------------------------------------------------------- what is counted besides


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_starts_that_are_refused_are_counted_beside_what_is_in_flight(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path, sagas_active_max=1) as served:
        served.gateway.gate.clear()
        accepted = await served.book()
        await eventually(lambda: served.gateway.calling == 1)
        for _ in range(2):
            with pytest.raises(ApiError, match="1 sagas are in flight"):
                await served.book()
        found = await served.scrape()
        assert (found("seatsaga_sagas_in_flight"), found("seatsaga_sagas_in_flight_limit")) == (1, 1)
        assert found("seatsaga_starts_refused_total") == 2
        assert found.by("seatsaga_sagas_started_total", "definition") == {("BOOK_AND_EARN",): 1}
        served.gateway.gate.set()
        await served.ended(accepted)
        assert (await served.scrape())("seatsaga_sagas_in_flight") == 0


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_operators_say_of_jobs_and_what_runs_come_to_shows(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path, expiry_interval_seconds=3600) as served:
        job = f"/admin/scheduler/jobs/{EXPIRY}"
        await served.http.post(f"{job}/run")
        await served.http.post(f"{job}/pause", json={"reason": "Repairs."})
        await served.http.patch(job, json={"intervalSeconds": 60})
        await served.backend.jobs.record(
            EXPIRY, duration_ms=250, outcome=RunOutcome.FAILED, affected=2, error="on purpose", replica="here"
        )

        async def shown() -> Exposition:
            found = await served.scrape()
            assert found("seatsaga_job_interval_seconds", job_id=EXPIRY) == 60
            return found

        found = await eventually(shown)
        assert found.by("seatsaga_job_paused", "job_id") == {(EXPIRY,): 1}
        runs = found.by("seatsaga_job_runs_total", "job_id", "outcome")
        assert runs == {(EXPIRY, "ok"): 1, (EXPIRY, "failed"): 1}
        assert found.by("seatsaga_job_affected_total", "job_id") == {(EXPIRY,): 2}
        assert found("seatsaga_job_run_duration_seconds_count", job_id=EXPIRY) == 2
        # The first run's, as the second was none.
        assert list(found.by("seatsaga_job_last_success_timestamp_seconds", "job_id")) == [(EXPIRY,)]


def heard(*signals: object) -> Exposition:
    """What is exposed once all of this was told."""
    metrics = Metrics()
    for signal in signals:
        metrics.hear(signal)
    return Exposition(metrics.exposition().decode())


def happened(kind: EventType, seconds: float, *, saga: str = "one", step: str = "RESERVE_SEAT") -> SagaEvent:
    return SagaEvent(saga, saga, 1, kind, step, None, 1, "", None, round(seconds * 1_000_000))


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_every_histogram_is_there_before_anything_has_happened(database_url: str, tmp_path: Path) -> None:
    # Prometheus takes the first value that it sees for no increase: what begins at 1 is missed.
    async with airline(database_url, tmp_path) as served:
        lines = (await served.nobody.get("/metrics")).text.splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE seatsaga"))
    shown = {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")}
    assert {name for name, kind in kinds.items() if kind == "histogram" and f"{name}_count" not in shown} == set()


def test_calls_are_timed_by_operation_and_outcome() -> None:
    outcomes = (Succeeded(), Refused("DECLINED", "No."), Unknown("TIMEOUT", "Late."))
    found = heard(*(CallFinished(0, "one", "PROCESS_PAYMENT", 1, outcome, 0.2) for outcome in outcomes))
    calls = found.by("seatsaga_call_duration_seconds_count", "operation", "outcome")
    assert calls == {("PROCESS_PAYMENT", word): 1 for word in ("succeeded", "refused", "unknown")}


def test_a_step_lasts_from_its_first_attempt_to_its_end() -> None:
    started, retrying, completed = EventType.STEP_STARTED, EventType.STEP_RETRYING, EventType.STEP_COMPLETED
    events = (happened(started, 1), happened(retrying, 2), happened(started, 3), happened(completed, 5))
    found = heard(Committed(events))
    assert found.by("seatsaga_step_duration_seconds_sum", "step", "outcome") == {("RESERVE_SEAT", "completed"): 4}


def test_a_step_whose_beginning_was_elsewhere_is_not_timed() -> None:
    begun_here = Committed((happened(EventType.STEP_STARTED, 1),))
    # Another replica has ended that step and begun the next, and then the saga came back.
    ended_here = Committed((happened(EventType.STEP_COMPLETED, 99, step="AWARD_MILES"),))
    assert heard(begun_here, ended_here).by("seatsaga_step_duration_seconds_count", "step") == {}


def test_sagas_that_went_elsewhere_do_not_keep_others_from_being_timed() -> None:
    gone = [happened(EventType.STEP_STARTED, 1, saga=f"gone {number}") for number in range(STEPS_TIMED_MAX + 1)]
    here = (happened(EventType.STEP_STARTED, 1), happened(EventType.STEP_COMPLETED, 2))
    found = heard(Committed(tuple(gone)), Committed(here))
    assert found.by("seatsaga_step_duration_seconds_count", "step") == {("RESERVE_SEAT",): 1}


def test_transports_report_their_subscriptions_and_how_late_events_come() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.stream_opened("sse")
    metrics.stream_closed("sse")
    metrics.event_delivered(0.2)
    # The database's clock may be ahead of ours.
    metrics.event_delivered(-0.1)
    found = Exposition(metrics.exposition().decode())
    assert [found("seatsaga_subscriptions_open", transport=each) for each in TRANSPORTS] == [0, 2, 0]
    assert (found("seatsaga_event_lag_seconds_count"), found("seatsaga_event_lag_seconds_sum")) == (2, 0.2)


# ---------------------------------------------------------------------- what a scrape costs


async def add_history(database: Database) -> None:
    """Make what is over outweigh what is live."""

    async def work(connection: AsyncConnection) -> None:
        over: list[tuple[Table, dict[str, Any]]] = [
            (sagas, {"status": "COMPLETED", "finished_at": 1, "due_at": None}),
            (seat_reservations, {"status": "RELEASED", "ended_at": 1}),
            (job_runs, {}),
        ]
        for table, changes in over:
            row = (await connection.execute(select(table).limit(1))).mappings().one()
            copies = [{**row, **changes, **new_ids(table.c.keys())} for _ in range(HISTORY_ROWS)]
            await connection.execute(table.insert(), copies)

    await database.write(work)
    await database.write(lambda connection: connection.execute(text("ANALYZE")))


def new_ids(columns: Sequence[str]) -> dict[str, str]:
    return {name: str(uuid.uuid4()) for name in ("id", "correlation_id") if name in columns}


async def test_a_scrape_reads_only_what_is_live_however_long_the_history(database: Database, tmp_path: Path) -> None:
    jobs = Jobs(database, known_jobs(30))
    await jobs.record(EXPIRY, duration_ms=1, outcome=RunOutcome.OK, affected=0, error=None, replica="here")
    async with world_of(database, tmp_path) as world:
        saga = await world.book(Simulation(delay_ms=5_000))
        await world.step_reached(saga, "RESERVE_SEAT", StepStatus.COMPLETED)
    await add_history(database)
    with executed(database, of="^SELECT") as seen:
        standing = await read_standing(database, jobs)
    assert standing.holds == HoldTotals(held=1, lapsed=0)
    assert [(found.status, found.sagas) for found in standing.sagas] == [(SagaStatus.RUNNING, 1)]
    asked = dict(seen)
    assert len(asked) <= 7
    plans = [line for statement, given in asked.items() for line in await plan(database, statement, given)]
    for table in ("sagas", "seat_reservations", "job_runs"):
        read = [line for line in plans if re.search(rf"\b(on|SCAN|SEARCH) {table}\b|ix_{table}_", line)]
        assert read, plans
        assert not [line for line in read if "Seq Scan" in line or re.search(r"SCAN \w+$", line)], plans


async def test_who_asks_at_the_same_time_shares_one_read_and_the_next_comes_a_moment_later() -> None:
    reads = 0

    async def read() -> LiveTotals:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return LiveTotals(reads, [], HoldTotals(reads, 0), [], {})

    gauges = StandingGauges(read, Readiness({}, {}))
    await asyncio.gather(*(gauges.refresh() for _ in range(20)))
    await gauges.refresh()
    assert reads == 1

    async def renewed() -> bool:
        await gauges.refresh()
        return reads == 2

    await eventually(renewed)


async def test_what_could_not_be_read_is_left_out_rather_than_repeated() -> None:
    answers = [LiveTotals(0, [], HoldTotals(5, 0), [], {})]

    async def read() -> LiveTotals:
        return answers.pop()

    metrics, gauges = Metrics(), StandingGauges(read, Readiness({}, {}))
    metrics.collect_from(gauges)

    def held() -> float | None:
        return Exposition(metrics.exposition().decode())("seatsaga_holds_live")

    await gauges.refresh()
    assert held() == 5

    async def gone() -> bool:
        await gauges.refresh()
        return held() is None

    await eventually(gone)


# ---------------------------------------------------------------------- who may ask


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_under_jwt_only_operators_are_told(database_url: str, tmp_path: Path) -> None:
    claims = {"sub": "ada", "exp": int(time.time()) + 60}
    customer = jwt.encode(claims, SECRET, algorithm="HS256")
    operator = jwt.encode({**claims, "role": "operator"}, SECRET, algorithm="HS256")
    async with airline(database_url, tmp_path, auth="jwt", jwt_secret=SECRET) as served:

        async def asked(token: str | None) -> httpx.Response:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            return await served.nobody.get("/metrics", headers=headers)

        for token, challenge in ((None, "Bearer"), ("guessed", 'Bearer error="invalid_token"')):
            refused = await asked(token)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, challenge)
            assert refused.headers["content-type"] == PROBLEM_JSON
        assert (await asked(customer)).status_code == 403
        for token in (operator, TOKEN):
            told = await asked(token)
            assert told.status_code == 200
            assert "seatsaga_build_info" in told.text
        # Load balancers bear no token.
        for path in ("/healthz", "/readyz"):
            assert (await served.nobody.get(path)).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_under_auth_none_everybody_on_this_machine_is_told(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path) as served:
        told = await served.nobody.get("/metrics")
        assert told.status_code == 200
        assert told.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (await served.nobody.post("/metrics")).status_code == 405
