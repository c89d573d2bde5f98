"""Whole transactions on SQLite, each driven to its end on its connection's own thread.

::

    event loop ── run(work) ──▶ thread: BEGIN, work's statements and Python, COMMIT ──▶ result

SQLAlchemy's way to a connection, into a transaction and back out costs some 300 microseconds,
and so does each short read of a request. Here the connections are taken once and kept, and the
transaction's bounds go to the driver; whatever `work` executes through SQLAlchemy joins it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.storage.one_hop import OneHopConnection
from domain.storage.sqlite import BUSY_TIMEOUT_MS, in_sqlalchemy_terms

__all__ = ["DrivenTransactions", "Work"]

#: From so long a wait in line on, it is taken off the time that the file is waited for; and what is left at least.
_LONG_MS: Final = 1_000
_LEAST_MS: Final = 50
T = TypeVar("T")
Work = Callable[[AsyncConnection], Coroutine[Any, Any, T]]


class DrivenTransactions:
    """Runs transactions that begin with `begin`, at most `connections_max` at once, in the order of their coming."""

    def __init__(self, engine: AsyncEngine, begin: str, *, connections_max: int) -> None:
        self._engine = engine
        self._begin = begin
        # FIFO, so that a turn of the runner cannot overtake the mutation that waits before it.
        self._turnstile = asyncio.Semaphore(connections_max)
        self._idle: list[tuple[AsyncConnection, OneHopConnection]] = []

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, once it is committed; where it raises, nothing has happened.

        `work` may await nothing but its connection. Cancelling the caller does not stop it. Where
        another process has locked the file, the time that one waits for it begins with one's coming:
        who waits in line waits no longer than who is first.
        """
        came_at = time.monotonic()
        async with self._turnstile:
            connection, driver = self._idle.pop() if self._idle else await self._connect()
            waited_ms = round((time.monotonic() - came_at) * 1_000)
            try:
                return await driver.drive(self._transact(connection, driver, work, waited_ms))
            finally:
                # Also while the thread still runs what its caller gave up: it takes one thing after another.
                self._idle.append((connection, driver))

    async def close(self) -> None:
        """Give the connections back."""
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close()

    async def _connect(self) -> tuple[AsyncConnection, OneHopConnection]:
        connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, OneHopConnection)
        return connection, driver

    async def _transact(
        self, connection: AsyncConnection, driver: OneHopConnection, work: Work[T], waited_ms: int
    ) -> T:
        with in_sqlalchemy_terms(self._begin):
            await self._begin_on(driver, waited_ms)
        try:
            result = await work(connection)
            with in_sqlalchemy_terms("COMMIT"):
                await driver.commit()
        except BaseException:
            await driver.rollback()
            raise
        finally:
            if connection.in_transaction():
                # What SQLAlchemy executed made it note a transaction of its own, which has ended with ours.
                await connection.rollback()
        return result

    async def _begin_on(self, driver: OneHopConnection, waited_ms: int) -> None:
        if waited_ms < _LONG_MS:
            await driver.run(self._begin, ())
            return
        await driver.run(f"PRAGMA busy_timeout = {max(_LEAST_MS, BUSY_TIMEOUT_MS - waited_ms)}", ())
        try:
            await driver.run(self._begin, ())
        finally:
            await driver.run(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", ())
