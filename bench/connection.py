"""A raw keep-alive connection to the API. It imports little, as many client processes start at once."""

from __future__ import annotations

import asyncio
import base64
import json

__all__ = ["Connection", "flight_node"]


def flight_node(flight_id: int) -> str:
    """The flight's id in the API."""
    return base64.urlsafe_b64encode(f"Flight:{flight_id}".encode()).decode().rstrip("=")


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> Connection:
        """A new one."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, query: str, variables: object) -> bytes:
        """The body of the answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        self._writer.write(
            b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        start = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[start : head.index(b"\r\n", start)])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        """Close it."""
        self._writer.close()
