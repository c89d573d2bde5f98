"""One id a request: taken from X-Request-ID or generated, returned, and on every log line. Not the correlation ID.

asgi-correlation-id does that. But our line at the end of a request also names the caller and the operation, which
only the inner application knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.escaping import escaped, shortened
from app.http.base_path import base_path_of
from app.http.fields import fields_of
from app.observability.request_lines import RequestNote, asked_in
from domain.ids import new_id

__all__ = ["RequestIdMiddleware", "RequestNote", "note_of"]

PATH_CHARACTERS_MAX: Final = 200
#: A trusted proxy may pass on an address of any length.
REMOTE_CHARACTERS_MAX: Final = 100
_HEADER: Final = b"x-request-id"
_ACCEPTABLE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SCOPE_KEY: Final = "seatsaga.request"
#: Monitoring reads these paths every few seconds, so only failures are logged.
_UNREMARKABLE: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def note_of(scope: Scope) -> RequestNote:
    """The note of the request; a new one if the middleware is not installed."""
    note = scope.get(_SCOPE_KEY)
    return note if isinstance(note, RequestNote) else RequestNote(new_id())


class RequestIdMiddleware:
    """Gives each request its id, and calls `hear` once it is answered."""

    def __init__(self, app: ASGIApp, *, hear: Callable[[object], None]) -> None:
        self._app = app
        self._hear = hear

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, with its id bound to every line logged meanwhile."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        note = RequestNote(
            _given_id(scope) or new_id(),
            remote=shortened(client[0], REMOTE_CHARACTERS_MAX) if client else None,
            base_path=base_path_of(scope),
        )
        scope[_SCOPE_KEY] = note
        asked_in.set(note)
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
                self._hear(note.finished(scope.get("method", "WS"), _shown(scope["path"]), status))


def _shown(path: str) -> str:
    """The path for the log: one word of one line, whatever the client escaped in it."""
    return escaped(path[:PATH_CHARACTERS_MAX]).replace(" ", "%20")


def _given_id(scope: Scope) -> str | None:
    value = fields_of(scope).get(_HEADER)
    return value.decode() if value is not None and _ACCEPTABLE.fullmatch(value) else None
