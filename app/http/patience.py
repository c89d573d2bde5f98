"""HTTP connections of which nobody keeps one open for nothing."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.room import ServerConfig, network_of

__all__ = ["PatientProtocol"]

_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """As uvicorn's, but a head must come, be whole in time and have an end.

    uvicorn ends connections that are idle between requests, but waits for ever for a first
    request, or for the rest of one's head, however long it grows: a few thousand such
    connections would leave it without file descriptors, and one without memory. While a
    connection has no request it is in the lobby, where it makes way for others, and what has
    come of its head counts against the budget of heads.
    """

    head_seconds_max: float = 10.0
    #: What came in one piece is taken whole, as it is held already.
    head_bytes_max: int = 65_536
    #: A field costs a hundred times the four bytes that it may have.
    head_fields_max: int = 128
    #: Requests that may wait on a connection for the answer to an earlier one.
    pipelined_max: int = 16

    def __init__(self, config: ServerConfig, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._room = config.room
        self._network = ""
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_body = False
        self._is_upgraded = False

    def connection_made(self, transport: Any) -> None:
        """Wait for a head."""
        super().connection_made(transport)
        self._network = network_of(self.client[0]) if self.client else ""
        self._enter()
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what comes, but no more of a head than one may have."""
        if self._patience is not None and not self._is_in_body:
            self._head_bytes += len(data)
            self._room.heads.hold(self, self._head_bytes, self._make_way)
        super().data_received(data)
        if self._patience is not None:
            if self._head_bytes > self.head_bytes_max:
                self._stop_waiting()
                self.transport.write(_TOO_LONG)
                self.transport.close()
        elif self._is_idle and self.timeout_keep_alive_task is None:
            # Empty lines begin no request, and the rest of a body that was answered early is none; uvicorn takes both
            # for one, and waits for ever.
            self._await_head()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        if self._patience is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Raises ValueError, which ends the connection, where there are too many.

        Fields behind a body are left out: who stands before us may have looked at those before it alone.
        """
        if self._is_in_body:
            return
        if len(self.headers) >= self.head_fields_max:
            raise ValueError("too many fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there; its body is waited for by who reads it, but that of an upgrade, which nobody reads."""
        if len(self.pipeline) >= self.pipelined_max:
            raise ValueError("too many requests at once")
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self._stop_waiting()
            self._room.idle.leave(self, self._network)
            self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        super().on_message_complete()
        self._is_in_body = False

    def on_response_complete(self) -> None:
        """Back to the lobby, unless a request is waiting; also where the client has yet to read the answer."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last:
            self._enter()

    def handle_websocket_upgrade(self) -> None:
        """It is an HTTP connection no longer."""
        self._is_upgraded = True
        self._leave()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Not into the answer to an earlier request."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._leave()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being answered, and the next may come."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not (is_answering or self.pipeline or self._is_upgraded or self.transport.is_closing())

    def _enter(self) -> None:
        self._room.idle.enter(self, self._network, self._make_way)

    def _leave(self) -> None:
        self._stop_waiting()
        self._room.idle.leave(self, self._network)

    def _make_way(self) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.close()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(self.head_seconds_max, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._room.heads.release(self)

    def _give_up(self) -> None:
        # There is nothing to answer.
        self.transport.close()
