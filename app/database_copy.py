"""Copies an installation's data to another database, and checks the copy before it commits.

::

    source: stopped, current ──┐  held still to the end
                               ├──▶ every table, in one transaction of the target ──▶ read back, compared
    target: migrated, empty ───┘  locked to the end                                       │ the same
                                                       leases end, sequences, COMMIT ◀────┘

Any failure before that COMMIT leaves the target empty; the source is only read. The sandbox's books are
copied, too. If the target is PostgreSQL, they are in the same transaction. If it is SQLite, they are a
second file, committed just before; the next try reuses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app import migrations
from app.metadata import metadata
from app.migrations import SchemaState
from domain.actors import Asked
from domain.clock import SECOND
from domain.errors import ConfigurationError, SchemaError, StorageError
from domain.operators import Entry, OperatorActionKind, record_entry
from domain.saga import end_leases, list_replicas
from domain.storage import (
    Bounds,
    Contents,
    Database,
    FileLock,
    TableCopy,
    data_tables,
    database_file,
    finish_tables,
    is_empty,
    keep_still,
)
from sandbox import books_copies, books_url

__all__ = ["CopiedTable", "CopyDiffersError", "copy_database"]

#: Fits one page of rows, with the indexes and foreign keys of all its rows.
_BOUNDS: Final = Bounds(2, statement_seconds=300.0, idle_transaction_seconds=None)
_VERSION_TABLE: Final = "alembic_version"


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """One table: its contents in the source, and now in the target."""

    name: str
    source: Contents
    target: Contents

    @property
    def is_same(self) -> bool:
        """Whether nothing was lost, added or changed."""
        return self.source == self.target


class CopyDiffersError(StorageError):
    """The target's data differs from the source's; nothing was committed. `tables` has the differences."""

    def __init__(self, tables: Sequence[CopiedTable]) -> None:
        names = ", ".join(table.name for table in tables if not table.is_same)
        super().__init__(f"the copy of {names} differs from the source; nothing was copied.")
        self.tables = tables


async def copy_database(
    source: str, target: str, *, with_books: bool, progress: Callable[[int, int], None], asked: Asked
) -> list[CopiedTable]:
    """Copy all data of the database at URL `source` to the one at URL `target`; returns the result of each table.

    `with_books`: copy the sandbox's books, too. `progress` receives the rows done and the total; every
    row counts twice, once copied and once read back.

    Guarantee: once it returns, the target has all data; if it raises or the process dies, it has none. If the
    answer to COMMIT is lost (CommitUnknownError), it is either of the two. Raises ConfigurationError
    or SchemaError if the source is served or of another version, or the target is not empty;
    CopyDiffersError if the data read back differs from the written data; StorageError if either
    database fails.
    """
    try:
        return await _copy_database(source, target, with_books=with_books, progress=progress, asked=asked)
    except (DBAPIError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise StorageError(f"nothing was copied: {type(error).__name__}: {reason}") from error


async def _copy_database(
    source: str, target: str, *, with_books: bool, progress: Callable[[int, int], None], asked: Asked
) -> list[CopiedTable]:
    async with AsyncExitStack() as stack:
        from_ = _open("FROM", source, stack)
        to = _open("TO", target, stack)
        _require_two(from_.url, to.url)
        await _require_copyable(from_)
        await _take_alone("FROM", from_, stack)
        await _prepare(to, stack)
        reading = await stack.enter_async_context(_held_still(from_))
        async with to.writing() as writing, _books(from_, to, (reading, writing), wanted=with_books) as books:
            tables = data_tables(metadata)
            await keep_still(writing, tables, readable=False)
            await _require_empty(writing)
            copies = [TableCopy(reading, writing, table, table) for table in tables] + books
            copied = await _copy(copies, progress)
            await finish_tables(writing, tables)
            now = await to.clock.now(writing)
            await end_leases(writing, now)
            was = from_.url.render_as_string(hide_password=True)
            await record_entry(
                writing, Entry(asked, OperatorActionKind.COPY_DATABASE, "empty", f"copied from {was}"), at=now
            )
            return copied


# ---------------------------------------------------------------------- before


def _open(name: str, url: str, stack: AsyncExitStack) -> Database:
    try:
        database = Database(url, bounds=_BOUNDS)
    except ConfigurationError:
        raise ConfigurationError(
            f"{name} must be sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/DATABASE."
        ) from None
    stack.push_async_callback(database.close)
    return database


def _require_two(source: URL, target: URL) -> None:
    if _place(source) == _place(target):
        raise ConfigurationError("FROM and TO are the same database.")


def _place(url: URL) -> object:
    if url.get_backend_name() == "sqlite":
        return database_file(url).resolve()
    return url.host, url.port, url.database, url.normalized_query


async def _require_copyable(source: Database) -> None:
    """Raise unless the source exists, has this version's schema, and no replica serves it."""
    if source.dialect == "sqlite" and not database_file(source.url).exists():
        raise ConfigurationError(f"FROM: there is no file {database_file(source.url)}.")
    match await migrations.schema_state(_text(source.url)):
        case SchemaState.EMPTY:
            raise SchemaError("FROM has no schema of seatsaga: there is nothing to copy.")
        case SchemaState.BEHIND:
            raise SchemaError(
                "FROM has the schema of an older version; set SEATSAGA_DATABASE_URL to it and run: seatsaga migrate"
            )
        case SchemaState.AHEAD | SchemaState.ENDED:
            raise SchemaError("FROM was migrated by a newer seatsaga; copy it with that version.")
        case SchemaState.CURRENT:
            if source.dialect == "postgresql":
                async with source.reading() as connection:
                    await _require_unserved(source, connection)


async def _require_unserved(source: Database, connection: AsyncConnection) -> None:
    now = await source.clock.now(connection)
    alive = [replica for replica in await list_replicas(connection, now) if replica.is_alive(now)]
    if alive:
        who = ", ".join(f"process {replica.process_id} on {replica.host}" for replica in alive)
        seconds = max(replica.lease_until - now for replica in alive) / SECOND
        raise ConfigurationError(
            f"FROM is served by {who}; stop it. If it is dead already, its lease ends in {seconds:.0f} s."
        )


async def _take_alone(name: str, database: Database, stack: AsyncExitStack) -> None:
    """Lock a SQLite file until it is copied. PostgreSQL's tables are locked in their transactions instead."""
    if database.dialect != "sqlite":
        return
    path = database_file(database.url)
    lock = FileLock(path)
    if not lock.acquire():
        raise ConfigurationError(f"{name}: {path} is in use by {await _user_of(database)}; stop it.")
    stack.callback(lock.release)


async def _user_of(database: Database) -> str:
    if await migrations.schema_state(_text(database.url)) is SchemaState.CURRENT:
        async with database.reading() as connection:
            now = await database.clock.now(connection)
            for replica in await list_replicas(connection, now):
                if replica.is_alive(now):
                    return f"process {replica.process_id}"
    return "another process"


async def _prepare(target: Database, stack: AsyncExitStack) -> None:
    """Lock the target, and migrate it if it is empty."""
    await _take_alone("TO", target, stack)
    url = _text(target.url)
    match await migrations.schema_state(url):
        case SchemaState.EMPTY:
            foreign = await _tables_of(target)
            if foreign:
                raise ConfigurationError(f"TO is not empty: it has a table {foreign[0]}, which is not seatsaga's.")
            await migrations.upgrade(url)
        case SchemaState.CURRENT:
            async with target.reading() as connection:
                await _require_empty(connection)
        case SchemaState.BEHIND | SchemaState.AHEAD | SchemaState.ENDED:
            raise SchemaError("TO has the schema of another version of seatsaga; give it an empty database.")


async def _tables_of(target: Database) -> list[str]:
    async with target.reading() as connection:
        names = await connection.run_sync(lambda inner: inspect(inner).get_table_names())
    return sorted(name for name in names if name != _VERSION_TABLE)


async def _require_empty(connection: AsyncConnection) -> None:
    for table in data_tables(metadata):
        if not await is_empty(connection, table):
            raise ConfigurationError(f"TO is not empty: there are rows in its table {table.name}.")


# ---------------------------------------------------------------------- the copy


@asynccontextmanager
async def _held_still(source: Database) -> AsyncIterator[AsyncConnection]:
    """A snapshot of the source; nobody can change the source meanwhile."""
    async with source.reading() as connection:
        await keep_still(connection, data_tables(metadata), readable=True)
        if source.dialect == "postgresql":
            await _require_unserved(source, connection)
        yield connection


@asynccontextmanager
async def _books(
    source: Database, target: Database, main: tuple[AsyncConnection, AsyncConnection], *, wanted: bool
) -> AsyncIterator[list[TableCopy]]:
    """The copies of the sandbox's books, if any; committed at the end of the block.

    `main`: the transactions on the databases themselves; books in PostgreSQL are copied in them, too.
    """
    reading, writing = main
    async with AsyncExitStack() as stack:
        if not wanted or not _may_have_books(source.url):
            yield []
            return
        if source.dialect == "sqlite":
            reading = await stack.enter_async_context(_beside(source, stack).reading())
        if target.dialect == "sqlite":
            writing = await stack.enter_async_context(_beside(target, stack).writing())
        yield [copy for copy in await books_copies(reading, writing) if not await _is_there(copy)]


def _may_have_books(url: URL) -> bool:
    return url.get_backend_name() != "sqlite" or database_file(books_url(url)).exists()


def _beside(database: Database, stack: AsyncExitStack) -> Database:
    """The file of the database's books, as a database."""
    books = Database(books_url(database.url), bounds=_BOUNDS)
    stack.push_async_callback(books.close)
    return books


async def _is_there(copy: TableCopy) -> bool:
    """Whether an earlier try copied these books and ended before it committed the database itself."""
    if await is_empty(copy.target, copy.into):
        return False
    if await copy.is_done():
        return True
    raise ConfigurationError(f"TO is not empty: the sandbox's books beside it have other rows in {copy.into.name}.")


async def _copy(copies: Sequence[TableCopy], progress: Callable[[int, int], None]) -> list[CopiedTable]:
    total, done = 2 * sum([await copy.count() for copy in copies]), 0

    def told(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, total)

    had = [await copy.run(told) for copy in copies]
    copied = [CopiedTable(copy.name, found, await copy.check(told)) for copy, found in zip(copies, had, strict=True)]
    if not all(table.is_same for table in copied):
        raise CopyDiffersError(copied)
    return copied


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
