"""Many lightweight graphql-transport-ws clients in one process: the load generator must not be the limit."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

__all__ = ["Watcher", "open_watchers"]

#: Opened at once; the listener's backlog is larger.
OPENED_AT_ONCE: Final = 50
_HELLO: Final = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
_TEXT: Final = 0x1
_PING: Final = 0x9
_PING_HEAD: Final = b"\x89"
_COMPLETE: Final = b'"complete"}'


class Watcher(asyncio.Protocol):
    """One socket. `heard` is called with each text frame and the moment (seconds since the epoch) it came.

    After `record`, what comes is stamped and kept, and is parsed by `replay`: parsing 500 frames takes a client of one
    process as long as sending them takes the server.
    """

    transport: asyncio.Transport

    def __init__(self, heard: Callable[[bytes, float], None]) -> None:
        self._heard = heard
        self._buffer = b""
        self._is_open = False
        self._kept: list[tuple[float, bytes]] | None = None
        self.acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the socket, and at once for the acknowledgement."""
        # uvloop's is none by its type.
        self.transport = cast(asyncio.Transport, transport)
        port = self.transport.get_extra_info("peername")[1]
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(_HELLO.format(port=port, key=key).encode())

    def data_received(self, data: bytes) -> None:
        """Take whole frames; the server's are never masked, and never in parts."""
        now = time.time()
        if self._kept is None or data[:1] == _PING_HEAD:
            self._parse(data, now)
        else:
            self._kept.append((now, data))

    def _parse(self, data: bytes, now: float) -> None:
        self._buffer += data
        if not self._is_open:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(head.decode())
            self._is_open, self._buffer = True, rest
            self.send({"type": "connection_init"})
        while (frame := self._take()) is not None:
            kind, payload = frame
            if kind == _PING:
                self._write(0x8A, payload)
            elif kind == _TEXT:
                self._on_text(payload, now)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits any longer."""
        if not self.acknowledged.done():
            self.acknowledged.set_exception(RuntimeError("the server closed the socket"))

    def send(self, message: Any) -> None:
        """One text frame."""
        self._write(0x81, msgspec.json.encode(message))

    def subscribe(self, operation_id: str, query: str, variables: dict[str, Any]) -> None:
        """Begin an operation."""
        self.send({"id": operation_id, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    def record(self) -> None:
        """From now on, only stamp what comes."""
        self._kept = []

    def replay(self) -> None:
        """Parse what was recorded."""
        kept, self._kept = self._kept or [], None
        for now, data in kept:
            self._parse(data, now)

    @property
    def has_ended(self) -> bool:
        """Whether the server's `complete` has been recorded: its last message on the socket."""
        return self._kept is not None and self._kept[-1:] != [] and self._kept[-1][1].endswith(_COMPLETE)

    def close(self) -> None:
        """Without ceremony."""
        self.transport.abort()

    def _on_text(self, payload: bytes, now: float) -> None:
        if not self.acknowledged.done():
            if payload == b'{"type":"connection_ack"}' or b'"connection_ack"' in payload:
                self.acknowledged.set_result(None)
            return
        self._heard(payload, now)

    def _write(self, head: int, payload: bytes) -> None:
        # Masked by zeros, which change nothing.
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        self.transport.write(bytes([head]) + length + b"\0\0\0\0" + payload)

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]


async def open_watchers(port: int, number: int, heard: Callable[[bytes, float], None]) -> list[Watcher]:
    """So many acknowledged sockets."""
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    while len(watchers) < number:
        opened = await asyncio.gather(
            *(
                loop.create_connection(lambda: Watcher(heard), "127.0.0.1", port)
                for _ in range(min(OPENED_AT_ONCE, number - len(watchers)))
            )
        )
        fresh = [watcher for _, watcher in opened]
        await asyncio.gather(*(watcher.acknowledged for watcher in fresh))
        watchers += fresh
    return watchers
