"""One follower of events: what it has not seen yet, within a limit, and a bell that rings when there is something."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import islice

from domain.errors import SlowConsumerError
from domain.events.model import SagaEvent

__all__ = ["ChangesReader", "Reader"]


class Reader:
    """One subscriber's bounded buffer and its bell."""

    __slots__ = ("behind", "bell", "buffer", "limit", "overrun")

    def __init__(self, limit: int) -> None:
        self.buffer: deque[SagaEvent] = deque()
        self.bell = asyncio.Event()
        self.limit = limit
        self.overrun = False
        self.behind = False

    def offer(self, event: SagaEvent) -> None:
        if len(self.buffer) >= self.limit:
            self.overrun = True
        else:
            self.buffer.append(event)
        self.bell.set()

    def stir(self) -> None:
        """The log has more events than could be offered: let the subscriber read it."""
        self.behind = True
        self.bell.set()

    async def take(self) -> list[SagaEvent]:
        """The events since the last call; waits for the first."""
        await self.bell.wait()
        self.bell.clear()
        taken = list(self.buffer)
        self.buffer.clear()
        return taken


class ChangesReader:
    """One subscriber to whom only the newest event of each saga matters: a newer one replaces it.

    So a slow subscriber is behind by sagas, not by events, and then sees each as it stands. `sagas_max`: remembered;
    `batch_sagas_max`: taken at once; `pause_seconds`: between two batches.
    """

    __slots__ = ("_batch_sagas_max", "_bell", "_free_at", "_newest", "_overrun", "_pause_seconds", "_sagas_max")

    def __init__(self, *, sagas_max: int, batch_sagas_max: int, pause_seconds: float) -> None:
        self._newest: dict[str, SagaEvent] = {}
        self._bell = asyncio.Event()
        self._sagas_max = sagas_max
        self._batch_sagas_max = batch_sagas_max
        self._pause_seconds = pause_seconds
        self._free_at = 0.0
        self._overrun = False

    def offer(self, event: SagaEvent) -> None:
        if event.saga_id not in self._newest and len(self._newest) >= self._sagas_max:
            self._overrun = True
        else:
            self._newest[event.saga_id] = event
        self._bell.set()

    async def take(self) -> list[SagaEvent]:
        """The newest event of each saga that changed, one batch; waits for the first.

        Raises SlowConsumerError if more sagas have changed than are remembered.
        """
        await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
        await self._bell.wait()
        if self._overrun:
            raise SlowConsumerError(None)
        taken = list(islice(self._newest.values(), self._batch_sagas_max))
        for event in taken:
            del self._newest[event.saga_id]
        if not self._newest:
            self._bell.clear()
            self._free_at = time.monotonic() + self._pause_seconds
        return taken
