"""One id a request: taken from X-Request-ID or made, returned, and on every log line. Never the correlation ID."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observability.request_lines import RequestFinished
from domain.clock import wall_now
from domain.ids import new_id

__all__ = ["RequestIdMiddleware", "RequestNote", "note_of"]

PATH_CHARACTERS_MAX: Final = 200
_HEADER: Final = b"x-request-id"
_ACCEPTABLE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SCOPE_KEY: Final = "seatsaga.request"
#: Asked for every few seconds by machines: worth a line only where they fail.
_UNREMARKABLE: Final = frozenset({"/healthz", "/readyz", "/metrics"})


@dataclass(slots=True)
class RequestNote:
    """What is to be said of a request once it is answered."""

    request_id: str
    operation: str | None = None
    correlation_ids: list[str] = field(default_factory=list)


def note_of(scope: Scope) -> RequestNote:
    """The note of the request; one of its own where the middleware is not in place."""
    note = scope.get(_SCOPE_KEY)
    return note if isinstance(note, RequestNote) else RequestNote(new_id())


class RequestIdMiddleware:
    """Gives each request its id and tells `hear` once it is answered."""

    def __init__(self, app: ASGIApp, *, hear: Callable[[object], None]) -> None:
        self._app = app
        self._hear = hear

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request with its id bound to every line that is logged meanwhile."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        note = RequestNote(_given_id(scope) or new_id())
        scope[_SCOPE_KEY] = note
        structlog.contextvars.bind_contextvars(request_id=note.request_id)
        began = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                status = message.get("status", 101)
                message["headers"] = [*message.get("headers", ()), (_HEADER, note.request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _UNREMARKABLE or status >= 500:
                seconds = time.perf_counter() - began
                self._hear(
                    RequestFinished(
                        at=wall_now(),
                        request_id=note.request_id,
                        method=scope.get("method", "WS"),
                        path=_in_one_line(scope["path"]),
                        status=status,
                        seconds=seconds,
                        operation=note.operation,
                        correlation_ids=tuple(note.correlation_ids),
                    )
                )


def _in_one_line(path: str) -> str:
    """The path as the log may have it: whatever a client has escaped in it, it makes no other line."""
    shown = path[:PATH_CHARACTERS_MAX]
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode()


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER:
            return value.decode() if _ACCEPTABLE.fullmatch(value) else None
    return None
