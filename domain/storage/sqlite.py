"""SQLite only: its settings and limits, with reasons. No other module names a PRAGMA.

There is one writer connection. Its transactions begin IMMEDIATE: a deferred one that upgrades from
reading to writing fails with SQLITE_BUSY at once, despite the busy_timeout. Readers have
connections of their own; in WAL mode readers and the writer never wait for each other. A read
transaction must be short: while it is open, checkpoints stop and the log grows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import ConfigurationError
from domain.storage.files import make_private, real_file, require_one_home
from domain.storage.one_hop import OneHopConnection, connect
from domain.storage.replacing import require_finished

__all__ = [
    "BEGIN_READ",
    "BEGIN_WRITE",
    "DRIVEN_READERS_MAX",
    "READERS_MAX",
    "create_engines",
    "database_file",
    "driver_behind",
    "file_identity",
    "trim_log",
    "trouble",
]

#: For whole driven reads; READERS_MAX more serve reads that await other things in between.
DRIVEN_READERS_MAX: Final = 2
READERS_MAX: Final = 4
BEGIN_READ: Final = "BEGIN"
BEGIN_WRITE: Final = "BEGIN IMMEDIATE"
#: The first version with UPDATE ... FROM and RETURNING.
SQLITE_LEAST: Final = (3, 35, 0)
BUSY_TIMEOUT_MS: Final = 10_000
#: Emptying the log waits at most this long for running readers and writers.
TRIM_SECONDS_MAX: Final = 0.1
#: Each connection keeps 8 MiB of pages; 512 MiB of the file are mapped, so reads need no copy of their own. 64 MiB were
#: not faster, and the process grew until every connection had filled them.
_CACHE_KIB: Final = 8_192
_MMAP_BYTES: Final = 536_870_912
#: The log goes into the file once it has 32 MiB. With SQLite's 4 MiB that was nearly every commit of a full turn: each
#: wrote its changed pages a second time and waited for the disk a second time.
_LOG_PAGES: Final = 8_192
_STATEMENTS_CACHED: Final = 512


def create_engines(
    url: URL, *, foreign_keys: bool = True, hear: Callable[[sqlite3.Error], None]
) -> tuple[AsyncEngine, AsyncEngine]:
    """The one-connection writer and the pool of readers of one database file. `hear` is called with each error.

    `foreign_keys`: whether the writer checks them; only a migration that copies a table does without.
    """
    if sqlite3.sqlite_version_info < SQLITE_LEAST:
        least = ".".join(map(str, SQLITE_LEAST))
        raise ConfigurationError(f"SQLite {least} or newer is needed; this Python has {sqlite3.sqlite_version}.")
    path = database_file(url)
    arguments = {"cached_statements": _STATEMENTS_CACHED, "timeout": BUSY_TIMEOUT_MS / 1000}

    async def create() -> OneHopConnection:
        require_finished(path)
        make_private(path)
        require_one_home(path)
        # The driver's own transaction handling would begin DEFERRED, and begin nothing before a SELECT.
        connection = connect(path, hear, isolation_level=None, **arguments)
        await connection
        return connection

    # Parameters are people's names and card tokens, which an error must not show.
    writer = create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=None, async_creator=create, hide_parameters=True
    )
    readers = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=DRIVEN_READERS_MAX + READERS_MAX,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_MS / 1000,
        async_creator=create,
    )
    _prepare(writer, BEGIN_WRITE, query_only=False, foreign_keys=foreign_keys)
    _prepare(readers, BEGIN_READ, query_only=True, foreign_keys=True)
    return writer, readers


def driver_behind(connection: AsyncConnection) -> OneHopConnection | None:
    """The driver's connection behind SQLAlchemy's, for statements that go to it directly.

    None on PostgreSQL, and if anything listens to SQLAlchemy's statements.
    """
    inner = connection.sync_connection
    if inner is None or inner.dialect.name != "sqlite" or inner.dispatch.before_cursor_execute:
        return None
    driver = inner.connection.driver_connection
    return driver if isinstance(driver, OneHopConnection) else None


def database_file(url: URL) -> Path:
    """The file that `url` leads to, also by a link. Refuses a database in memory: it would lose every saga."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(
            "SEATSAGA_DATABASE_URL: a SQLite database must be a file, as in sqlite+aiosqlite:///data/seatsaga.db."
        )
    return real_file(Path(url.database))


def file_identity(url: URL) -> tuple[int, int] | None:
    """The identity of the file at `url`, different for any later file at that place; None if there is no file."""
    try:
        found = Path(url.database or "").stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def trim_log(path: Path) -> bool:
    """Merge the log of the database at `path` into it and empty the log; return whether no transaction was in the way.

    A log keeps its old content until that is overwritten: also a card's token that the database has
    long deleted. Writers wait at most `TRIM_SECONDS_MAX` and the disk's time.
    """
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=TRIM_SECONDS_MAX)) as connection:
        (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def _prepare(engine: AsyncEngine, begin: str, *, query_only: bool, foreign_keys: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            # Deleted and overwritten data (a card's token, for example) becomes zeros.
            "secure_delete = ON",
            f"cache_size = -{_CACHE_KIB}",
            f"mmap_size = {_MMAP_BYTES}",
            f"wal_autocheckpoint = {_LOG_PAGES}",
            "temp_store = MEMORY",
            f"query_only = {'ON' if query_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        if not connection.connection.driver_connection.in_transaction:
            connection.exec_driver_sql(begin)


#: Temporary reasons why a file cannot be used by any statement. Damage is not among them: it does not pass.
_TROUBLES: Final = {
    sqlite3.SQLITE_BUSY: "another process has locked it",
    sqlite3.SQLITE_LOCKED: "another process has locked it",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its file cannot be read or written",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "another process has locked it",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}
#: SQLite's extended codes have the primary code in these bits.
_PRIMARY: Final = 0xFF


def trouble(error: BaseException) -> str | None:
    """Why the database cannot be used just now, in words for operators; None if the error has another cause."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else _TROUBLES.get(code & _PRIMARY)
