from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.saga import CommitPoints, SagaEngine
from domain.storage import Database
from tests.domain.saga.toy import Provider, Toys, toy_metadata


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def toys(provider: Provider) -> Toys:
    return Toys(provider)


@pytest.fixture
def points() -> CommitPoints:
    return CommitPoints()


@pytest.fixture
async def toy_database(database: Database) -> Database:
    await database.write(lambda connection: connection.run_sync(toy_metadata.create_all))
    return database


@pytest.fixture
async def engine(
    toy_database: Database, toys: Toys, provider: Provider, points: CommitPoints
) -> AsyncIterator[SagaEngine]:
    engine = SagaEngine(
        toy_database,
        [toys.definition, toys.forward],
        poll_seconds=0.1,
        unknown_saga_wait_seconds=2,
        points=points,
        lease_seconds=3,
    )
    await engine.open()
    yield engine
    points.breaker = None
    for gate in provider.gates.values():
        gate.set()
    await engine.close()
