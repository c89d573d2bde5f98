"""The address of the API, which can refuse connections for a while and keep its port."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

__all__ = ["Listener"]

BACKLOG: Final = 2_048


class Listener:
    """Serves `app` on one port. The port stays ours while nobody listens on it, so that clients are refused."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=600)
        self._config.load()
        self._state = ServerState()
        self._kept = self._bound(port)
        self.port: int = self._kept.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Accept connections."""
        if self._server is not None:
            return
        protocol: Any = self._config.http_protocol_class
        make = partial(protocol, config=self._config, server_state=self._state, app_state={})
        listening = self._bound(self.port)
        self._server = await asyncio.get_running_loop().create_server(make, sock=listening, backlog=BACKLOG)

    def close(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._state.connections):
            _cut(connection)

    def cut(self, client: object) -> None:
        """Cut the connection from this address, which an ASGI scope names `client`."""
        for connection in list(self._state.connections):
            if getattr(connection, "client", None) == client:
                _cut(connection)

    def _bound(self, port: int) -> socket.socket:
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(("127.0.0.1", port))
        return found


def _cut(connection: Any) -> None:
    """As a reset, not as an end: the peer sees an error also while it waits for an answer."""
    transport = connection.transport
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
