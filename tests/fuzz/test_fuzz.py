"""A small part of the fuzz; the whole is `python -m tests.fuzz`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.playing import play

NUMBER = 1_200
HELD_MS_MAX = 250
MEMORY_GROWTH_MAX = 1.1


async def test_nothing_that_a_client_sends_is_a_fault_holds_the_loop_or_stays_in_memory(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    verdict = await play(tmp_path, seed=seed, number=NUMBER)
    print(f"seed {seed}: {verdict}")
    assert not verdict.problems, f"seed {seed}\n" + "\n".join(verdict.problems[:10])
    assert verdict.held_ms_max <= HELD_MS_MAX, f"seed {seed}: {verdict}"
    assert verdict.memory_after <= verdict.memory_before * MEMORY_GROWTH_MAX, f"seed {seed}: {verdict}"
