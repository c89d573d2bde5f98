"""/admin/scheduler: shows the scheduler's jobs and lets operators steer them. JSON; problems as in RFC 9457.

::

    GET   /admin/scheduler                      every job as it stands
    GET   /admin/scheduler/jobs/{id}/runs       its last runs on all replicas, newest first; ?limit=1..100
    POST  /admin/scheduler/jobs/{id}/run        run it now in this process, paused or not; answers what it did
    POST  /admin/scheduler/jobs/{id}/pause      no run begins on any replica until it is resumed
    POST  /admin/scheduler/jobs/{id}/resume
    PATCH /admin/scheduler/jobs/{id}            {"intervalSeconds": n}

The body of each POST may be empty; every body may hold a `reason`, and pausing expiry needs one.
Each change is stored in the database. It reaches every replica, survives a restart, and is recorded
as an operator action with the operator's subject.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from app.http.answers import json_answer, problem
from app.http.auth import Authenticator, operator_of
from app.http.request_id import note_of
from app.scheduler import AlreadyRunning, Scheduler, SchedulerJob
from domain.actors import Asked
from domain.clock import to_datetime
from domain.jobs import IntervalOutOfRange, InvalidReason, JobRun, ReasonRequired, UnknownJob
from domain.storage import trouble_of
from schema import context
from schema.context import Viewer
from schema.errors import UNAVAILABLE_SECONDS

__all__ = ["scheduler_admin"]

_PATH: Final = "/admin/scheduler"
#: Fits a reason of 500 characters, each written as an escaped surrogate pair, and some more.
BODY_BYTES_MAX: Final = 8_192
RUNS_DEFAULT: Final = 20
RUNS_MAX: Final = 100
_W = TypeVar("_W", bound="_Word")
_Act = Callable[[Request, Viewer], Awaitable[Response]]
#: The scheduler's answer, or the reason for which it refuses.
_Outcome = (
    SchedulerJob
    | JobRun
    | list[JobRun]
    | UnknownJob
    | AlreadyRunning
    | IntervalOutOfRange
    | ReasonRequired
    | InvalidReason
)


class _Word(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The body of a POST."""

    reason: str | None = None


class _Interval(_Word, kw_only=True):
    """The body of a PATCH."""

    interval_seconds: int


_SHAPES: Final[Mapping[type[_Word], str]] = {
    _Word: 'Send {"reason": "..."}, or nothing',
    _Interval: 'Send {"intervalSeconds": n}, a whole number of seconds, and a "reason" if there is one',
}


def scheduler_admin(scheduler: Scheduler, authenticate: Authenticator) -> Route:
    """The routes at and below /admin/scheduler. Every request must carry an operator's token: with jobs:write, or
    with sagas:read to read.
    """

    async def show(request: Request, operator: Viewer) -> Response:
        jobs = [_job(job) for job in await scheduler.jobs()]
        return json_answer(200, {"running": scheduler.is_running, "jobs": jobs})

    async def runs(request: Request, operator: Viewer) -> Response:
        limit = _limit(request)
        if limit is None:
            return problem(422, f"limit must be 1 to {RUNS_MAX}.")
        return _answer(await scheduler.runs(request.path_params["job"], limit))

    async def change(request: Request, operator: Viewer) -> Response:
        word = await _read(request, _Interval)
        if isinstance(word, Response):
            return word
        asked = _asked(request, operator, word)
        return _answer(await scheduler.set_interval(request.path_params["job"], word.interval_seconds, asked))

    def route(method: str, path: str, act: _Act) -> Route:
        write, read = context.Scope.JOBS_WRITE, context.Scope.SAGAS_READ
        scopes = (read, write) if method == "GET" else (write,)

        async def endpoint(request: Request) -> Response:
            operator = await operator_of(request, authenticate, *scopes)
            return operator if isinstance(operator, Response) else await act(request, operator)

        return Route(f"{_PATH}{path}", endpoint, methods=[method])

    def obey(act: Callable[[str, Asked], Awaitable[_Outcome]]) -> _Act:
        async def obeying(request: Request, operator: Viewer) -> Response:
            word = await _read(request, _Word)
            if isinstance(word, Response):
                return word
            return _answer(await act(request.path_params["job"], _asked(request, operator, word)))

        return obeying

    admin = _Admin(
        [
            route("GET", "", show),
            route("GET", "/jobs/{job}/runs", runs),
            route("POST", "/jobs/{job}/run", obey(scheduler.run)),
            route("POST", "/jobs/{job}/pause", obey(scheduler.pause)),
            route("POST", "/jobs/{job}/resume", obey(scheduler.resume)),
            route("PATCH", "/jobs/{job}", change),
        ]
    )
    return Route(f"{_PATH}{{below:path}}", admin)


class _Admin:
    """The routes. Every answer is JSON or a problem, also if the database cannot be used."""

    def __init__(self, routes: list[Route]) -> None:
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._router(scope, receive, send)
        except Exception as error:
            trouble = trouble_of(error)
            if trouble is None:
                raise
            headers = {"Retry-After": str(UNAVAILABLE_SECONDS)}
            detail = f"The database cannot be used just now: {trouble}."
            await problem(503, detail, headers=headers)(scope, receive, send)


# ---------------------------------------------------------------------- requests


def _limit(request: Request) -> int | None:
    given = request.query_params.get("limit", str(RUNS_DEFAULT))
    limit = int(given) if given.isascii() and given.isdecimal() and len(given) <= 3 else 0
    return limit if 1 <= limit <= RUNS_MAX else None


async def _read(request: Request, word: type[_W]) -> _W | Response:
    """The body as a `word`, or a problem that says what is wrong. The body of a POST may be empty."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return problem(413, f"The body is larger than {BODY_BYTES_MAX} bytes.")
    if not body and request.method == "POST":
        return word()
    try:
        return msgspec.json.decode(bytes(body), type=word)
    except msgspec.ValidationError as error:
        return problem(422, f"{_SHAPES[word]}: {error}.")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return problem(400, "The body is not valid JSON in UTF-8.")


def _asked(request: Request, operator: Viewer, word: _Word) -> Asked:
    return Asked(operator.actor, word.reason, note_of(request.scope).request_id)


# ---------------------------------------------------------------------- answers


def _answer(answer: _Outcome) -> Response:
    match answer:
        case SchedulerJob():
            return json_answer(200, _job(answer))
        case JobRun():
            return json_answer(200, _run(answer))
        case list():
            return json_answer(200, [_run(run) for run in answer])
        case UnknownJob(job_id):
            return problem(404, f"There is no job {job_id}.")
        case AlreadyRunning(job_id):
            return problem(409, f"{job_id} is running right now; try again once it has ended.")
        case IntervalOutOfRange(minimum, maximum):
            return problem(422, f"intervalSeconds must be {minimum} to {maximum}.")
        case ReasonRequired(job_id):
            return problem(422, f'Pausing {job_id} needs a reason; send {{"reason": "..."}}.')
        case InvalidReason(message):
            return problem(422, message)


def _job(job: SchedulerJob) -> dict[str, Any]:
    view = job.view
    return {
        "id": view.id,
        "description": view.description,
        "intervalSeconds": view.interval_seconds,
        "paused": view.paused,
        "pausedAt": _instant(view.paused_at),
        "pausedBy": view.paused_by,
        "running": job.running,
        "nextRunAt": _instant(job.next_run_at),
        "lastRun": None if view.last_run is None else _run(view.last_run),
        "runs": view.runs,
        "failures": view.failures,
    }


def _run(run: JobRun) -> dict[str, Any]:
    return {
        "startedAt": _instant(run.started_at),
        "durationMs": run.duration_ms,
        "outcome": run.outcome.value,
        "affected": run.affected,
        "error": run.error,
        "replica": run.replica,
    }


def _instant(at: int | None) -> str | None:
    return None if at is None else to_datetime(at).isoformat().replace("+00:00", "Z")
