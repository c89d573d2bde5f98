"""The log lines of requests: caller, operation, and the correlation IDs of the sagas concerned."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from app.observability.lines import Line, Marker, SubjectNames
from domain.clock import wall_now
from schema.context import Viewer

__all__ = ["RequestFinished", "RequestNote", "asked_in", "asker_fields", "request_lines"]


@dataclass(slots=True)
class RequestNote:
    """The facts about a request, or an operation on a socket, for the log and for the operation's context.

    `base_path`: see `app.http.base_path`. `subject`: the caller, once it is known. `correlation_ids`: the sagas that it
    started or steered. `answer_by`: by the clock of `began`, when the answer should be sent at the latest.
    """

    request_id: str
    remote: str | None = None
    base_path: str = ""
    subject: str | None = None
    is_operator: bool = False
    operation: str | None = None
    correlation_ids: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    answer_by: float | None = None

    def asked_by(self, viewer: Viewer) -> None:
        """Record the caller."""
        self.subject, self.is_operator = viewer.subject, viewer.is_operator

    def operation_note(self) -> RequestNote:
        """The note of one operation on this socket."""
        return RequestNote(self.request_id, self.remote, self.base_path, self.subject, self.is_operator)

    def finished(self, method: str, path: str, status: int) -> RequestFinished:
        """The signal that the request was answered now."""
        return RequestFinished(
            at=wall_now(),
            request_id=self.request_id,
            method=method,
            path=path,
            status=status,
            seconds=time.perf_counter() - self.began,
            operation=self.operation,
            correlation_ids=tuple(self.correlation_ids),
            remote=self.remote,
            subject=self.subject,
            is_operator=self.is_operator,
        )


#: The request that this task serves, for the lines logged meanwhile.
asked_in: Final[ContextVar[RequestNote | None]] = ContextVar("asked_in", default=None)


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """One HTTP request or WebSocket operation was answered; `at` in microseconds since the epoch."""

    at: int
    request_id: str
    method: str
    path: str
    status: int
    seconds: float
    operation: str | None
    correlation_ids: tuple[str, ...]
    remote: str | None = None
    subject: str | None = None
    is_operator: bool = False


def request_lines(signal: RequestFinished, names: SubjectNames) -> list[Line]:
    """A line for each correlation ID, or a single line if the request concerned no saga."""
    what = f" {signal.operation}" if signal.operation else ""
    message = f"{signal.method} {signal.path}{what} -> {signal.status}"
    fields: dict[str, Any] = {
        "request_id": signal.request_id,
        "duration_ms": round(signal.seconds * 1_000, 1),
        **asker_fields(signal, names),
    }
    return [
        Line(signal.at, Marker.LOG, "info", correlation_id, message, fields)
        for correlation_id in signal.correlation_ids or (None,)
    ]


def asker_fields(of: RequestNote | RequestFinished, names: SubjectNames) -> dict[str, Any]:
    """The caller, its address and the operation, as far as they are known."""
    subject = None if of.subject is None else names(of.subject, is_operator=of.is_operator)
    known = {"remote": of.remote, "subject": subject, "operation": of.operation}
    return {name: value for name, value in known.items() if value is not None}
