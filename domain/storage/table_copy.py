"""Copies tables from one database to another, of either kind, and compares them value by value.

::

    source ── page of rows, by primary key ──▶ digest ──▶ target      TableCopy.run
    target ── page of rows, by primary key ──▶ digest                 TableCopy.check

A table is never in memory whole. The comparison uses the number of rows and the sum of the rows'
digests modulo 2**128. The sum does not depend on the order, as the two databases sort text and UUIDs
differently. Values are compared as Python objects, so that the column's type alone decides equality:
a boolean is a boolean, though SQLite stores a number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy import Column, Dialect, Integer, Table, bindparam, func, select, text, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import StorageError
from domain.storage.bulk import BulkInsert

__all__ = ["Contents", "TableCopy", "finish_tables", "is_empty", "keep_still"]

PAGE_ROWS_MAX: Final = 5_000
LOCK_SECONDS_MAX: Final = 10
_DIGEST_BYTES: Final = 16
_DIGEST_VALUES: Final = 1 << 8 * _DIGEST_BYTES
_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """The number of rows, and a digest of all their values that does not depend on their order."""

    rows: int = 0
    digest: int = 0

    def plus(self, rows: Sequence[_Row]) -> Contents:
        """These contents with `rows` added."""
        encode = msgspec.msgpack.encode
        digests = (blake2b(encode(row), digest_size=_DIGEST_BYTES).digest() for row in rows)
        total = self.digest + sum(int.from_bytes(digest, "big") for digest in digests)
        return Contents(self.rows + len(rows), total % _DIGEST_VALUES)


@dataclass(frozen=True, slots=True)
class TableCopy:
    """The copy of one table. `table` is its name in `source`, `into` its name in `target`: the same columns."""

    source: AsyncConnection
    target: AsyncConnection
    table: Table
    into: Table

    @property
    def name(self) -> str:
        """The table's name for people."""
        return self.table.fullname

    async def count(self) -> int:
        """How many rows the source has."""
        return int((await self.source.execute(select(func.count()).select_from(self.table))).scalar_one())

    async def run(self, told: Callable[[int], None]) -> Contents:
        """Copy all rows within the target's transaction; return their contents.

        `told` is called after every page with its number of rows. Raises StorageError, which names the
        table and no value, if the target refuses them.
        """
        write = await _writer(self.target, self.into)
        found = Contents()
        async for rows in _pages(self.source, self.table):
            try:
                await write(rows)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, OSError, ValueError, TypeError) as error:
                # The database's own message may contain people's names.
                raise StorageError(
                    f"{self.name}: the target did not take the rows after the first {found.rows:,}"
                    f" ({type(error).__name__}); nothing was copied."
                ) from error
            found = found.plus(rows)
            told(len(rows))
        return found

    async def check(self, told: Callable[[int], None]) -> Contents:
        """The target's contents, read again within its transaction."""
        return await _contents(self.target, self.into, told)

    async def is_done(self) -> bool:
        """Whether the target already has the same contents."""
        return await _contents(self.source, self.table) == await _contents(self.target, self.into)


async def is_empty(connection: AsyncConnection, table: Table) -> bool:
    """Whether `table` has no rows."""
    return (await connection.execute(select(*table.primary_key).limit(1))).first() is None


async def keep_still(connection: AsyncConnection, tables: Sequence[Table], *, readable: bool) -> None:
    """Block all other writes to `tables` until this transaction ends; on PostgreSQL also new reads, unless `readable`.

    `readable`: other copies may take the same lock, as several may copy from one source. Does nothing on
    SQLite: a reader sees one moment, and a writer is alone. Raises StorageError if another transaction
    keeps its lock longer than LOCK_SECONDS_MAX.
    """
    if connection.dialect.name == "sqlite":
        return
    names = ", ".join(_quoted(connection.dialect, table) for table in tables)
    try:
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'"))
        await connection.execute(text(f"LOCK TABLE {names} IN {'SHARE' if readable else 'EXCLUSIVE'} MODE"))
    except DBAPIError as error:
        raise StorageError(
            f"tables of {connection.engine.url.database} are in use, and could not be locked."
        ) from error


async def finish_tables(connection: AsyncConnection, tables: Sequence[Table]) -> None:
    """Set PostgreSQL's sequences past the highest numbers, and analyze the tables for its planner."""
    if connection.dialect.name == "sqlite":
        return
    for table in tables:
        for column in table.primary_key:
            if isinstance(column.type.dialect_impl(connection.dialect), Integer):
                await _set_past_highest(connection, table, column)
        await connection.execute(text(f"ANALYZE {_quoted(connection.dialect, table)}"))


async def _set_past_highest(connection: AsyncConnection, table: Table, column: Column[Any]) -> None:
    named = select(func.pg_get_serial_sequence(_quoted(connection.dialect, table), column.name))
    sequence = (await connection.execute(named)).scalar_one()
    highest = (await connection.execute(select(func.max(column)))).scalar_one()
    if sequence is not None and highest is not None:
        # Unlike setval, this is rolled back with the transaction.
        await connection.execute(text(f"ALTER SEQUENCE {sequence} RESTART WITH {int(highest) + 1}"))


async def _contents(
    connection: AsyncConnection, table: Table, told: Callable[[int], None] = lambda rows: None
) -> Contents:
    found = Contents()
    async for rows in _pages(connection, table):
        found = found.plus(rows)
        told(len(rows))
    return found


async def _pages(connection: AsyncConnection, table: Table) -> AsyncIterator[list[_Row]]:
    """All rows in the order of the primary key, PAGE_ROWS_MAX at a time."""
    key = list(table.primary_key)
    positions = [list(table.columns).index(column) for column in key]
    first = select(table).order_by(*key).limit(PAGE_ROWS_MAX)
    after = [bindparam(f"after_{column.name}", type_=column.type) for column in key]
    following = first.where(tuple_(*key) > tuple_(*after))
    rows = [tuple(row) for row in await connection.execute(first)]
    while rows:
        yield rows
        if len(rows) < PAGE_ROWS_MAX:
            return
        last = {bound.key: rows[-1][position] for bound, position in zip(after, positions, strict=True)}
        rows = [tuple(row) for row in await connection.execute(following, last)]


async def _writer(connection: AsyncConnection, table: Table) -> Callable[[list[_Row]], Any]:
    """A function that inserts rows, in the order of the table's columns, by the database's fastest way."""
    columns = list(table.columns)
    processors = [column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for column in columns]

    def bound(rows: list[_Row]) -> list[_Row]:
        if not any(processors):
            return rows
        return [
            tuple(
                [value if process is None else process(value) for process, value in zip(processors, row, strict=True)]
            )
            for row in rows
        ]

    if connection.dialect.name == "sqlite":
        insert = BulkInsert(table, *columns)

        async def write(rows: list[_Row]) -> None:
            await insert(connection, bound(rows))

        return write

    driver: Any = (await connection.get_raw_connection()).driver_connection
    if not driver.is_in_transaction():
        raise RuntimeError("the target's transaction has not begun: lock its tables first")

    async def copy(rows: list[_Row]) -> None:
        names = [column.name for column in columns]
        await driver.copy_records_to_table(table.name, schema_name=table.schema, columns=names, records=bound(rows))

    return copy


def _quoted(dialect: Dialect, table: Table) -> str:
    return dialect.identifier_preparer.format_table(table)
