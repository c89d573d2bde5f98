from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.bulk import BulkActions
from domain.saga import SagaEngine
from tests.domain.bulk.office import Office
from tests.domain.saga.conftest import engine, points, postgres_pool, provider, toy_database, toys
from tests.domain.saga.toy import Provider, Toys

__all__ = ["engine", "points", "postgres_pool", "provider", "toy_database", "toys"]


@pytest.fixture
async def office(engine: SagaEngine, toys: Toys, provider: Provider) -> AsyncIterator[Office]:
    """Its bulk actions take no turns by themselves."""
    office = Office(engine, BulkActions(engine, sagas_max=20), toys, provider)
    yield office
    await office.bulk.stop()
