"""The driver's connection, by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

from domain.storage.one_hop import OneHopConnection, connect

TIMEOUT_SECONDS = 10


async def test_a_connection_that_is_stopped_twice_waits_for_its_thread_once(tmp_path: Path) -> None:
    connection = connect(tmp_path / "some.db", lambda error: None)
    await connection
    stopped = connection.stop()
    assert stopped is not None
    async with asyncio.timeout(10):
        await stopped
    assert connection.stop() is None


async def test_a_close_that_is_cancelled_closes_all_the_same(tmp_path: Path) -> None:
    connection = await opened(tmp_path)
    is_free = await occupied(connection)
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing], timeout=TIMEOUT_SECONDS / 2)
    is_cancelled = closing.cancelled()
    is_free.set()

    await asyncio.to_thread(assert_closed, connection)
    assert is_cancelled


def test_a_connection_whose_loop_has_ended_is_closed_by_its_thread(tmp_path: Path) -> None:
    """The thread still has a statement, and then the close: it can tell neither result to anybody."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(opened(tmp_path))
    is_free = loop.run_until_complete(occupied(connection))
    closing = loop.create_task(connection.close())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    # asyncio would only complain that nobody waits for it any more, which is what is tried here.
    closing._log_destroy_pending = False  # type: ignore[attr-defined]
    is_free.set()

    assert_closed(connection)


async def test_an_opening_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    connection = connect(tmp_path / "some.db", lambda error: None)
    opening = asyncio.ensure_future(connection)
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)

    await asyncio.to_thread(assert_closed, connection)


async def opened(folder: Path) -> OneHopConnection:
    connection = connect(folder / "some.db", lambda error: None)
    await connection
    return connection


async def occupied(connection: OneHopConnection) -> Event:
    """What the connection's thread waits for from now on; nobody waits for the thread's answer."""
    is_free, execute = Event(), connection._execute
    work = asyncio.create_task(execute(is_free.wait, TIMEOUT_SECONDS))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return is_free


def assert_closed(connection: OneHopConnection) -> None:
    connection._thread.join(TIMEOUT_SECONDS)
    assert not connection._thread.is_alive()
    assert connection._connection is None
