"""A small TCP proxy: round-robin over replicas, or a network between two processes that can fail on command."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

__all__ = ["Proxy", "proxy_to"]

_CHUNK_BYTES_MAX: Final = 65_536
#: close() sends a reset and discards unsent data.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards each connection to one of `targets`, loopback ports, in turn; a target that refuses is skipped.

    Its buffers are bounded: it reads no faster than the other end accepts data.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self._targets = list(targets)
        self._turn = 0
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._far_ends: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def far_ports(self) -> list[int]:
        """Our local ports of the connections to the targets; a target identifies a connection by it."""
        return [writer.get_extra_info("sockname")[1] for writer in self._far_ends]

    def swallow(self) -> None:
        """Become a black hole: connections stay open, new ones are accepted, but no data passes in either direction."""
        self._refusing = False
        self._passing.clear()

    def reset(self) -> None:
        """Reset every open connection, and each new one, at both ends."""
        self._refusing = True
        # Those who wait in a black hole are to see it too.
        self._passing.set()
        for writer in list(self._ends):
            _reset(writer)

    def heal(self) -> None:
        """Carry again; what was on its way in a black hole arrives, as the network would send it again."""
        self._refusing = False
        self._passing.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until both ends have closed it, or either breaks."""
        # Not the server's task, which tells the log where it is cancelled.
        task = asyncio.create_task(self._carry(reader, writer), name="proxied")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            far_reader, far_writer = await self._connect()
            self._ends.add(far_writer)
            self._far_ends.add(far_writer)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, far_writer))
                ways.create_task(self._pump(far_reader, writer))
            for end in (writer, far_writer):
                end.close()
        except (OSError, ExceptionGroup):
            _reset(writer)
            if far_writer is not None:
                _reset(far_writer)
        finally:
            self._ends.discard(writer)
            if far_writer is not None:
                self._ends.discard(far_writer)
                self._far_ends.discard(far_writer)

    async def close(self) -> None:
        """End every connection."""
        self.reset()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._targets:
            if self._refusing:
                break
            target = self._targets[self._turn % len(self._targets)]
            self._turn += 1
            with suppress(ConnectionError):
                return await asyncio.open_connection("127.0.0.1", target)
        raise ConnectionRefusedError("nobody takes the connection")

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way, to its end; the end of one is not the end of the other."""
        while True:
            try:
                chunk = await reader.read(_CHUNK_BYTES_MAX)
            finally:
                # In a black hole an end, or a reset, does not arrive either.
                await self._passing.wait()
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def proxy_to(*targets: int, port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy to `targets` that listens on `port` of loopback, or on a free one, until the block ends."""
    proxy = Proxy(targets)
    listener = await asyncio.start_server(proxy.accept, "127.0.0.1", port)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
        await listener.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, where the other end still listens."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
