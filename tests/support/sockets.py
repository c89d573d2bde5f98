"""A graphql-transport-ws client that speaks frames, well-formed or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.serving import Served

__all__ = ["Socket", "open_socket"]


class Socket:
    """A client that speaks frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
            return frame

    async def initialise(self, payload: dict[str, Any] | None = None) -> None:
        await self.send(type="connection_init", **({} if payload is None else {"payload": payload}))
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, operation_id: str, query: Any, **payload: Any) -> None:
        await self.send(id=operation_id, type="subscribe", payload={"query": query, **payload})

    async def closed(self) -> int:
        """The code that the server closed with."""
        with suppress(ConnectionClosed):
            while True:
                await self.receive()
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def open_socket(
    served: Served,
    *,
    protocol: str = "graphql-transport-ws",
    path: str = "/graphql",
    compression: str | None = None,
    **headers: str,
) -> AsyncIterator[Socket]:
    url = f"{served.socket_url}{path}"
    subprotocols = [websockets.Subprotocol(protocol)]
    async with connect(
        url, subprotocols=subprotocols, additional_headers=headers, compression=compression
    ) as connection:
        yield Socket(connection)
