"""What a conversation asks of the network, one step at a time. Whoever performs them decides how: blocking, or not.

::

    Token     → the token for the next request, or None
    Request   → Answer; with `is_stream` its body stays open, to be read by Receive
    Receive   → the next bytes of the stream; b"" at its end
    HangUp    → None; the stream is closed, if there is one
    Pause     → None, after so many seconds
    Emit      → None; the value was handed to the caller

A network that fails is thrown into the conversation as UnavailableError("UNREACHABLE").
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Answer", "Emit", "HangUp", "Pause", "Receive", "Request", "Steps", "Token"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    pass


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. `silence_seconds`: how long nothing may arrive before the connection counts as lost."""

    body: bytes
    headers: Mapping[str, str]
    silence_seconds: float
    is_stream: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: None if it is a stream of events that was asked for. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Receive:
    pass


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    value: Any


Step = Token | Request | Receive | HangUp | Pause | Emit
Steps = Generator[Step, Any, T]
