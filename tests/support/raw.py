"""Requests as bytes, for clients that behave as no library would."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["frame", "frames_of", "handshake", "masked", "streaming"]


def streaming(query: str, accept: str, **variables: Any) -> bytes:
    """A request for a stream."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    return (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def handshake() -> bytes:
    """Of a graphql-transport-ws socket."""
    return (
        b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )


def masked(message: Any) -> bytes:
    """A text frame, as a client sends it."""
    return frame(1, json.dumps(message).encode())


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """Any frame, whether or not a client may send it. `rsv`: the reserved bits, 0 to 7."""
    size, key = len(payload), os.urandom(4) if mask else b""
    code = size if size < 126 else 126 if size < 65_536 else 127
    length = b"" if code < 126 else size.to_bytes(2 if code == 126 else 8, "big")
    covered = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if mask else payload
    return bytes([fin << 7 | rsv << 4 | opcode, mask << 7 | code]) + length + key + covered


def frames_of(stream: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server: opcode and payload."""
    rest, found = stream, []
    while rest:
        size, start = rest[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(rest[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(rest[2:10], "big"), 10
        found.append((rest[0] & 0x0F, rest[start : start + size]))
        rest = rest[start + size :]
    return found
