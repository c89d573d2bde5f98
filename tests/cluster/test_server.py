"""The database itself goes down: it comes back, or its standby takes its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cluster.postgres import PostgresServer, Stop
from tests.cluster.stage import Stage, staged

RESTARTS = 3


async def test_the_server_is_stopped_at_once_and_started_again(server: PostgresServer, stage: Stage) -> None:
    async with stage.under_load():
        for _ in range(RESTARTS):
            await all_work(stage)
            # In threads: else the links would stand still, and nobody would meet a server that is not there.
            await asyncio.to_thread(server.stop, Stop.IMMEDIATE)
            await stage.is_refused()
            server.launch()
            await asyncio.to_thread(server.await_answer)
        await all_work(stage)


async def test_the_primary_is_lost_and_its_synchronous_standby_takes_over(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with PostgresServer() as primary, PostgresServer(standby_of=primary, settings=["log_connections=on"]) as standby:
        primary.wait_for_standby()
        async with staged(tmp_path, primary, standby, seed=request.node.name) as stage:
            async with stage.under_load():
                await all_work(stage)
                standby.pause()
                # For so long that whoever committed has given it up.
                await stage.commits_wait_for_the_standby()
                primary.crash()
                standby.resume()
                # Nobody may take this for a fault of what it was about to do.
                await stage.meets(standby)
                await asyncio.to_thread(standby.promote)
                await all_work(stage)


async def all_work(stage: Stage) -> None:
    """Return once every replica does."""
    await asyncio.gather(*(stage.works(replica) for replica in stage.replicas))
