"""A real uvicorn server within the test's own loop, on a free loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app.http.room import Room
from app.main import server_config

__all__ = ["Served", "serving"]


@dataclass(frozen=True)
class Served:
    """Where the server listens, and the server itself."""

    server: uvicorn.Server
    port: int

    @property
    def url(self) -> str:
        """As HTTP clients want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        """As WebSocket clients want it."""
        return f"ws://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    http: type[asyncio.Protocol] | None = None,
    room: Room | None = None,
    compresses_sockets: bool = False,
) -> AsyncIterator[Served]:
    """Serve `app` as the product does, until the block ends; then as on SIGTERM.

    `http`: another protocol. `room`: another than the application's own.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if isinstance(app, Starlette) and hasattr(app.state, "room"):
        room = app.state.room
    config = server_config(
        app, host="127.0.0.1", port=listener.getsockname()[1], room=room, compresses_sockets=compresses_sockets
    )
    config.http = http or config.http
    server = uvicorn.Server(config)
    # Signals are the test runner's.
    task = asyncio.create_task(_serve(server, listener))
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        yield Served(server, config.port)
    finally:
        server.should_exit = True
        await task


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve. uvicorn leaves the process if the application does not start: here that is the fault of one test.

    Otherwise SystemExit would end the loop, and pytest would not tear down what all later tests use.
    """
    try:
        await server._serve([listener])
    except SystemExit as left:
        raise RuntimeError("The application did not start; the log above says why.") from left
