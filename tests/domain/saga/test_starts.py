"""A start is its saga's first turn: all that comes before the first call is in its transaction, or nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from sqlalchemy import update

from domain.errors import CommitUnknownError
from domain.events import EventType
from domain.outcome import Succeeded
from domain.saga import (
    CommitPoint,
    CommitPoints,
    Remote,
    SagaDefinition,
    SagaEngine,
    SagaStatus,
    Simulation,
    Started,
    StartsCommitted,
    StepStatus,
)
from domain.saga.tables import sagas
from domain.storage import Database, TransactionWork
from domain.telemetry import Telemetry
from tests.domain.saga.till import CARD, Till
from tests.domain.saga.till import begin as begin_basket
from tests.domain.saga.toll import Toll
from tests.domain.saga.toy import (
    Provider,
    Toys,
    effects_of,
    ended,
    history,
    only_begins,
    opened,
    start,
    view,
)
from tests.support.waiting import eventually

T = TypeVar("T")


@pytest.fixture
async def engine(toy_database: Database, toys: Toys, till: Till, provider: Provider) -> AsyncIterator[SagaEngine]:
    """Its runner takes no turn: what stands was written by the start."""
    engine = SagaEngine(toy_database, [toys.definition, till.definition], poll_seconds=60.0, lease_seconds=300.0)
    yield engine
    for gate in provider.gates.values():
        gate.set()
    await engine.close()


@pytest.fixture
def till(provider: Provider) -> Till:
    return Till(provider)


async def told_as_it_stands(engine: SagaEngine, started: Started) -> None:
    """The answer to the start shows what a reader sees."""
    assert started.new == await view(engine, started)


async def test_its_first_call_leaves_without_another_transaction(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.hold("PAY")
    started = await start(engine, toys.definition)
    assert [event.type for event in await history(engine, started)] == [
        EventType.SAGA_STARTED,
        EventType.STEP_STARTED,
        EventType.STEP_COMPLETED,
        EventType.STEP_STARTED,
    ]
    assert await effects_of(engine.database, started.saga_id) == {"RESERVE"}
    await told_as_it_stands(engine, started)
    await eventually(lambda: provider.keys("PAY"))


async def test_a_saga_that_pauses_fails_or_waits_in_it_is_told_as_it_stands(
    engine: SagaEngine, toys: Toys, till: Till
) -> None:
    paused = await start(engine, toys.definition, Simulation(delay_ms=5_000))
    assert (await view(engine, paused)).steps[0].status is StepStatus.EXECUTING
    await told_as_it_stands(engine, paused)
    failed = await start(engine, toys.definition, refuse=("RESERVE",))
    assert (await view(engine, failed)).status is SagaStatus.COMPENSATED
    await told_as_it_stands(engine, failed)
    turned_round = await start(engine, toys.definition, Simulation(fail_at=("PAY",)))
    assert (await view(engine, turned_round)).queue.compensated == ("RELEASE",)
    await told_as_it_stands(engine, turned_round)
    waiting = await begin_basket(engine, till)
    awaiting = (await view(engine, waiting)).awaiting
    assert awaiting is not None
    assert awaiting.wants == CARD
    await told_as_it_stands(engine, waiting)


async def test_a_saga_that_pauses_in_it_goes_on_when_its_pause_is_over(engine: SagaEngine, toys: Toys) -> None:
    """No poll comes, and the runner has nothing else to do."""
    async with opened(engine):
        await asyncio.sleep(0)
        started = await start(engine, toys.definition, Simulation(delay_ms=1))
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_sagas_that_end_in_it_are_told_of_with_it(toy_database: Database, toys: Toys) -> None:
    signals: list[StartsCommitted] = []
    telemetry = Telemetry()
    telemetry.attach(lambda signal: signals.append(signal) if isinstance(signal, StartsCommitted) else None)
    engine = SagaEngine(toy_database, [toys.definition], telemetry=telemetry)
    async with opened(engine):
        await start(engine, toys.definition, refuse=("RESERVE",))
        assert engine.runner.active == 0
    assert [end.status for signal in signals for end in signal.ended] == [SagaStatus.COMPENSATED]


async def test_one_whose_first_step_fails_holds_none_of_its_group_back(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    engine = SagaEngine(toy_database, [toys.definition], poll_seconds=0.1)
    async with opened(engine):
        first = asyncio.create_task(start(engine, toys.definition))
        group = [
            asyncio.create_task(start(engine, toys.definition, break_at=("RESERVE",) if number == 2 else ()))
            for number in range(5)
        ]
        begun = [await first, *(await asyncio.gather(*group))]
        sagas = [await ended(engine, each) for each in begun]
    assert [saga.status for saga in sagas].count(SagaStatus.COMPLETED) == 5
    assert sagas[3].status is SagaStatus.COMPENSATED
    assert len(provider.keys("PAY")) == 5


@pytest.fixture
async def toll() -> Toll:
    return Toll()


def behind(toll: Toll, definition: SagaDefinition) -> SagaDefinition:
    """The same saga; the call of its second step passes the toll."""
    reserve, pay, *others = definition.steps
    assert isinstance(pay.action, Remote)
    return replace(definition, steps=(reserve, replace(pay, action=replace(pay.action, gate=toll)), *others))


async def test_places_of_a_start_that_did_not_commit_are_left(
    toy_database: Database, toys: Toys, provider: Provider, toll: Toll
) -> None:
    definition = behind(toll, toys.definition)
    engine = SagaEngine(toy_database, [definition], points=CommitPoints(only_begins))
    async with opened(engine):
        provider.hold("PAY")
        started = await start(engine, definition)
        await eventually(lambda: provider.keys("PAY"))
        assert list(toll.passing) == [started.saga_id]
        assert len({saga_id for saga_id, _, _ in toll.entries}) == 2
        provider.gates["PAY"].set()
        await ended(engine, started)
    assert toll.is_empty


class Unanswered(Database):
    """Commits, and the answer is lost."""

    is_cut = False

    async def write(self, work: TransactionWork[T]) -> T:
        done = await super().write(work)
        if self.is_cut:
            self.is_cut = False
            raise CommitUnknownError("The answer to COMMIT was lost.")
        return done


async def test_a_start_whose_commit_had_no_answer_is_found_and_its_call_leaves(
    toy_database: Database, toys: Toys, provider: Provider, toll: Toll
) -> None:
    definition = behind(toll, toys.definition)
    database = Unanswered(toy_database.url)
    engine = SagaEngine(database, [definition], poll_seconds=0.1)
    async with opened(engine):
        database.is_cut = True
        started = await start(engine, definition)
        assert started.new is None
        saga = await ended(engine, started)
        assert saga.status is SagaStatus.COMPLETED
        assert len(set(provider.keys("PAY"))) == 1
        assert engine.runner._doubted == {}
    assert toll.is_empty
    await database.close()


async def test_a_start_that_commits_long_after_its_answer_was_lost_is_found_too(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    """A COMMIT that waits for a standby takes effect when nobody waits for it any more."""
    engine = SagaEngine(toy_database, [toys.definition], poll_seconds=0.05)
    async with opened(engine):
        gate = provider.hold("PAY")
        provider.script("PAY", Succeeded("paid"))
        other = SagaEngine(toy_database, [toys.definition], poll_seconds=60.0, lease_seconds=300.0)
        started = await start(other, toys.definition)
        engine.runner.doubt([started.saga_id])
        await eventually(lambda: engine.runner._ready == {} and not engine.runner._turning)
        assert list(engine.runner._doubted) == [started.saga_id]
        await give(toy_database, started, engine)
        gate.set()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert engine.runner._doubted == {}
    await other.close()


async def give(database: Database, started: Started, engine: SagaEngine) -> None:
    """The saga is this replica's from now on."""

    async def work(connection: Any) -> None:
        await connection.execute(update(sagas).where(sagas.c.id == started.saga_id).values(replica=engine.replica.id))

    await database.write(work)


async def test_whoever_asks_for_a_saga_in_doubt_its_call_is_known_not_to_have_left(
    toy_database: Database, toys: Toys
) -> None:
    engine = SagaEngine(toy_database, [toys.definition])
    engine.runner.doubt(["a"])
    engine.runner._ready.clear()
    engine.runner.wake("a")
    (work,) = engine.runner._take()
    assert work.orphaned


async def test_a_place_that_came_before_the_start_was_durable_is_asked_for_anew(
    toy_database: Database, toys: Toys, points: CommitPoints, toll: Toll
) -> None:
    """The turn that was to use it could not see the saga, and gave the place back."""
    toll.places = 0
    definition = behind(toll, toys.definition)
    engine = SagaEngine(toy_database, [definition], points=points, poll_seconds=60.0, lease_seconds=300.0)

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.START_BEFORE_COMMIT:
            for saga_id in list(toll.line):
                engine.runner._executor.places.leave(saga_id)
            toll.places = 1

    points.breaker = breaker
    async with opened(engine):
        async with asyncio.timeout(10):
            saga = await ended(engine, await start(engine, definition))
    assert saga.status is SagaStatus.COMPLETED
    assert toll.is_empty
