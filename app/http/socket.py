"""graphql-transport-ws on one socket: a session, and many operations in it that do not harm one another.

::

    client ── connection_init ──▶ ack            within a time, once, with the bearer token
           ── subscribe id ─────▶ next* complete | error     each in a task, with a context of its own
           ── complete id ──────▶ its generator ends, `finally` runs

    4400 a frame that is none   4401 subscribe before ack   4403 token refused, or it ran out
    4408 no init in time        4409 id in use              4429 a second init
    1009 a frame too large      1012 the server stops       1013 the client does not read what it asked for
         or whether the token is right cannot be said just now

An operation that cannot be run ends with `error`; the socket's others go on. A client that does
not read gets an `error` SLOW_CONSUMER for each of its operations, with the sequence to go on
from, and then 1013. Source of the protocol:
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from app.http.auth import Authenticator, Caller, Unauthenticated, token_of_header, token_of_payload
from app.http.connections import Stalled, TransportLimits, connection_of
from app.http.context import ContextFactory
from app.http.limits import Admit
from app.http.operations import Operation, operation_of
from app.http.request_id import RequestNote, note_of
from app.http.subscribers import Subscriber, Subscribers
from app.observability.request_lines import RequestFinished
from domain.clock import wall_now
from domain.errors import SlowConsumerError
from domain.ids import new_id
from schema.errors import feed_error
from schema.execution import Executable, Execution, Rejected

__all__ = ["SocketSession"]

_REASON_BYTES_MAX: Final = 120
_logger = logging.getLogger("seatsaga.socket")


@dataclass(frozen=True, slots=True)
class _Close:
    """The socket is to be closed, and why."""

    code: int
    reason: str


class _Gone:
    """The client has gone, or the server is going."""


_Frame = dict[str, Any]
_SLOW: Final = _Close(1013, "SLOW_CONSUMER: the socket is not read; subscribe again with after")


@dataclass(slots=True)
class _Running:
    """An operation under way on the socket."""

    task: asyncio.Task[None] | None = None
    subscriber: Subscriber | None = None

    def cancel(self) -> None:
        """End it; its generator is closed."""
        if self.task is not None:
            self.task.cancel()


class SocketSession:
    """One accepted socket."""

    def __init__(
        self,
        websocket: WebSocket,
        schema: Executable,
        *,
        context_for: ContextFactory,
        authenticate: Authenticator,
        limits: TransportLimits,
        subscribers: Subscribers,
        admit: Admit,
        hear: Callable[[object], None],
    ) -> None:
        self._websocket = websocket
        self._schema = schema
        self._context_for = context_for
        self._authenticate = authenticate
        self._limits = limits
        self._subscribers = subscribers
        self._admit = admit
        self._hear = hear
        self._connection = connection_of(websocket.scope)
        self._request_id = note_of(websocket.scope).request_id
        self._operations: dict[str, _Running] = {}
        #: Of the wait for frames; an operation that finds the client stalled ends it early.
        self._deadline: asyncio.Timeout | None = None
        self._stalled = False

    async def serve(self) -> None:
        """Serve the socket until either side ends it; no operation of it outlives it."""
        left: dict[str, _Running] = {}
        try:
            ended = await self._initialise()
            if isinstance(ended, Caller):
                ended = await self._attend(ended)
        except Stalled:
            ended = _SLOW
        except WebSocketDisconnect:
            ended = _Gone()
        finally:
            left = await self._end_operations()
        if ended is _SLOW:
            await self._say_who_was_slow(left)
        if isinstance(ended, _Close):
            await self._close(ended)

    # ------------------------------------------------------------------ init

    async def _initialise(self) -> Caller | _Close | _Gone:
        """Wait for connection_init, and who is asking."""
        try:
            async with asyncio.timeout(self._limits.init_seconds):
                while True:
                    frame = await self._receive()
                    if not isinstance(frame, dict):
                        return frame
                    match frame.get("type"):
                        case "connection_init":
                            return await self._acknowledge(frame.get("payload"))
                        case "ping":
                            await self._send(_pong(frame))
                        case "pong":
                            pass
                        case _:
                            return _Close(4401, "Unauthorized")
        except TimeoutError:
            return _Close(4408, "Connection initialisation timeout")

    async def _acknowledge(self, payload: object) -> Caller | _Close:
        if not isinstance(payload, dict | None):
            return _Close(4400, "The payload of connection_init must be an object")
        token = token_of_payload(payload or {})
        if token is None:
            token = token_of_header(self._websocket.headers.get("authorization"))
        caller = token if isinstance(token, Unauthenticated) else await self._authenticate(token)
        if isinstance(caller, Unauthenticated):
            return _Close(caller.close_code, caller.close_reason)
        await self._send({"type": "connection_ack"})
        return caller

    # ------------------------------------------------------------------ attend

    async def _attend(self, caller: Caller) -> _Close | _Gone:
        """Take frames until the socket ends or the caller's token does."""
        left = None if caller.expires_at is None else caller.expires_at - time.time()
        try:
            async with asyncio.timeout(left) as self._deadline:
                while True:
                    frame = await self._receive()
                    if not isinstance(frame, dict):
                        return frame
                    close = await self._take(frame, caller)
                    if close is not None:
                        return close
        except TimeoutError:
            return _SLOW if self._stalled else _Close(4403, "Forbidden: the token has expired")

    async def _take(self, frame: _Frame, caller: Caller) -> _Close | None:
        match frame.get("type"):
            case "subscribe":
                return await self._subscribe(frame, caller)
            case "complete":
                running = self._operations.pop(str(frame.get("id")), None)
                if running is not None:
                    running.cancel()
            case "ping":
                await self._send(_pong(frame))
            case "pong":
                pass
            case "connection_init":
                return _Close(4429, "Too many initialisation requests")
            case other:
                return _Close(4400, f"Unknown message type {other!r}")
        return None

    async def _subscribe(self, frame: _Frame, caller: Caller) -> _Close | None:
        operation_id = frame.get("id")
        if not isinstance(operation_id, str) or not operation_id:
            return _Close(4400, "`id` must be a string that is not empty")
        if operation_id in self._operations:
            return _Close(4409, f"Subscriber for {operation_id} already exists")
        operation = operation_of(frame.get("payload"))
        if isinstance(operation, str):
            await self._refuse(operation_id, operation, "BAD_USER_INPUT")
        elif len(self._operations) >= self._limits.operations_max:
            limit = self._limits.operations_max
            beyond = Rejected.beyond(f"At most {limit} operations may run on one socket.", limit=limit)
            await self._reject(operation_id, beyond)
        else:
            running = self._operations[operation_id] = _Running()
            running.task = asyncio.create_task(self._run(operation_id, operation, caller, running), name="operation")
        return None

    # ------------------------------------------------------------------ operations

    async def _run(self, operation_id: str, operation: Operation, caller: Caller, running: _Running) -> None:
        note = RequestNote(self._request_id, operation.name)
        began, status = time.perf_counter(), 200
        try:
            status = await self._answer(operation_id, operation, caller, note, running)
        except WebSocketDisconnect:
            # The session finds out by itself.
            status = 499
        except Stalled:
            status = 499
            self._stalled = True
            if self._deadline is not None:
                self._deadline.reschedule(asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            status = 499
            raise
        except Exception:
            status = 500
            error_id = new_id()
            _logger.exception("Operation failed, error %s.", error_id)
            self._forget(operation_id, running)
            await self._refuse(operation_id, f"Internal error {error_id}.", "INTERNAL")
        finally:
            if not self._stalled:
                self._forget(operation_id, running)
            self._hear(
                RequestFinished(
                    at=wall_now(),
                    request_id=note.request_id,
                    method="WS",
                    path=self._websocket.scope["path"],
                    status=status,
                    seconds=time.perf_counter() - began,
                    operation=note.operation,
                    correlation_ids=tuple(note.correlation_ids),
                )
            )

    async def _answer(
        self, operation_id: str, operation: Operation, caller: Caller, note: RequestNote, running: _Running
    ) -> int:
        """Send every result, then that it is complete."""
        execution = self._schema.begin(
            operation.query,
            variables=operation.variables,
            name=operation.name,
            context=self._context_for(caller.viewer, note),
        )
        execution = self._admit(caller.viewer, execution)
        if isinstance(execution, Execution) and execution.kind is OperationType.SUBSCRIPTION:
            subscriber = self._subscribers.enter(caller.viewer, "websocket")
            if isinstance(subscriber, Subscriber):
                running.subscriber = subscriber
                try:
                    await self._send_all(operation_id, execution, running)
                finally:
                    self._subscribers.leave(subscriber)
                return 200
            execution = subscriber
        if isinstance(execution, Rejected):
            self._forget(operation_id, running)
            await self._reject(operation_id, execution)
            return 400
        await self._send_all(operation_id, execution, running)
        return 200

    async def _send_all(self, operation_id: str, execution: Execution, running: _Running) -> None:
        """Every result; the generator is closed whatever happens."""
        opening = f'{{"id":{msgspec.json.encode(operation_id).decode()},"type":"next","payload":'
        async with aclosing(execution.results()) as frames:
            async for frame in frames:
                await self._send_text(f"{opening}{frame.body.decode()}}}")
                if running.subscriber is not None:
                    self._subscribers.delivered(running.subscriber, frame)
        # First, so that the client may use the id again as soon as it hears of the end.
        self._forget(operation_id, running)
        await self._send({"id": operation_id, "type": "complete"})

    def _forget(self, operation_id: str, running: _Running) -> None:
        if self._operations.get(operation_id) is running:
            del self._operations[operation_id]

    async def _end_operations(self) -> dict[str, _Running]:
        """End all that still run, and answer which they were."""
        left, self._operations = self._operations, {}
        tasks = [running.task for running in left.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return left

    async def _say_who_was_slow(self, left: dict[str, _Running]) -> None:
        """Where each operation is to go on from, for a client that reads after all."""
        self._connection.cut_soon()
        try:
            for operation_id, running in left.items():
                if running.subscriber is not None:
                    error = feed_error(SlowConsumerError(running.subscriber.sequence)).formatted
                    message = {"id": operation_id, "type": "error", "payload": [error]}
                    # It has had its time to catch up.
                    await self._websocket.send_text(msgspec.json.encode(message).decode())
        except WebSocketDisconnect:
            _logger.debug("The socket was gone before it was told.")

    # ------------------------------------------------------------------ frames

    async def _receive(self) -> _Frame | _Close | _Gone:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return _Gone()
        text = message.get("text")
        if text is None:
            return _Close(4400, "A frame must be text")
        try:
            frame = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return _Close(4400, "A frame must be valid JSON")
        return frame if isinstance(frame, dict) else _Close(4400, "A frame must be an object")

    async def _reject(self, operation_id: str, rejected: Rejected) -> None:
        errors = [error.formatted for error in rejected.errors]
        await self._send({"id": operation_id, "type": "error", "payload": errors})

    async def _refuse(self, operation_id: str, message: str, code: str) -> None:
        errors = [{"message": message, "extensions": {"code": code}}]
        await self._send({"id": operation_id, "type": "error", "payload": errors})

    async def _send(self, frame: _Frame) -> None:
        await self._send_text(msgspec.json.encode(frame).decode())

    async def _send_text(self, text: str) -> None:
        if self._connection.is_behind:
            await self._connection.keep_up(self._limits.stall_seconds)
        await self._websocket.send_text(text)

    async def _close(self, close: _Close) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(
                    close.code, close.reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
                )
            except (RuntimeError, WebSocketDisconnect):
                _logger.debug("The socket was gone before it was closed.")


def _pong(ping: _Frame) -> _Frame:
    return {"type": "pong", **({"payload": ping["payload"]} if "payload" in ping else {})}
