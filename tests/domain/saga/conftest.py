from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy.engine import URL

from domain.saga import CommitPoints, SagaEngine
from domain.storage import Database
from tests.conftest import on_a_thread
from tests.domain.saga.toy import Provider, Toys, make_tables
from tests.support.databases import Pool, changed_copy


@pytest.fixture(scope="session")
def postgres_pool(postgres_url: URL, postgres_template: str) -> Iterator[Pool]:
    """Of databases in which the toys' table is there already."""
    pool = Pool(postgres_url, on_a_thread(changed_copy(postgres_url, postgres_template, _add_toys)))
    yield pool
    on_a_thread(pool.close())


async def _add_toys(url: URL) -> None:
    database = Database(url)
    await make_tables(database)
    await database.close()


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
    await make_tables(database)
    return database


@pytest.fixture
async def engine(
    toy_database: Database, toys: Toys, provider: Provider, points: CommitPoints
) -> AsyncIterator[SagaEngine]:
    engine = SagaEngine(
        toy_database,
        [toys.definition, toys.hasty, toys.forward],
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
