from __future__ import annotations

import gc
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from domain.clock import ManualClock
from domain.storage import Database
from tests.domain.bookings.conftest import postgres_pool, world
from tests.domain.bookings.world import World, world_of
from tests.schema.api import Api, api_of
from tests.support.databases import Pool, as_text

__all__ = ["postgres_pool", "world"]


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with api_of(world) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def shared_api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """As `api`, made once for the tests of a module that change nothing; their loop is the module's, too."""
    folder = tmp_path_factory.mktemp("shared")
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        async with _api_on(f"sqlite+aiosqlite:///{shutil.copy(template, folder / 'seatsaga.db')}", folder) as api:
            yield api
        return
    pool: Pool = request.getfixturevalue("postgres_pool")
    url = await pool.take()
    async with _api_on(as_text(url), folder) as api:
        yield api
    await pool.give_back(url)


@asynccontextmanager
async def _api_on(url: str, folder: Path) -> AsyncIterator[Api]:
    database = Database(url, clock=ManualClock())
    try:
        async with world_of(database, folder) as world, api_of(world) as api:
            yield api
    finally:
        await database.close()


@pytest.fixture(scope="module")
def no_collections() -> None:
    """As in the server, what is there already is not looked at again; time is counted without it."""
    # It stays so: to thaw it would thaw all modules, too, of which the tests have been spared.
    gc.collect()
    gc.freeze()
