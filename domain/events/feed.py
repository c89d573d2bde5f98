"""Live views of the saga log. A wake-up may be lost; the log is read again about once a second.

::

    commit ──publish──▶ Feed ──▶ tail of saga A ──▶ reader, reader     (each with a bounded buffer)
                         ▲ │     tail of saga B ──▶ reader
                         │ └───▶ WholeFeed      ──▶ reader (operators' live view)
    log ──every second───┤
        ──on a hint──────┘       for tails whose newest event the log has passed

A reader registers first, then reads the log, then follows its buffer: an event committed in
between is in one or in both, and sequences show repeats and gaps. All readers of a saga share its
tail: the log is read once a second for all tails with one statement, for any number of
readers. A reader whose buffer is full is ended with SlowConsumerError; it never misses an event
silently. Other replicas report their commits by hints, which name the sagas to read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final, TypeVar

from domain.errors import CursorAheadError, HistoryPrunedError, SlowConsumerError
from domain.events import log
from domain.events.model import SagaEvent
from domain.events.notifier import Hint
from domain.events.reader import ChangesReader, Reader
from domain.events.whole_feed import Sequences, WholeFeed, tell_unread
from domain.loops import Loop
from domain.storage import Database, SharedRead, TransactionWork, patiently

__all__ = ["BUFFER_EVENTS_MAX", "REREAD_SECONDS", "Feed"]

T = TypeVar("T")
BUFFER_EVENTS_MAX: Final = 1_000
REREAD_SECONDS: Final = 1.0
#: Beyond this number all of them are forgotten, as their ends may have been missed; then they are looked up.
GOING_SAGAS_MAX: Final = 50_000


class _Tail:
    """The shared end of one saga's log: the newest sequence offered to its readers, and these readers."""

    __slots__ = ("beginnings", "newest", "readers")

    def __init__(self, beginnings: SharedRead[int, log.Beginning]) -> None:
        self.newest = 0
        self.readers: set[Reader] = set()
        #: What a new reader reads first, by the sequence that it has seen. Readers that begin together share a read.
        self.beginnings = beginnings


class Feed:
    """Follows the log of one saga or of all, for any number of readers."""

    def __init__(
        self,
        database: Database,
        standing: Sequences,
        *,
        buffer_events_max: int = BUFFER_EVENTS_MAX,
        reread_seconds: float = REREAD_SECONDS,
    ) -> None:
        self._database = database
        self._buffer_events_max = buffer_events_max
        self._reread_seconds = reread_seconds
        self._tails: dict[str, _Tail] = {}
        self._whole = WholeFeed(database, standing, buffer_events_max=buffer_events_max, reread_seconds=reread_seconds)
        self._ends: dict[str, set[asyncio.Event]] = {}
        #: The subjects of sagas that this process has begun and that go on, as far as it knows.
        self._going: dict[str, str] = {}
        #: Sagas with more events in the log, according to hints, with the last sequence as far as it is known.
        self._behind: dict[str, int] = {}
        self._bell = asyncio.Event()
        self._reread_at = 0.0
        self._rereading = Loop(
            "feed-reread",
            self._catch_up,
            pause_seconds=lambda: self._reread_at - time.monotonic(),
            on_fault=tell_unread,
            retry_seconds=reread_seconds,
            bell=self._bell,
            is_wanted=lambda: self._tails,
        )

    @property
    def readers(self) -> int:
        """How many readers there are now."""
        return sum(len(tail.readers) for tail in self._tails.values()) + self._whole.readers

    def publish(self, events: Sequence[SagaEvent]) -> None:
        """Offer committed `events` to their followers. Never waits, never raises."""
        for event in events:
            if event.type.is_rest:
                self._rest(event.correlation_id)
            tail = self._tails.get(event.saga_id)
            if tail is not None and event.sequence > tail.newest:
                tail.newest = event.sequence
                for reader in tail.readers:
                    reader.offer(event)
        self._whole.publish(events)

    def hear(self, hints: Sequence[Hint] | None) -> None:
        """Other replicas have committed events of these sagas; None: of any saga. Never waits, never raises."""
        if hints is None:
            self._behind |= dict.fromkeys(self._tails, 0)
            for correlation_id in [*self._going, *self._ends]:
                self._rest(correlation_id)
        for hint in hints or ():
            tail = self._tails.get(hint.saga_id)
            if tail is not None and hint.last > tail.newest:
                self._behind[hint.saga_id] = hint.last
            if hint.ended:
                self._rest(hint.correlation_id)
        if self._behind:
            self._bell.set()
        self._whole.hear(hints)

    def begun(self, subjects: Mapping[str, str]) -> None:
        """This process has begun these sagas, each of its subject, by correlation ID; call it before their events."""
        if len(self._going) > GOING_SAGAS_MAX:
            self._going.clear()
        self._going |= subjects

    def goes_on(self, correlation_id: str, subject: str | None) -> bool:
        """Whether the saga is known to exist, to be of `subject` (None: any), and neither to be over nor to wait.

        False says nothing; nor does True of the present, if another replica has taken the saga over and its hint
        was lost.
        """
        owner = self._going.get(correlation_id)
        return owner is not None and subject in (None, owner)

    def _rest(self, correlation_id: str) -> None:
        self._going.pop(correlation_id, None)
        for bell in self._ends.get(correlation_id, ()):
            bell.set()

    async def follow(self, saga_id: str, *, after: int = 0) -> AsyncGenerator[SagaEvent, None]:
        """Every event of the saga above `after`, first those in the log, then live; ends after the terminal one.

        Guarantee: no gap, no repeat, in order. Raises CursorAheadError, HistoryPrunedError,
        UnreadableEventError, and SlowConsumerError with the sequence to resume after. If the database
        cannot be used, it waits for about half a minute.
        """
        with self._reader_of(saga_id) as (tail, reader):
            begun = await patiently(lambda: tail.beginnings(after))
            newest, oldest, events = begun.newest, begun.oldest, begun.events
            if after > newest:
                raise CursorAheadError(after, newest)
            if oldest is not None and after + 1 < oldest:
                raise HistoryPrunedError(after, oldest)
            if begun.is_over and after == newest:
                return
            delivered = after
            behind = newest > (events[-1].sequence if events else after)
            while True:
                for event in events:
                    if event.sequence <= delivered:
                        continue
                    if event.sequence > delivered + 1:
                        behind = True
                        break
                    delivered = event.sequence
                    yield event
                    if event.type.is_terminal:
                        return
                if reader.overrun:
                    raise SlowConsumerError(delivered)
                if behind:
                    events = await self._read(partial(log.read, saga_id=saga_id, after=delivered))
                    if events and events[0].sequence > delivered + 1:
                        # The log itself has no gap: the missing events were removed meanwhile.
                        raise HistoryPrunedError(delivered, events[0].sequence)
                    # Fewer events than the log has: the next one cannot be read, and the next read reports that.
                    behind = len(events) == log.READ_EVENTS_MAX or (bool(events) and events[-1].sequence < newest)
                else:
                    events = await reader.take()
                    behind, reader.behind = reader.behind, False

    async def _read(self, work: TransactionWork[T]) -> T:
        """A read for a reader: a short outage of the database does not end its view."""
        return await patiently(lambda: self._database.read(work))

    def follow_all(self) -> AsyncGenerator[SagaEvent, None]:
        """Events of all sagas, on all replicas, as they happen, in order within each saga, from now on."""
        return self._whole.follow()

    def changes(self) -> AbstractContextManager[ChangesReader]:
        """A reader of the sagas that change, on all replicas, from now on; about once a second."""
        return self._whole.changes()

    @contextmanager
    def end_of(self, correlation_id: str) -> Iterator[asyncio.Event]:
        """A bell that rings when this saga ends or begins to wait: a hint, which may be lost.

        The saga need not exist yet.
        """
        bell = asyncio.Event()
        bells = self._ends.setdefault(correlation_id, set())
        bells.add(bell)
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells and self._ends.get(correlation_id) is bells:
                del self._ends[correlation_id]

    @contextmanager
    def _reader_of(self, saga_id: str) -> Iterator[tuple[_Tail, Reader]]:
        reader = Reader(self._buffer_events_max)
        tail = self._tails.get(saga_id)
        if tail is None:
            tail = self._tails[saga_id] = _Tail(SharedRead(self._database, partial(log.beginnings, saga_id=saga_id)))
        tail.readers.add(reader)
        if self._rereading.start():
            self._reread_at = time.monotonic() + self._reread_seconds
        try:
            yield tail, reader
        finally:
            tail.readers.discard(reader)
            if not tail.readers and self._tails.get(saga_id) is tail:
                del self._tails[saga_id]

    async def _catch_up(self) -> None:
        # Also while hints keep coming: one of them may be lost.
        if time.monotonic() >= self._reread_at:
            self._behind |= dict.fromkeys(self._tails.keys() - self._behind.keys(), 0)
            self._reread_at = time.monotonic() + self._reread_seconds
        behind, self._behind = self._behind, {}
        try:
            await self._reread(behind)
        except Exception:
            self._behind = behind | self._behind
            raise

    async def _reread(self, behind: dict[str, int]) -> None:
        """Publish the log's events of these sagas above the offered ones; 0: it is not known whether there are more."""
        unknown = [saga_id for saga_id, newest in behind.items() if not newest]
        newest = behind | (
            await self._database.read(partial(log.newest_sequences, saga_ids=unknown)) if unknown else {}
        )
        # If no event was offered yet, the saga's readers have read the log themselves at their start; this only notes
        # the log's end.
        afters = {
            saga_id: tail.newest or newest[saga_id] - 1
            for saga_id in behind
            if (tail := self._tails.get(saga_id)) is not None and newest[saga_id] > tail.newest
        }
        if not afters:
            return
        self.publish(await self._database.read(partial(log.read_above, afters=afters)))
        for saga_id in afters:
            tail = self._tails.get(saga_id)
            if tail is not None and tail.newest < newest[saga_id]:
                # One of its events cannot be read. Its readers get the error from their own read; others continue.
                for reader in tail.readers:
                    reader.stir()

    async def close(self) -> None:
        """Stop reading the log; the server ends the readers."""
        await self._rereading.stop()
        await self._whole.close()
