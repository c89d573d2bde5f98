"""Copies the sandbox's books together with their database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.storage import TableCopy
from sandbox.books import ADDED, SCHEMA, TABLES, additions, books_beside

__all__ = ["books_copies", "books_url"]

_ENTRIES: Final = "entries"


def books_url(url: URL) -> URL:
    """The database URL of the books beside the database at `url`: their own file, or `url` itself (as a schema)."""
    source = books_beside(url)
    return url.set(database=str(source)) if isinstance(source, Path) else url


async def books_copies(source: AsyncConnection, target: AsyncConnection) -> list[TableCopy]:
    """The copies that make the target's books equal to the source's; empty if the source has none.

    Missing tables are made in the target, within its transaction.
    """
    found = await _columns(source)
    if not found:
        return []
    schema = _schema(target)
    if schema is not None:
        await target.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    for statement in TABLES:
        await target.execute(text(statement.format(schema=f"{schema}." if schema else "")))
    for statement in additions(await _columns(target), f"{schema}." if schema else ""):
        await target.execute(text(statement))
    # Books of an older version have none of the later columns; the target's have their defaults then.
    added = [name for name in ADDED if name in found]
    pairs = zip(_tables(_schema(source), added), _tables(schema, added), strict=True)
    return [TableCopy(source, target, table, into) for table, into in pairs]


def _schema(connection: AsyncConnection) -> str | None:
    return None if connection.dialect.name == "sqlite" else SCHEMA


async def _columns(connection: AsyncConnection) -> list[str]:
    """The columns of the entries; none if there is no such table."""

    def find(connection_: Connection) -> list[str]:
        inspector, schema = inspect(connection_), _schema(connection)
        if not inspector.has_table(_ENTRIES, schema=schema):
            return []
        return [column["name"] for column in inspector.get_columns(_ENTRIES, schema=schema)]

    return await connection.run_sync(find)


def _tables(schema: str | None, added: Sequence[str]) -> tuple[Table, Table]:
    metadata = MetaData(schema=schema)
    entries = Table(
        _ENTRIES,
        metadata,
        Column("reference", Text, primary_key=True),
        Column("state", Text),
        Column("amount", BigInteger),
        Column("currency", Text),
        *(Column(name, Integer) for name in ("authorizations", "captures", "voids", "refunds")),
        *(Column(name, BigInteger if name.endswith("_at") else Text) for name in added),
    )
    answers = Table(
        "answers",
        metadata,
        Column("key", Text, primary_key=True),
        *(Column(name, Text) for name in ("request", "code", "message")),
    )
    return entries, answers
