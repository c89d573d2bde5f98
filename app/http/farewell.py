"""Requests still running when the server ends get 503 with Retry-After instead of 500."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.answers import HttpRefusal
from app.http.busy import busy_answer

__all__ = ["Farewell"]

RETRY_AFTER_SECONDS: Final = 1
_FAREWELL: Final = HttpRefusal(
    503,
    "The server is stopping; send the same request again.",
    "UNAVAILABLE",
    {"Retry-After": str(RETRY_AFTER_SECONDS), "Connection": "close"},
    {"retryAfterSeconds": RETRY_AFTER_SECONDS},
)


class Farewell:
    """Answers requests that uvicorn cancels after its graceful wait. uvicorn would answer 500 and log a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            # A response that has begun ends with its connection. The task ends in any case.
            if not has_begun and scope["type"] == "http":
                await busy_answer(scope, _FAREWELL)(scope, receive, send)
