from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.domain.bookings.conftest import postgres_pool, world
from tests.domain.bookings.world import World
from tests.schema.api import Api, api_of

__all__ = ["postgres_pool", "world"]


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with api_of(world) as api:
        yield api


@pytest.fixture(scope="module")
def no_collections() -> Iterator[None]:
    """As in the server, what is there already is not looked at again; time is counted without it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
