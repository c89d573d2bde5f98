"""The driver's connection, by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from domain.storage.one_hop import connect


async def test_a_connection_that_is_stopped_twice_waits_for_its_thread_once(tmp_path: Path) -> None:
    connection = connect(tmp_path / "some.db", lambda error: None)
    await connection
    stopped = connection.stop()
    assert stopped is not None
    async with asyncio.timeout(10):
        await stopped
    assert connection.stop() is None
