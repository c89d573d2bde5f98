"""A network that fails on command: a proxy on loopback whose connections can be cut, as a lost network cuts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

__all__ = ["Network", "network_to"]

_CHUNK_BYTES_MAX = 65_536


class Network:
    """Stands between clients and the server at `port`."""

    def __init__(self, port: int) -> None:
        self._far_port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._loses_answers = False
        self.port = 0

    def lose_answers(self) -> None:
        """From now on nothing comes back from the server, on whichever connection; what is sent to it arrives."""
        self._loses_answers = True

    def cut(self) -> int:
        """Abort every connection that is open; how many there were."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            writer.transport.abort()
        return len(writers) // 2

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes both ways, until either end closes it."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer, answers=True))
        finally:
            self._writers -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES_MAX):
                if not (answers and self._loses_answers):
                    writer.write(chunk)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def network_to(port: int) -> AsyncIterator[Network]:
    """A network to the server at `port`, until the block ends."""
    network = Network(port)
    server = await asyncio.start_server(network.carry, "127.0.0.1", 0)
    network.port = server.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        server.close()
        network.cut()
        await server.wait_closed()
