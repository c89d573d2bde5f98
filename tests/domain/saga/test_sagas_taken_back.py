"""A saga that a replica has lost and takes back, while its own first call is still out."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import ManualClock
from domain.ids import new_id
from domain.saga import CommitPoint, SagaEngine, SagaStatus
from domain.saga.tables import replicas, sagas
from tests.domain.saga.toy import FAST, Provider, Toys, calling, reached


@pytest.mark.parametrize("away_seconds", [0, FAST.budget_seconds + 1])
async def test_an_old_answer_that_comes_right_after_the_takeover_does_not_hide_that_the_call_is_orphaned(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock, away_seconds: float
) -> None:
    """What the model calls OLD_ANSWER_OVERWRITES (tests.model.flaws). The call is made again, also after its budget."""
    gate, started = await calling(engine, toys.definition, provider)

    def answer_late(point: CommitPoint, details: tuple[str, ...]) -> None:
        # The call is answered between the commit of the takeover and the turn that it makes due.
        if point is CommitPoint.CLAIM_AFTER_COMMIT:
            gate.set()

    async def lose(connection: AsyncConnection) -> None:
        # Another replica has taken the saga over while this one was paused, and died before it did anything.
        other = new_id()
        lapsed = {"id": other, "host": "elsewhere", "process_id": 1, "started_at": 0, "lease_until": 1}
        await connection.execute(insert(replicas).values(lapsed))
        await connection.execute(update(sagas).values(replica=other, epoch=sagas.c.epoch + 1))

    engine.points.breaker = answer_late
    clock.advance(away_seconds)
    await engine.database.write(lose)
    async with asyncio.timeout(5):
        saga = await reached(engine, started, SagaStatus.COMPLETED)
    assert len(set(provider.keys("PAY"))) == 1
    assert len(provider.keys("PAY")) == 2
    assert saga.failure is None
