"""A read whose answer is kept for a while: requests at the same time share it, and so do those that follow soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["Kept"]


class Kept:
    """Runs `renew`, which never raises, unless its last run is younger than `fresh_seconds`."""

    def __init__(self, renew: Callable[[], Awaitable[None]], *, fresh_seconds: float) -> None:
        self._renew = renew
        self._fresh_seconds = fresh_seconds
        self._renewing: asyncio.Task[None] | None = None
        self._fresh_until = 0.0

    async def refresh(self) -> None:
        """Renew, unless it is fresh. A caller that is cancelled stops no other's."""
        if self._renewing is None or (self._renewing.done() and time.monotonic() >= self._fresh_until):
            self._renewing = asyncio.create_task(self._run(), name="kept")
        await asyncio.shield(self._renewing)

    async def _run(self) -> None:
        await self._renew()
        self._fresh_until = time.monotonic() + self._fresh_seconds
