"""Leases, epochs and the fence: a process that was paused and wakes writes nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, ManualClock
from domain.errors import CommitUnknownError, PassedOverError
from domain.events import EventType
from domain.outcome import Succeeded
from domain.saga import CommitPoint, CommitPoints, SagaDefinition, SagaEngine, SagaStatus, StepStatus, list_replicas
from domain.saga.executor import Executor
from domain.saga.replicas import Claim, Replica
from domain.saga.roster import UnclaimedSagas
from domain.saga.states import Direction
from domain.saga.tables import sagas
from domain.saga.work import Completion, Work
from domain.storage import Database, Server
from tests.domain.saga.toy import Provider, Toys, calling, effects_of, ended, history, pause, start, view
from tests.support.triggers import refuse_deletes, refuse_updates
from tests.support.turning import turned
from tests.support.waiting import eventually


@asynccontextmanager
async def _second(database: Database, toys: Toys, points: CommitPoints | None = None) -> AsyncIterator[SagaEngine]:
    """Another replica: on PostgreSQL with connections of its own, on SQLite on the same file."""
    other = Database(database.url, clock=database.clock)
    engine = SagaEngine(other, [toys.definition, toys.forward], poll_seconds=0.05, lease_seconds=3, points=points)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()
        await other.close()


async def test_a_lapsed_replicas_sagas_are_taken_over_under_a_raised_epoch_and_finished(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    # The first replica stops turning, as a paused process does, with its call still out.
    pause(engine)
    async with _second(engine.database, toys) as other:
        clock.advance(4)
        await eventually(lambda: len(provider.keys("PAY")) == 2)
        gate.set()
        saga = await ended(other, started)
        assert saga.status is SagaStatus.COMPLETED
        assert len(set(provider.keys("PAY"))) == 1
        async with other.database.reading() as connection:
            row = (await connection.execute(select(sagas.c.epoch, sagas.c.replica))).one()
        assert (row.epoch, row.replica) == (2, other.replica.id)


async def test_a_paused_process_that_wakes_writes_nothing(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    _, started = await calling(engine, toys.definition, provider)
    before = await view(engine, started)

    async def take_over(connection: AsyncConnection) -> None:
        await connection.execute(update(sagas).values(replica=str(uuid.uuid4()), epoch=sagas.c.epoch + 1))

    await engine.database.write(take_over)
    executor = Executor(engine.database, engine.definitions, engine.replica.id)
    completion = Completion(1, Direction.FORWARD, 1, 1, Succeeded("paid"))
    result = await turned(executor, [Work(started.saga_id, completion)])
    assert result.over == {started.saga_id}
    assert result.events == []
    assert await view(engine, started) == before


async def test_an_answer_of_an_earlier_epoch_or_attempt_is_not_believed(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    _, started = await calling(engine, toys.definition, provider)
    executor = Executor(engine.database, engine.definitions, engine.replica.id)
    for stale in (
        Completion(0, Direction.FORWARD, 1, 1, Succeeded("old epoch")),
        Completion(1, Direction.FORWARD, 0, 1, Succeeded("old step")),
        Completion(1, Direction.FORWARD, 1, 7, Succeeded("another attempt")),
        Completion(1, Direction.BACKWARD, 1, 1, Succeeded("another direction")),
    ):
        await turned(executor, [Work(started.saga_id, stale)])
        assert (await view(engine, started)).steps[1].status is StepStatus.EXECUTING


async def test_a_lost_commit_answer_is_read_again_and_nothing_happens_twice(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    lost = 0

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        nonlocal lost
        if point is CommitPoint.TURN_AFTER_COMMIT and lost < 3:
            lost += 1
            raise CommitUnknownError("lost")

    engine.points.breaker = breaker
    started = await start(engine, toys.definition)
    saga = await ended(engine, started)
    assert lost == 3
    assert saga.status is SagaStatus.COMPLETED
    log = await history(engine, started)
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    completed = [event.step for event in log if event.type is EventType.STEP_COMPLETED]
    assert completed == ["RESERVE", "PAY", "AWARD", "CONFIRM"]
    assert len(set(provider.keys("PAY"))) == 1
    assert len(set(provider.keys("CONFIRM"))) == 1


async def test_a_saga_of_an_unknown_version_is_left_for_a_replica_that_knows_it(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    newer = SagaDefinition(toys.forward.name, 2, toys.forward.context, toys.forward.steps, pivot=toys.forward.pivot)
    replica = Replica(toy_database, [(newer.name, 2)], lease_seconds=3)
    await replica.register()
    old = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await old.replica.register()
    started = await start(old, toys.forward)
    clock.advance(10)
    assert await replica.claim() == Claim([])
    assert await replica.unclaimed() == []
    clock.advance(60)
    assert await replica.unclaimed() == [UnclaimedSagas(toys.forward.name, 1, 1)]
    knowing = Replica(toy_database, [(toys.forward.name, 1)], lease_seconds=3)
    await knowing.register()
    assert (await knowing.claim()).sagas == [started.saga_id]
    assert await replica.unclaimed() == []


async def test_the_row_of_a_lapsed_replica_stays_until_a_process_that_wakes_cannot_need_it(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    paused = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await paused.replica.register()
    other = Replica(toy_database, [(toys.forward.name, 1)], lease_seconds=3)
    await other.register()
    clock.advance(3_600)
    await other.renew()
    assert await other.claim() == Claim([])
    assert await other.prune() == 0
    # It wakes, and starts a saga before it renews its lease; then it dies.
    started = await start(paused, toys.forward)
    assert (await other.claim()).sagas == [started.saga_id]
    clock.advance(86_400)
    await other.renew()
    assert await other.prune() == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_row_that_another_replica_is_removing_is_left_to_it(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    gone = Replica(toy_database, [(toys.forward.name, 1)], lease_seconds=3)
    await gone.register()
    clock.advance(2 * 86_400)
    replica = Replica(toy_database, [(toys.forward.name, 1)], lease_seconds=3)
    await replica.register()
    other = await Server(toy_database.url).connect()
    async with asyncio.timeout(20):
        async with other.transaction():
            await other.execute("SELECT id FROM replicas WHERE id = $1 FOR UPDATE", gone.id)
            assert await replica.prune() == 0
        assert await replica.prune() == 1
    await other.close()


async def test_a_claim_whose_commit_had_no_answer_is_driven_all_the_same(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    # It stops turning, with its call still out: nothing of the saga is due.
    pause(engine)
    lost: list[CommitPoint] = []

    def lose(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.CLAIM_AFTER_COMMIT and not lost:
            lost.append(point)
            raise CommitUnknownError("The answer to COMMIT was lost.")

    async with _second(engine.database, toys, CommitPoints(lose)) as other:
        clock.advance(4)
        await eventually(lambda: len(provider.keys("PAY")) == 2)
        assert lost
        gate.set()
        assert (await ended(other, started)).status is SagaStatus.COMPLETED


async def test_two_replicas_claim_a_saga_once(toy_database: Database, toys: Toys, clock: ManualClock) -> None:
    gone = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await gone.replica.register()
    started = [await start(gone, toys.forward) for _ in range(20)]
    clock.advance(10)
    others = [Replica(toy_database, [(toys.forward.name, 1)], lease_seconds=3) for _ in range(3)]
    for replica in others:
        await replica.register()
    claims = await asyncio.gather(*(replica.claim() for replica in others))
    claimed = [saga_id for claim in claims for saga_id in claim.sagas]
    assert sorted(claimed) == sorted(item.saga_id for item in started)
    async with toy_database.reading() as connection:
        assert (await connection.execute(select(func.max(sagas.c.epoch)))).scalar_one() == 2
        now = await clock.now(connection)
        remaining = {replica.id for replica in await list_replicas(connection, now)}
        assert {replica.id for replica in others} <= remaining


async def test_two_replicas_run_many_sagas_with_signals_and_no_deadlock(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    """Both start, both signal the other's sagas, both claim; every saga ends and every event stream is whole."""
    async with _second(engine.database, toys) as other:
        started = []
        for number in range(30):
            started.append(await start((engine, other)[number % 2], toys.definition))
        await asyncio.gather(
            *((other, engine)[number % 2].cancel(item.correlation_id) for number, item in enumerate(started))
        )
        for item in started:
            saga = await ended(engine, item)
            assert saga.status.is_terminal
            log = await history(engine, item)
            assert [event.sequence for event in log] == list(range(1, saga.sequence + 1))
            left = await effects_of(engine.database, saga.id)
            assert left == ({"RESERVE", "AWARD", "CONFIRM"} if saga.status is SagaStatus.COMPLETED else set())


async def test_a_dead_replicas_lease_lapses_though_the_clock_was_set_back(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    pause(engine)
    clock.advance(-7_200)
    async with _second(engine.database, toys) as other:
        gate.set()
        assert (await ended(other, started)).status is SagaStatus.COMPLETED
        assert len(provider.keys("PAY")) == 2


async def test_a_live_replica_keeps_its_sagas_though_the_clock_was_set_back(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    async with _second(engine.database, toys):
        clock.advance(-7_200)

        async def renewed() -> bool:
            async with engine.database.reading() as connection:
                now = await engine.database.clock.now(connection)
                return all(view.lease_until < now + 60 * SECOND for view in await list_replicas(connection, now))

        await eventually(renewed)
        gate.set()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert len(provider.keys("PAY")) == 1


async def test_a_replica_does_not_remove_its_own_row_when_the_clock_is_set_forwards(
    engine: SagaEngine, clock: ManualClock
) -> None:
    pause(engine)
    clock.advance(210 * 86_400)
    assert await engine.replica.prune() == 0


async def test_a_saga_that_cannot_be_taken_over_is_named_and_keeps_no_other(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    gone = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await gone.replica.register()
    started = [await start(gone, toys.forward) for _ in range(6)]
    bad = started[2].saga_id
    await refuse_updates(toy_database, "sagas", "id", bad)
    clock.advance(10)
    other = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await other.replica.register()

    assert set((await other.replica.claim()).sagas) == {saga.saga_id for saga in started} - {bad}
    assert list(other.replica.unclaimable) == [bad]
    with pytest.raises(PassedOverError, match=f"saga {bad}: .*no such update") as caught:
        await other.runner.recover_and_announce()
    assert caught.value.done == 0


async def test_the_row_of_a_replica_that_cannot_be_removed_keeps_no_other(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    gone = [Replica(toy_database, [], lease_seconds=3) for _ in range(5)]
    for replica in gone:
        await replica.register()
    await refuse_deletes(toy_database, "replicas", "id", gone[1].id)
    clock.advance(2 * 86_400)
    alive = Replica(toy_database, [], lease_seconds=3)
    await alive.register()

    with pytest.raises(PassedOverError) as caught:
        await alive.prune()

    assert (caught.value.done, list(caught.value.faults)) == (4, [gone[1].id])
