"""One follower of events: a bounded buffer, and a bell that rings when the buffer has content."""

from __future__ import annotations

import asyncio
from collections import deque

from domain.events.model import SagaEvent

__all__ = ["Reader"]


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
