"""Requests as bytes, for clients that behave as no library would."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["handshake", "masked", "streaming"]


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
    text, mask = json.dumps(message).encode(), os.urandom(4)
    size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return b"\x81" + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
