"""The live view of all sagas, on all replicas.

A viewing lasts from the first reader to the last. Commits of this process are offered at once.
Commits of other replicas come by hints, and by a look about once a second at the sequence of every
saga that runs, or ended a short time ago. The log is read if events are missing, so there is neither
gap nor repeat within a saga. Without readers it makes no database reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.errors import SlowConsumerError
from domain.events import log
from domain.events.model import SagaEvent
from domain.events.notifier import Hint
from domain.events.positions import Positions
from domain.events.reader import ChangesReader, Reader
from domain.loops import Loop
from domain.storage import Database

__all__ = ["CHANGES_SAGAS_MAX", "Sequences", "WholeFeed", "tell_unread"]

#: `standing(connection, ended_since)`: the sequence of every saga that is not over, or that ended at or after then
#: (microseconds by the database's clock).
Sequences = Callable[[AsyncConnection, int], Awaitable[Mapping[str, int]]]

#: A saga is looked at for this time after its end. If a commit takes longer than this (for example, it waits for a
#: standby), its event is shown only if its hint arrives.
ENDED_SECONDS: Final = 60
#: How many changed sagas a reader takes at once, and how many are remembered for a slow one.
CHANGES_SAGAS_MAX: Final = 100
CHANGED_SAGAS_MAX: Final = 10_000
_logger = logging.getLogger("seatsaga.feed")


def tell_unread(error: Exception) -> None:
    """Log that the saga log could not be read for its followers."""
    _logger.warning("The saga log could not be read again; trying in a second.", exc_info=error)


class WholeFeed:
    """Offers events of all sagas to any number of readers, from the first reader on."""

    def __init__(
        self, database: Database, standing: Sequences, *, buffer_events_max: int, reread_seconds: float
    ) -> None:
        self._database = database
        self._standing = standing
        self._buffer_events_max = buffer_events_max
        self._reread_seconds = reread_seconds
        self._viewing: _Viewing | None = None

    @property
    def readers(self) -> int:
        """The number of readers now."""
        return len(self._viewing.readers) if self._viewing is not None and self._viewing.begun.is_set() else 0

    def publish(self, events: Sequence[SagaEvent]) -> None:
        """This process has committed `events`."""
        if self._viewing is not None:
            self._viewing.publish(events)

    def hear(self, hints: Sequence[Hint] | None) -> None:
        """Other replicas have committed events of these sagas; None: of any."""
        if self._viewing is not None:
            self._viewing.hear(hints)

    async def follow(self) -> AsyncGenerator[SagaEvent, None]:
        """Events of all sagas as they happen, in order within each, from now on.

        Raises SlowConsumerError if the reader is too slow.
        """
        reader = Reader(self._buffer_events_max)
        with self._viewed_by(reader):
            while True:
                for event in await reader.take():
                    yield event
                if reader.overrun:
                    raise SlowConsumerError(None)

    @contextmanager
    def changes(self) -> Iterator[ChangesReader]:
        """A reader of the sagas that change, on all replicas, from now on; about once a second."""
        reader = ChangesReader(
            sagas_max=CHANGED_SAGAS_MAX, batch_sagas_max=CHANGES_SAGAS_MAX, pause_seconds=self._reread_seconds
        )
        with self._viewed_by(reader):
            yield reader

    @contextmanager
    def _viewed_by(self, reader: Reader | ChangesReader) -> Iterator[None]:
        if self._viewing is None:
            self._viewing = _Viewing(self._stand, self._read_above, self._reread_seconds)
        viewing = self._viewing
        viewing.readers.add(reader)
        try:
            yield
        finally:
            viewing.readers.discard(reader)
            if not viewing.readers:
                viewing.end()
                if self._viewing is viewing:
                    self._viewing = None

    async def close(self) -> None:
        """Stop looking."""
        if self._viewing is not None:
            self._viewing.end()

    async def _stand(self) -> Mapping[str, int]:
        async def work(connection: AsyncConnection) -> Mapping[str, int]:
            now = await self._database.clock.now(connection)
            return await self._standing(connection, now - ENDED_SECONDS * SECOND)

        return await self._database.read(work)

    async def _read_above(self, afters: Mapping[str, int]) -> list[SagaEvent]:
        return await self._database.read(partial(log.read_above, afters=afters))


class _Viewing:
    """One viewing: from the first reader to the last."""

    def __init__(
        self,
        stand: Callable[[], Awaitable[Mapping[str, int]]],
        read_above: Callable[[Mapping[str, int]], Awaitable[list[SagaEvent]]],
        look_seconds: float,
    ) -> None:
        self.readers: set[Reader | ChangesReader] = set()
        self.begun = asyncio.Event()
        self._stand = stand
        self._read_above = read_above
        self._look_seconds = look_seconds
        self._positions = Positions()
        self._bell = asyncio.Event()
        self._look_at = 0.0
        self._looking = Loop(
            "whole-feed",
            self._look,
            pause_seconds=lambda: self._look_at - time.monotonic(),
            on_fault=tell_unread,
            retry_seconds=look_seconds,
            bell=self._bell,
            at_once=True,
        )
        self._looking.start()

    def publish(self, events: Sequence[SagaEvent]) -> None:
        for event in events:
            if self._positions.follows(event):
                self._offer(event)
        self._ring()

    def hear(self, hints: Sequence[Hint] | None) -> None:
        for hint in hints or ():
            self._positions.heard(hint)
        self._ring()

    def end(self) -> None:
        self._looking.cancel()

    def _offer(self, event: SagaEvent) -> None:
        for reader in self.readers:
            reader.offer(event)

    def _ring(self) -> None:
        if self._positions.is_behind:
            self._bell.set()

    async def _look(self) -> None:
        if time.monotonic() >= self._look_at:
            await self._look_at_all()
            self._look_at = time.monotonic() + self._look_seconds
        await self._catch_up()

    async def _look_at_all(self) -> None:
        if not self.begun.is_set():
            self._positions.begin(await self._stand())
            self.begun.set()
            return
        known = self._positions.known
        self._positions.stand(await self._stand(), known)

    async def _catch_up(self) -> None:
        """Offer the log's events that were not shown yet."""
        if not self._positions.is_behind:
            return
        afters = self._positions.take_behind()
        try:
            events = await self._read_above(afters)
        except BaseException:
            self._positions.put_back(afters)
            raise
        for event in events:
            if self._positions.reads(event):
                self._offer(event)
