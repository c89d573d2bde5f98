"""The sandbox's books: its references and keys, separate from our own database.

Requests that arrive while a group is being committed form the next group: they go together in one
transaction, and are answered after it. The books survive a killed process, not a power cut.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.engine import URL

from domain.clock import wall_now
from domain.errors import ConfigurationError
from domain.payments import ProviderState
from domain.storage import (
    Bounds,
    Grouped,
    ManyRows,
    Server,
    database_file,
    is_unavailable,
    make_private,
    real_file,
    require_one_home,
)
from sandbox.ledger import HASHED, Answer, Entry, Request, apply, hashed

__all__ = ["SCHEMA", "TABLES", "Books", "Entry", "PostgresBooks", "SqliteBooks", "books_beside"]

T = TypeVar("T")

GROUP_REQUESTS_MAX: Final = 512
_TEXT: Final = "TEXT NOT NULL DEFAULT ''"
_TIME: Final = "BIGINT NOT NULL DEFAULT 0"
#: Columns that books of an older version lack, with their types.
ADDED: Final = {
    "secret": _TEXT,
    "approval": _TEXT,
    "failure": _TEXT,
    "correlation_id": _TEXT,
    "created_at": _TIME,
    "changed_at": _TIME,
    "refunding": _TEXT,
    "refund_ends_at": _TIME,
}
_ENTRY_COLUMNS: Final = ", ".join(
    ("reference", "state", "amount", "currency", "authorizations", "captures", "voids", "refunds", *ADDED)
)
#: The schema of the books on PostgreSQL.
SCHEMA: Final = "sandbox"
TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS {{schema}}entries (
        reference TEXT PRIMARY KEY, state TEXT NOT NULL, amount BIGINT NOT NULL, currency TEXT NOT NULL,
        authorizations INTEGER NOT NULL, captures INTEGER NOT NULL, voids INTEGER NOT NULL, refunds INTEGER NOT NULL,
        {", ".join(f"{name} {kind}" for name, kind in ADDED.items())}
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}answers (
        key TEXT PRIMARY KEY, request TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL
    )""",
)
_PUT_ENTRIES: Final = ManyRows(16, lambda values: f"INSERT OR REPLACE INTO entries ({_ENTRY_COLUMNS}) {values}")
_ADD_ANSWERS: Final = ManyRows(4, lambda values: f"INSERT INTO answers (key, request, code, message) {values}")
# On PostgreSQL, one statement for a group, over one array a column.
_PUT_ALL: Final = f"""INSERT INTO sandbox.entries ({_ENTRY_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::text[], $16::bigint[])
    ON CONFLICT (reference) DO UPDATE SET state = excluded.state, amount = excluded.amount,
        currency = excluded.currency, authorizations = excluded.authorizations, captures = excluded.captures,
        voids = excluded.voids, refunds = excluded.refunds,
        {", ".join(f"{name} = excluded.{name}" for name in ADDED)}"""
_ADD_ALL: Final = """INSERT INTO sandbox.answers (key, request, code, message)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"""
_HAS_TABLES: Final = f"""SELECT to_regclass('sandbox.answers') IS NOT NULL AND {len(ADDED)} = (SELECT count(*)
    FROM pg_attribute WHERE attrelid = to_regclass('sandbox.entries')
        AND attname IN ({", ".join(f"'{name}'" for name in ADDED)}) AND NOT attisdropped)"""
#: Requests of an older version, which stored the card's token itself.
_WITH_TOKENS: Final = f"request LIKE 'authorize|%' AND request NOT LIKE '%|' AND request NOT LIKE '%|{HASHED}%'"
_HASH_ALL: Final = f"""UPDATE sandbox.answers
    SET request = regexp_replace(request, '[^|]*$', '') || '{HASHED}'
        || encode(sha256(convert_to(substring(request from '[^|]*$'), 'UTF8')), 'hex')
    WHERE {_WITH_TOKENS}"""
_MISMATCH: Final = Answer("IDEMPOTENCY_MISMATCH", "The key was used for another request.")


def books_beside(url: URL, *, bounds: Bounds | None = None) -> Path | Server:
    """The sandbox's books: in a file beside the database's at `url`, or on its server, within `bounds`."""
    if url.get_backend_name() == "sqlite":
        path = database_file(url)
        return real_file(path.with_name(f"{path.stem}.sandbox.db"))
    return Server(url, bounds=bounds)


class Books(ABC):
    """Answers requests in committed groups."""

    def __init__(self) -> None:
        self._requests = Grouped(self._commit, group_max=GROUP_REQUESTS_MAX)

    @property
    @abstractmethod
    def source(self) -> Path | Server:
        """Where they are, for those who read them by themselves."""

    @abstractmethod
    async def open(self) -> None:
        """Make the tables if they are missing."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect, once running requests have ended."""

    @abstractmethod
    async def entries(self, references: Sequence[str] | None = None) -> dict[str, Entry]:
        """These references, or all of them, from the books."""

    @abstractmethod
    async def _commit(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer a group in one transaction."""

    async def answer(self, request: Request) -> Answer:
        """Execute the request, once under its key, and answer after the commit."""
        return await self._requests(request)

    async def settle(self) -> None:
        """Wait for running requests."""
        await self._requests.settle()


class _Group:
    """One group and the books' state before it: pure."""

    def __init__(self, entries: dict[str, Entry], answers: dict[str, tuple[str, Answer]]) -> None:
        self.at = wall_now()
        self.entries = entries
        self.answers = answers
        self.changed: set[str] = set()
        self.new_answers: list[tuple[str, str, str, str]] = []

    def answer(self, request: Request) -> Answer:
        stored = self.answers.get(request.key)
        if stored is not None:
            return stored[1] if stored[0] == request.fingerprint else _MISMATCH
        known = self.entries.get(request.reference)
        created_at, before = (self.at, None) if known is None else (known.created_at, _effects_of(known))
        entry, answer = apply(known, request)
        if entry is not None:
            entry.created_at = created_at
            if _effects_of(entry) != before:
                entry.changed_at = self.at
            self.entries[request.reference] = entry
            self.changed.add(request.reference)
        self.answers[request.key] = (request.fingerprint, answer)
        self.new_answers.append((request.key, request.fingerprint, answer.code, answer.message))
        return answer

    def changed_rows(self) -> list[tuple[Any, ...]]:
        """The entries to write."""
        return [
            (
                *(e.reference, e.state.value, e.amount, e.currency, e.authorizations, e.captures, e.voids, e.refunds),
                *(e.secret, e.approval, e.failure, e.correlation_id, e.created_at, e.changed_at),
                *(e.refunding, e.refund_ends_at),
            )
            for e in (self.entries[reference] for reference in sorted(self.changed))
        ]


#: All that an operation can change of an entry.
_effects_of: Final = attrgetter(
    *("state", "authorizations", "captures", "voids", "refunds", "secret", "approval", "failure"),
    *("refunding", "refund_ends_at"),
)


def additions(present: Collection[str], schema: str = "") -> list[str]:
    """The statements that add to `entries`, which has the columns `present`, those that it lacks."""
    return [
        f"ALTER TABLE {schema}entries ADD COLUMN {name} {kind}" for name, kind in ADDED.items() if name not in present
    ]


def _entries(rows: Iterable[Sequence[Any]]) -> dict[str, Entry]:
    return {row[0]: Entry(row[0], ProviderState(row[1]), *row[2:]) for row in rows}


def _without_token(request: str) -> str:
    rest, _, token = request.rpartition("|")
    return f"{rest}|{hashed(token)}"


class SqliteBooks(Books):
    """Books in a SQLite file of their own, on a thread of their own."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-books")
        self._connection: sqlite3.Connection | None = None

    @property
    def source(self) -> Path:
        return self._path

    async def open(self) -> None:
        await self._run(self._connect)

    async def close(self) -> None:
        await self.settle()
        await self._run(self._disconnect)
        self._thread.shutdown()

    async def entries(self, references: Sequence[str] | None = None) -> dict[str, Entry]:
        return await self._run(self._read, references)

    async def _commit(self, requests: Sequence[Request]) -> list[Answer]:
        return await self._run(self._transact, requests)

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # Below: on the thread.

    def _connect(self) -> None:
        try:
            make_private(self._path)
            require_one_home(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be made ({error.strerror}).") from error
        # Checked without opening the file: closing it again would release this process's SQLite locks on it.
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise ConfigurationError(f"{self._path} cannot be written (Permission denied).")
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        # The operating system keeps written data when a process dies; only a power cut can lose it.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA secure_delete = ON")
        # Another process may be opening the same file.
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            connection.execute(statement.format(schema=""))
        present = [row[1] for row in connection.execute("PRAGMA table_info(entries)")]
        for statement in additions(present):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.create_function("without_token", 1, _without_token, deterministic=True)
        connection.execute(f"UPDATE answers SET request = without_token(request) WHERE {_WITH_TOKENS}")
        self._connection = connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the sandbox's books are not open")
        return self._connection

    def _read(self, references: Sequence[str] | None) -> dict[str, Entry]:
        statement = f"SELECT {_ENTRY_COLUMNS} FROM entries"
        if references is None:
            return _entries(self._open.execute(statement))
        marks = ", ".join("?" * len(references))
        return _entries(self._open.execute(f"{statement} WHERE reference IN ({marks})", references))

    def _transact(self, requests: Sequence[Request]) -> list[Answer]:
        connection = self._open
        connection.execute("BEGIN IMMEDIATE")
        try:
            keys = [request.key for request in requests]
            rows = connection.execute(
                f"SELECT key, request, code, message FROM answers WHERE key IN ({', '.join('?' * len(keys))})", keys
            )
            answers = {key: (request, Answer(code, message)) for key, request, code, message in rows}
            group = _Group(self._read([request.reference for request in requests]), answers)
            found = [group.answer(request) for request in requests]
            for statement, added in ((_PUT_ENTRIES, group.changed_rows()), (_ADD_ANSWERS, group.new_answers)):
                for text, values in statement.over(added):
                    connection.execute(text, values)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return found


class PostgresBooks(Books):
    """Books in a schema of their own, on connections of their own. Groups of several processes take turns."""

    _LOCK: Final = 5_325_261_119

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._pool: asyncpg.Pool | None = None

    @property
    def source(self) -> Server:
        return self._server

    async def open(self) -> None:
        self._pool = await self._server.pool(connections_max=2)
        async with self._open.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", self._LOCK)
            # CREATE ... IF NOT EXISTS needs the right to create, even if the schema exists.
            if await connection.fetchval(_HAS_TABLES):
                await connection.execute(_HASH_ALL)
                return
            try:
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                for statement in TABLES:
                    await connection.execute(statement.format(schema=f"{SCHEMA}."))
                for statement in additions(await self._columns(connection), f"{SCHEMA}."):
                    await connection.execute(statement)
                await connection.execute(_HASH_ALL)
            except asyncpg.InsufficientPrivilegeError as error:
                raise ConfigurationError(
                    f"The sandbox's books cannot be made or upgraded ({error}): let their owner, or the database's, "
                    "start once, or run GRANT CREATE ON DATABASE ... TO the user that SEATSAGA_DATABASE_URL names."
                ) from error

    async def _columns(self, connection: Any) -> list[str]:
        statement = "SELECT attname FROM pg_attribute WHERE attrelid = 'sandbox.entries'::regclass AND NOT attisdropped"
        return [row["attname"] for row in await connection.fetch(statement)]

    async def close(self) -> None:
        await self.settle()
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @property
    def _open(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the sandbox's books are not open")
        return self._pool

    async def entries(self, references: Sequence[str] | None = None) -> dict[str, Entry]:
        async with self._open.acquire() as connection:
            return await self._read(connection, references)

    async def _read(self, connection: Any, references: Sequence[str] | None) -> dict[str, Entry]:
        statement = f"SELECT {_ENTRY_COLUMNS} FROM sandbox.entries"
        if references is None:
            return _entries(await connection.fetch(statement))
        return _entries(await connection.fetch(f"{statement} WHERE reference = ANY ($1)", list(references)))

    async def _commit(self, requests: Sequence[Request]) -> list[Answer]:
        try:
            return await self._commit_once(requests)
        except Exception as error:
            if not is_unavailable(error):
                raise
        # The connection was lost, perhaps long ago, and this shows only now. A repeated key has no second effect.
        return await self._commit_once(requests)

    async def _commit_once(self, requests: Sequence[Request]) -> list[Answer]:
        async with self._open.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", self._LOCK)
            rows = await connection.fetch(
                "SELECT key, request, code, message FROM sandbox.answers WHERE key = ANY ($1)",
                [request.key for request in requests],
            )
            answers = {row["key"]: (row["request"], Answer(row["code"], row["message"])) for row in rows}
            group = _Group(await self._read(connection, [request.reference for request in requests]), answers)
            found = [group.answer(request) for request in requests]
            for statement, added in ((_PUT_ALL, group.changed_rows()), (_ADD_ALL, group.new_answers)):
                if added:
                    await connection.execute(statement, *zip(*added, strict=True))
        return found
