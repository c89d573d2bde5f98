"""Server-Sent Events, as seatsaga sends them (graphql-sse, distinct connections), from bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seatsaga_client.errors import ApiError

__all__ = ["EventStream", "Frame"]

#: The server's answers are smaller: SEATSAGA_ANSWER_BYTES_MAX is at most this.
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """`kind`: `next` with a result, `complete`, or empty for a sign of life."""

    kind: str
    data: bytes


class EventStream:
    """Splits one stream into frames, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises ApiError if one is larger than any answer of the server."""
        self._pending += chunk
        if len(self._pending) > FRAME_BYTES_MAX:
            raise ApiError("NOT_GRAPHQL", f"An event is larger than {FRAME_BYTES_MAX} bytes.")
        if b"\n" not in chunk:
            return iter(())
        *blocks, self._pending = self._pending.replace(b"\r\n", b"\n").split(b"\n\n")
        return map(_frame, blocks)


def _frame(block: bytearray) -> Frame:
    kind, data = "", []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            kind = value.decode()
        elif name == b"data":
            data.append(bytes(value))
    return Frame(kind, b"\n".join(data))
