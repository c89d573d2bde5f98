"""On PostgreSQL a second turn runs beside the first, over other sagas, once it is worth one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar

import pytest

from domain.outcome import Succeeded
from domain.saga import Batch, Local, SagaDefinition, SagaEngine, SettleVerdict, Started, Step
from domain.saga.runner import TURN_BESIDE_SAGAS_MAX, TURN_BESIDE_SAGAS_MIN
from domain.storage import Database
from tests.domain.saga.toy import FAST_UNDO, ToyContext, ended, start
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

#: Whether the present task starts sagas: tasks inherit it, and those of the runner are older.
is_start: ContextVar[bool] = ContextVar("is_start", default=False)


class Counter:
    """A saga of one step, which fails in a start and whose turns wait at a gate, and what each of them holds."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.batches: list[set[str]] = []
        self.waiting = 0
        self.definition = SagaDefinition(
            "COUNT", 1, ToyContext, (Step("COUNT", Local(self.settle), policy=FAST_UNDO),), pivot="COUNT"
        )

    async def settle(self, batch: Batch[ToyContext]) -> Sequence[SettleVerdict]:
        if is_start.get():
            raise RuntimeError("A start only begins its saga.")
        self.batches.append({member.saga_id for member in batch.members})
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        return [Succeeded("counted") for _ in batch.members]


@pytest.fixture
async def counter() -> Counter:
    return Counter()


@pytest.fixture
async def engine(database: Database, counter: Counter) -> AsyncIterator[SagaEngine]:
    engine = SagaEngine(database, [counter.definition], lease_seconds=3)
    await engine.open()
    yield engine
    counter.gate.set()
    await engine.close()


async def begin(engine: SagaEngine, counter: Counter, number: int) -> list[Started]:
    token = is_start.set(True)
    try:
        return await asyncio.gather(*(start(engine, counter.definition) for _ in range(number)))
    finally:
        is_start.reset(token)


async def all_ended(engine: SagaEngine, sagas: Sequence[Started]) -> None:
    for saga in sagas:
        await ended(engine, saga)


async def test_beside_a_turn_few_wait_for_the_next_and_many_have_one_of_their_own(
    engine: SagaEngine, counter: Counter
) -> None:
    sagas = await begin(engine, counter, 1)
    await eventually(lambda: counter.waiting == 1)
    sagas += await begin(engine, counter, TURN_BESIDE_SAGAS_MIN - 1)
    assert len(engine.runner._ready) == TURN_BESIDE_SAGAS_MIN - 1
    assert counter.waiting == 1
    sagas += await begin(engine, counter, 1)
    await eventually(lambda: counter.waiting == 2)
    counter.gate.set()
    await all_ended(engine, sagas)
    assert [len(batch) for batch in counter.batches] == [1, TURN_BESIDE_SAGAS_MIN]


async def test_turns_share_no_saga_and_are_bounded(engine: SagaEngine, counter: Counter) -> None:
    sagas = await begin(engine, counter, 1)
    await eventually(lambda: counter.waiting == 1)
    sagas += await begin(engine, counter, 3 * TURN_BESIDE_SAGAS_MAX)
    await eventually(lambda: counter.waiting == 2)
    # Whoever is in a turn may be woken meanwhile, and is in no other for that.
    for saga in sagas:
        engine.runner.wake(saga.saga_id)
    counter.gate.set()
    await all_ended(engine, sagas)
    assert max(len(batch) for batch in counter.batches) == TURN_BESIDE_SAGAS_MAX
    assert sum(len(batch) for batch in counter.batches) == len(sagas)
