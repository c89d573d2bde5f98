"""Whole transactions on SQLite, each run from start to end on its connection's own thread.

::

    event loop ── run(work) ──▶ thread: BEGIN, work's statements and Python, COMMIT ──▶ result

With SQLAlchemy, getting a connection, beginning a transaction and ending both costs about 300
microseconds, as much as a short read of a request. Here connections are taken once and kept, and
BEGIN and COMMIT go to the driver; statements that `work` executes through SQLAlchemy join the
transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.storage.one_hop import OneHopConnection, in_sqlalchemy_terms
from domain.storage.sqlite import BUSY_TIMEOUT_MS

__all__ = ["DrivenTransactions", "TransactionWork"]

#: From this wait in the queue on, the wait is subtracted from the time to wait for the file. At least `_LEAST_MS` stay.
_LONG_MS: Final = 1_000
_LEAST_MS: Final = 50
T = TypeVar("T")
TransactionWork = Callable[[AsyncConnection], Coroutine[Any, Any, T]]


class DrivenTransactions:
    """Runs transactions that begin with `begin`, at most `connections_max` at once, in the order of arrival."""

    def __init__(self, engine: AsyncEngine, begin: str, *, connections_max: int) -> None:
        self._engine = engine
        self._begin = begin
        # FIFO, so that a turn of the runner cannot overtake the mutation that waits before it.
        self._turnstile = asyncio.Semaphore(connections_max)
        self._idle: list[tuple[AsyncConnection, OneHopConnection]] = []

    async def run(self, work: TransactionWork[T]) -> T:
        """Run `work` and commit; return its result. If it raises, nothing has happened.

        `work` may await only its connection. Cancelling the caller does not stop it. If another process
        has locked the file, a caller's time to wait for it begins with the call, queueing included: so
        a queued caller waits no longer in all than the first one.
        """
        came_at = time.monotonic()
        async with self._turnstile:
            connection, driver = self._idle.pop() if self._idle else await self._connect()
            waited_ms = round((time.monotonic() - came_at) * 1_000)
            try:
                return await driver.drive(self._transact(connection, driver, work, waited_ms))
            finally:
                # Even if the thread still runs abandoned work: the thread runs one thing after another.
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
        self, connection: AsyncConnection, driver: OneHopConnection, work: TransactionWork[T], waited_ms: int
    ) -> T:
        await self._begin_on(driver, waited_ms)
        try:
            result = await work(connection)
            try:
                await driver.commit()
            except sqlite3.Error as error:
                raise in_sqlalchemy_terms("COMMIT", error) from error
        except BaseException:
            await driver.rollback()
            raise
        finally:
            if connection.in_transaction():
                # SQLAlchemy noted a transaction of its own for its statements; it has ended with ours.
                await connection.rollback()
        return result

    async def _begin_on(self, driver: OneHopConnection, waited_ms: int) -> None:
        if waited_ms < _LONG_MS:
            await driver.ask(self._begin, ())
            return
        await driver.ask(f"PRAGMA busy_timeout = {max(_LEAST_MS, BUSY_TIMEOUT_MS - waited_ms)}", ())
        try:
            await driver.ask(self._begin, ())
        finally:
            await driver.ask(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", ())
