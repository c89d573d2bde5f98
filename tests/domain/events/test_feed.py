"""Whoever follows a saga sees every event once and in order, whenever they come and whatever gets lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events
from domain.clock import wall_now
from domain.errors import CursorAheadError, HistoryPrunedError, SlowConsumerError, UnreadableEventError
from domain.events import EventType, Feed, Hint, SagaEvent
from domain.saga import SagaEngine
from domain.storage import Database
from tests.domain.saga.toy import Provider, Toys, history, make_tables, start
from tests.support.waiting import eventually

NEVER_SECONDS = 3_600.0
SOON_SECONDS = 0.02

MakeFeed: TypeAlias = Callable[..., Feed]


class Story:
    """The log of one saga, written as a test tells it."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self.database = database
        self.feed = feed
        self.saga_id = str(uuid.uuid4())
        self.correlation_id = str(uuid.uuid4())
        self.told: list[SagaEvent] = []

    async def commit(self, count: int = 1, *, last: EventType = EventType.STEP_STARTED) -> list[SagaEvent]:
        """Write `count` more events to the log, wake nobody; returns them."""
        new = [self._event(len(self.told) + number) for number in range(1, count)]
        new.append(self._event(len(self.told) + count, last))
        await self.database.write(lambda connection: events.append(connection, new))
        self.told += new
        return new

    async def tell(self, count: int = 1, *, last: EventType = EventType.STEP_STARTED) -> None:
        """Write `count` more events to the log, and wake who follows."""
        self.feed.publish(await self.commit(count, last=last))

    async def end(self) -> None:
        await self.tell(last=EventType.SAGA_COMPLETED)

    def _event(self, sequence: int, type_: EventType = EventType.STEP_STARTED) -> SagaEvent:
        message = f"event {sequence}"
        return SagaEvent(
            self.saga_id, self.correlation_id, sequence, type_, "PAY", None, 1, message, None, wall_now() + sequence
        )


async def everything(reader: AsyncGenerator[SagaEvent, None]) -> list[SagaEvent]:
    """All that `reader` yields until it ends by itself."""
    async with asyncio.timeout(20), aclosing(reader):
        return [event async for event in reader]


async def some(reader: AsyncGenerator[SagaEvent, None], count: int) -> list[SagaEvent]:
    """The next `count` events of `reader`."""
    async with asyncio.timeout(20):
        return [await anext(reader) for _ in range(count)]


async def drain(reader: AsyncGenerator[SagaEvent, None], into: list[SagaEvent]) -> None:
    """Add what `reader` yields to `into` until it ends or fails."""
    async with asyncio.timeout(20):
        async for event in reader:
            into.append(event)


@asynccontextmanager
async def following(feed: Feed, reader: AsyncGenerator[SagaEvent, None]) -> AsyncIterator[asyncio.Task[SagaEvent]]:
    """A reader that is registered and waits for its first event, which the task gives."""
    before = feed.readers

    async def first() -> SagaEvent:
        return await anext(reader)

    async with aclosing(reader):
        waiting = asyncio.create_task(first())
        await eventually(lambda: feed.readers == before + 1)
        try:
            yield waiting
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])


async def standing(connection: AsyncConnection, ended_since: int) -> Mapping[str, int]:
    """Where the log of every saga stands, as there are no sagas here."""
    rows = await connection.execute(text("SELECT saga_id, max(sequence) FROM saga_events GROUP BY saga_id"))
    return {str(saga_id): sequence for saga_id, sequence in rows}


@pytest.fixture
async def make_feed(database: Database) -> AsyncIterator[MakeFeed]:
    made: list[Feed] = []

    def make(*, buffer_events_max: int = 1_000, reread_seconds: float = NEVER_SECONDS) -> Feed:
        made.append(Feed(database, standing, buffer_events_max=buffer_events_max, reread_seconds=reread_seconds))
        return made[-1]

    yield make
    for feed in made:
        await feed.close()


@pytest.fixture
def feed(make_feed: MakeFeed) -> Feed:
    """A feed that lives by wake-ups alone."""
    return make_feed()


@pytest.fixture
def story(database: Database, feed: Feed) -> Story:
    return Story(database, feed)


async def test_a_follower_from_before_the_first_event_sees_all_of_the_saga(story: Story) -> None:
    reader = asyncio.create_task(everything(story.feed.follow(story.saga_id)))
    await eventually(lambda: story.feed.readers == 1)
    for _ in range(5):
        await story.tell()
    await story.end()
    assert await reader == story.told


async def test_a_follower_after_the_saga_reads_all_of_it_from_the_log(story: Story) -> None:
    await story.tell(4)
    await story.end()
    assert await everything(story.feed.follow(story.saga_id)) == story.told


async def test_followers_that_come_at_any_moment_see_every_event_once(story: Story) -> None:
    readers = [asyncio.create_task(everything(story.feed.follow(story.saga_id)))]
    for _ in range(25):
        readers.append(asyncio.create_task(everything(story.feed.follow(story.saga_id))))
        await story.tell(2)
    await story.end()
    readers.append(asyncio.create_task(everything(story.feed.follow(story.saga_id))))
    for seen in await asyncio.gather(*readers):
        assert seen == story.told
    assert story.feed.readers == 0


async def test_an_event_that_is_in_the_log_and_in_the_wake_up_is_seen_once(story: Story) -> None:
    late = await story.commit(3)
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        assert await some(reader, 1) == story.told[:1]
        story.feed.publish(late)
        await story.end()
        assert await everything(reader) == story.told[1:]


async def test_a_follower_that_resumes_sees_only_what_is_after_its_cursor(story: Story) -> None:
    await story.tell(6)
    reader = asyncio.create_task(everything(story.feed.follow(story.saga_id, after=4)))
    await eventually(lambda: story.feed.readers == 1)
    await story.end()
    assert [event.sequence for event in await reader] == [5, 6, 7]


async def test_a_follower_at_the_newest_event_of_a_running_saga_waits_for_the_next(story: Story) -> None:
    await story.tell(3)
    async with following(story.feed, story.feed.follow(story.saga_id, after=3)) as first:
        await story.tell()
        assert (await first).sequence == 4


async def test_a_follower_that_has_the_terminal_event_already_is_ended(story: Story) -> None:
    await story.tell(2)
    await story.end()
    async with asyncio.timeout(20):
        assert await everything(story.feed.follow(story.saga_id, after=3)) == []


async def test_a_follower_sees_no_event_of_another_saga(story: Story) -> None:
    other = Story(story.database, story.feed)
    reader = asyncio.create_task(everything(story.feed.follow(story.saga_id)))
    await eventually(lambda: story.feed.readers == 1)
    for _ in range(3):
        await story.tell()
        await other.tell()
    await story.end()
    assert await reader == story.told


async def test_a_log_longer_than_one_read_is_followed_without_a_gap(story: Story) -> None:
    await story.commit(events.READ_EVENTS_MAX + 5, last=EventType.SAGA_COMPENSATED)
    seen = await everything(story.feed.follow(story.saga_id))
    assert [event.sequence for event in seen] == list(range(1, events.READ_EVENTS_MAX + 6))


@pytest.mark.parametrize("last", [type_ for type_ in EventType if type_.is_terminal])
async def test_every_terminal_event_ends_the_view(story: Story, last: EventType) -> None:
    await story.tell(2, last=last)
    assert await everything(story.feed.follow(story.saga_id)) == story.told


async def test_a_stuck_saga_is_followed_further(story: Story) -> None:
    await story.tell(last=EventType.SAGA_STUCK)
    await story.tell(last=EventType.SAGA_RESUMED)
    await story.end()
    assert await everything(story.feed.follow(story.saga_id)) == story.told


async def test_the_first_wake_up_may_be_lost(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(reread_seconds=SOON_SECONDS))
    reader = asyncio.create_task(everything(story.feed.follow(story.saga_id)))
    await eventually(lambda: story.feed.readers == 1)
    await story.commit(3)
    await story.commit(last=EventType.SAGA_COMPLETED)
    assert await reader == story.told


async def test_a_wake_up_lost_on_the_way_is_made_good_by_reading_again(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(reread_seconds=SOON_SECONDS))
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        await story.tell(2)
        assert await some(reader, 2) == story.told
        await story.tell()
        assert await some(reader, 1) == story.told[2:]
        await story.commit(2)
        assert await some(reader, 2) == story.told[3:]
        await story.commit(last=EventType.SAGA_COMPLETED)
        assert await everything(reader) == story.told[5:]


async def test_a_wake_up_that_skips_lost_ones_brings_them_too(story: Story) -> None:
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        await story.tell()
        assert await some(reader, 1) == story.told
        await story.commit(3)
        await story.end()
        assert await everything(reader) == story.told[1:]


async def test_events_of_another_process_reach_followers_here(database: Database, make_feed: MakeFeed) -> None:
    here, elsewhere = make_feed(reread_seconds=SOON_SECONDS), make_feed()
    story = Story(database, elsewhere)
    readers = [asyncio.create_task(everything(here.follow(story.saga_id))) for _ in range(3)]
    await eventually(lambda: here.readers == 3)
    await story.tell(5)
    await story.end()
    for seen in await asyncio.gather(*readers):
        assert seen == story.told


async def test_a_slow_consumer_is_ended_and_told_where_to_resume(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(buffer_events_max=4))
    seen: list[SagaEvent] = []
    async with aclosing(story.feed.follow(story.saga_id)) as slow:
        await story.tell()
        seen += await some(slow, 1)
        for _ in range(10):
            await story.tell()
        await story.end()
        with pytest.raises(SlowConsumerError) as raised:
            await drain(slow, seen)
    assert raised.value.sequence == seen[-1].sequence
    assert seen == story.told[: len(seen)]
    assert len(seen) < len(story.told)
    rest = await everything(story.feed.follow(story.saga_id, after=raised.value.sequence))
    assert seen + rest == story.told


async def test_a_slow_consumer_that_overruns_midway_through_its_buffer_loses_nothing(
    database: Database, make_feed: MakeFeed
) -> None:
    story = Story(database, make_feed(buffer_events_max=4))
    seen: list[SagaEvent] = []
    async with aclosing(story.feed.follow(story.saga_id)) as slow:
        await story.tell(2)
        seen += await some(slow, 2)
        await story.tell(3)
        seen += await some(slow, 1)
        await story.tell(9)
        with pytest.raises(SlowConsumerError) as raised:
            await drain(slow, seen)
    assert raised.value.sequence == seen[-1].sequence
    await story.end()
    rest = await everything(story.feed.follow(story.saga_id, after=raised.value.sequence))
    assert seen + rest == story.told


async def test_a_full_buffer_is_not_yet_an_overrun(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(buffer_events_max=4))
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        await story.tell()
        assert await some(reader, 1) == story.told
        await story.tell(3)
        await story.end()
        assert await everything(reader) == story.told[1:]


async def test_a_slow_consumer_does_not_hold_up_others_of_its_saga(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(buffer_events_max=4))
    seen: list[SagaEvent] = []
    quick = asyncio.create_task(drain(story.feed.follow(story.saga_id), seen))
    async with aclosing(story.feed.follow(story.saga_id)) as slow:
        await story.tell()
        assert await some(slow, 1) == story.told
        for _ in range(10):
            await eventually(lambda: len(seen) == len(story.told))
            await story.tell()
        await eventually(lambda: len(seen) == 11)
        await story.end()
        await quick
        assert seen == story.told
        with pytest.raises(SlowConsumerError):
            await everything(slow)


async def test_a_cursor_beyond_the_newest_event_is_refused(story: Story) -> None:
    await story.tell(3)
    with pytest.raises(CursorAheadError) as raised:
        await everything(story.feed.follow(story.saga_id, after=4))
    assert (raised.value.after, raised.value.newest) == (4, 3)
    assert story.feed.readers == 0


async def test_a_cursor_into_a_saga_without_events_is_refused(story: Story) -> None:
    with pytest.raises(CursorAheadError) as raised:
        await everything(story.feed.follow(story.saga_id, after=1))
    assert (raised.value.after, raised.value.newest) == (1, 0)


@pytest.mark.parametrize("after", [0, 3])
async def test_a_cursor_below_the_oldest_kept_event_is_refused(story: Story, after: int) -> None:
    await story.tell(4)
    await story.end()
    assert await story.database.write(lambda connection: events.prune(connection, [story.saga_id])) == 4
    with pytest.raises(HistoryPrunedError) as raised:
        await everything(story.feed.follow(story.saga_id, after=after))
    assert (raised.value.after, raised.value.oldest) == (after, 5)
    assert story.feed.readers == 0


async def test_what_is_kept_of_a_pruned_history_is_still_followed(story: Story) -> None:
    await story.tell(4)
    await story.end()
    await story.database.write(lambda connection: events.prune(connection, [story.saga_id]))
    assert await everything(story.feed.follow(story.saga_id, after=4)) == story.told[4:]


async def test_a_history_that_is_pruned_while_it_is_read_ends_the_view(story: Story) -> None:
    await story.commit(events.READ_EVENTS_MAX + 5, last=EventType.SAGA_COMPLETED)
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        assert await some(reader, 1) == story.told[:1]
        await story.database.write(lambda connection: events.prune(connection, [story.saga_id]))
        with pytest.raises(HistoryPrunedError) as raised:
            async with asyncio.timeout(20):
                await drain(reader, [])
    assert raised.value.after == events.READ_EVENTS_MAX


async def test_a_follower_that_goes_away_leaves_nothing_behind(story: Story) -> None:
    async with aclosing(story.feed.follow(story.saga_id)) as reader:
        await story.tell()
        await some(reader, 1)
        assert story.feed.readers == 1
    assert story.feed.readers == 0
    waiting = asyncio.create_task(everything(story.feed.follow(story.saga_id)))
    await eventually(lambda: story.feed.readers == 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert story.feed.readers == 0


async def test_following_all_sees_every_saga_in_order_from_now_on(story: Story) -> None:
    other = Story(story.database, story.feed)
    await story.tell(2)
    async with aclosing(story.feed.follow_all()) as reader:
        first = asyncio.create_task(some(reader, 1))
        await eventually(lambda: story.feed.readers == 1)
        for _ in range(3):
            await story.tell()
            await other.tell()
        await story.end()
        await other.end()
        seen = await first + await some(reader, 7)
    assert [event for event in seen if event.saga_id == story.saga_id] == story.told[2:]
    assert [event for event in seen if event.saga_id == other.saga_id] == other.told
    assert story.feed.readers == 0


async def test_following_all_ends_a_slow_consumer(database: Database, make_feed: MakeFeed) -> None:
    story = Story(database, make_feed(buffer_events_max=2))
    seen: list[SagaEvent] = []
    async with following(story.feed, reader := story.feed.follow_all()) as first:
        await story.tell(5)
        seen.append(await first)
        with pytest.raises(SlowConsumerError):
            await drain(reader, seen)
    assert seen == story.told[:2]
    assert story.feed.readers == 0


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def toys(provider: Provider) -> Toys:
    return Toys(provider)


@pytest.fixture
async def engine(database: Database, toys: Toys) -> AsyncIterator[SagaEngine]:
    await make_tables(database)
    engine = SagaEngine(database, [toys.definition], poll_seconds=0.1)
    await engine.open()
    yield engine
    await engine.close()


@pytest.mark.parametrize("refuse", [(), ("AWARD",)], ids=["completed", "compensated"])
async def test_a_real_saga_is_followed_from_before_during_and_after_its_life(
    engine: SagaEngine, toys: Toys, provider: Provider, refuse: tuple[str, ...]
) -> None:
    gate = provider.hold("PAY")
    async with following(engine.feed, operator := engine.feed.follow_all()) as announced:
        started = await start(engine, toys.definition, refuse=refuse)
        begun = asyncio.create_task(everything(engine.follow(started.saga_id)))
        await eventually(lambda: bool(provider.calls))
        midway = asyncio.create_task(everything(engine.follow(started.saga_id)))
        resumed = asyncio.create_task(everything(engine.follow(started.saga_id, after=2)))
        await eventually(lambda: engine.feed.readers == 4)
        gate.set()
        seen = numbered(await begun)
        log = numbered(await history(engine, started))
        assert numbered([await announced, *await some(operator, len(log) - 1)]) == log
    assert seen == log
    assert numbered(await midway) == log
    assert numbered(await resumed) == log[2:]
    assert numbered(await everything(engine.follow(started.saga_id))) == log
    assert [sequence for sequence, _ in log] == list(range(1, len(log) + 1))
    assert [sequence for sequence, type_ in log if type_.is_terminal] == [len(log)]


async def test_a_failed_saga_reads_the_same_live_and_from_the_log(engine: SagaEngine, toys: Toys) -> None:
    async with following(engine.feed, operator := engine.feed.follow_all()) as announced:
        started = await start(engine, toys.definition, refuse=("AWARD",))
        await everything(engine.follow(started.saga_id))
        log = await history(engine, started)
        assert [await announced, *await some(operator, len(log) - 1)] == log


def numbered(told: list[SagaEvent]) -> list[tuple[int, EventType]]:
    return [(event.sequence, event.type) for event in told]


async def test_an_event_that_nobody_told_of_is_found_though_hints_of_another_saga_never_cease(
    database: Database, make_feed: MakeFeed
) -> None:
    feed = make_feed(reread_seconds=SOON_SECONDS)
    silent, loud = Story(database, feed), Story(database, feed)
    await silent.commit()
    await loud.commit()
    seen: list[SagaEvent] = []

    async def hint_for_ever() -> None:
        while True:
            feed.hear([Hint(loud.saga_id, loud.correlation_id, 1, 1_000)])
            await asyncio.sleep(0)

    async with following(feed, feed.follow(loud.saga_id)), aclosing(feed.follow(silent.saga_id)) as reader:
        draining = asyncio.create_task(drain(reader, seen))
        await eventually(lambda: len(seen) == 1)
        hinting = asyncio.create_task(hint_for_ever())
        await silent.commit(last=EventType.SAGA_COMPLETED)
        await draining
        hinting.cancel()
    assert seen == silent.told


# ---------------------------------------------------------------------- an event that cannot be read


async def commit_unreadable(story: Story, sequence: int) -> None:
    """One more event, of a type that only a newer release knows: in one transaction, as nobody may see it readable."""
    statement = text("UPDATE saga_events SET type = 'SAGA_TRANSCENDED' WHERE saga_id = :id AND sequence = :sequence")

    async def work(connection: AsyncConnection) -> None:
        await events.append(connection, [story._event(sequence)])
        await connection.execute(statement, {"id": story.saga_id, "sequence": sequence})

    await story.database.write(work)


async def test_an_event_of_an_unknown_type_is_named_to_its_reader_and_never_passed_over(story: Story) -> None:
    await story.commit(3)
    await commit_unreadable(story, 4)
    seen: list[SagaEvent] = []
    with pytest.raises(UnreadableEventError, match="event 4 of the saga; resume with after: 3"):
        await drain(story.feed.follow(story.saga_id), seen)
    assert seen == story.told[:3]


async def test_a_live_reader_is_told_of_an_unreadable_event_that_another_replica_wrote(
    database: Database, make_feed: MakeFeed
) -> None:
    feed = make_feed(reread_seconds=SOON_SECONDS)
    story = Story(database, feed)
    await story.commit(1)
    seen: list[SagaEvent] = []
    reading = asyncio.create_task(drain(feed.follow(story.saga_id), seen))
    await eventually(lambda: len(seen) == 1)

    await commit_unreadable(story, 2)
    with pytest.raises(UnreadableEventError):
        await reading
    assert [event.sequence for event in seen] == [1]


async def test_an_unreadable_event_of_one_saga_keeps_no_event_of_another_from_its_readers(
    database: Database, make_feed: MakeFeed
) -> None:
    feed = make_feed(reread_seconds=SOON_SECONDS)
    bad, good = Story(database, feed), Story(database, feed)
    await bad.commit(1)
    await good.commit(1)
    everyone: list[SagaEvent] = []
    of_all = asyncio.create_task(drain(feed.follow_all(), everyone))
    reader = asyncio.create_task(everything(feed.follow(good.saga_id)))
    ended = asyncio.create_task(everything(feed.follow(bad.saga_id)))
    await eventually(lambda: feed.readers == 3)
    await commit_unreadable(bad, 2)
    for _ in range(3):
        await good.commit()
    await good.commit(last=EventType.SAGA_COMPLETED)
    assert await reader == good.told
    await eventually(lambda: [event for event in everyone if event.saga_id == good.saga_id] == good.told[1:])
    with pytest.raises(UnreadableEventError):
        await ended
    of_all.cancel()
