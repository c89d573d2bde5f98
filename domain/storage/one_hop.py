"""A SQLite connection that costs one hop to its thread a transaction, or a statement, and never more.

aiosqlite makes a hop of everything: of opening a cursor, of executing, of fetching, of closing.
With a hop at some 70 microseconds, and much more where the event loop is busy, that is what a
short transaction mostly costs. Here a statement is executed and all of its rows are fetched in
one; nothing is ever left open, so there is nothing to close, and no parked cursor to keep the
log from being checkpointed.

A whole transaction is one hop where it is `driven`: its coroutine runs on the connection's own
thread, on which no statement has anything to wait for, from its first line to its last::

    event loop ── drive(coroutine) ──▶ thread: BEGIN, statement, Python, statement, ..., COMMIT ──▶ result
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any, Final, TypeVar

import aiosqlite

__all__ = ["OneHopConnection", "connect"]

T = TypeVar("T")

_ROWS_AT_A_TIME: Final = 64


def connect(path: Path, hear: Callable[[sqlite3.Error], None], **arguments: Any) -> OneHopConnection:
    """A connection to the file at `path`, which await makes; `arguments` as sqlite3.connect takes them.

    `hear` is told, on the connection's thread, of every error before it is raised.
    """
    connection = OneHopConnection(partial(sqlite3.connect, str(path), **arguments), _ROWS_AT_A_TIME)
    connection.hear = hear
    # So that a process that forgets to close it can still end.
    connection._thread.daemon = True
    return connection


class OneHopConnection(aiosqlite.Connection):
    """As aiosqlite's, for SQLAlchemy's adapter: what differs is what `cursor` returns."""

    _is_stopping = False
    hear: Callable[[sqlite3.Error], None]

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread. Asked again, there is nothing to wait for: the thread would never answer."""
        if self._is_stopping:
            return None
        self._is_stopping = True
        return super().stop()

    def cursor(self) -> Any:
        """A cursor; opening it costs nothing."""
        return _Cursor(self)

    async def rollback(self) -> None:
        """Roll back, if there is anything to: the pool asks for it each time that a connection comes back."""
        if self._conn.in_transaction:
            await self._here(self._conn.rollback)

    async def commit(self) -> None:
        """Commit."""
        await self._here(self._conn.commit)

    async def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, which awaits nothing but this connection, to its end on the connection's thread.

        Cancelling the caller does not stop it. Raises what `work` raises, and RuntimeError
        where it waits for something else: on this thread nothing would ever wake it.
        """
        hop: Any = self._execute
        found: T = await hop(_drive, work)
        return found

    async def run(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, int, int | None, list[Any]]:
        """Execute one statement: its description, row count, last row id and rows."""
        found: tuple[Any, int, int | None, list[Any]] = await self._here(_run, self._conn, statement, parameters)
        return found

    async def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute a statement once for each of `rows`; how many rows it has changed."""
        changed: int = await self._here(_run_many, self._conn, statement, rows)
        return changed

    async def _here(self, function: Any, *arguments: Any) -> Any:
        """Call `function` on the connection's thread: at once where this is it."""
        if get_ident() == self._thread.ident:
            return self._call(function, *arguments)
        hop: Any = self._execute
        return await hop(self._call, function, *arguments)

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except sqlite3.Error as error:
            self.hear(error)
            raise


def _drive(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise RuntimeError("A transaction on SQLite may await nothing but its connection.")


def _run(
    connection: sqlite3.Connection, statement: str, parameters: Sequence[Any]
) -> tuple[Any, int, int | None, list[Any]]:
    cursor = connection.execute(statement, parameters)
    rows = cursor.fetchall() if cursor.description else []
    return cursor.description, cursor.rowcount, cursor.lastrowid, rows


def _run_many(connection: sqlite3.Connection, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    return connection.executemany(statement, rows).rowcount


class _Cursor:
    """What SQLAlchemy's adapter uses of a cursor."""

    __slots__ = ("_connection", "_rows", "arraysize", "description", "lastrowid", "rowcount")

    def __init__(self, connection: OneHopConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> _Cursor:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        self.description, self.rowcount, self.lastrowid, self._rows = await self._connection.run(statement, parameters)

    async def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self.description, self._rows = None, []
        self.rowcount = await self._connection.run_many(statement, rows)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Everything is fetched and closed already."""
