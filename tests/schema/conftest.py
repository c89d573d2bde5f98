from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.storage import Database
from tests.domain.bookings.world import World, world_of
from tests.schema.api import Api, api_of


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as world:
        yield world


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with api_of(world) as api:
        yield api
