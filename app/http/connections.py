"""The connection behind a request: backpressure, the server's stop, and cutting a client that does not read.

uvicorn waits without limit for a client to read, and does not tell an application in the middle
of a stream that the server stops. This module extends uvicorn's protocols with the functions that
a long stream needs. The stream finds them in an extension of the ASGI scope::

    is_behind        the client has not read the written data, and the buffer is full
    is_received      the request has come whole (HTTP)
    keep_up()        waits until the client has read; raises Stalled after a limit
    cut_soon()       gives the client LINGER_SECONDS to read the last data, then cuts the connection
    stopping         set once the server stops (HTTP; uvicorn closes a WebSocket with 1012)

A client that vanishes without closing (a closed laptop) acknowledges no more data. The kernel ends
the connection after SILENCE_SECONDS_MAX if data is unacknowledged, and heartbeats make sure that
some data is always sent.

Alternative: sse-starlette limits the time of a send and hears of the server's stop. But it serves SSE alone, neither
multipart nor sockets.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from starlette.types import Scope

from app.http.patience import PatientProtocol

__all__ = [
    "EXTENSION",
    "LINGER_SECONDS",
    "ClientConnection",
    "HttpConnection",
    "Stalled",
    "TransportLimits",
    "connection_of",
    "in_time",
    "let_go",
]

#: Unacknowledged data may be on its way for so long.
SILENCE_SECONDS_MAX: Final = 15
#: Fields that concern the offer of another protocol alone.
OFFERS: Final = {b"connection", b"upgrade", b"http2-settings"}
#: The time that a client gets to read the last data before the connection is cut.
LINGER_SECONDS: Final = 5.0
EXTENSION: Final = "seatsaga.connection"


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """The limits of one connection.

    `init_seconds`: from the opening of a socket to its connection_init. `operations_max`: concurrent
    operations on one socket. `idle_seconds`: how long a socket without an operation is kept.
    `stall_seconds`: how long a client that is behind has to catch up. `heartbeat_seconds`: the
    silence on an HTTP stream after which a heartbeat is sent.
    """

    init_seconds: float = 10.0
    operations_max: int = 100
    idle_seconds: float = 300.0
    stall_seconds: float = 10.0
    heartbeat_seconds: float = 10.0


class Stalled(Exception):
    """The client did not read its results in time."""


class ClientConnection(Protocol):
    """The functions that a stream may call on its connection."""

    stopping: asyncio.Event

    @property
    def is_behind(self) -> bool:
        """Whether the client has so much unread data that nothing more should be written."""
        ...

    @property
    def is_received(self) -> bool:
        """Whether all of the request's body has come, so that nobody waits for it. False if that is not known."""
        ...

    async def keep_up(self, seconds: float) -> None:
        """Wait until the client has read. Raises Stalled if it has not within `seconds`."""
        ...

    def cut_soon(self) -> None:
        """Cut the connection after LINGER_SECONDS, even if the client has not read the last data."""
        ...


def connection_of(scope: Scope) -> ClientConnection:
    """The connection of this request or socket."""
    return cast(ClientConnection, scope.get("extensions", {}).get(EXTENSION) or _Unknown())


class _Unknown:
    """A connection of another server than ours: it is assumed to keep up."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    is_behind = False
    is_received = False

    async def keep_up(self, seconds: float) -> None:
        pass

    def cut_soon(self) -> None:
        pass


class HttpConnection(PatientProtocol):
    """uvicorn's HTTP connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping = asyncio.Event()
        self._segment = b""
        self._is_offer = False

    @property
    def is_behind(self) -> bool:
        """See ClientConnection."""
        return self.flow.write_paused

    @property
    def is_received(self) -> bool:
        """See ClientConnection. Bodies come in order, so it holds for an earlier request of a pipeline, too."""
        return not self.cycle.more_body

    async def keep_up(self, seconds: float) -> None:
        """See ClientConnection."""
        await in_time(self.flow.drain, seconds)

    def cut_soon(self) -> None:
        """See ClientConnection."""
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    # ------------------------------------------------------------------ as uvicorn calls it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _bound_silence(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        let_go(self.scope)

    def data_received(self, data: bytes) -> None:
        self._segment = data
        super().data_received(data)
        self._segment = b""

    def handle_websocket_upgrade(self) -> None:
        upgrade = sys.exception()
        super().handle_websocket_upgrade()
        # From here the WebSocket protocol has the connection; connection_lost is not called on this one.
        let_go(self.scope)
        del self.parser
        if isinstance(upgrade, HttpParserUpgrade):
            # A client may have sent frames with its handshake; uvicorn drops them.
            cast(asyncio.Protocol, self.transport.get_protocol()).data_received(self._segment[upgrade.args[0] :])

    def on_headers_complete(self) -> None:
        is_offered = self.parser.should_upgrade() and not self._should_upgrade()
        self._is_offer = is_offered and any(name == b"upgrade" for name, _ in self.headers)
        if not self._is_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._is_offer:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        offer = sys.exception()
        if not (self._is_offer and isinstance(offer, HttpParserUpgrade)):
            super()._unsupported_upgrade_warning()
            return
        # Java's own client and others offer HTTP/2 (h2c) with each request. A server that does not support it ignores
        # the offer. httptools stops at the offer, so another parser reads the head without it.
        connection = b",".join(value for name, value in self.headers if name == b"connection").lower()
        kept = [token.strip() for token in connection.split(b",") if token.strip() in (b"close", b"keep-alive")]
        fields = [(name, value) for name, value in self.headers if name not in OFFERS]
        fields += [(b"connection", token) for token in kept]
        version = self.parser.get_http_version().encode()
        head = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)
        head += b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n"
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + self._segment[offer.args[0] :])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["extensions"] = {EXTENSION: self}

    def shutdown(self) -> None:
        super().shutdown()
        self.stopping.set()
        if self.is_behind:
            self.transport.abort()


def let_go(scope: Any) -> None:
    """Break the reference cycle of an ended connection and its scope, so that memory is freed without the GC."""
    if scope is not None:
        scope.get("extensions", {}).pop(EXTENSION, None)


async def in_time(read: Callable[[], Awaitable[object]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await read()
    except TimeoutError:
        raise Stalled from None


def _bound_silence(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if hasattr(socket, "TCP_USER_TIMEOUT") and getattr(connection, "family", None) != getattr(socket, "AF_UNIX", None):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS_MAX * 1000)
