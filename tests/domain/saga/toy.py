"""A small feature of the tests' own: local effects in a real table, calls to a scripted provider."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import Column, Integer, MetaData, PrimaryKeyConstraint, Table, Text, delete, insert, select

from domain.events import SagaEvent
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.saga import (
    Batch,
    CommitPoint,
    Compensation,
    Local,
    Member,
    Ready,
    Remote,
    RetryPolicy,
    SagaDefinition,
    SagaEngine,
    SagaView,
    SettleVerdict,
    Simulation,
    Started,
    StartRequest,
    Step,
)
from domain.storage import Database, Id
from tests.support.waiting import eventually

toy_metadata = MetaData()
effects = Table(
    "toy_effects",
    toy_metadata,
    Column("saga_id", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("times", Integer, nullable=False),
    PrimaryKeyConstraint("saga_id", "name"),
)

FAST = RetryPolicy(refusals_max=3, floor_seconds=0.01, cap_seconds=0.05, attempt_timeout_seconds=5, budget_seconds=30)
HASTY = replace(FAST, budget_seconds=0.1)
FAST_UNDO = RetryPolicy(refusals_max=3, floor_seconds=0.01, cap_seconds=0.05, stuck_seconds=60)


class ToyContext(msgspec.Struct):
    """What a toy saga carries: `refuse` names local steps that refuse, `break_at` those whose statement fails."""

    refuse: tuple[str, ...] = ()
    break_at: tuple[str, ...] = ()


@dataclass
class Provider:
    """A provider that remembers every effect by key, and answers as scripted."""

    answers: dict[str, deque[Outcome]] = field(default_factory=dict)
    """What the next calls of an operation answer; Succeeded once the script is at its end."""
    lost: dict[str, deque[bool]] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """Calls of an operation take effect, and then wait here before they answer."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(operation, key) of every call, in order."""
    applied: dict[str, str] = field(default_factory=dict)
    """Key to operation of everything that took effect."""

    def script(self, operation: str, *outcomes: Outcome) -> None:
        self.answers.setdefault(operation, deque()).extend(outcomes)

    def hold(self, operation: str) -> asyncio.Event:
        gate = self.gates[operation] = asyncio.Event()
        return gate

    async def call(self, member: Member[Any]) -> Outcome:
        operation = member.operation
        key = member.key(operation.lower())
        self.calls.append((operation, key))
        script = self.answers.get(operation)
        outcome: Outcome = script.popleft() if script else Succeeded(f"{operation} done")
        if not isinstance(outcome, Refused):
            self.applied.setdefault(key, operation)
        if operation in self.gates:
            await self.gates[operation].wait()
        return outcome

    def keys(self, operation: str) -> list[str]:
        return [key for called, key in self.calls if called == operation]


class Toys:
    """RESERVE (local), PAY (remote), AWARD (local), CONFIRM (remote, pins), each with its undo; and what they left."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        remote = Remote(provider.call)
        self.definition = SagaDefinition(
            "TOY",
            1,
            ToyContext,
            (
                Step("RESERVE", Local(self.settle), Compensation("RELEASE", Local(self.settle_undo), FAST_UNDO), FAST),
                Step("PAY", remote, Compensation("UNPAY", remote, FAST_UNDO), FAST),
                Step("AWARD", Local(self.settle), Compensation("REVERSE", Local(self.settle_undo), FAST_UNDO), FAST),
                Step(
                    "CONFIRM",
                    Remote(provider.call, self.pin, self.settle),
                    Compensation("UNCONFIRM", remote, FAST_UNDO),
                    FAST,
                    pins=True,
                ),
            ),
            pivot="CONFIRM",
        )
        self.hasty = replace(
            self.definition,
            name="TOY_HASTY",
            steps=tuple(replace(step, policy=HASTY) for step in self.definition.steps),
        )
        """Gives a step up soon."""
        self.forward = SagaDefinition(
            "TOY_FORWARD",
            1,
            ToyContext,
            (Step("DECIDE", Local(self.settle)), Step("REFUND", remote, policy=FAST_UNDO)),
            pivot="DECIDE",
        )

    async def pin(self, batch: Batch[ToyContext]) -> Sequence[Ready]:
        return [Ready() for _ in batch.members]

    async def settle(self, batch: Batch[ToyContext]) -> Sequence[SettleVerdict]:
        verdicts: list[SettleVerdict] = []
        for member in batch.members:
            if isinstance(member.outcome, Refused | Unknown):
                verdicts.append(member.outcome)
                continue
            if member.operation in member.context.refuse:
                verdicts.append(Refused("REFUSED", f"{member.operation} is refused."))
                continue
            times = 1 if member.operation not in member.context.break_at else None
            await batch.connection.execute(
                insert(effects).values(saga_id=member.saga_id, name=member.operation, times=times)
            )
            verdicts.append(Succeeded(f"{member.operation} done"))
        return verdicts

    async def settle_undo(self, batch: Batch[ToyContext]) -> Sequence[SettleVerdict]:
        undone = {"RELEASE": "RESERVE", "REVERSE": "AWARD"}
        for member in batch.members:
            if member.operation in member.context.break_at:
                await batch.connection.execute(insert(effects).values(saga_id=member.saga_id, name="x", times=None))
            await batch.connection.execute(
                delete(effects).where(effects.c.saga_id == member.saga_id, effects.c.name == undone[member.operation])
            )
        return [Succeeded(f"{member.operation} done") for member in batch.members]


@asynccontextmanager
async def opened(engine: SagaEngine) -> AsyncIterator[None]:
    """The engine runs within the block."""
    await engine.open()
    try:
        yield
    finally:
        await engine.close()


async def make_tables(database: Database) -> None:
    """Make what toys write to, where it is not there."""
    await database.write(lambda connection: connection.run_sync(toy_metadata.create_all))


async def effects_of(database: Database, saga_id: str) -> set[str]:
    async with database.reading() as connection:
        rows = await connection.execute(select(effects.c.name).where(effects.c.saga_id == saga_id))
        return set(rows.scalars())


async def start(
    engine: SagaEngine, definition: SagaDefinition, simulation: Simulation | None = None, **context: Any
) -> Started:
    answer = await engine.start(
        StartRequest(definition, str(uuid.uuid4()), "someone", "1:fingerprint", ToyContext(**context), (), simulation)
    )
    assert isinstance(answer, Started)
    return answer


def only_begins(point: CommitPoint, details: tuple[str, ...]) -> None:
    """A breaker: what a saga does in its start fails, so that the start only begins it and a turn goes on."""
    if point is CommitPoint.START_BEFORE_COMMIT and details:
        raise RuntimeError("the first steps fail")


async def begun(engine: SagaEngine, definition: SagaDefinition, simulation: Simulation | None = None) -> Started:
    """A saga before its first step, due at once."""
    breaker, engine.points.breaker = engine.points.breaker, only_begins
    try:
        return await start(engine, definition, simulation)
    finally:
        engine.points.breaker = breaker


async def view(engine: SagaEngine, started: Started) -> SagaView:
    found = await engine.saga(started.correlation_id)
    assert found is not None
    return found


async def calling(
    engine: SagaEngine, definition: SagaDefinition, provider: Provider, operation: str = "PAY"
) -> tuple[asyncio.Event, Started]:
    """A saga whose call is out, and the gate at which the answer waits."""
    gate = provider.hold(operation)
    started = await start(engine, definition)
    await eventually(lambda: provider.keys(operation))
    return gate, started


def pause(engine: SagaEngine) -> None:
    """It stops turning, as a paused process does; its calls stay out."""
    for loop in engine.runner._loops.values():
        loop.cancel()


async def ended(engine: SagaEngine, started: Started) -> SagaView:
    async with asyncio.timeout(20):
        async for _ in engine.follow(started.saga_id):
            pass
    return await view(engine, started)


async def reached(engine: SagaEngine, started: Started, status: str) -> SagaView:
    async def check() -> SagaView:
        found = await view(engine, started)
        assert found.status == status, found
        return found

    return await eventually(check)


async def history(engine: SagaEngine, started: Started) -> list[SagaEvent]:
    from domain import events

    async with engine.database.reading() as connection:
        return await events.read(connection, started.saga_id, after=0)
