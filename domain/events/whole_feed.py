"""The live view of all sagas at once, whichever replica runs them.

What this process commits is offered as it happens. Of what others commit there are hints, and
about once a second a look at how far every saga stands that runs, or ended a while ago: the log
is then read from where each was left. So there is neither gap nor repeat within a saga, and
nothing is asked of the database while nobody looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.errors import SlowConsumerError
from domain.events import log
from domain.events.model import SagaEvent
from domain.events.notifier import Hint
from domain.events.reader import Reader
from domain.storage import Database

__all__ = ["Standing", "WholeFeed"]

#: `standing(connection, ended_since)`: the sequence of every saga that is not over, or that ended at or after then
#: (microseconds by the database's clock).
Standing = Callable[[AsyncConnection, int], Awaitable[Mapping[str, int]]]

#: A transaction takes no longer than this from the moment that it writes down to its commit.
COMMIT_SECONDS_MAX: Final = 60
EARLY_HINTS_MAX: Final = 10_000
_logger = logging.getLogger("seatsaga.feed")


class WholeFeed:
    """Offers events of all sagas to any number of readers; `standing` None: no other process commits any."""

    def __init__(
        self, database: Database, standing: Standing | None, *, buffer_events_max: int, reread_seconds: float
    ) -> None:
        self._database = database
        self._standing = standing
        self._buffer_events_max = buffer_events_max
        self._reread_seconds = reread_seconds
        self._readers: set[Reader] = set()
        #: The newest sequence that was offered, or that there was when the first reader came.
        self._offered: dict[str, int] = {}
        self._behind: set[str] = set()
        self._early: list[Hint] = []
        self._bell = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def readers(self) -> int:
        """How many readers there are now."""
        return len(self._readers)

    def publish(self, events: Sequence[SagaEvent]) -> None:
        """Offer what this process has committed."""
        if not self._readers:
            return
        for event in events:
            known = self._offered.get(event.saga_id, event.sequence - 1)
            if event.sequence == known + 1:
                self._offer(event)
            elif event.sequence > known:
                # Another replica ran it before, and its last events are still to come.
                self._fall_behind(event.saga_id)

    def hear(self, hints: Sequence[Hint] | None) -> None:
        """Other replicas have committed events of these sagas; None: of any."""
        if not self._readers:
            return
        if not self._ready.is_set():
            # It may tell of what was before the first reader came; how sagas stood then is being read.
            if len(self._early) < EARLY_HINTS_MAX:
                self._early += hints or ()
            return
        for hint in hints or ():
            if hint.last and hint.last > self._offered.setdefault(hint.saga_id, hint.first - 1):
                self._fall_behind(hint.saga_id)

    async def follow(self) -> AsyncGenerator[SagaEvent, None]:
        """Events of all sagas as they happen, in order within each, from now on.

        Raises SlowConsumerError where the reader does not keep up.
        """
        reader = Reader(self._buffer_events_max)
        self._readers.add(reader)
        try:
            await self._begin_to_look()
            while True:
                for event in await reader.take():
                    yield event
                if reader.overrun:
                    raise SlowConsumerError(None)
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._offered.clear()
                self._behind.clear()
                self._early.clear()
                self._ready.clear()

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    # ------------------------------------------------------------------ what others commit

    def _offer(self, event: SagaEvent) -> None:
        self._offered[event.saga_id] = event.sequence
        for reader in self._readers:
            reader.offer(event)

    def _fall_behind(self, saga_id: str) -> None:
        self._behind.add(saga_id)
        self._bell.set()

    async def _begin_to_look(self) -> None:
        if self._standing is None or self._ready.is_set():
            return
        for saga_id, sequence in (await self._stand()).items():
            self._offered.setdefault(saga_id, sequence)
        self._ready.set()
        early, self._early = self._early, []
        self.hear(early)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_followed(), name="whole-feed")

    async def _look_while_followed(self) -> None:
        due = time.monotonic() + self._reread_seconds
        while self._readers:
            # The last reader may have gone, and another come who does not know yet how sagas stand.
            await self._ready.wait()
            try:
                async with asyncio.timeout(max(0, due - time.monotonic())):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._bell.clear()
            try:
                if time.monotonic() >= due:
                    await self._look_at_all()
                    due = time.monotonic() + self._reread_seconds
                await self._catch_up()
            except Exception:
                _logger.warning("The saga log could not be read again; trying in a second.", exc_info=True)
                await asyncio.sleep(self._reread_seconds)

    async def _look_at_all(self) -> None:
        """Find out who has passed what was offered; forget who ended long ago."""
        standing = await self._stand()
        for saga_id, sequence in standing.items():
            # One that was not there when the first reader came, nor known since, is new.
            if sequence > self._offered.setdefault(saga_id, 0):
                self._behind.add(saga_id)
        for saga_id in self._offered.keys() - standing.keys() - self._behind:
            del self._offered[saga_id]

    async def _catch_up(self) -> None:
        """Offer what the log holds above what was offered, of those that are behind."""
        behind, self._behind = self._behind, set()
        afters = {saga_id: self._offered[saga_id] for saga_id in behind if saga_id in self._offered}
        if not afters:
            return
        try:
            events = await self._database.read(partial(log.read_above, afters=afters))
        except Exception:
            self._behind |= behind
            raise
        for event in events:
            if event.sequence == self._offered.get(event.saga_id, 0) + 1:
                self._offer(event)

    async def _stand(self) -> Mapping[str, int]:
        assert self._standing is not None, "asked for only where others commit, too"
        standing = self._standing

        async def work(connection: AsyncConnection) -> Mapping[str, int]:
            now = await self._database.clock.now(connection)
            return await standing(connection, now - COMMIT_SECONDS_MAX * SECOND)

        return await self._database.read(work)
