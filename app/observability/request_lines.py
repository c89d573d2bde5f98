"""Says what was asked over HTTP, and under which correlation IDs it lives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.observability.lines import Line, Marker

__all__ = ["RequestFinished", "request_lines"]


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """One HTTP request or WebSocket operation was answered; `at` in microseconds since the epoch.

    `correlation_ids` are those of the sagas that it started or steered.
    """

    at: int
    request_id: str
    method: str
    path: str
    status: int
    seconds: float
    operation: str | None
    correlation_ids: tuple[str, ...]


def request_lines(signal: RequestFinished) -> list[Line]:
    """A line for each correlation ID, or a single one where the request had to do with none."""
    what = f" {signal.operation}" if signal.operation else ""
    message = f"{signal.method} {signal.path}{what} -> {signal.status}"
    fields: dict[str, Any] = {"request_id": signal.request_id, "duration_ms": round(signal.seconds * 1_000, 1)}
    return [
        Line(signal.at, Marker.LOG, "info", correlation_id, message, fields)
        for correlation_id in signal.correlation_ids or (None,)
    ]
