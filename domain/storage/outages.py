"""Waiting for a database that is away: it restarts, fails over, or is cut off for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from domain.storage.database import is_unavailable

__all__ = ["OUTAGE_SECONDS_MAX", "patiently"]

T = TypeVar("T")
OUTAGE_SECONDS_MAX: Final = 30.0
_AGAIN_SECONDS: Final = 0.5


async def patiently(read: Callable[[], Awaitable[T]], *, seconds: float = OUTAGE_SECONDS_MAX) -> T:
    """What `read` returns, asked again while the database does not answer, at most for about `seconds`.

    For who has time, such as the reader of a live view, which need not end with every outage.
    `read` must change nothing. A fault of what is asked is raised at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await read()
        except Exception as error:
            if not is_unavailable(error) or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)
