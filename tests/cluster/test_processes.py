"""Replicas die, or stand still, and are replaced or wake up again."""

from __future__ import annotations

from tests.cluster.stage import Stage


async def test_replicas_are_killed_again_and_again(stage: Stage) -> None:
    async with stage.under_load():
        for replica in stage.replicas:
            await stage.owns_sagas(replica)
            replica.kill()
            await stage.lost_its_sagas(replica)
            replica.start()
            await replica.ready()
