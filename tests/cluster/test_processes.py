"""Replicas die and are replaced, or stand still and wake up again."""

from __future__ import annotations

from tests.cluster.stage import Stage


async def test_replicas_are_killed_again_and_again(stage: Stage) -> None:
    """Each dies with a hold whose card was said at another replica, and which it had no time to obey."""
    paid = []
    async with stage.under_load() as load:
        for number, replica in enumerate(stage.replicas):
            async with stage.takeover_from(replica):
                paid.append(await load.hold(replica.url))
                replica.pause()
                await load.pay(paid[-1], stage.replicas[number - 1].url)
                assert await stage.has_a_word_for(replica, paid[-1])
                replica.kill()
                replica.start()
            await replica.ready()
    assert [order.last for order in paid] == ["SAGA_COMPLETED"] * len(stage.replicas)


async def test_a_replica_stands_still_beyond_its_lease_and_wakes(stage: Stage) -> None:
    async with stage.under_load():
        for replica in stage.replicas:
            async with stage.takeover_from(replica):
                replica.pause()
            replica.resume()
            await stage.works(replica)
