"""One database: whole reads, and writes that nobody can tear apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock, DatabaseClock
from domain.errors import CommitUnknownError, ConfigurationError, StorageError
from domain.storage import postgresql, sqlite
from domain.storage.driven import DrivenTransactions, Work

__all__ = ["Database", "is_unavailable"]

T = TypeVar("T")

WRITE_TRIES_MAX: Final = 8
_WRITE_BACKOFF_SECONDS: Final = 0.01
COMMAND_TIMEOUT_SECONDS_DEFAULT: Final = 10.0
#: SQLite answers SELECT 1 without a look at its file.
_PING: Final = {"sqlite": text("SELECT count(*) FROM sqlite_schema"), "postgresql": text("SELECT 1")}


class Database:
    """The engines of one SQLite file or one PostgreSQL database, and its clock.

    `url`: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`; anything else is a
    ConfigurationError. `command_timeout_seconds` bounds a PostgreSQL statement.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        clock: Clock | None = None,
        command_timeout_seconds: float = COMMAND_TIMEOUT_SECONDS_DEFAULT,
    ) -> None:
        self.url = _parse(url)
        self.clock: Clock = clock or DatabaseClock()
        self.dialect: Literal["sqlite", "postgresql"]
        if self.url.get_backend_name() == "sqlite":
            self.dialect = "sqlite"
            self._writer, self._readers = sqlite.create_engines(self.url)
            self._driven_writes = DrivenTransactions(self._writer, sqlite.BEGIN_WRITE, connections_max=1)
            self._driven_reads = DrivenTransactions(
                self._readers, sqlite.BEGIN_READ, connections_max=sqlite.DRIVEN_READERS_MAX
            )
        else:
            self.dialect = "postgresql"
            self._writer, self._readers = postgresql.create_engines(self.url, command_timeout_seconds)
        self._writes: set[asyncio.Task[Any]] = set()
        self._file: tuple[int, int] | None = None

    async def read(self, work: Work[T]) -> T:
        """Run `work` in one read transaction, all of whose statements see the same moment; returns what it returned.

        On SQLite all of it is one hop to a thread, so `work` may await nothing but the connection.
        """
        if self.dialect == "sqlite":
            return await self._driven_reads.run(work)
        async with self._readers.connect() as connection, connection.begin():
            return await work(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """As `read`, for what awaits other things in between; a hop for each statement. Close it at once."""
        async with self._readers.connect() as connection, connection.begin():
            yield connection

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one write transaction and commit it; returns what `work` returned.

        Guarantee: cancelling the caller neither tears the transaction nor loses its commit; it
        goes on in a task of its own. A serialization failure or deadlock runs `work` again from
        the start (so it must have no effect outside the connection), at most 8 times. On SQLite
        all of it is one hop to a thread, so `work` may await nothing but the connection. An error
        in `work` rolls everything back and is raised. Where the answer to COMMIT is lost:
        CommitUnknownError, never a second COMMIT.
        """
        task: asyncio.Task[T] = asyncio.create_task(self._write(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self, work: Work[T]) -> T:
        for tried in range(1, WRITE_TRIES_MAX + 1):
            try:
                if self.dialect == "sqlite":
                    return await self._driven_writes.run(work)
                return await self._transact(work)
            except Exception as error:
                if tried == WRITE_TRIES_MAX or not postgresql.is_retryable(error):
                    raise
            await asyncio.sleep(_WRITE_BACKOFF_SECONDS * 2**tried)
        raise AssertionError("unreachable")

    async def _transact(self, work: Work[T]) -> T:
        async with self.writing() as connection:
            return await work(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """As `write`, for what awaits other things in between; a hop for each statement. The block's end commits.

        It is not run again, whatever it loses, and cancelling it rolls back. On SQLite nobody else
        writes meanwhile.
        """
        async with self._writer.connect() as connection:
            transaction = await connection.begin()
            try:
                yield connection
            except BaseException:
                try:
                    await transaction.rollback()
                except DBAPIError:
                    # It is lost, and with it all that was not committed; why it was lost says more.
                    await connection.invalidate()
                raise
            try:
                await transaction.commit()
            except Exception as error:
                # SQLite answers on the spot.
                if self.dialect == "sqlite" or postgresql.is_retryable(error):
                    raise
                raise CommitUnknownError("The answer to COMMIT was lost.") from error

    async def ping(self) -> None:
        """Raise unless the database answers, from what it has stored."""
        async with self.reading() as connection:
            await connection.execute(_PING[self.dialect])
        if self.dialect == "sqlite":
            self._ensure_same_file()

    def _ensure_same_file(self) -> None:
        """Raise where the file was moved, removed or replaced: what is open goes on, and is lost with the process."""
        found = sqlite.file_identity(self.url)
        self._file = self._file or found
        if found is None or found != self._file:
            raise StorageError("The database's file is not there any more, or is another one.")

    async def close(self) -> None:
        """Let running writes finish, then close every connection."""
        while self._writes:
            await asyncio.wait(self._writes)
        if self.dialect == "sqlite":
            await self._driven_writes.close()
            await self._driven_reads.close()
        await self._writer.dispose()
        await self._readers.dispose()


def _parse(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in {"sqlite+aiosqlite", "postgresql+asyncpg"}:
        raise ConfigurationError(
            "SEATSAGA_DATABASE_URL must be sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/DATABASE."
        )
    return parsed


def is_unavailable(error: BaseException) -> bool:
    """Whether the database did not answer, as opposed to a fault of what was asked of it."""
    if isinstance(error, CommitUnknownError | InterfaceError | PoolTimeoutError | OSError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated
