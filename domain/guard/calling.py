"""Which saga the present call belongs to, so that the requests it makes are counted for its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["caller", "calling"]

_caller: ContextVar[str | None] = ContextVar("caller", default=None)


@contextmanager
def calling(saga_id: str) -> Iterator[None]:
    """Requests that the block makes count for this saga's place."""
    token = _caller.set(saga_id)
    try:
        yield
    finally:
        _caller.reset(token)


def caller() -> str | None:
    """The saga of the present block; None outside."""
    return _caller.get()
