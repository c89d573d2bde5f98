"""/healthz: the process is alive. /readyz: it can do its work, or names what is missing. /metrics: for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from app.http.answers import json_answer
from app.http.auth import Authenticator, operator_of
from app.observability.metrics import Metrics
from app.readiness import Readiness
from schema.context import Scope, Viewer

__all__ = ["health_endpoint", "metrics_endpoint", "readiness_endpoint"]

_WARNED: Final = "send an operator's token to see the details"
Endpoint = Callable[[Request], Awaitable[Response]]


async def health_endpoint(request: Request) -> Response:
    """The process is alive and its event loop turns."""
    return json_answer(200, {"status": "ok"})


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
