"""graphql-transport-ws on one socket: a session with many independent operations.

::

    client ── connection_init ──▶ ack            within a time limit, once, with the bearer token
           ── subscribe id ─────▶ next* complete | error     each in a task, with a context of its own
           ── complete id ──────▶ its generator ends, `finally` runs

    1000 no operation for a while
    4400 invalid frame          4401 subscribe before ack   4403 token refused or expired
    4408 no init in time        4409 id in use              4429 a second init
    1009 a frame too large      1012 the server stops       1013 the client does not read its results,
         no place is free, or the token cannot be checked now

An operation that cannot be run ends with `error`; the socket's other operations continue. A client
that does not read gets an `error` SLOW_CONSUMER for each of its operations, with the sequence to
resume from, and then 1013. Source of the protocol:
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from app.http.auth import Authenticator, Caller, Unauthenticated, token_of_header, token_of_payload
from app.http.connections import Stalled, TransportLimits
from app.http.operations import operation_of
from app.http.places import Leave, Places
from app.http.request_id import note_of
from app.http.room import network_of
from app.http.service import OperationService
from app.http.socket_channel import Close, Frame, Gone, SocketChannel
from app.http.socket_operation import SocketOperation
from schema.execution import Rejected

__all__ = ["SocketSession"]

_CROWDED: Final = Close(1013, "Too many sockets wait for their connection_init; try again later")
_OPENING_LATE: Final = Close(4408, "Connection initialisation timeout")
_UNCHECKED: Final = Close(1013, "The token could not be checked in time; try again later")
_WITHOUT_ID: Final = Close(4400, "`id` must be a string that is not empty")
_EXPIRED: Final = Close(4403, "Forbidden: the token has expired")
_SLOW: Final = Close(1013, "SLOW_CONSUMER: the socket is not read; subscribe again with after")


class SocketSession:
    """One accepted socket."""

    def __init__(
        self,
        websocket: WebSocket,
        service: OperationService,
        *,
        authenticate: Authenticator,
        limits: TransportLimits,
        places: Places,
    ) -> None:
        self._websocket = websocket
        self._service = service
        self._authenticate = authenticate
        self._limits = limits
        self._places = places
        self._network = network_of(websocket.client.host) if websocket.client else ""
        #: Gives back the socket's place, which it takes at the acknowledgement.
        self._leave: Leave | None = None
        self._channel = SocketChannel(websocket, stall_seconds=limits.stall_seconds)
        self._note = note_of(websocket.scope)
        self._operations: dict[str, SocketOperation] = {}
        #: The limit of the wait for frames; moved to now if the client is stalled or displaced.
        self._deadline: asyncio.Timeout | None = None
        #: The close that is sent at the deadline.
        self._late = _OPENING_LATE
        self._idle = Close(1000, f"No operation for {limits.idle_seconds:g} s; connect again when there is one")
        self._is_stalled = False
        #: By the loop's clock: when the token expires, and when an operation last ran.
        self._expires_at = float("inf")
        self._idle_since = 0.0

    async def serve(self) -> None:
        """Serve the socket until either side ends it. All its operations have ended by then."""
        left: list[SocketOperation] = []
        try:
            ended = await self._initialise()
            if isinstance(ended, Caller):
                ended = await self._attend(ended)
        except Stalled:
            ended = _SLOW
        except WebSocketDisconnect:
            ended = Gone()
        finally:
            left, self._operations = list(self._operations.values()), {}
            await asyncio.gather(*(operation.end() for operation in left))
            if self._leave is not None:
                self._leave()
        if ended is _SLOW:
            await self._channel.say_last([slow for operation in left if (slow := operation.slow) is not None])
        if isinstance(ended, Close):
            await self._channel.close(ended)

    # ------------------------------------------------------------------ init

    async def _initialise(self) -> Caller | Close | Gone:
        """Wait for connection_init and authenticate the caller; meanwhile the socket is in the lobby."""
        self._places.opening.enter(self, self._network, self._make_way)
        try:
            async with asyncio.timeout(self._limits.init_seconds) as self._deadline:
                while True:
                    frame = await self._channel.receive()
                    if not isinstance(frame, dict):
                        return frame
                    match frame.get("type"):
                        case "connection_init":
                            # It came in time; what is slow from here on is not the client.
                            self._end_at(asyncio.get_running_loop().time() + self._limits.init_seconds, _UNCHECKED)
                            return await self._acknowledge(frame.get("payload"))
                        case "subscribe":
                            return Close(4401, "Unauthorized")
                        case "complete":
                            pass
                        case _:
                            close = await self._chat(frame)
                            if close is not None:
                                return close
        except TimeoutError:
            return self._late
        finally:
            self._deadline = None
            self._places.opening.leave(self, self._network)

    def _make_way(self) -> None:
        """The lobby is full, and displaces this socket."""
        self._end_at(asyncio.get_running_loop().time(), _CROWDED)

    async def _acknowledge(self, payload: object) -> Caller | Close:
        if not isinstance(payload, dict | None):
            return Close(4400, "The payload of connection_init must be an object")
        token = token_of_payload(payload or {})
        if token is None:
            token = token_of_header(self._websocket.headers.get("authorization"))
        caller = token if isinstance(token, Unauthenticated) else await self._authenticate(token)
        if isinstance(caller, Unauthenticated):
            return Close(caller.close_code, caller.close_reason)
        self._note.asked_by(caller.viewer)
        place = self._places.take_for_socket(caller.viewer, self._network)
        if isinstance(place, str):
            return Close(1013, place)
        self._leave = place
        await self._channel.acknowledge()
        return caller

    # ------------------------------------------------------------------ attend

    async def _attend(self, caller: Caller) -> Close | Gone:
        """Take frames until the socket ends, the token expires, or the socket is idle for too long."""
        loop = asyncio.get_running_loop()
        self._idle_since = loop.time()
        if caller.expires_at is not None:
            self._expires_at = loop.time() + caller.expires_at - time.time()
        try:
            async with asyncio.timeout(None) as self._deadline:
                self._end_in_time()
                while True:
                    frame = await self._channel.receive()
                    if not isinstance(frame, dict):
                        return frame
                    close = await self._take(frame, caller)
                    if close is not None:
                        return close
        except TimeoutError:
            if self._late is self._idle:
                self._places.idle_closed += 1
            return _SLOW if self._is_stalled else self._late
        finally:
            self._deadline = None

    def _end_in_time(self) -> None:
        """Limit the wait to the token's expiry and, without an operation, to the idle limit."""
        idle_until = float("inf") if self._operations else self._idle_since + self._limits.idle_seconds
        if self._expires_at <= idle_until:
            self._end_at(self._expires_at, _EXPIRED)
        else:
            self._end_at(idle_until, self._idle)

    def _end_at(self, when: float, late: Close) -> None:
        """End the wait for frames at `when`, with `late`.

        The reason is stored now: the clock cannot tell it afterwards, as uvloop's timers fire up to half a
        millisecond early.
        """
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(None if when == float("inf") else when)
            self._late = late

    async def _take(self, frame: Frame, caller: Caller) -> Close | None:
        match frame.get("type"):
            case "subscribe":
                return await self._subscribe(frame, caller)
            case "complete":
                operation_id = frame.get("id")
                if not isinstance(operation_id, str) or not operation_id:
                    return _WITHOUT_ID
                running = self._operations.get(operation_id)
                if running is not None:
                    self._forget(running.id, running)
                    running.cancel()
            case "connection_init":
                return Close(4429, "Too many initialisation requests")
            case _:
                return await self._chat(frame)
        return None

    async def _chat(self, frame: Frame) -> Close | None:
        """Answer a ping and take a pong, which may come at any time; anything else is no frame of the protocol."""
        kind, payload = frame.get("type"), frame.get("payload")
        if kind not in ("ping", "pong"):
            return Close(4400, f"Unknown message type {kind!r}")
        if not isinstance(payload, dict | None):
            return Close(4400, f"The payload of {kind} must be an object")
        if kind == "ping":
            await self._channel.send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
        return None

    async def _subscribe(self, frame: Frame, caller: Caller) -> Close | None:
        operation_id = frame.get("id")
        if not isinstance(operation_id, str) or not operation_id:
            return _WITHOUT_ID
        if operation_id in self._operations:
            return Close(4409, f"Subscriber for {operation_id} already exists")
        operation = operation_of(frame.get("payload"))
        if isinstance(operation, str):
            await self._channel.refuse(operation_id, operation, "BAD_USER_INPUT")
        elif len(self._operations) >= self._limits.operations_max:
            limit = self._limits.operations_max
            beyond = Rejected.beyond(f"At most {limit} operations may run on one socket.", limit=limit)
            await self._channel.reject(operation_id, beyond)
        else:
            self._operations[operation_id] = SocketOperation(
                operation_id,
                operation,
                caller.viewer,
                service=self._service,
                channel=self._channel,
                note=self._note.operation_note(),
                path=self._websocket.scope["path"],
                forget=self._forget,
                stalled=self._stall,
            )
            self._end_in_time()
        return None

    def _forget(self, operation_id: str, operation: SocketOperation) -> None:
        if self._operations.get(operation_id) is operation:
            del self._operations[operation_id]
            self._idle_since = asyncio.get_running_loop().time()
            if not self._is_stalled:
                self._end_in_time()

    def _stall(self) -> None:
        """The client does not read, so no more frames are taken from it."""
        self._is_stalled = True
        self._end_at(asyncio.get_running_loop().time(), _SLOW)
