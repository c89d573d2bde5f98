"""A replica beside a newer one, whose version it does not know: it shows, follows and signals its sagas, and runs none.

`engine` is of the older release and knows version 1; `newer` knows both, and starts version 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from sqlalchemy import select

from domain.clock import ManualClock
from domain.events import EventType, SagaEvent
from domain.saga import (
    CommitPoint,
    Compensation,
    Local,
    NotWaiting,
    SagaDefinition,
    SagaEngine,
    SagaStatus,
    Simulation,
    SkipRequested,
    Step,
    StepStatus,
)
from domain.saga.signals import CancelRequested, RetryRequested
from domain.saga.tables import sagas
from domain.storage import Database
from tests.domain.saga.toy import FAST_UNDO, Provider, Toys, calling, ended, history, pause, reached, start, view
from tests.support.waiting import eventually

LEASE_SECONDS = 3


@pytest.fixture
def second(toys: Toys) -> SagaDefinition:
    """TOY in its version 2: with a step that version 1 has not."""
    disregard = Compensation("DISREGARD", toys.definition.steps[1].action, FAST_UNDO)
    inspect = Step("INSPECT", Local(toys.settle), disregard)
    return replace(toys.definition, version=2, steps=(inspect, *toys.definition.steps))


@pytest.fixture
async def begin(engine: SagaEngine, toys: Toys, second: SagaDefinition) -> AsyncIterator[Callable[[], SagaEngine]]:
    """Makes replicas of the newer release, and ends those that still are."""
    begun: list[SagaEngine] = []

    def one_more() -> SagaEngine:
        database = Database(engine.database.url, clock=engine.database.clock)
        definitions = [toys.definition, second, toys.forward]
        begun.append(SagaEngine(database, definitions, poll_seconds=0.05, lease_seconds=LEASE_SECONDS))
        return begun[-1]

    yield one_more
    for replica in begun:
        await replica.close()
        await replica.database.close()


@pytest.fixture
async def newer(begin: Callable[[], SagaEngine]) -> SagaEngine:
    """A replica of the newer release."""
    replica = begin()
    await replica.open()
    return replica


async def lose(replica: SagaEngine, clock: ManualClock) -> None:
    """As a process that is killed: it turns no more, and its lease lapses."""
    pause(replica)
    clock.advance(LEASE_SECONDS + 1)


async def test_it_shows_and_follows_what_it_cannot_run(
    engine: SagaEngine, newer: SagaEngine, second: SagaDefinition, provider: Provider
) -> None:
    gate, started = await calling(newer, second, provider)
    seen = await view(engine, started)
    assert (seen.version, seen.status) == (2, SagaStatus.RUNNING)
    assert [step.name for step in seen.steps] == ["INSPECT", "RESERVE", "PAY", "AWARD", "CONFIRM"]
    assert seen.queue.executing == "PAY"
    assert seen.queue.compensations == ("RELEASE", "DISREGARD")
    followed: list[SagaEvent] = []

    async def follow() -> None:
        async for event in engine.follow(started.saga_id):
            followed.append(event)

    watching = asyncio.create_task(follow())
    await eventually(lambda: followed)
    gate.set()
    async with asyncio.timeout(20):
        await watching
    assert followed == await history(newer, started)
    assert followed[-1].type is EventType.SAGA_COMPLETED


async def test_its_cancel_is_obeyed_by_the_owner(
    engine: SagaEngine, newer: SagaEngine, second: SagaDefinition, provider: Provider
) -> None:
    gate, started = await calling(newer, second, provider)
    assert isinstance(await engine.cancel(started.correlation_id), CancelRequested)
    gate.set()
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == ("UNPAY", "RELEASE", "DISREGARD")


async def test_its_retry_and_skip_of_what_is_stuck_are_obeyed_by_the_owner(
    engine: SagaEngine, newer: SagaEngine, second: SagaDefinition
) -> None:
    failing = Simulation(fail_at=("CONFIRM",), fail_compensation_at=("DISREGARD",))
    started = await start(newer, second, failing)
    await reached(engine, started, SagaStatus.STUCK)
    elsewhere = await engine.skip(started.correlation_id, "PAY", "wrong step")
    assert isinstance(elsewhere, NotWaiting)
    assert elsewhere.reason == "The saga is stuck at INSPECT, not at PAY."
    assert isinstance(await engine.skip(started.correlation_id, "INSPECT", "nothing to disregard"), SkipRequested)
    assert (await ended(engine, started)).status is SagaStatus.ABANDONED
    again = await start(newer, second, failing)
    await reached(engine, again, SagaStatus.STUCK)
    assert isinstance(await engine.retry(again.correlation_id), RetryRequested)
    assert (await ended(engine, again)).status is SagaStatus.COMPENSATED


async def test_what_a_lost_replica_leaves_waits_for_one_that_knows_it_and_its_signals_with_it(
    engine: SagaEngine,
    newer: SagaEngine,
    begin: Callable[[], SagaEngine],
    toys: Toys,
    second: SagaDefinition,
    provider: Provider,
    clock: ManualClock,
) -> None:
    gate = provider.hold("PAY")
    known, unknown = await start(newer, toys.definition), await start(newer, second)
    await eventually(lambda: len(provider.keys("PAY")) == 2)
    await lose(newer, clock)
    # What it knows it takes over and ends.
    gate.set()
    assert (await ended(engine, known)).status is SagaStatus.COMPLETED
    left = await view(engine, unknown)
    claims: list[CommitPoint] = []
    engine.points.breaker = lambda point, _: claims.append(point) if "CLAIM" in point else None
    assert await engine.runner.recover_and_announce() == 0
    assert claims == [], "what it could not run anyway is no reason to open a transaction"
    assert await view(engine, unknown) == left
    assert (left.status, left.steps[2].status) == (SagaStatus.RUNNING, StepStatus.EXECUTING)
    # A signal that nobody can obey yet is kept.
    assert isinstance(await engine.cancel(unknown.correlation_id), CancelRequested)
    replica = begin()
    await replica.open()
    assert (await ended(engine, unknown)).status is SagaStatus.COMPENSATED
    async with engine.database.reading() as connection:
        found = await connection.execute(select(sagas.c.replica, sagas.c.epoch).where(sagas.c.id == unknown.saga_id))
        assert found.one() == (replica.replica.id, 2)
