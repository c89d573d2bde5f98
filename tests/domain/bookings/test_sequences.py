"""Today's sequences of steps: the one place that states them. Other tests take them from the definitions."""

from __future__ import annotations

import pytest

from tests.domain.bookings.sequences import GOLDEN, sequences
from tests.domain.bookings.world import World


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_every_scenario_goes_as_the_golden_file_says(world: World) -> None:
    assert await sequences(world) == GOLDEN.read_text(), "If so intended: python -m tests.domain.bookings.sequences"
