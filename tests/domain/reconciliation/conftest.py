from __future__ import annotations

from pathlib import Path

import pytest

from domain.clock import ManualClock
from tests.domain.bookings.conftest import postgres_pool, world
from tests.domain.bookings.world import World
from tests.domain.reconciliation.office import Office

__all__ = ["postgres_pool", "world"]


@pytest.fixture
def office(world: World, tmp_path: Path, clock: ManualClock) -> Office:
    return Office(world, tmp_path, clock)
