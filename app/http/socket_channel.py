"""Reads and writes the frames of a WebSocket as objects, with backpressure from the client."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from app.http.connections import connection_of
from app.http.socket_connection import SocketConnection, acknowledge
from schema.execution import Rejected

__all__ = ["Close", "Frame", "Gone", "SocketChannel"]

_REASON_BYTES_MAX: Final = 120
_logger = logging.getLogger("seatsaga.socket")

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """The socket is to be closed, and why."""

    code: int
    reason: str


class Gone:
    """The client has disconnected, or the server is stopping."""


class SocketChannel:
    """An accepted socket. A send waits for the client to read, and raises Stalled after `stall_seconds`."""

    def __init__(self, websocket: WebSocket, *, stall_seconds: float) -> None:
        self._websocket = websocket
        self._connection = connection_of(websocket.scope)
        self._stall_seconds = stall_seconds

    async def receive(self) -> Frame | Close | Gone:
        """The next frame; Close if the received message is not a valid frame."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return Gone()
        text = message.get("text")
        if text is None:
            return Close(4400, "A frame must be text")
        try:
            frame = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return Close(4400, "A frame must be valid JSON")
        return frame if isinstance(frame, dict) else Close(4400, "A frame must be an object")

    async def acknowledge(self) -> None:
        """Acknowledge the connection_init of an authenticated client."""
        acknowledge(self._websocket.scope)
        await self.send({"type": "connection_ack"})

    async def send(self, frame: Frame) -> None:
        """Send `frame`. Raises Stalled, and WebSocketDisconnect if the client has disconnected."""
        await self.send_text(msgspec.json.encode(frame))

    async def send_text(self, text: bytes) -> None:
        """Send a frame that is already serialized; see `send`."""
        if self._connection.is_behind:
            await self._connection.keep_up(self._stall_seconds)
        await self._put(text)

    def send_now(self, text: bytes) -> bool:
        """Send it if the client has room for it and the socket is open; otherwise `send_text` waits, or raises."""
        if not isinstance(self._connection, SocketConnection) or self._connection.is_behind:
            return False
        try:
            self._connection.write(text)
        except WebSocketDisconnect:
            return False
        return True

    async def _put(self, text: bytes) -> None:
        """Raises WebSocketDisconnect also if the server closed the socket while an operation was running."""
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnect(1006)
        if isinstance(self._connection, SocketConnection):
            # Past the middlewares, which change nothing here, and past uvicorn's own copy of the text.
            self._connection.write(text)
        else:
            await self._websocket.send_text(text.decode())

    async def send_errors(self, operation_id: str, *errors: Any) -> None:
        """End the operation with `errors`, as GraphQL formats them."""
        await self.send({"id": operation_id, "type": "error", "payload": errors})

    async def reject(self, operation_id: str, rejected: Rejected) -> None:
        """End an operation that never ran."""
        await self.send_errors(operation_id, *(error.formatted for error in rejected.errors))

    async def refuse(self, operation_id: str, message: str, code: str) -> None:
        """End an operation that was invalid or failed."""
        await self.send_errors(operation_id, {"message": message, "extensions": {"code": code}})

    async def say_last(self, frames: list[Frame]) -> None:
        """Send the last frames to a client that did not catch up in time; then the connection is cut."""
        self._connection.cut_soon()
        try:
            for frame in frames:
                await self._put(msgspec.json.encode(frame))
        except WebSocketDisconnect:
            _logger.debug("The client disconnected before the last frame was sent.")

    async def close(self, close: Close) -> None:
        """Close it, unless it is closed."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                reason = close.reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
                await self._websocket.close(close.code, reason)
            except (RuntimeError, WebSocketDisconnect):
                _logger.debug("The client disconnected before the socket was closed.")
