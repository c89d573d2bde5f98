"""Replicas die and are replaced, or stand still and wake up again."""

from __future__ import annotations

from tests.cluster.stage import Stage


async def test_replicas_are_killed_again_and_again(stage: Stage) -> None:
    async with stage.under_load():
        for replica in stage.replicas:
            async with stage.takeover_from(replica):
                replica.kill()
                replica.start()
            await replica.ready()


async def test_a_replica_stands_still_beyond_its_lease_and_wakes(stage: Stage) -> None:
    async with stage.under_load():
        for replica in stage.replicas:
            async with stage.takeover_from(replica):
                replica.pause()
            replica.resume()
            await stage.works(replica)
