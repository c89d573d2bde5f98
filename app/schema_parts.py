"""Compares the tables, columns and indexes that a database has with those that this code declares, by name."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.metadata import metadata

__all__ = ["missing_parts", "tables_that_are_there"]

_COLUMNS: Final = {
    "sqlite": "SELECT m.name, p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'",
    "postgresql": (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false))"
    ),
}
_INDEXES: Final = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'index'",
    "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = ANY (current_schemas(false))",
}


async def missing_parts(connection: AsyncConnection) -> list[str]:
    """What this code declares and the database does not have, sorted: tables, their columns and indexes."""
    dialect = connection.dialect.name
    columns = {tuple(row) for row in await connection.execute(text(_COLUMNS[dialect]))}
    indexes = set((await connection.execute(text(_INDEXES[dialect]))).scalars())
    tables = {table for table, _ in columns}
    missing = [f"table {name}" for name in metadata.tables if name not in tables]
    for table in metadata.tables.values():
        if table.name in tables:
            missing += [
                f"column {table.name}.{each.name}" for each in table.c if (table.name, each.name) not in columns
            ]
            missing += [f"index {index.name}" for index in table.indexes if index.name not in indexes]
    return sorted(missing)


async def tables_that_are_there(connection: AsyncConnection) -> list[str]:
    """The tables of this code that the database has."""
    columns = await connection.execute(text(_COLUMNS[connection.dialect.name]))
    return sorted({row[0] for row in columns} & set(metadata.tables))
