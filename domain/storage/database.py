"""One database: whole reads, and writes that are atomic also if the caller is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.clock import Clock, DatabaseClock
from domain.errors import CommitUnknownError, FileGoneError
from domain.storage import postgresql, sqlite
from domain.storage.damage import REMEDY, damage_of
from domain.storage.driven import DrivenTransactions, TransactionWork
from domain.storage.outages import trouble_of
from domain.storage.postgresql import Bounds, Server
from domain.storage.urls import database_url

__all__ = ["Database"]

T = TypeVar("T")
_logger = logging.getLogger("seatsaga.storage")

TRIES_MAX: Final = 8
_BACKOFF_SECONDS: Final = 0.01
#: A transaction that lost its connection runs again on another one until this time after its start: a server that
#: restarts is back by then. The caller handles longer outages.
LOST_SECONDS_MAX: Final = 3.0
CLOSE_SECONDS_MAX: Final = 5.0
#: SQLite answers SELECT 1 without reading its file.
_PING: Final = {"sqlite": text("SELECT count(*) FROM sqlite_schema"), "postgresql": text("SELECT 1")}


class Database:
    """The engines of one SQLite file or one PostgreSQL database, and its clock.

    `url`: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`, perhaps with several hosts;
    anything else raises ConfigurationError. `bounds` and `direct_url` are for PostgreSQL: if
    `direct_url` is set, `url` leads to a pooler and `direct_url` to the server. `foreign_keys` is for
    SQLite: without them, a migration can copy a table that others refer to.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        clock: Clock | None = None,
        bounds: Bounds | None = None,
        direct_url: str | URL | None = None,
        foreign_keys: bool = True,
    ) -> None:
        self.url = database_url(url)
        self.clock: Clock = clock or DatabaseClock()
        self.dialect: Literal["sqlite", "postgresql"]
        #: The way to the server itself, without any pooler; None on SQLite.
        self.direct: Server | None = None
        self._bounds: Bounds | None = None
        self._is_pooled = False
        if self.url.get_backend_name() == "sqlite":
            self.dialect = "sqlite"
            self._writer, self._readers = sqlite.create_engines(self.url, foreign_keys=foreign_keys, hear=self._hear)
            self._driven_writes = DrivenTransactions(self._writer, sqlite.BEGIN_WRITE, connections_max=1)
            self._driven_reads = DrivenTransactions(
                self._readers, sqlite.BEGIN_READ, connections_max=sqlite.DRIVEN_READERS_MAX
            )
        else:
            self.dialect = "postgresql"
            server = Server(self.url, bounds=bounds, pooled=direct_url is not None)
            self.direct = Server(database_url(direct_url), bounds=bounds) if direct_url is not None else server
            self._bounds = server.bounds
            self._is_pooled = server.pooled
            self._writer, self._readers = postgresql.create_engines(server)
        self._writes: set[asyncio.Task[Any]] = set()
        self._file: tuple[int, int] | None = None
        #: The damage of a SQLite file, in one sentence, once any statement has met it.
        self.damage: str | None = None
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the database accepts no writes, in words for operators; None once it has accepted one again."""
        return self._trouble

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note a write's result."""
        try:
            yield
        except Exception as error:
            self._trouble = trouble_of(error) or self._trouble
            raise
        self._trouble = None

    async def read(self, work: TransactionWork[T]) -> T:
        """Run `work` in one read transaction, all of whose statements see the same moment; return its result.

        On SQLite the whole read is one hop to a thread, so `work` may await only the connection.
        On PostgreSQL it runs again if the connection was lost.
        """
        if self.dialect == "sqlite":
            return await self._driven_reads.run(work)
        return await self._tried(lambda: self._read_once(work))

    async def _read_once(self, work: TransactionWork[T]) -> T:
        async with self.reading() as connection:
            return await work(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Like `read`, for work that awaits other things too; a hop for each statement. Close it soon."""
        async with self._transaction(self._readers) as connection:
            yield connection

    async def write(self, work: TransactionWork[T]) -> T:
        """Run `work` in one write transaction and commit it; return its result.

        Guarantee: cancelling the caller neither interrupts the transaction nor loses its commit; it
        continues in a task of its own. After a serialization failure, a deadlock or a connection lost
        before COMMIT, `work` runs again from the start (so it must have no effect outside the
        connection), at most 8 times. On SQLite the whole write is one hop to a thread, so `work` may
        await only the connection. An error in `work` rolls everything back and is raised. If the
        answer to COMMIT is lost, it raises CommitUnknownError and never sends a second COMMIT.
        """
        task: asyncio.Task[T] = asyncio.create_task(self._write(work))
        self._writes.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A caller that waits gets the exception; if none waits any more, this line is the only report.
            _logger.debug("A write failed.", exc_info=task.exception())

    async def _write(self, work: TransactionWork[T]) -> T:
        if self.dialect == "sqlite":
            with self._noting():
                self._require_same_file()
                done = await self._driven_writes.run(work)
                # If the file is gone meanwhile, callers must not act on the commit.
                self._require_same_file()
                return done
        return await self._tried(lambda: self._write_once(work))

    async def _tried(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run a transaction until it loses neither a race nor, before COMMIT, its connection."""
        began = time.monotonic()
        for tried in range(1, TRIES_MAX + 1):
            try:
                return await run()
            except Exception as error:
                again = postgresql.is_retryable(error) or (
                    postgresql.is_lost(error) and time.monotonic() - began < LOST_SECONDS_MAX
                )
                if tried == TRIES_MAX or not again:
                    raise
            await asyncio.sleep(_BACKOFF_SECONDS * 2**tried)
        raise AssertionError("unreachable")

    async def _write_once(self, work: TransactionWork[T]) -> T:
        async with self.writing() as connection:
            return await work(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Like `write`, for work that awaits other things too; a hop for each statement. The block's end commits.

        It does not run again after a lost race or connection, and cancelling it rolls back. On SQLite it
        blocks all other writes meanwhile.
        """
        with self._noting():
            async with self._committing() as connection:
                yield connection

    @asynccontextmanager
    async def _committing(self) -> AsyncIterator[AsyncConnection]:
        async with self._transaction(self._writer) as connection:
            yield connection
            if self._bounds is None:
                await connection.commit()
                return
            try:
                await postgresql.commit(connection, self._bounds)
            except Exception as error:
                if postgresql.is_retryable(error):
                    raise
                await connection.invalidate(error)
                raise CommitUnknownError("The answer to COMMIT was lost.") from error

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A transaction, rolled back unless it is committed; a lost connection leaves the pool."""
        async with engine.connect() as connection:
            try:
                await connection.begin()
                if self._bounds is not None and self._is_pooled:
                    await postgresql.bound_transaction(connection, self._bounds)
                yield connection
            except BaseException as error:
                await _give_up(connection, error)
                raise

    async def ping(self) -> None:
        """Raise unless the database answers from its stored data."""
        async with self.reading() as connection:
            await connection.execute(_PING[self.dialect])
        if self.dialect == "sqlite":
            self._require_same_file()

    def _require_same_file(self) -> None:
        """Raise FileGoneError unless the file is the one found first; a file that does not exist yet is none."""
        found = sqlite.file_identity(self.url)
        self._file = self._file or found
        if found != self._file:
            raise FileGoneError("its file was moved, removed or replaced: put it back, or stop the server and restore")

    def _hear(self, error: Exception) -> None:
        """Note an error that shows damage to the file. The note stays, as damage does not repair itself."""
        reason = damage_of(error)
        if reason is not None and self.damage is None:
            self.damage = f"its file is damaged or cannot be used ({reason}): stop the server, {REMEDY}"
            _logger.error("The database: %s.", self.damage)

    async def close(self) -> None:
        """Let running writes finish, then close every connection; does not wait for a server that does not answer."""
        while self._writes:
            await asyncio.wait(self._writes)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._close_connections()

    async def _close_connections(self) -> None:
        if self.dialect == "sqlite":
            await self._driven_writes.close()
            await self._driven_reads.close()
        await self._writer.dispose()
        await self._readers.dispose()


async def _give_up(connection: AsyncConnection, error: BaseException) -> None:
    """Roll back. If that fails, closing the connection discards the transaction; the first error says more."""
    try:
        if not postgresql.is_lost(error):
            await connection.rollback()
            return
    except Exception:
        _logger.debug("A connection could not be rolled back.", exc_info=True)
    await connection.invalidate()
