"""Reads the sandbox's books for an audit: it creates and changes nothing, also while others write."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import asyncpg

from domain.payments import ProviderState
from domain.storage import Server, require_one_home
from sandbox.ledger import Entry

__all__ = ["PAGE_ENTRIES_MAX", "BooksReader", "reading"]

PAGE_ENTRIES_MAX: Final = 5_000
#: Those of books of every version.
_COLUMNS: Final = "reference, state, amount, currency, authorizations, captures, voids, refunds"
_CHARGED: Final = f"state IN ('{ProviderState.AUTHORIZED.value}', '{ProviderState.CAPTURED.value}')"
_READ_SECONDS_MAX: Final = 300


class BooksReader(ABC):
    """Reads the books of one sandbox, each time in their present state."""

    @abstractmethod
    async def entries(self, references: Sequence[str]) -> dict[str, Entry]:
        """Those of these references that the books know."""

    @abstractmethod
    async def charged(self, after: str) -> list[str]:
        """References above `after` with authorized or captured money, in order, at most PAGE_ENTRIES_MAX."""


@asynccontextmanager
async def reading(books: Path | Server) -> AsyncIterator[BooksReader]:
    """The books in a SQLite file, or on a PostgreSQL server; empty if none exist yet."""
    if isinstance(books, Server):
        async with _reading_on_server(books) as reader:
            yield reader
        return
    connection = await asyncio.to_thread(_connect, books)
    if connection is None:
        yield _NoBooks()
        return
    with closing(connection):
        yield _SqliteReader(connection)


@asynccontextmanager
async def _reading_on_server(server: Server) -> AsyncIterator[BooksReader]:
    served = await server.connect(command_timeout=_READ_SECONDS_MAX)
    try:
        # Not a start-up setting of the session: the driver would then not find the host that accepts writes.
        await served.execute("SET default_transaction_read_only = on")
        has_books = await served.fetchval("SELECT to_regclass('sandbox.entries') IS NOT NULL")
        yield _PostgresReader(served) if has_books else _NoBooks()
    finally:
        await served.close()


def _connect(path: Path) -> sqlite3.Connection | None:
    if not path.exists():
        return None
    require_one_home(path)
    # Not mode=ro: the log that a killed process has left beside the file could not be read then.
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=10, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


class _NoBooks(BooksReader):
    async def entries(self, references: Sequence[str]) -> dict[str, Entry]:
        return {}

    async def charged(self, after: str) -> list[str]:
        return []


class _SqliteReader(BooksReader):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def entries(self, references: Sequence[str]) -> dict[str, Entry]:
        statement = f"SELECT {_COLUMNS} FROM entries WHERE reference IN (SELECT value FROM json_each(?))"
        return _entries(await self._read(statement, json.dumps(list(references))))

    async def charged(self, after: str) -> list[str]:
        statement = f"SELECT reference FROM entries WHERE {_CHARGED} AND reference > ? ORDER BY reference LIMIT ?"
        return [row[0] for row in await self._read(statement, after, PAGE_ENTRIES_MAX)]

    async def _read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(lambda: self._connection.execute(statement, parameters).fetchall())


class _PostgresReader(BooksReader):
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def entries(self, references: Sequence[str]) -> dict[str, Entry]:
        statement = f"SELECT {_COLUMNS} FROM sandbox.entries WHERE reference = ANY ($1)"
        return _entries([tuple(row) for row in await self._connection.fetch(statement, list(references))])

    async def charged(self, after: str) -> list[str]:
        statement = (
            f"SELECT reference FROM sandbox.entries WHERE {_CHARGED} AND reference > $1 ORDER BY reference LIMIT $2"
        )
        return [row[0] for row in await self._connection.fetch(statement, after, PAGE_ENTRIES_MAX)]


def _entries(rows: Iterable[Sequence[Any]]) -> dict[str, Entry]:
    return {row[0]: Entry(row[0], ProviderState(row[1]), *row[2:]) for row in rows}
