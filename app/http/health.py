"""/healthz: the process is alive. /readyz: it can do its work, or what is missing. /metrics: numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.observability.metrics import Metrics

__all__ = ["Check", "health_endpoint", "metrics_endpoint", "readiness_endpoint"]

CHECK_SECONDS_MAX: Final = 2.0

#: Answers None where all is well, else what is wrong, in one sentence.
Check = Callable[[], Awaitable[str | None]]
Endpoint = Callable[[Request], Awaitable[Response]]


async def health_endpoint(request: Request) -> Response:
    """The process is alive and its event loop turns."""
    return _json(200, {"status": "ok"})


def readiness_endpoint(checks: Mapping[str, Check], warnings: Mapping[str, Check]) -> Endpoint:
    """503 where a check fails; a warning is said loudly and leaves the replica in service."""

    async def ready(request: Request) -> Response:
        failed, said = await asyncio.gather(_ask(checks), _ask(warnings))
        body: dict[str, Any] = {
            "status": "unready" if any(failed.values()) else "ready",
            "checks": {name: problem or "ok" for name, problem in failed.items()},
        }
        if any(said.values()):
            body["warnings"] = {name: problem for name, problem in said.items() if problem}
        return _json(503 if any(failed.values()) else 200, body)

    return ready


def metrics_endpoint(metrics: Metrics) -> Endpoint:
    """Everything in Prometheus's text format."""

    async def expose(request: Request) -> Response:
        return Response(metrics.exposition(), headers={"Content-Type": metrics.content_type})

    return expose


async def _ask(checks: Mapping[str, Check]) -> dict[str, str | None]:
    answers = await asyncio.gather(*(_bounded(check) for check in checks.values()))
    return dict(zip(checks, answers, strict=True))


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS_MAX:g} s"
    except Exception as error:
        return f"failed: {type(error).__name__}"


def _json(status: int, body: Any) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
    return Response(msgspec.json.encode(body), status_code=status, headers=headers)
