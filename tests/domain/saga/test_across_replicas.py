"""Whoever follows, awaits or steers a saga may be on another replica than the one that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import pytest

from domain.events import SagaEvent
from domain.outcome import Refused, Unknown
from domain.saga import CancelRequested, RetryRequested, SagaEngine, SagaStatus
from domain.storage import Database
from tests.domain.saga.toy import FAST_UNDO, Provider, Toys, calling, history, reached, start
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

NEVER_SECONDS = 3_600.0
SOON_SECONDS = 0.05


@dataclass
class Pair:
    """Two replicas of one database."""

    one: SagaEngine
    other: SagaEngine


@pytest.fixture(params=["by hints alone", "without hints"])
async def pair(request: pytest.FixtureRequest, toy_database: Database, toys: Toys) -> AsyncIterator[Pair]:
    """Once with hints and nothing else, as nobody ever looks again by themselves; once without any."""
    hints = request.param == "by hints alone"
    again_seconds = NEVER_SECONDS if hints else SOON_SECONDS
    async with AsyncExitStack() as stack:
        engines = []
        for _ in range(2):
            database = Database(toy_database.url, clock=toy_database.clock)
            stack.push_async_callback(database.close)
            engine = SagaEngine(
                database, [toys.definition, toys.forward], poll_seconds=again_seconds, lease_seconds=3, hints=hints
            )
            engine.feed._reread_seconds = engine.feed._whole._reread_seconds = again_seconds
            await engine.open()
            stack.push_async_callback(engine.close)
            if engine.notifier is not None:
                async with asyncio.timeout(10):
                    await engine.notifier.listening()
            engines.append(engine)
        yield Pair(*engines)


async def gathered(followed: AsyncGenerator[SagaEvent, None]) -> list[SagaEvent]:
    """All of it, to the saga's end."""
    found = []
    async with asyncio.timeout(20), aclosing(followed):
        async for event in followed:
            found.append(event)
            if event.type.is_terminal:
                break
    return found


async def test_a_saga_that_runs_elsewhere_is_followed_to_its_end(pair: Pair, toys: Toys, provider: Provider) -> None:
    gate = provider.hold("PAY")
    begun = await start(pair.one, toys.definition)
    following = asyncio.create_task(gathered(pair.other.follow(begun.saga_id)))
    await eventually(lambda: pair.other.feed.readers)
    gate.set()
    assert await following == await history(pair.one, begun)


async def test_all_sagas_are_followed_whoever_runs_them(pair: Pair, toys: Toys, provider: Provider) -> None:
    gate, before = await calling(pair.one, toys.definition, provider)
    known = len(await history(pair.one, before))
    seen: dict[str, list[SagaEvent]] = {}

    async def follow() -> None:
        async with aclosing(pair.other.feed.follow_all()) as followed:
            async for event in followed:
                seen.setdefault(event.saga_id, []).append(event)

    following = asyncio.create_task(follow())
    await eventually(lambda: pair.other.feed.readers)
    begun = [await start(engine, toys.definition) for engine in (pair.one, pair.other)]
    gate.set()

    sagas = [before, *begun]
    await eventually(
        lambda: all(saga.saga_id in seen and seen[saga.saga_id][-1].type.is_terminal for saga in sagas), 20
    )
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    # Of one that ran before, what is new; of the others, everything.
    assert seen[before.saga_id] == (await history(pair.one, before))[known:]
    for saga in begun:
        assert seen[saga.saga_id] == await history(pair.one, saga)


async def test_who_follows_all_sagas_anew_is_told_nothing_of_before(pair: Pair, toys: Toys, provider: Provider) -> None:
    gate, before = await calling(pair.one, toys.definition, provider)
    known = len(await history(pair.one, before))
    for _ in range(2):
        async with aclosing(pair.other.feed.follow_all()) as followed:
            first = asyncio.create_task(anext(followed))
            await eventually(lambda: pair.other.feed.readers)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    following = asyncio.create_task(gathered(pair.other.feed.follow_all()))
    await eventually(lambda: pair.other.feed.readers)
    gate.set()
    assert await following == (await history(pair.one, before))[known:]


async def test_a_cancel_at_one_replica_reaches_the_one_that_runs_the_saga(
    pair: Pair, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", Unknown("TIMEOUT", "No answer."))
    gate, begun = await calling(pair.one, toys.definition, provider)
    assert isinstance(await pair.other.cancel(begun.correlation_id), CancelRequested)
    gate.set()
    assert (await reached(pair.one, begun, "COMPENSATED")).status is SagaStatus.COMPENSATED


async def test_a_retry_at_one_replica_is_made_at_once_by_the_other(pair: Pair, toys: Toys, provider: Provider) -> None:
    # Its refund is refused until it is stuck, and is then tried again after a minute at the soonest.
    provider.script("REFUND", *[Refused("NO", "No.")] * FAST_UNDO.refusals_max)
    begun = await start(pair.one, toys.forward)
    stuck = await reached(pair.one, begun, "STUCK")
    tried = len(provider.keys("REFUND"))
    assert isinstance(await pair.other.retry(stuck.correlation_id), RetryRequested)
    await eventually(lambda: len(provider.keys("REFUND")) > tried)
    await reached(pair.other, begun, "COMPLETED")


async def test_who_waits_for_a_saga_is_told_when_another_replica_begins_it(pair: Pair, toys: Toys) -> None:
    begun = await start(pair.one, toys.definition)
    async with asyncio.timeout(20):
        found = await pair.other.awaited(begun.correlation_id)
        over = await pair.other.ended(begun.correlation_id, seconds=15)
    assert found.id == begun.saga_id
    assert over is not None
    assert over.status is SagaStatus.COMPLETED
