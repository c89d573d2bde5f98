"""A live view goes on where it was once a database that was away is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from cluster.proxy import Proxy, proxy_to
from domain.events import SagaEvent
from domain.saga import SagaEngine, Started
from domain.storage import Bounds, Database, is_unavailable
from tests.domain.saga.toy import Provider, Toys, history, make_tables, start
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

BOUNDS = Bounds(connect_seconds=1, statement_seconds=1)


@dataclass
class Watched:
    """A replica that runs sagas, and another one, behind a link that can be cut, at which they are followed."""

    runs: SagaEngine
    shows: SagaEngine
    link: Proxy
    toys: Toys


@pytest.fixture
async def watched(database: Database) -> AsyncIterator[Watched]:
    await make_tables(database)
    toys = Toys(Provider())
    definitions = [toys.definition, toys.forward]
    assert database.url.port is not None
    async with proxy_to(database.url.port) as link:
        behind = Database(database.url.set(port=link.port), clock=database.clock, bounds=BOUNDS)
        engines = [SagaEngine(each, definitions, lease_seconds=3) for each in (database, behind)]
        for engine in engines:
            await engine.open()
        yield Watched(engines[0], engines[1], link, toys)
        link.heal()
        for engine in reversed(engines):
            await engine.close()
        await behind.close()


@pytest.mark.parametrize("cut", [Proxy.reset, Proxy.swallow], ids=["reset", "black hole"])
async def test_who_follows_a_saga_sees_all_of_it(
    watched: Watched, cut: Callable[[Proxy], None], caplog: pytest.LogCaptureFixture
) -> None:
    gate = watched.toys.provider.hold("PAY")
    begun = await start(watched.runs, watched.toys.definition)
    await eventually(lambda: watched.toys.provider.keys("PAY"))
    seen: list[SagaEvent] = []

    async def follow(saga: Started) -> None:
        async with aclosing(watched.shows.follow(saga.saga_id)) as followed:
            async for event in followed:
                seen.append(event)

    async with asyncio.timeout(30):
        following = asyncio.create_task(follow(begun))
        await eventually(lambda: seen)
        cut(watched.link)
        gate.set()
        await eventually(lambda: watched.runs.runner.active == 0)
        late = asyncio.create_task(follow_late(watched, begun))
        # Longer than any single read is tried.
        await eventually(lambda: caplog.text.count("could not be read again") == 2, 20)
        watched.link.heal()
        await following
        assert await late == seen == await history(watched.runs, begun)


async def test_starts_that_the_database_does_not_take_are_all_refused_at_once(watched: Watched) -> None:
    watched.link.reset()
    # One after another, each would be tried for some seconds.
    async with asyncio.timeout(15):
        answers = await asyncio.gather(
            *(start(watched.shows, watched.toys.definition) for _ in range(30)), return_exceptions=True
        )
    assert all(isinstance(answer, Exception) and is_unavailable(answer) for answer in answers)
    watched.link.heal()
    await start(watched.shows, watched.toys.definition)


async def follow_late(watched: Watched, saga: Started) -> list[SagaEvent]:
    """By one who comes while the database is away."""
    async with aclosing(watched.shows.follow(saga.saga_id)) as followed:
        return [event async for event in followed]
