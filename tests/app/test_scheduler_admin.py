"""The operators' way to the scheduler, by a real server and a real client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from app.http.admin import scheduler_admin
from app.http.answers import PROBLEM_JSON, http_problem
from app.http.auth import Authenticator, JwtAuthenticator, OpenAuthenticator
from app.http.request_id import RequestIdMiddleware
from domain.jobs import Jobs
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.storage import Database
from tests.app.test_scheduler import Sweep, scheduling
from tests.support.asking import bearer_of
from tests.support.serving import serving
from tests.support.waiting import eventually

#: The jobs' own part is tested on both databases where it is.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"])
TOKEN = "the operators' token"
BEARER = bearer_of(TOKEN)
SECRET = "a secret of thirty-two characters"
JOB = "/admin/scheduler/jobs/sweep"
STEERING = [
    ("GET", "/admin/scheduler"),
    ("GET", f"{JOB}/runs"),
    ("POST", f"{JOB}/run"),
    ("POST", f"{JOB}/pause"),
    ("POST", f"{JOB}/resume"),
    ("PATCH", JOB),
]


@dataclass
class Operator:
    """A client that bears a token, the job that it steers, and its records."""

    http: httpx.AsyncClient
    sweep: Sweep
    jobs: Jobs

    async def job(self) -> dict[str, Any]:
        """The only job as it is listed."""
        listed = (await self.http.get("/admin/scheduler")).json()
        assert list(listed) == ["running", "jobs"]
        (job,) = listed["jobs"]
        return dict(job)


@asynccontextmanager
async def steering(
    database: Database,
    *,
    token: str | None = TOKEN,
    authenticate: Authenticator | None = None,
    pause_needs_reason: bool = False,
) -> AsyncIterator[Operator]:
    sweep = Sweep()
    async with scheduling(database, sweep, pause_needs_reason=pause_needs_reason) as (scheduler, jobs):
        admin = scheduler_admin(scheduler, authenticate or OpenAuthenticator(TOKEN))
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        app = Starlette(routes=[admin], exception_handlers={HTTPException: http_problem})
        async with (
            serving(RequestIdMiddleware(app, hear=lambda signal: None)) as served,
            httpx.AsyncClient(base_url=served.url, headers=headers) as http,
        ):
            yield Operator(http, sweep, jobs)


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[Operator]:
    async with steering(database) as operator:
        yield operator


def is_problem(response: httpx.Response, status: int) -> str:
    """What the problem says, once it is one as RFC 9457 wants it."""
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM_JSON
    body = response.json()
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    return str(body["detail"])


async def test_every_job_is_shown_as_it_stands(operator: Operator) -> None:
    job = await operator.job()

    assert (job["id"], job["description"], job["intervalSeconds"]) == ("sweep", "Sweeps.", 3600)
    assert (job["paused"], job["pausedAt"], job["pausedBy"]) == (False, None, None)
    assert (job["lastRun"], job["runs"], job["failures"]) == (None, 0, 0)
    assert job["nextRunAt"].endswith("Z")


async def test_a_run_now_reports_what_it_did_and_stands_in_the_history(operator: Operator) -> None:
    operator.sweep.answers = [3, 4]

    ran = (await operator.http.post(f"{JOB}/run")).json()

    assert set(ran) == {"startedAt", "durationMs", "outcome", "affected", "error", "replica"}
    assert (ran["outcome"], ran["affected"], ran["error"], ran["replica"]) == ("OK", 7, None, "here")
    assert (await operator.http.get(f"{JOB}/runs")).json() == [ran]
    job = await operator.job()
    assert (job["lastRun"], job["runs"], job["failures"]) == (ran, 1, 0)


async def test_a_run_that_fails_says_why(operator: Operator) -> None:
    operator.sweep.fault = ValueError("on purpose")

    ran = (await operator.http.post(f"{JOB}/run")).json()

    assert (ran["outcome"], ran["error"]) == ("FAILED", "ValueError: on purpose")
    assert (await operator.job())["failures"] == 1


async def test_a_job_that_runs_right_now_is_a_conflict(operator: Operator) -> None:
    operator.sweep.gate = asyncio.Event()
    first = asyncio.create_task(operator.http.post(f"{JOB}/run"))
    await eventually(lambda: operator.sweep.at_once == 1)

    assert "running right now" in is_problem(await operator.http.post(f"{JOB}/run"), 409)
    assert (await operator.job())["running"] is True

    operator.sweep.gate.set()
    assert (await first).status_code == 200


async def test_a_paused_job_says_who_and_since_when_until_it_is_resumed(operator: Operator) -> None:
    paused = (await operator.http.post(f"{JOB}/pause")).json()
    assert (paused["paused"], paused["pausedBy"], paused["nextRunAt"]) == (True, BEARER, None)
    assert paused["pausedAt"].endswith("Z")
    assert await operator.job() == paused

    resumed = (await operator.http.post(f"{JOB}/resume")).json()
    assert (resumed["paused"], resumed["pausedAt"], resumed["pausedBy"]) == (False, None, None)
    assert resumed["nextRunAt"]


async def test_what_was_said_holds_after_a_restart(database: Database) -> None:
    async with steering(database) as before:
        await before.http.patch(JOB, json={"intervalSeconds": 77})
        await before.http.post(f"{JOB}/pause")
    async with steering(database) as after:
        job = await after.job()
    assert (job["intervalSeconds"], job["paused"], job["pausedBy"]) == (77, True, BEARER)


async def test_a_new_interval_moves_the_next_run(operator: Operator) -> None:
    later = (await operator.job())["nextRunAt"]

    changed = (await operator.http.patch(JOB, json={"intervalSeconds": 60})).json()

    assert changed["intervalSeconds"] == 60
    assert changed["nextRunAt"] < later


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"intervalSeconds": 0}', 422),
        (b'{"intervalSeconds": 86401}', 422),
        (b'{"intervalSeconds": 1.5}', 422),
        (b'{"intervalSeconds": "60"}', 422),
        (b'{"interval": 60}', 422),
        (b'{"intervalSeconds": 60, "paused": true}', 422),
        (b"[]", 422),
        (b"", 400),
        (b"{", 400),
        (b'{"intervalSeconds": \xff}', 400),
        (b" " * 10_000, 413),
    ],
)
async def test_an_interval_that_is_none_is_refused_and_changes_nothing(
    operator: Operator, body: bytes, status: int
) -> None:
    is_problem(await operator.http.patch(JOB, content=body), status)

    assert (await operator.job())["intervalSeconds"] == 3600


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "٣", "9999999999"])
async def test_a_history_is_at_most_a_hundred_runs(operator: Operator, limit: str) -> None:
    is_problem(await operator.http.get(f"{JOB}/runs", params={"limit": limit}), 422)


async def test_a_history_is_newest_first_and_as_long_as_asked_for(operator: Operator) -> None:
    for affected in (1, 2, 3):
        operator.sweep.answers = [affected]
        await operator.http.post(f"{JOB}/run")

    runs = (await operator.http.get(f"{JOB}/runs", params={"limit": "2"})).json()

    assert [run["affected"] for run in runs] == [3, 2]


@pytest.mark.parametrize(("method", "path"), [each for each in STEERING if "sweep" in each[1]])
async def test_a_job_that_there_is_not_is_not_found(operator: Operator, method: str, path: str) -> None:
    content = b'{"intervalSeconds": 60}' if method == "PATCH" else None
    response = await operator.http.request(method, path.replace("sweep", "nothing"), content=content)

    assert is_problem(response, 404) == "There is no job nothing."


async def test_another_path_or_method_is_a_problem_too(operator: Operator) -> None:
    is_problem(await operator.http.get("/admin/scheduler/jobs"), 404)
    response = await operator.http.delete(JOB)
    is_problem(response, 405)
    assert "PATCH" in response.headers["allow"]


@pytest.mark.parametrize(("token", "challenge"), [(None, "Bearer"), ("guessed", 'Bearer error="invalid_token"')])
async def test_nobody_gets_in_without_a_right_token(database: Database, token: str | None, challenge: str) -> None:
    async with steering(database, token=token) as nobody:
        for method, path in STEERING:
            response = await nobody.http.request(method, path, content=b'{"intervalSeconds": 60}')
            is_problem(response, 401)
            assert response.headers["www-authenticate"] == challenge
        assert nobody.sweep.turns == 0
        (view,) = await nobody.jobs.all()
        assert (view.paused, view.interval_seconds) == (False, 3600)


async def test_a_customer_is_forbidden_what_an_operators_claim_allows(database: Database) -> None:
    authenticate = JwtAuthenticator(admin_token=None, secret=SECRET)
    claims = {"sub": "ada", "exp": int(time.time()) + 60}
    customer = jwt.encode(claims, SECRET, algorithm="HS256")
    operator = jwt.encode({**claims, "role": "operator"}, SECRET, algorithm="HS256")
    async with steering(database, token=customer, authenticate=authenticate) as client:
        for method, path in STEERING:
            content = b'{"intervalSeconds": 60}' if method == "PATCH" else None
            forbidden = await client.http.request(method, path, content=content)
            is_problem(forbidden, 403)
            needed = "sagas:read" if method == "GET" else "jobs:write"
            assert forbidden.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{needed}"'
            allowed = {"authorization": f"Bearer {operator}"}
            assert (await client.http.request(method, path, content=content, headers=allowed)).status_code == 200


# ---------------------------------------------------------------------- who did it, and why

#: Every request that changes something, with its body besides the reason, and what the record calls it.
DONE = {
    ("POST", f"{JOB}/run"): ({}, "JOB_RUN"),
    ("POST", f"{JOB}/pause"): ({}, "JOB_PAUSE"),
    ("POST", f"{JOB}/resume"): ({}, "JOB_RESUME"),
    ("PATCH", JOB): ({"intervalSeconds": 60}, "JOB_INTERVAL"),
}


async def recorded(database: Database) -> list[OperatorAction]:
    """Every entry, oldest first."""
    async with database.reading() as connection:
        return (await page_actions(connection, ActionQuery(), after=None, limit=100))[::-1]


async def test_every_request_that_changes_something_is_on_the_record(operator: Operator, database: Database) -> None:
    assert set(DONE) == {each for each in STEERING if each[0] != "GET"}
    for (method, path), (body, _) in DONE.items():
        asked = {**body, "reason": f" For {path}. "}
        answer = await operator.http.request(method, path, json=asked, headers={"x-request-id": f"r-{path[-3:]}"})
        assert answer.status_code == 200

    entries = await recorded(database)

    assert [(entry.kind, entry.by.subject, entry.job_id, entry.reason, entry.request_id) for entry in entries] == [
        (kind, BEARER, "sweep", f"For {path}.", f"r-{path[-3:]}") for (_, path), (_, kind) in DONE.items()
    ]


async def test_a_run_is_on_the_record_before_it_begins(operator: Operator, database: Database) -> None:
    operator.sweep.gate = asyncio.Event()
    run = asyncio.create_task(operator.http.post(f"{JOB}/run"))
    await eventually(lambda: operator.sweep.at_once == 1)

    assert [entry.kind for entry in await recorded(database)] == ["JOB_RUN"]

    operator.sweep.gate.set()
    await run


@pytest.mark.parametrize(("method", "path"), DONE)
@pytest.mark.parametrize(
    ("reason", "status"),
    [("", 422), ("  ", 422), ("x" * 501, 422), ("one\n[SAGA] two", 422), ("\x1b[2J", 422), (7, 422)],
)
async def test_a_reason_that_cannot_be_kept_is_refused_and_nothing_is_done(
    operator: Operator, database: Database, method: str, path: str, reason: object, status: int
) -> None:
    before = await operator.job()
    body, _ = DONE[method, path]

    is_problem(await operator.http.request(method, path, json={**body, "reason": reason}), status)

    assert (await operator.job(), await recorded(database), operator.sweep.turns) == (before, [], 0)


async def test_the_longest_reason_fits_however_it_is_escaped(operator: Operator, database: Database) -> None:
    content = b'{"reason": "' + b"\\ud83d\\ude80" * 500 + b'"}'

    assert (await operator.http.post(f"{JOB}/pause", content=content)).status_code == 200
    assert [len(entry.reason or "") for entry in await recorded(database)] == [500]


async def test_expiry_is_not_paused_without_a_reason(database: Database) -> None:
    async with steering(database, pause_needs_reason=True) as operator:
        for content in (b"", b"{}", b'{"reason": null}'):
            refused = is_problem(await operator.http.post(f"{JOB}/pause", content=content), 422)
            assert refused == 'Pausing sweep needs a reason; send {"reason": "..."}.'
        assert not (await operator.job())["paused"]
        assert await recorded(database) == []
        assert (await operator.http.post(f"{JOB}/pause", json={"reason": "Repairs."})).json()["paused"]
        assert (await operator.http.post(f"{JOB}/resume")).status_code == 200
