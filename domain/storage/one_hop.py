"""A SQLite connection with at most one thread hop for each transaction, or for each statement.

aiosqlite needs a hop for each operation: opening a cursor, executing, fetching, closing. A hop takes
about 70 microseconds, and much more if the event loop is busy; in a short transaction that is most
of the cost. Here one hop executes a statement and fetches all of its rows. No cursor stays open, so
there is nothing to close, and no open cursor prevents checkpoints of the log.

A whole transaction is one hop if it is `driven`: its coroutine runs from its first line to its last
on the connection's own thread, where no statement has to wait::

    event loop ── drive(coroutine) ──▶ thread: BEGIN, statement, Python, statement, ..., COMMIT ──▶ result
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any, Final, TypeVar

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

__all__ = ["OneHopConnection", "connect", "in_sqlalchemy_terms"]

T = TypeVar("T")

_ROWS_AT_A_TIME: Final = 64


def connect(path: Path, hear: Callable[[sqlite3.Error], None], **arguments: Any) -> OneHopConnection:
    """A connection to the file at `path`; await it to open it. `arguments` are those of sqlite3.connect.

    `hear` is called with every error before it is raised, on the connection's thread.
    """
    connection = OneHopConnection(partial(sqlite3.connect, str(path), **arguments), _ROWS_AT_A_TIME)
    connection.hear = hear
    # So that a process that forgets to close the connection can still end.
    connection._thread.daemon = True
    return connection


class OneHopConnection(aiosqlite.Connection):
    """Like aiosqlite's connection, for SQLAlchemy's adapter; only `cursor` returns something different."""

    hear: Callable[[sqlite3.Error], None]

    async def close(self) -> None:
        """Close the connection and end its thread, after the work that the thread already has.

        If the caller is cancelled, or its event loop ends, the thread does it all the same.
        """
        ended = self.stop()
        if ended is not None:
            await ended

    def stop(self) -> asyncio.Future[Any] | None:
        """Begin to close; the future tells when it is done. A second call returns None, as does one without a loop."""
        if not self._running:
            return None
        self._running = False
        try:
            return self._ask(self._end)
        except RuntimeError:
            self._tx.put_nowait((None, self._end))
            return None

    def _end(self) -> object:
        connection, self._connection = self._connection, None
        if connection is not None:
            # The thread ends in any case.
            with suppress(sqlite3.Error):
                connection.close()
        return _STOP_RUNNING_SENTINEL

    async def _connect(self) -> OneHopConnection:
        def open_file() -> None:
            self._connection = self._connector()

        try:
            await self._ask(open_file)
        except BaseException:
            self.stop()
            raise
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        return await self._ask(partial(fn, *args, **kwargs))

    def _ask(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have the thread call `function`; the future gets its result. Raises RuntimeError without a running loop.

        If aiosqlite itself is to tell a result to a loop that is closed by then, its thread dies, and the connection
        stays open.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def answer() -> Any:
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, result, error)
            return result

        self._tx.put_nowait((None, answer))
        return future

    def cursor(self) -> Any:
        """A cursor; opening it costs nothing."""
        return _Cursor(self)

    async def rollback(self) -> None:
        """Roll back, if a transaction is open: the pool calls this each time a connection comes back."""
        if self._conn.in_transaction:
            await self._here(self._conn.rollback)

    async def commit(self) -> None:
        """Commit."""
        await self._here(self._conn.commit)

    async def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` from start to end on the connection's thread; it may await only this connection.

        Cancelling the caller does not stop it. Raises the exceptions of `work`, and RuntimeError if it
        awaits anything else: on this thread nothing would ever wake it.
        """
        hop: Any = self._execute
        found: T = await hop(_drive, work)
        return found

    async def run(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, int, int | None, list[Any]]:
        """Execute one statement; return its description, row count, last row ID and rows."""
        if get_ident() == self._thread.ident:
            return self._run(statement, parameters)
        hop: Any = self._execute
        found: tuple[Any, int, int | None, list[Any]] = await hop(self._run, statement, parameters)
        return found

    def _run(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, int, int | None, list[Any]]:
        try:
            cursor = self._conn.execute(statement, parameters)
            rows = cursor.fetchall() if cursor.description else []
        except sqlite3.Error as error:
            self.hear(error)
            raise
        return cursor.description, cursor.rowcount, cursor.lastrowid, rows

    async def ask(self, statement: str, parameters: Sequence[Any]) -> tuple[Any, int, int | None, list[Any]]:
        """As `run`, for those who pass SQLAlchemy by: raises its exceptions."""
        try:
            return await self.run(statement, parameters)
        except sqlite3.Error as error:
            raise in_sqlalchemy_terms(statement, error) from error

    async def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute a statement once for each of `rows`; return how many rows it has changed."""
        changed: int = await self._here(_run_many, self._conn, statement, rows)
        return changed

    async def _here(self, function: Any, *arguments: Any) -> Any:
        """Call `function` on the connection's thread: directly if this is that thread."""
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


def in_sqlalchemy_terms(statement: str, error: sqlite3.Error) -> DBAPIError:
    """The driver's exception in SQLAlchemy's form, without the statement's values."""
    kind = IntegrityError if isinstance(error, sqlite3.IntegrityError) else OperationalError
    return kind(statement, None, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _drive(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise RuntimeError("A transaction on SQLite may await nothing but its connection.")


def _run_many(connection: sqlite3.Connection, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    return connection.executemany(statement, rows).rowcount


class _Cursor:
    """The part of a cursor that SQLAlchemy's adapter uses."""

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
        """Does nothing: all rows are fetched, and the cursor is closed already."""
