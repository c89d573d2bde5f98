"""Results one after another over plain HTTP: Server-Sent Events, and multipart.

::

    text/event-stream                          graphql-sse, distinct connections: an event `next` a result, then
                                               `complete`; `id` is the sequence that a saga's event bears
    multipart/mixed;subscriptionSpec=1.0       a part a result, {"payload": ...}, and the closing boundary

While there is nothing to say, a heartbeat keeps proxies from closing the connection. A client
that goes away is noticed at once, not at the next heartbeat: its generator ends, `finally` and all.

Sources: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md,
https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from graphql import ExecutionResult
from starlette.types import Receive, Scope, Send

from app.http.answers import formatted
from app.http.negotiation import parse_media_type
from schema.execution import Execution

__all__ = ["EVENT_STREAM", "HEARTBEAT_SECONDS", "MULTIPART", "Framing", "ResultStream", "choose_framing"]

HEARTBEAT_SECONDS: Final = 12.0
EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"
_HEADERS: Final = {
    "cache-control": "no-store",
    "vary": "Accept",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Framing:
    """How results are written: what opens the stream, each of them (with its id, if any), silence, and the end."""

    content_type: str
    opening: bytes
    result: Callable[[bytes, int | None], bytes]
    heartbeat: bytes
    closing: bytes


def _event(body: bytes, sequence: int | None) -> bytes:
    # JSON as msgspec writes it has no line breaks.
    mark = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%bevent: next\ndata: %b\n\n" % (mark, body)


def _part(body: bytes, sequence: int | None) -> bytes:
    return b'Content-Type: application/json\r\n\r\n{"payload":%b}\r\n---\r\n' % body


_FRAMINGS: Final = {
    EVENT_STREAM: Framing(f"{EVENT_STREAM}; charset=utf-8", b":\n\n", _event, b":\n\n", b"event: complete\ndata: \n\n"),
    MULTIPART: Framing(
        f'{MULTIPART}; boundary="-"; subscriptionSpec=1.0',
        b"---\r\n",
        _part,
        b"Content-Type: application/json\r\n\r\n{}\r\n---\r\n",
        # The boundary that is open turns into the last one.
        b"Content-Type: application/json\r\n\r\n{}\r\n-----\r\n",
    ),
}


def choose_framing(accept: str | None) -> Framing | None:
    """The framing that is wanted most, None where the client takes no stream. Wildcards ask for none."""
    wanted: dict[str, float] = {}
    for part in (accept or "").split(","):
        kind, parameters = parse_media_type(part)
        if kind == EVENT_STREAM or (kind == MULTIPART and parameters.get("subscriptionspec") == "1.0"):
            wanted[kind] = max(wanted.get(kind, 0.0), _quality(parameters.get("q")))
    best = max(_FRAMINGS, key=lambda kind: wanted.get(kind, 0.0))
    return _FRAMINGS[best] if wanted.get(best, 0.0) > 0 else None


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


class ResultStream:
    """A response: every result of an execution, until the last one or until the client has gone."""

    def __init__(self, execution: Execution, framing: Framing, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._execution = execution
        self._framing = framing
        self._heartbeat_seconds = heartbeat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        headers = [(b"content-type", self._framing.content_type.encode())]
        headers += [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sending = asyncio.create_task(self._send_all(send), name="result-stream")
        leaving = asyncio.create_task(_left(receive), name="result-stream-client")
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait({sending, leaving})
        if not sending.cancelled():
            sending.result()

    async def _send_all(self, send: Send) -> None:
        await _send_body(send, self._framing.opening)
        async with aclosing(self._execution.results()) as results:
            async for result in self._with_heartbeats(results):
                if result is None:
                    await _send_body(send, self._framing.heartbeat)
                else:
                    body = msgspec.json.encode(formatted(result))
                    await _send_body(send, self._framing.result(body, self._execution.sequence))
        await _send_body(send, self._framing.closing, more=False)

    async def _with_heartbeats(
        self, results: AsyncGenerator[ExecutionResult, None]
    ) -> AsyncGenerator[ExecutionResult | None, None]:
        """Every result, and None whenever none has come for a while."""
        coming: asyncio.Task[Any] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(results, _END))
                done, _ = await asyncio.wait({coming}, timeout=self._heartbeat_seconds)
                if not done:
                    yield None
                    continue
                result, coming = coming.result(), None
                if result is _END:
                    return
                yield result
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})


_END: Final = object()


async def _send_body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    """Returns once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
