"""/healthz: the process is alive. /readyz: it can do its work, or names what is missing. /metrics: for operators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.http.answers import json_answer
from app.http.auth import Authenticator, operator_of
from app.http.base_path import base_path_of
from app.http.browser_safety import is_forwarding_header
from app.http.forwarding import proxy_of
from app.observability.metrics import Metrics
from app.readiness import Readiness
from schema.context import Scope, Viewer

__all__ = ["health_endpoint", "metrics_endpoint", "readiness_endpoint"]

#: As long as a client may wait for a saga.
DELAY_SECONDS_MAX: Final = 20
_WARNED: Final = "send an operator's token to see the details"
Endpoint = Callable[[Request], Awaitable[Response]]


def health_endpoint(*, operators: Authenticator) -> Endpoint:
    """The process is alive and its event loop turns.

    Operators see how their request arrived, to judge the proxies in front: `seatsaga doctor --url` does. With
    `?answerAfterSeconds=` they get the answer late.
    """

    async def alive(request: Request) -> Response:
        body: dict[str, Any] = {"status": "ok"}
        if "authorization" in request.headers and await _may_know(request, operators):
            await asyncio.sleep(_delay_seconds(request))
            body["request"] = _arrived(request)
        return json_answer(200, body)

    return alive


def _delay_seconds(request: Request) -> int:
    given = request.query_params.get("answerAfterSeconds", "")
    return min(int(given), DELAY_SECONDS_MAX) if given.isascii() and given.isdecimal() and len(given) < 4 else 0


def _arrived(request: Request) -> dict[str, Any]:
    client = request.client.host if request.client else None
    return {
        "client": client,
        "peer": proxy_of(request.scope) or client,
        "isFromTrustedProxy": proxy_of(request.scope) is not None,
        "scheme": request.scope["scheme"],
        "host": request.headers.get("host"),
        "basePath": base_path_of(request.scope),
        "forwardedHeaders": sorted(name for name in request.headers if is_forwarding_header(name)),
    }


def readiness_endpoint(readiness: Readiness, *, operators: Authenticator) -> Endpoint:
    """503 if a check fails; a warning leaves the replica in service.

    Every client sees which checks fail. Only operators see the details, with names and reasons.
    """

    async def ready(request: Request) -> Response:
        report = await readiness.examine()
        in_words = "authorization" in request.headers and await _may_know(request, operators)
        body: dict[str, Any] = {
            "status": report.status,
            "checks": {name: _said(trouble, in_words, "failed") or "ok" for name, trouble in report.checks.items()},
        }
        if any(report.warnings.values()):
            body["warnings"] = {
                name: _said(trouble, in_words, _WARNED) for name, trouble in report.warnings.items() if trouble
            }
        return json_answer(200 if report.is_ready else 503, body)

    return ready


async def _may_know(request: Request, operators: Authenticator) -> bool:
    return isinstance(await operator_of(request, operators, Scope.SAGAS_READ, Scope.JOBS_WRITE), Viewer)


def _said(trouble: str | None, in_words: bool, otherwise: str) -> str | None:
    return trouble if trouble is None or in_words else otherwise


def metrics_endpoint(
    metrics: Metrics, refresh: Callable[[], Awaitable[None]], *, operators: Authenticator | None
) -> Endpoint:
    """All metrics in Prometheus's text format, after `refresh` has updated them.

    `operators` authenticates operators, as only those with metrics:read are answered; None: every client is answered.
    """

    async def expose(request: Request) -> Response:
        if operators is not None:
            asking = await operator_of(request, operators, Scope.METRICS_READ)
            if isinstance(asking, Response):
                return asking
        await refresh()
        headers = {"Content-Type": metrics.content_type}
        return Response(metrics.exposition(), headers=headers)

    return expose
