"""Statements for many rows at once: what is counted on the write path is statements, not rows.

Every aiosqlite call is a hop to a thread and every asyncpg call a round trip, so a batch of
256 sagas must cost as many statements as a batch of one. On SQLite a bulk statement is one
`executemany` (the loop runs in C within one hop); on PostgreSQL it is one statement over
`unnest`ed arrays, one a column. Rows are plain tuples; no bind processing happens on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Boolean, Column, Dialect, Table, Text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

from domain.storage.sqlite import driver_behind, in_sqlalchemy_terms

__all__ = ["BulkInsert", "BulkUpdate", "any_of"]

_POSTGRESQL: Dialect = make_url("postgresql+asyncpg://").get_dialect()()


class _Values(TypeDecorator[Any]):
    """A list as one bound value: JSON text on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.item))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        values = list(value)
        return values if dialect.name == "postgresql" else msgspec.json.encode(values).decode()


class any_of(FunctionElement[bool]):
    """`column` is one of the values bound to `name`: one parameter however many values there are.

    The statement's text does not grow with the values, so it is compiled and planned once::

        statement = select(seats).where(any_of(seats.c.flight_id, "flights"))
        await connection.execute(statement, {"flights": [1, 2, 3]})
    """

    inherit_cache = True
    type = Boolean()
    name = "any_of"

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(column, BindParameter(name, type_=_Values(column.type), required=True))

    def self_group(self, against: OperatorType | None = None) -> any_of:
        # SQLAlchemy would write `(...) = 1` where a database has no booleans, and no index answers that.
        return self


@compiles(any_of, "sqlite")
def _any_of_on_sqlite(element: any_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    return (
        f"{compiler.process(column, **options)} IN (SELECT value FROM json_each({compiler.process(values, **options)}))"
    )


@compiles(any_of, "postgresql")
def _any_of_on_postgresql(element: any_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(values, **options)})"


class BulkInsert:
    """Insert many rows of `columns` into `table` by one statement; `skip_existing` leaves conflicting rows out."""

    def __init__(self, table: Table, *columns: Column[Any], skip_existing: bool = False) -> None:
        names = ", ".join(column.name for column in columns)
        conflict = " ON CONFLICT DO NOTHING" if skip_existing else ""
        marks = ", ".join("?" * len(columns))
        self._sqlite = f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}"
        self._postgresql = f"INSERT INTO {table.name} ({names}) SELECT * FROM {_unnest(columns)}{conflict}"

    async def __call__(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert `rows`, tuples in the order of the columns; returns how many were inserted."""
        return await _run(connection, self._sqlite, self._postgresql, rows)


class BulkUpdate:
    """Update many rows of `table` by one statement, each by its key.

    A row is the key's values, then `change`'s, then `among`'s. `expressions` give a column's
    new value as SQL in which `{name}` stands for the row's value of that name and the column's
    own name for what is stored; `guard` is SQL added to the WHERE in the same way: a state
    change names its old state, and the count of updated rows decides.
    """

    def __init__(
        self,
        table: Table,
        *,
        key: Sequence[Column[Any]],
        change: Sequence[Column[Any]],
        expressions: dict[str, str] | None = None,
        guard: str | None = None,
    ) -> None:
        expressions = expressions or {}
        columns = [*key, *change]
        order = {column.name: position for position, column in enumerate(columns, start=1)}

        def assemble(value_of: dict[str, str]) -> tuple[str, str]:
            sets = ", ".join(
                f"{column.name} = " + expressions.get(column.name, "{" + column.name + "}").format(**value_of)
                for column in change
            )
            where = " AND ".join(f"{table.name}.{column.name} = {value_of[column.name]}" for column in key)
            return sets, where + (f" AND {guard.format(**value_of)}" if guard else "")

        sets, where = assemble({name: f"?{position}" for name, position in order.items()})
        self._sqlite = f"UPDATE {table.name} SET {sets} WHERE {where}"
        sets, where = assemble({name: f"v.{name}" for name in order})
        self._postgresql = f"UPDATE {table.name} SET {sets} FROM {_unnest(columns)} WHERE {where}"

    async def __call__(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Update by `rows` (key's values, then changed values); returns how many rows were updated."""
        return await _run(connection, self._sqlite, self._postgresql, rows)


def _unnest(columns: Sequence[Column[Any]]) -> str:
    arrays = ", ".join(
        f"${position}::{column.type.compile(_POSTGRESQL)}[]" for position, column in enumerate(columns, start=1)
    )
    return f"unnest({arrays}) AS v({', '.join(column.name for column in columns)})"


async def _run(connection: AsyncConnection, sqlite: str, postgresql_: str, rows: Sequence[tuple[Any, ...]]) -> int:
    if not rows:
        return 0
    driver = driver_behind(connection)
    if driver is not None:
        with in_sqlalchemy_terms(sqlite):
            return await driver.run_many(sqlite, rows)
    if connection.dialect.name == "sqlite":
        result = await connection.exec_driver_sql(sqlite, list(rows))
    else:
        arrays = tuple([list(values) for values in zip(*rows, strict=True)])
        result = await connection.exec_driver_sql(postgresql_, arrays)
    return int(result.rowcount)
