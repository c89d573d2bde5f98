"""A replica loses its connections to the database, or cannot reach it, while the others can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.proxy import Proxy
from tests.cluster.stage import Stage

TERMINATIONS = 6


async def test_all_connections_of_a_replica_are_terminated_again_and_again(stage: Stage) -> None:
    async with stage.under_load():
        for _ in range(TERMINATIONS):
            await stage.works(stage.replicas[0])
            assert await stage.terminate_connections(stage.links[0]) > 0
        await stage.works(stage.replicas[0])


@pytest.mark.parametrize("cut", [Proxy.swallow, Proxy.reset], ids=["black hole", "reset"])
async def test_a_replica_is_cut_off_from_the_database_beyond_its_lease(
    stage: Stage, cut: Callable[[Proxy], None]
) -> None:
    async with stage.under_load():
        async with stage.takeover_from(stage.replicas[0]):
            cut(stage.links[0])
        await stage.is_away_for_two_leases(stage.replicas[0])
        stage.links[0].heal()
        await stage.works(stage.replicas[0])
