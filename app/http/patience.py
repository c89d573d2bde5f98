"""HTTP connections with limits on idle clients and on incomplete request heads.

Alternatives: uvicorn does not have these limits yet (https://github.com/Kludex/uvicorn/issues/157). A reverse proxy
has them, but a server may run without one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.room import ServerConfig, network_of

__all__ = ["PatientProtocol"]

_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits on the time and the size of a request head.

    uvicorn closes connections that are idle between requests. But it waits without limit for the
    first request and for the rest of a head, of any size: a few thousand such connections would use
    up the file descriptors, and a single one the memory. Here, a connection without a request is in
    the lobby, where it makes way for others, and the bytes of its incomplete head count against the
    budget of heads.
    """

    head_seconds_max: float = 10.0
    #: A head that arrives in one piece is accepted whole, as it is in memory already.
    head_bytes_max: int = 65_536
    #: A field of only four bytes takes a hundred times as much memory.
    head_fields_max: int = 128
    #: Requests on one connection that may wait for the answer to an earlier one.
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
        """Parse the data; end the connection if its head is too large."""
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
            # Empty lines do not begin a request, and neither does the rest of a body that was answered early. uvicorn
            # takes both for a request, and waits without limit.
            self._await_head()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        if self._patience is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Raises ValueError, which ends the connection, if there are too many fields.

        Trailer fields behind a body are dropped: a proxy before us may have checked only the fields before it.
        """
        if self._is_in_body:
            return
        if len(self.headers) >= self.head_fields_max:
            raise ValueError("too many fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete. The application waits for the body; the body of an upgrade, which nobody reads, is
        waited for here.
        """
        if len(self.pipeline) >= self.pipelined_max:
            raise ValueError("too many requests at once")
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self._stop_waiting()
            self._room.idle.leave(self, self._network)
            self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next data is a head."""
        super().on_message_complete()
        self._is_in_body = False

    def on_response_complete(self) -> None:
        """Return to the lobby unless a request is waiting, even if the client has not read the answer yet."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last:
            self._enter()

    def handle_websocket_upgrade(self) -> None:
        """This is no longer an HTTP connection."""
        self._is_upgraded = True
        self._leave()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Send it unless an answer to an earlier request is under way."""
        if self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._leave()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being answered and the next one may arrive."""
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
