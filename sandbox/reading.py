"""Reads the sandbox's books for others: it creates and changes nothing, also while others write."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import asyncpg

from domain.money import Money
from domain.payments import BooksListing, BooksPage, BooksUnreadError, ProviderEntry, ProviderState
from domain.storage import Server, require_one_home
from sandbox.gateway import SandboxGateway

__all__ = ["PAGE_ENTRIES_MAX", "BooksReader", "reading"]

PAGE_ENTRIES_MAX: Final = 1_000
#: Those of books of every version.
_COLUMNS: Final = ("reference", "state", "amount", "currency", "captures", "refunds")
#: Those of later versions, and what stands for them in books that lack them.
_LATER: Final = {"correlation_id": "''", "created_at": "0", "changed_at": "0"}
_NAMES: Final = (*_COLUMNS, *_LATER)
#: What is listed, and the time by which it is. The sandbox knows no disputes, and no refund that
#: fails once it has succeeded.
_LISTED: Final = {
    BooksListing.PAYMENTS: ("created_at", "1 = 1"),
    BooksListing.REFUNDS: ("changed_at", f"(refunds > 0 OR state = '{ProviderState.REFUND_PENDING.value}')"),
    BooksListing.DISPUTES: ("changed_at", "1 = 0"),
    BooksListing.CHANGES: ("changed_at", "1 = 0"),
}
_READ_SECONDS_MAX: Final = 300


class BooksReader(ABC):
    """The books of one sandbox, as `domain.payments.ProviderBooks`."""

    provider: Final = SandboxGateway.name

    async def entries(self, references: Sequence[str]) -> Mapping[str, ProviderEntry]:
        found = [_entry(row) for row in await self._of(references)]
        return {entry.reference: entry for entry in found}

    async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
        at, reference = after.split(":", 1) if after else ("-1", "")
        rows = await self._listed(listing, since, until, int(at), reference)
        is_full = len(rows) == PAGE_ENTRIES_MAX
        last = f"{rows[-1][_NAMES.index(_LISTED[listing][0])]}:{rows[-1][0]}" if is_full else None
        return BooksPage([_entry(row) for row in rows], last)

    @abstractmethod
    async def _of(self, references: Sequence[str]) -> Sequence[Sequence[Any]]:
        """The rows of these references."""

    @abstractmethod
    async def _listed(
        self, listing: BooksListing, since: int, until: int, at: int, reference: str
    ) -> Sequence[Sequence[Any]]:
        """The rows of the listing behind (`at`, `reference`), at most PAGE_ENTRIES_MAX."""


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
        present = [
            row[0]
            for row in await served.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('sandbox.entries') AND NOT attisdropped"
            )
        ]
        yield _PostgresReader(served, present) if present else _NoBooks()
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
    async def _of(self, references: Sequence[str]) -> Sequence[Sequence[Any]]:
        return []

    async def _listed(
        self, listing: BooksListing, since: int, until: int, at: int, reference: str
    ) -> Sequence[Sequence[Any]]:
        return []


class _SqliteReader(BooksReader):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def _of(self, references: Sequence[str]) -> Sequence[Sequence[Any]]:
        return await self._read("reference IN (SELECT value FROM json_each(?))", json.dumps(list(references)))

    async def _listed(
        self, listing: BooksListing, since: int, until: int, at: int, reference: str
    ) -> Sequence[Sequence[Any]]:
        time, condition = _LISTED[listing]
        return await self._read(
            f"{condition} AND {time} >= ? AND {time} < ? AND ({time}, reference) > (?, ?)"
            f" ORDER BY {time}, reference LIMIT {PAGE_ENTRIES_MAX}",
            *(since, until, at, reference),
        )

    async def _read(self, condition: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._select, condition, parameters)

    def _select(self, condition: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            present = [row[1] for row in self._connection.execute("PRAGMA table_info(entries)")]
            statement = f"SELECT * FROM (SELECT {_columns(present)} FROM entries) AS entries WHERE {condition}"
            return self._connection.execute(statement, parameters).fetchall() if present else []
        except sqlite3.Error as error:
            raise BooksUnreadError(f"The sandbox's books cannot be read ({error}).") from error


class _PostgresReader(BooksReader):
    def __init__(self, connection: asyncpg.Connection, present: Collection[str]) -> None:
        self._connection = connection
        self._from = f"SELECT * FROM (SELECT {_columns(present)} FROM sandbox.entries) AS entries"

    async def _of(self, references: Sequence[str]) -> Sequence[Sequence[Any]]:
        return await self._read("reference = ANY ($1)", list(references))

    async def _listed(
        self, listing: BooksListing, since: int, until: int, at: int, reference: str
    ) -> Sequence[Sequence[Any]]:
        time, condition = _LISTED[listing]
        return await self._read(
            f"{condition} AND {time} >= $1 AND {time} < $2 AND ({time}, reference) > ($3::bigint, $4::text)"
            f" ORDER BY {time}, reference LIMIT {PAGE_ENTRIES_MAX}",
            *(since, until, at, reference),
        )

    async def _read(self, condition: str, *parameters: Any) -> Sequence[Sequence[Any]]:
        return [tuple(row) for row in await self._connection.fetch(f"{self._from} WHERE {condition}", *parameters)]


def _columns(present: Collection[str]) -> str:
    """The columns as SQL, in the order in which `_entry` takes them; constants for those that the books lack."""
    later = (name if name in present else f"{default} AS {name}" for name, default in _LATER.items())
    return ", ".join((*_COLUMNS, *later))


def _entry(row: Sequence[Any]) -> ProviderEntry:
    reference, named, amount, currency, captures, refunds, correlation_id, created_at, _ = row
    state = ProviderState(named)
    return ProviderEntry(
        reference,
        state,
        Money(amount, currency),
        created_at=created_at,
        reserved=amount if state is ProviderState.AUTHORIZED else 0,
        captured=amount if captures or state is ProviderState.CAPTURED else 0,
        refunded=amount if refunds or state is ProviderState.REFUNDED else 0,
        refunding=amount if state is ProviderState.REFUND_PENDING else 0,
        captures=captures,
        correlation_id=correlation_id or None,
    )
