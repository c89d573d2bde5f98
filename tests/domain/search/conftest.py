from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.storage import Database
from tests.domain.bookings.world import World, world_of
from tests.support.databases import Pool


@pytest.fixture(scope="session")
def postgres_pool(sandbox_pool: Pool) -> Pool:
    """Of databases in which the sandbox has its schema already."""
    return sandbox_pool


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as world:
        yield world
