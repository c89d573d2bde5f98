"""Streams of results over plain HTTP: Server-Sent Events, and multipart.

::

    text/event-stream                          graphql-sse, distinct connections: an event `next` for each result, then
                                               `complete`; `id` is the sequence of a saga's event
    multipart/mixed;subscriptionSpec=1.0       a part for each result, {"payload": ...}, and the closing boundary

When there is no result to send, a heartbeat keeps proxies from closing the connection. `no-transform` keeps them from
compressing the stream: a compressing proxy collects events. A query is a stream of one result for a client that
accepts nothing else, and so is a refusal for a client of events: by graphql-sse it takes any other answer for a failed
connection, and retries. An EventSource that has seen a stream's last event gets 204, which ends it. A stream ends so:

    the last result                     `complete`, or the closing boundary
    the client disconnects              at once, not at the next heartbeat; the generator runs its `finally`
    the client does not read            SLOW_CONSUMER with the sequence to resume from, then as after the last result
    the server stops, the token expires SSE: the body ends without `complete`, so that clients reconnect;
                                        multipart: an error beside `"payload": null`, as Apollo's clients expect

sse-starlette writes events and pings as well, but no multipart. It disconnects a slow reader (send_timeout) without
telling it the sequence to resume from.

Sources: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md,
https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from graphql import GraphQLError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.http.connections import ClientConnection, Stalled, TransportLimits, connection_of
from app.http.negotiation import wanted_of
from app.http.subscribers import Subscriber, Subscribers
from app.observability.metrics import Transport
from domain.errors import SlowConsumerError
from schema.errors import feed_error, interrupted
from schema.execution import Execution
from schema.frames import encoded_errors

__all__ = ["EVENT_STREAM", "MULTIPART", "Framing", "ResultStream", "choose_framing", "whole_stream"]

EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"
_HEADERS: Final = {"vary": "Accept", "x-accel-buffering": "no", "cache-control": "no-store, no-transform"}
#: The time for which a resumed stream may turn out to be over, so that it is answered 204.
OVER_SECONDS_MAX: Final = 1.0


@dataclass(frozen=True, slots=True)
class Framing:
    """The bytes of a stream: its opening, each result (with its id, if any), a heartbeat, and its endings."""

    transport: Transport
    content_type: str
    opening: bytes
    result: Callable[[bytes, int | None], bytes]
    heartbeat: bytes
    closing: bytes
    interruption: Callable[[GraphQLError], bytes]


def _event(body: bytes, sequence: int | None) -> bytes:
    mark = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%bevent: next\ndata: %b\n\n" % (mark, body)


def _comment(error: GraphQLError) -> bytes:
    return b": %b\n\n" % error.message.encode()


def _part(body: bytes, *, ending: bytes = b"\r\n") -> bytes:
    # Without the length, aiohttp (Python's gql) hands a part over only when something of the next one has come.
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return b"%b%b\r\n--graphql%b" % (head, body, ending)


def _payload(body: bytes, sequence: int | None) -> bytes:
    return _part(b'{"payload":%b}' % body)


def _last_part(error: GraphQLError) -> bytes:
    return _part(msgspec.json.encode({"payload": None, "errors": [error.formatted]}), ending=b"--\r\n")


_FRAMINGS: Final = {
    EVENT_STREAM: Framing(
        "sse",
        f"{EVENT_STREAM}; charset=utf-8",
        b":\n\n",
        _event,
        b":\n\n",
        b"event: complete\ndata: \n\n",
        _comment,
    ),
    MULTIPART: Framing(
        "multipart",
        # The protocol fixes the boundary, and Python's gql looks for these very words, unquoted.
        f"{MULTIPART}; boundary=graphql; subscriptionSpec=1.0",
        b"--graphql\r\n",
        _payload,
        _part(b"{}"),
        # `--` turns the open boundary into the closing one.
        _part(b"{}", ending=b"--\r\n"),
        _last_part,
    ),
}


@lru_cache(maxsize=256)
def choose_framing(accept: str | None) -> Framing | None:
    """The framing that the client prefers; None if it accepts no stream. A wildcard accepts none."""
    wanted = wanted_of(accept or "", _is_stream)
    best = max(_FRAMINGS, key=lambda kind: wanted.get(kind, 0.0))
    return _FRAMINGS[best] if wanted.get(best, 0.0) > 0 else None


def _is_stream(kind: str, parameters: Mapping[str, str]) -> bool:
    return kind == EVENT_STREAM or (kind == MULTIPART and parameters.get("subscriptionspec") == "1.0")


def whole_stream(framing: Framing, answered: Response) -> Response:
    """A stream of one result, the body of `answered`.

    What asks for a retry (429, 503) stays as it is, and so does a refusal for a client of multipart, which reads it.
    """
    is_refused = answered.status_code != HTTPStatus.OK
    if "retry-after" in answered.headers or (is_refused and framing.transport == "multipart"):
        return answered
    body = framing.opening + framing.result(bytes(answered.body), None) + framing.closing
    return Response(body, headers={**_HEADERS, "content-type": framing.content_type})


class _End(Enum):
    """Why a stream ended."""

    SENT = "every result was sent"
    GONE = "the client has gone"
    STOPPING = "the server stops"
    EXPIRED = "the token has expired"


class ResultStream:
    """A response that streams every result of an execution, until the last result or an earlier end.

    `subscriber` has entered `subscribers`; it leaves them here. `expires_at`: when the token expires,
    in seconds since the epoch. `is_resumed`: the client has seen results of this stream before; if there is none
    left, the answer is 204.
    """

    def __init__(
        self,
        execution: Execution,
        framing: Framing,
        *,
        subscribers: Subscribers,
        subscriber: Subscriber,
        limits: TransportLimits,
        expires_at: int | None = None,
        is_resumed: bool = False,
    ) -> None:
        self._execution = execution
        self._framing = framing
        self._subscribers = subscribers
        self._subscriber = subscriber
        self._limits = limits
        self._expires_at = expires_at
        self._is_resumed = is_resumed
        self._spoke_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream."""
        try:
            await self._stream(connection_of(scope), receive, _Body(send, self._framing))
        finally:
            self._subscribers.leave(self._subscriber)

    async def _stream(self, connection: ClientConnection, receive: Receive, body: _Body) -> None:
        sending = asyncio.create_task(self._send_all(connection, body), name="result-stream")
        leaving = asyncio.create_task(_left(receive), name="result-stream-client")
        stopping = asyncio.create_task(connection.stopping.wait(), name="result-stream-server")
        tasks = {sending: _End.SENT, leaving: _End.GONE, stopping: _End.STOPPING}
        try:
            end = await self._watch(tasks, connection, body)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        match end:
            case _End.GONE:
                return
            case _End.STOPPING | _End.EXPIRED:
                connection.cut_soon()
                await body.end(self._framing.interruption(self._interruption(end)))
            case _End.SENT:
                try:
                    sending.result()
                    if not body.has_begun:
                        await body.leave_empty()
                        return
                except Stalled:
                    connection.cut_soon()
                    await self._say(body, feed_error(SlowConsumerError(self._subscriber.sequence)))
                await body.end(self._framing.closing)

    async def _watch(self, tasks: Mapping[asyncio.Task[Any], _End], connection: ClientConnection, body: _Body) -> _End:
        """Wait for the first end, and return it; send heartbeats meanwhile."""
        while True:
            left = self._seconds_left()
            if self._is_resumed and not body.has_begun:
                pause_seconds = OVER_SECONDS_MAX
            else:
                # From the last result on, not from the last look: the silence would be up to twice as long.
                pause_seconds = max(self._limits.heartbeat_seconds - self._silent_seconds(), 0.0)
            done, _ = await asyncio.wait(tasks, timeout=min(pause_seconds, left), return_when=asyncio.FIRST_COMPLETED)
            for task, end in tasks.items():
                if task in done:
                    return end
            if self._seconds_left() <= 0:
                return _End.EXPIRED
            if not body.has_begun:
                await body.begin()
            elif self._silent_seconds() >= self._limits.heartbeat_seconds:
                if not connection.is_behind:
                    await body.write(self._framing.heartbeat)
                self._spoke_at = time.monotonic()

    async def _send_all(self, connection: ClientConnection, body: _Body) -> None:
        if not self._is_resumed:
            await body.begin()
        async with aclosing(self._execution.results()) as frames:
            async for frame in frames:
                if connection.is_behind:
                    await connection.keep_up(self._limits.stall_seconds)
                await body.write(self._framing.result(frame.body, frame.sequence))
                self._spoke_at = time.monotonic()
                self._subscribers.delivered(self._subscriber, frame)

    async def _say(self, body: _Body, error: GraphQLError) -> None:
        await body.write(self._framing.result(encoded_errors([error]), None))

    def _silent_seconds(self) -> float:
        return time.monotonic() - self._spoke_at

    def _seconds_left(self) -> float:
        return float("inf") if self._expires_at is None else self._expires_at - time.time()

    def _interruption(self, end: _End) -> GraphQLError:
        return interrupted(expired=end is _End.EXPIRED, resume_after=self._subscriber.sequence)


class _Body:
    """The head and the chunks of a response."""

    __slots__ = ("_beginning", "_framing", "_send", "has_begun")

    def __init__(self, send: Send, framing: Framing) -> None:
        self._send = send
        self._framing = framing
        self._beginning = asyncio.Lock()
        self.has_begun = False

    async def begin(self) -> None:
        """Send the head and the opening, unless that was done."""
        # A result and the end of the time for 204 may come together.
        async with self._beginning:
            if not self.has_begun:
                await self._head(200, {"content-type": self._framing.content_type, **_HEADERS})
                await self._put(self._framing.opening)
                self.has_begun = True

    async def leave_empty(self) -> None:
        """Answer that there is nothing more."""
        await self._head(204, _HEADERS)
        await self._put(b"", is_last=True)

    async def write(self, chunk: bytes) -> None:
        """Send a chunk, after the head."""
        if not self.has_begun:
            await self.begin()
        await self._put(chunk)

    async def end(self, chunk: bytes) -> None:
        """Send the last chunk."""
        if not self.has_begun:
            await self.begin()
        await self._put(chunk, is_last=True)

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _put(self, chunk: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": not is_last})


async def _left(receive: Receive) -> None:
    """Return once the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
