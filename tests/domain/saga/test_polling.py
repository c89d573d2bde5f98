"""The poll finds what memory does not know, however much is under way; and who cannot renew its lease takes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.outcome import Succeeded
from domain.saga import Batch, CommitPoints, Local, SagaDefinition, SagaEngine, SagaStatus, SettleVerdict, Started, Step
from domain.saga.executor import BATCH_SAGAS_MAX
from domain.saga.runner import TurnCommitted
from domain.saga.tables import NOBODY, replicas, sagas
from domain.storage import Database, TransactionWork
from domain.telemetry import Telemetry
from tests.domain.saga.toy import FAST_UNDO, ToyContext, Toys, ended, only_begins, opened, start
from tests.support.statements import hearing, reads, statements
from tests.support.triggers import refuse_updates
from tests.support.waiting import Gate, eventually

T = TypeVar("T")

#: Longer than a test: nothing but the poll renews or takes over.
LONG_SECONDS = 300.0


class Gated:
    """A saga of one local step, whose turns wait at a gate. In its start the step fails: a turn goes on."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.begun: set[str] = set()
        self.waiting = 0
        self.batches: list[list[str]] = []
        self.definition = SagaDefinition(
            "GATED", 1, ToyContext, (Step("COUNT", Local(self.settle), policy=FAST_UNDO),), pivot="COUNT"
        )

    async def settle(self, batch: Batch[ToyContext]) -> Sequence[SettleVerdict]:
        fresh = {member.correlation_id for member in batch.members} - self.begun
        if fresh:
            self.begun |= fresh
            raise RuntimeError("the first step fails")
        self.waiting += 1
        self.batches.append([member.saga_id for member in batch.members])
        await self.gate.passed(60)
        return [Succeeded("counted") for _ in batch.members]


@pytest.fixture
async def gated() -> AsyncIterator[Gated]:
    gated = Gated()
    yield gated
    gated.gate.open()


def engine_of(database: Database, definition: SagaDefinition, **values: Any) -> SagaEngine:
    """An engine whose starts only begin their sagas, so that turns do the rest."""
    defaults = {
        "poll_seconds": 0.05,
        "lease_seconds": LONG_SECONDS,
        "hints": False,
        "points": CommitPoints(only_begins),
    }
    return SagaEngine(database, [definition], **{**defaults, **values})


async def forgotten(database: Database, engine: SagaEngine, definition: SagaDefinition, number: int) -> list[Started]:
    """Sagas that are due and belong to `engine`, of which it knows nothing."""
    other = engine_of(database, definition)
    await other.replica.register()
    begun = await asyncio.gather(*(start(other, definition) for _ in range(number - 1)))
    # Due after all others, which are started a group at a time.
    begun.append(await start(other, definition))
    await database.write(lambda connection: connection.execute(update(sagas).values(replica=engine.replica.id)))
    return begun


async def all_ended(engine: SagaEngine) -> None:
    """Wait until no saga is under way, nor one in the runner's memory."""
    under_way = select(func.count()).where(sagas.c.finished_at.is_(None))

    async def check() -> bool:
        async with engine.database.reading() as connection:
            return (await connection.execute(under_way)).scalar_one() + engine.runner.active == 0

    await eventually(check, 20)


# ---------------------------------------------------------------------- what the poll finds


async def test_the_poll_finds_what_stands_behind_a_batch_that_turns_and_one_that_is_ready(
    toy_database: Database, gated: Gated
) -> None:
    """The first batch is in a turn that lasts, the second waits for it: their rows stay due, and hide no other."""
    engine = engine_of(toy_database, gated.definition)
    begun = await forgotten(toy_database, engine, gated.definition, 2 * BATCH_SAGAS_MAX + 3)
    await engine.open()
    try:
        await eventually(lambda: engine.runner.active == len(begun), 30)
        await eventually(lambda: gated.waiting >= 1)
        gated.gate.open()
        await all_ended(engine)
    finally:
        gated.gate.open()
        await engine.close()


async def test_one_poll_takes_up_a_batch_at_most_and_first_what_has_been_due_for_longest(
    toy_database: Database, gated: Gated
) -> None:
    engine = engine_of(toy_database, gated.definition)
    begun = await forgotten(toy_database, engine, gated.definition, 2 * BATCH_SAGAS_MAX + 3)
    first = {one.saga_id for one in begun[-3:]}
    earlier = update(sagas).where(sagas.c.id.in_(first)).values(due_at=sagas.c.due_at - 3_600 * SECOND)
    await toy_database.write(lambda connection: connection.execute(earlier))
    known: list[int] = []

    def hear(statement: str, _parameters: Any) -> None:
        if "due_at <=" in statement:
            known.append(engine.runner.active)

    try:
        with hearing(hear, reads(toy_database)):
            await engine.open()
            await eventually(lambda: known[-1:] == [len(begun)], 30)
            await eventually(lambda: gated.batches)
        assert first <= set(gated.batches[0])
        assert known[:4] == [0, BATCH_SAGAS_MAX, 2 * BATCH_SAGAS_MAX, len(begun)]
    finally:
        gated.gate.open()
        await engine.close()


async def test_what_somebody_asks_for_does_not_wait_for_all_that_the_poll_has_found(
    toy_database: Database, gated: Gated
) -> None:
    engine = engine_of(toy_database, gated.definition)
    begun = await forgotten(toy_database, engine, gated.definition, 4 * BATCH_SAGAS_MAX)
    await engine.open()
    try:
        await eventually(lambda: engine.runner.active == len(begun), 30)
        await eventually(lambda: gated.batches)
        turning = len(gated.batches)
        engine.runner.wake(begun[-1].saga_id)
        gated.gate.open()
        await all_ended(engine)
        assert begun[-1].saga_id in {saga_id for batch in gated.batches[turning : turning + 2] for saga_id in batch}
        # What was found is not put off either: each batch has its share.
        assert all(set(batch) - {begun[-1].saga_id} for batch in gated.batches)
    finally:
        gated.gate.open()
        await engine.close()


async def test_a_saga_that_is_in_a_turn_is_not_taken_up_again_by_the_poll(toy_database: Database, gated: Gated) -> None:
    telemetry = Telemetry()
    turns: list[int] = []
    telemetry.attach(lambda signal: turns.append(signal.sagas) if isinstance(signal, TurnCommitted) else None)
    engine = engine_of(toy_database, gated.definition, telemetry=telemetry)
    async with opened(engine):
        begun = await start(engine, gated.definition)
        await eventually(lambda: gated.waiting == 1)
        with statements(toy_database, of="due_at <=") as polls:
            await eventually(lambda: len(polls) >= 3)
        gated.gate.open()
        await ended(engine, begun)
        await ended(engine, await start(engine, gated.definition))
        await eventually(lambda: len(turns) >= 2)
        assert turns == [1, 1]


class Held(Database):
    """What its reads have found comes back once the gate is open."""

    gate: Gate | None = None
    held = 0

    async def read(self, work: TransactionWork[T]) -> T:
        found = await super().read(work)
        if self.gate is not None:
            self.held += 1
            await self.gate.passed(60)
        return found


async def test_a_saga_whose_turn_ended_since_the_poll_read_its_row_is_not_taken_up_again(
    toy_database: Database, gated: Gated
) -> None:
    """The poll has read the row before the turn's commit, and looks at what it read after it."""
    telemetry = Telemetry()
    turns: list[int] = []
    telemetry.attach(lambda signal: turns.append(signal.sagas) if isinstance(signal, TurnCommitted) else None)
    database = Held(toy_database.url)
    engine = engine_of(database, gated.definition, telemetry=telemetry)
    reads_gate = Gate()
    try:
        async with opened(engine):
            await start(engine, gated.definition)
            await eventually(lambda: gated.waiting == 1)
            database.gate = reads_gate
            await eventually(lambda: database.held == 1)
            gated.gate.open()
            await eventually(lambda: turns == [1])
            database.gate = None
            with statements(database, of="due_at <=") as polls:
                reads_gate.open()
                await eventually(lambda: polls)
            await ended(engine, await start(engine, gated.definition))
            await eventually(lambda: len(turns) >= 2)
            assert turns == [1, 1]
            assert engine.runner.active == 0
    finally:
        reads_gate.open()
        await database.close()


async def test_neither_what_is_due_later_nor_what_is_another_replicas_is_taken_up(
    toy_database: Database, gated: Gated
) -> None:
    engine = engine_of(toy_database, gated.definition)
    later, others, due = await forgotten(toy_database, engine, gated.definition, 3)

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(
            update(sagas).where(sagas.c.id == later.saga_id).values(due_at=sagas.c.due_at + 3_600 * SECOND)
        )
        await connection.execute(update(sagas).where(sagas.c.id == others.saga_id).values(replica=NOBODY))

    await toy_database.write(change)
    await engine.open()
    try:
        # What was taken up stays with the runner as long as its turn waits at the gate.
        await eventually(lambda: gated.waiting == 1)
        with statements(toy_database, of="due_at <=") as polls:
            await eventually(lambda: len(polls) >= 3)
        assert engine.runner.active == 1
        gated.gate.open()
        await ended(engine, due)
    finally:
        gated.gate.open()
        await engine.close()


# ---------------------------------------------------------------------- the lease, before anything is taken over


async def owner_of(database: Database, begun: Started) -> str:
    async with database.reading() as connection:
        found = await connection.execute(select(sagas.c.replica).where(sagas.c.id == begun.saga_id))
        return str(found.scalar_one())


async def test_a_replica_whose_lease_cannot_be_renewed_takes_nothing_over_until_it_can(
    toy_database: Database, toys: Toys
) -> None:
    """As after an outage: first its own lease, then those of others, or replicas would take from those that live."""
    other = engine_of(toy_database, toys.definition)
    await other.replica.register()
    begun = await start(other, toys.definition)
    engine = engine_of(toy_database, toys.definition, lease_seconds=1.0)
    async with opened(engine):
        await refuse_updates(toy_database, "replicas", "id", engine.replica.id)
        await eventually(lambda: "lease has not succeeded" in (engine.runner.standstill or ""), 20)
        with statements(toy_database, of="due_at <=") as polls:
            await other.replica.resign()
            await eventually(lambda: len(polls) >= 3, 20)
        assert await owner_of(toy_database, begun) == other.replica.id
        with statements(toy_database, of=r"^UPDATE (replicas|sagas) SET (lease_until|replica)") as written:
            await allow_updates(toy_database, "replicas")
            assert (await ended(engine, begun)).status is SagaStatus.COMPLETED
        taken = next(number for number, statement in enumerate(written) if statement.startswith("UPDATE sagas"))
        assert any(statement.startswith("UPDATE replicas") for statement in written[:taken])
        assert await owner_of(toy_database, begun) == engine.replica.id


async def allow_updates(database: Database, table: str) -> None:
    """Drop the triggers of `refuse_updates`."""

    async def work(connection: AsyncConnection) -> None:
        if database.dialect == "sqlite":
            found = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'refuse_%'"
            tail = ""
        else:
            found = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'refuse_%'"
            tail = f" ON {table}"
        for name in (await connection.execute(text(found))).scalars().all():
            await connection.execute(text(f"DROP TRIGGER {name}{tail}"))

    await database.write(work)


async def test_the_poll_leaves_a_lease_alone_that_is_renewed_in_time(toy_database: Database, toys: Toys) -> None:
    engine = engine_of(toy_database, toys.definition)
    async with opened(engine):
        with (
            statements(toy_database, of="due_at <=") as polls,
            statements(toy_database, of="^UPDATE replicas") as renewals,
        ):
            await eventually(lambda: len(polls) >= 5)
        assert renewals == []


async def test_the_lease_is_renewed_by_the_databases_clock_each_quarter_of_its_length(
    toy_database: Database, toys: Toys
) -> None:
    engine = engine_of(toy_database, toys.definition, lease_seconds=2.0, poll_seconds=LONG_SECONDS)
    seen: list[int] = []

    async def renewed() -> bool:
        async with toy_database.reading() as connection:
            until = (await connection.execute(select(replicas.c.lease_until))).scalar_one()
            now = await toy_database.clock.now(connection)
        assert now < until <= now + 2 * SECOND
        if until not in seen:
            seen.append(until)
        return len(seen) == 4

    async with opened(engine):
        await eventually(renewed)
        # A busy machine renews later, but none sooner.
        assert all(later - earlier >= 0.45 * SECOND for earlier, later in pairwise(seen))


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_renewal_that_waits_for_a_lock_is_given_up_in_time_for_another(
    toy_database: Database, toys: Toys, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of(toy_database, toys.definition, lease_seconds=4.0, poll_seconds=LONG_SECONDS)
    await engine.open()
    gate = Gate()

    async def hold(connection: AsyncConnection) -> None:
        await connection.execute(update(replicas).values(host="held"))
        await gate.passed(60)

    beside = Database(toy_database.url)
    holding = asyncio.create_task(beside.write(hold))
    try:
        with caplog.at_level(logging.WARNING, "seatsaga.runner"):
            # By the replica itself: SQLite's own limit would say that the file is locked.
            await eventually(lambda: "lease waits for the database: it does not answer" in caplog.text, 20)
        # It was given up while the lock was held, not once it was free.
        gate.open()
        await holding
        await eventually(lambda: "lease" not in (engine.runner.standstill or ""), 20)
    finally:
        gate.open()
        await engine.close()
        await beside.close()
