"""uvicorn's WebSocket connection, with limits on memory and time for a server that many clients share.

uvicorn parses all received data at once and passes it to the application. Here data is parsed in slices::

    received data ──▶ unread ──▶ parser ──▶ fragments ──▶ queue ──▶ application
                      a slice in its turn,                more is read when it is empty
                      none while the queue has any

A socket holds at most one unparsed segment, one incomplete message and the messages of one slice. All of it counts
against the budget of frames, and sockets that send much data take turns (`app.http.room`). Before the acknowledgement a
client may send only few messages, of at most `init_bytes_max`, so only authenticated clients can use the budget.

Compressed messages (permessage-deflate) are accepted if the server is started so and the client offers it. Every limit
holds for a message after its decompression. Each message is compressed by itself: without a context from one message to
the next, an idle socket takes 2 kB more instead of 42, and a list of sagas still needs a sixth of the bytes, not an
eighth.

A protocol violation closes its socket with the code of RFC 6455 (1002, 1007, 1009) and tells the application that
the client has disconnected. It is not a fault of the server, so no traceback is logged.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from starlette.types import Scope
from starlette.websockets import WebSocketDisconnect
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request as Handshake
from websockets.protocol import State

from app.http.connections import EXTENSION, LINGER_SECONDS, in_time, let_go
from app.http.room import ServerConfig, network_of

__all__ = ["SocketConnection", "acknowledge"]

#: The bytes parsed in one iteration of the loop: at most 340 frames, as the smallest has 6 bytes.
SLICE_BYTES: Final = 2_048
#: So much data is parsed at once, even if other sockets wait for a turn.
AT_ONCE_BYTES: Final = 512
#: A socket is flushed at once when more than this waits to be sent, so that a client that does not read is noticed.
UNSENT_BYTES_MAX: Final = 16_384
#: The number of messages of the largest size that a client may send before the acknowledgement.
INIT_MESSAGES_MAX: Final = 4
_COMPRESSION: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
#: The first byte of a pong.
_PONG: Final = b"\x8a"


def acknowledge(scope: Scope) -> None:
    """Lift the limit on message size: the client of this socket is authenticated."""
    connection = scope.get("extensions", {}).get(EXTENSION)
    if isinstance(connection, SocketConnection):
        connection.acknowledge()


def _head(size: int) -> bytes:
    """The head of a text message of one frame: what websockets makes of it, in a tenth of the time."""
    if size < 126:
        return bytes((0x81, size))
    return b"\x81\x7e%b" % size.to_bytes(2) if size < 65_536 else b"\x81\x7f%b" % size.to_bytes(8)


class SocketConnection(WebSocketsSansIOProtocol):
    """Implements ClientConnection."""

    def __init__(self, config: ServerConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.stopping = asyncio.Event()
        self._room = config.room
        if config.ws_per_message_deflate:
            self.conn.available_extensions = [_COMPRESSION]
        self._bytes_max = config.ws_max_size
        self.conn.max_message_size = min(self._bytes_max, self._room.init_bytes_max)
        self._unread = bytearray()
        self._queued_bytes = 0
        self._unsent_bytes = 0
        self._is_over = False
        self._init_bytes_left: float = INIT_MESSAGES_MAX * self._room.init_bytes_max

    def acknowledge(self) -> None:
        """See the function."""
        self._init_bytes_left = float("inf")
        self.conn.max_message_size = self._bytes_max

    @property
    def is_behind(self) -> bool:
        """See ClientConnection."""
        return not self.writable.is_set()

    async def keep_up(self, seconds: float) -> None:
        """See ClientConnection."""
        await in_time(self.writable.wait, seconds)

    def cut_soon(self) -> None:
        """See ClientConnection."""
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def write(self, text: bytes) -> None:
        """Send one text message, together with others of this turn of the loop. What is closed takes none.

        Raises WebSocketDisconnect if either side has closed the socket. The socket of a client that is behind still
        takes the message; see `keep_up`.
        """
        if self.close_sent or self.conn.state is not State.OPEN or self.transport.is_closing():
            raise WebSocketDisconnect(CloseCode.ABNORMAL_CLOSURE)
        if not self._unsent_bytes:
            self._room.outbox.add(self)
        # uvicorn sends what waits here before whatever it sends itself, so the order stays.
        if self.conn.extensions:
            self.conn.send_text(text)
        else:
            self.conn.writes.append(_head(len(text)) + text)
        self._unsent_bytes += len(text)
        if self._unsent_bytes > UNSENT_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Hand what was written to the transport."""
        self._unsent_bytes = 0
        if (unsent := self.conn.data_to_send()) and not self.transport.is_closing():
            self.transport.write(b"".join(unsent))

    # ------------------------------------------------------------------ received data

    def data_received(self, data: bytes) -> None:
        """Take the handshake's request, and frames once it is answered."""
        if not self.handshake_initiated:
            super().data_received(data)
            if not self.handshake_initiated:
                # The parser has refused the handshake; uvicorn does not check for this.
                self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
                self.transport.close()
            return
        if not self._is_over:
            self._unread += data
            if len(self._unread) > AT_ONCE_BYTES and self._room.frame_queue.is_busy:
                self._await_turn()
            else:
                self._read_on()

    def _read_on(self) -> None:
        """Parse a slice if the application waits for data, and resume reading if nothing is left."""
        if self._unread and self._is_awaited:
            part = bytes(self._unread[:SLICE_BYTES])
            del self._unread[:SLICE_BYTES]
            self._init_bytes_left -= len(part)
            if self._init_bytes_left < 0:
                self._fail(4408, "Too much was sent before connection_init")
                return
            super().data_received(part)
        if not self._is_over and not self.transport.is_closing():
            self._await_turn()

    def _await_turn(self) -> None:
        """Parse the rest, if any, in this socket's turn; read no more until then."""
        self._count()
        if self._unread or not self._is_awaited:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
        if self._unread and self._is_awaited:
            self._room.frame_queue.wait(self, self._read_on)

    @property
    def _is_awaited(self) -> bool:
        return self.handshake_complete and not self.read_paused and not self.transport.is_closing()

    def _count(self) -> None:
        """Report to the budget how many bytes are held."""
        held = len(self._unread) + len(self.conn.reader.buffer) + sum(map(len, self.frames)) + self._queued_bytes
        self._room.frames.hold(self, held, self._make_way)

    def _make_way(self) -> None:
        self._fail(CloseCode.TRY_AGAIN_LATER, "Too many incomplete messages; try again later")

    def _fail(self, code: int, reason: str) -> None:
        """Close the socket, for a reason that is no part of the protocol between client and application."""
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()
        else:
            self.transport.abort()

    def handle_parser_exception(self) -> None:
        # uvicorn would close the connection here. If the client is still sending, that resets it and loses the code.
        close = self.conn.close_sent
        assert close is not None, "frames are parsed once the handshake is complete"
        self._discard()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        self._await_end()

    def _await_end(self) -> None:
        """Stop serving; the client has not received the close yet."""
        self._room.idle.enter(self, self._network, self.transport.abort)

    @property
    def _network(self) -> str:
        return network_of(self.client[0]) if self.client else ""

    def _discard(self) -> None:
        self._is_over = True
        self._room.frame_queue.leave(self)
        self._unread.clear()
        self.frames = []
        self._room.frames.release(self)

    # ------------------------------------------------------------------ as uvicorn calls it

    def handle_connect(self, event: Handshake) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application's task has not begun yet.
            cast(dict[str, Any], self.scope)["extensions"][EXTENSION] = self

    def handle_cont(self, event: Frame) -> None:
        # Joined at once: a million fragments of one byte would take a hundred times as much memory.
        if not isinstance(self.frames[0], bytearray):
            self.frames = [cast(bytes, bytearray(self.frames[0]))]
        self.frames[0] += bytes(event.data)
        if event.fin:
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        if self._is_over:
            return
        if self.is_behind:
            # A client that does not read gets no pongs: their number would have no limit.
            self.conn.writes = [frame for frame in self.conn.writes if not frame.startswith(_PONG)]
        super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        data, self.frames = self.frames[0], []
        if self.close_sent:
            return
        message: dict[str, Any] = {"type": "websocket.receive"}
        if self.curr_msg_data_type == "text":
            try:
                message["text"] = data.decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "A text message must be valid UTF-8")
                return
        else:
            message["bytes"] = data
        self.queue.put_nowait(cast(ASGIReceiveEvent, message))
        self._queued_bytes += len(data)
        self.read_paused = True

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        if self.queue.empty():
            self.read_paused = False
            self._queued_bytes = 0
            self._read_on()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            # uvicorn would report an answer to a closed socket as a fault of the application.
            raise ClientDisconnected
        await super().send(message)
        if self.close_sent:
            self._await_end()
        if message["type"] != "websocket.send":
            # Accepted: received data may be parsed now. Or closed: the client's answer is awaited.
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._discard()
        self._room.idle.leave(self, self._network)
        let_go(vars(self).get("scope"))
        # The parser is a generator in a reference cycle, which receive_eof breaks.
        self.conn.receive_eof()
        self.conn.parser_exc = None

    def shutdown(self) -> None:
        if self.close_sent or self.conn.state in (State.CONNECTING, State.OPEN):
            super().shutdown()
        else:
            # One side has closed it, and the other has not received the close yet.
            self.stop_keepalive()
            self.transport.close()
        self.stopping.set()
        if self.is_behind:
            self.transport.abort()
