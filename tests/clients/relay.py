"""A TCP relay on loopback that does on command what networks and proxies do to connections.

It runs in a thread of its own, so that tests of any kind and programs in other languages can steer it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar

__all__ = ["Relay"]

T = TypeVar("T")
_CHUNK_BYTES_MAX: Final = 4_096
_COMMAND_SECONDS_MAX: Final = 30.0
_CLOSE_SECONDS_MAX: Final = 1.0
_PIECES_PER_SECOND: Final = 20
#: Closing with this option resets the connection.
_RESET: Final = struct.pack("ii", 1, 0)


class Relay:
    """Relays the connections to `port` to `target`, another port of loopback; resets those that find nobody there.

    Each command has taken effect when it returns. Use it as a context manager.
    """

    def __init__(self, target: int, *, port: int = 0) -> None:
        self._target = target
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answer: _Answer | None = None
        self._is_hanging = False
        self._bytes_per_second: int | None = None
        self._losses = 0
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open)
        return self

    def __exit__(self, *ended: object) -> None:
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_COMMAND_SECONDS_MAX)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def cut(self) -> int:
        """Reset all open connections on both sides; return how many there were."""
        return self._call(self._cut)

    def hang(self, *, new: bool = False) -> int:
        """Let no more bytes pass on the open connections, which stay open; return how many there are.

        A device that slept or a NAT that forgot does that. `new`: on new connections neither.
        """

        async def hang() -> int:
            self._is_hanging = new
            for connection in self._connections:
                connection.flowing.clear()
            return len(self._connections)

        return self._call(hang)

    def slow(self, bytes_per_second: int) -> None:
        """Let at most so many bytes a second pass to each client, whose receive buffer is small."""

        async def slow() -> None:
            self._bytes_per_second = bytes_per_second

        self._call(slow)

    def answer(self, status: int, *, retry_after: int | None = None, times: int | None = None) -> int:
        """Reset the open connections and answer each new one as a proxy does that has no server: with a page of HTML.

        After so many `times` the relay relays again; None: not before `flow`. Return how many connections were open.
        """

        async def answer() -> int:
            self._answer = _Answer(status, retry_after, times)
            return await self._cut()

        return self._call(answer)

    def answered(self) -> int:
        """How many requests got the last `answer`."""
        return self._answer.given if self._answer else 0

    def lose(self, times: int = 1) -> None:
        """Reset a connection when the server begins to answer on it, so many times: it has obeyed, nobody knows."""

        async def lose() -> None:
            self._losses = times

        self._call(lose)

    def flow(self) -> None:
        """Relay as at first: what hung goes on, nothing is slow, nothing is answered here."""

        async def flow() -> None:
            self._answer, self._is_hanging, self._bytes_per_second, self._losses = None, False, None, 0
            for connection in self._connections:
                connection.flowing.set()

        self._call(flow)

    def _call(self, command: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(command(), self._loop).result(_COMMAND_SECONDS_MAX)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_CHUNK_BYTES_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cut(self) -> int:
        connections, self._connections = self._connections, set()
        for connection in connections:
            connection.reset()
        return len(connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # The end of the relay cancels the task; asyncio would log that.
        with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            if self._answer is not None and self._answer.is_due:
                await self._answer.give(reader, writer)
            else:
                await self._relay(reader, writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = socket.socket()
        # What a slow client has not read yet must press on the server, and not lie here.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK_BYTES_MAX)
        far.setblocking(False)
        try:
            await self._loop.sock_connect(far, ("127.0.0.1", self._target))
        except OSError:
            far.close()
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=_CHUNK_BYTES_MAX)
        connection = _Connection(writer, far_writer)
        if not self._is_hanging:
            connection.flowing.set()
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(connection, reader, far_writer), self._pump(connection, far_reader, writer, is_back=True)
            )
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_back: bool = False,
    ) -> None:
        try:
            while chunk := await reader.read(_CHUNK_BYTES_MAX):
                if is_back and self._losses:
                    self._losses -= 1
                    connection.reset()
                    return
                await connection.flowing.wait()
                while chunk:
                    rate = self._bytes_per_second if is_back else None
                    size = len(chunk) if rate is None else max(1, rate // _PIECES_PER_SECOND)
                    piece, chunk = chunk[:size], chunk[size:]
                    if rate is not None:
                        await asyncio.sleep(len(piece) / rate)
                    writer.write(piece)
                    await writer.drain()
            await connection.flowing.wait()
            writer.close()
            await writer.wait_closed()
        except OSError:
            connection.reset()


class _Connection:
    """Both ends of a relayed connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._ends = near, far
        self.flowing = asyncio.Event()

    def reset(self) -> None:
        self.flowing.set()
        for end in self._ends:
            _reset(end)


class _Answer:
    """What is answered in place of the server."""

    def __init__(self, status: int, retry_after: int | None, times: int | None) -> None:
        phrase = HTTPStatus(status).phrase
        body = f"<html><head><title>{status} {phrase}</title></head><body><h1>{phrase}</h1></body></html>".encode()
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        head += f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
        self._bytes = f"{head}Connection: close\r\n\r\n".encode() + body
        self._times = times
        self.given = 0

    @property
    def is_due(self) -> bool:
        return self._times is None or self.given < self._times

    async def give(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.given += 1
        writer.write(self._bytes)
        await writer.drain()
        writer.write_eof()
        # Closing before the body of the request was read would reset the connection, and the answer with it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                while await reader.read(_CHUNK_BYTES_MAX):
                    pass
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
