"""Rows that a database refuses to change: what a damaged row, or another's constraint, does to a sweep."""

from __future__ import annotations

import uuid
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.storage import Database

__all__ = ["refuse_deletes", "refuse_updates"]


async def refuse_updates(database: Database, table: str, column: str, value: str) -> None:
    """From now on each UPDATE of the rows of `table` whose `column` is `value` fails."""
    await _refuse("UPDATE", database, table, column, value)


async def refuse_deletes(database: Database, table: str, column: str, value: str) -> None:
    """From now on each DELETE of the rows of `table` whose `column` is `value` fails."""
    await _refuse("DELETE", database, table, column, value)


async def _refuse(what: Literal["UPDATE", "DELETE"], database: Database, table: str, column: str, value: str) -> None:
    name, said = f"refuse_{uuid.uuid4().hex[:12]}", f"no such {what.lower()}"
    condition = f"OLD.{column} = '{value}'"
    if database.dialect == "sqlite":
        statements = [
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{said}'); END"
        ]
    else:
        statements = [
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{said}'; END $$",
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {name}()",
        ]

    async def work(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(text(statement))

    await database.write(work)
