"""A database that cannot be used for a while: it restarts, fails over, is cut off, full, read-only or locked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from domain.errors import CommitUnknownError, FileGoneError
from domain.storage import postgresql, sqlite

__all__ = ["OUTAGE_SECONDS_MAX", "is_unavailable", "patiently", "trouble_of"]

T = TypeVar("T")
OUTAGE_SECONDS_MAX: Final = 30.0
_AGAIN_SECONDS: Final = 0.5


def is_unavailable(error: BaseException) -> bool:
    """Whether the database could not be used; False if the statement itself is at fault."""
    return trouble_of(error) is not None


def trouble_of(error: BaseException) -> str | None:
    """Why the database cannot be used just now, in words for operators; None if the error has another cause."""
    if isinstance(error, CommitUnknownError):
        return "it did not answer a COMMIT"
    if isinstance(error, FileGoneError):
        return str(error)
    if isinstance(error, PoolTimeoutError):
        return "all of our connections to it are in use"
    return sqlite.trouble(error) or postgresql.trouble(error)


async def patiently(read: Callable[[], Awaitable[T]], *, seconds: float = OUTAGE_SECONDS_MAX) -> T:
    """The result of `read`, tried again while the database does not answer, for about `seconds` at most.

    For callers with time, such as a reader of a live view, which need not end with every outage.
    `read` must change nothing. A fault of the statement itself is raised at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await read()
        except Exception as error:
            if not is_unavailable(error) or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)
