"""/healthz: the process is alive. /readyz: it can do its work, or what is missing. /metrics: numbers, for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.http.auth import Authenticator
from app.http.operators import operator_of
from app.http.problems import json_answer
from app.observability.metrics import Metrics
from app.readiness import Readiness

__all__ = ["health_endpoint", "metrics_endpoint", "readiness_endpoint"]

Endpoint = Callable[[Request], Awaitable[Response]]


async def health_endpoint(request: Request) -> Response:
    """The process is alive and its event loop turns."""
    return json_answer(200, {"status": "ok"})


def readiness_endpoint(readiness: Readiness) -> Endpoint:
    """503 where a check fails; a warning is said loudly and leaves the replica in service."""

    async def ready(request: Request) -> Response:
        report = await readiness.examine()
        body: dict[str, Any] = {
            "status": "ready" if report.is_ready else "unready",
            "checks": {name: trouble or "ok" for name, trouble in report.checks.items()},
        }
        if any(report.warnings.values()):
            body["warnings"] = {name: trouble for name, trouble in report.warnings.items() if trouble}
        return json_answer(200 if report.is_ready else 503, body)

    return ready


def metrics_endpoint(
    metrics: Metrics, refresh: Callable[[], Awaitable[None]], *, operators: Authenticator | None
) -> Endpoint:
    """Everything in Prometheus's text format, once `refresh` has brought it up to date.

    `operators`: tells who is one, as nobody else is answered; None answers all.
    """

    async def expose(request: Request) -> Response:
        if operators is not None:
            asking = await operator_of(request, operators)
            if isinstance(asking, Response):
                return asking
        await refresh()
        headers = {"Content-Type": metrics.content_type}
        return Response(metrics.exposition(), headers=headers)

    return expose
