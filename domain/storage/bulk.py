"""Statements for many rows at once: on the write path the number of statements matters, not that of rows.

Every asyncpg call is a round trip, so a batch of 256 sagas must need as many statements as a batch
of one. On PostgreSQL a bulk statement is one statement over `unnest`ed arrays, one a column. On
SQLite it is a few, each over VALUES of 1, 2, 4, ... 128 rows, whose texts are made once.

Not `executemany`: it releases the interpreter lock for every row and must get it back from a busy
event loop. Beside one, 250 rows took 880 ms that way, and 18 ms in one statement. Rows are plain
tuples; there is no bind processing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

from domain.storage import postgresql, sqlite

__all__ = ["BulkInsert", "BulkUpdate", "ManyRows", "any_of"]

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
    """SQL: `column` is one of the values bound to `name`; one parameter for any number of values.

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
        # SQLAlchemy would write `(...) = 1` for a database without booleans, and that uses no index.
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


#: Rows of one statement on SQLite: within its 32,766 parameters for as many as 250 columns.
_ROWS_MAX = 128


class BulkInsert:
    """Insert many rows of `columns` into `table`; `skip_existing` leaves conflicting rows out.

    `merge`: if a row with the same primary key exists, these columns get these values, SQL in which
    `excluded` is the new row. No two new rows may then share a key. `returned`: the column of the
    inserted rows that `returning` returns.
    """

    def __init__(
        self,
        table: Table,
        *columns: Column[Any],
        skip_existing: bool = False,
        merge: Mapping[str, str] | None = None,
        returned: Column[Any] | None = None,
    ) -> None:
        names = ", ".join(column.name for column in columns)
        end = " ON CONFLICT DO NOTHING" if skip_existing else ""
        if merge:
            key = ", ".join(column.name for column in table.primary_key)
            sets = ", ".join(f"{name} = {value}" for name, value in merge.items())
            end = f" ON CONFLICT ({key}) DO UPDATE SET {sets}"
        end += f" RETURNING {returned.name}" if returned is not None else ""
        into = f"INSERT INTO {table.name} ({names})"
        self._sqlite = ManyRows(len(columns), lambda values: f"{into} {values}{end}")
        self._postgresql = f"{into} SELECT * FROM {_unnest(columns)}{end}"

    async def returning(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Insert `rows`; return the `returned` column of the inserted ones, in no order."""
        if not rows:
            return []
        if connection.dialect.name != "sqlite":
            arrays = _columns(rows)
            if (driver := postgresql.driver_behind(connection)) is not None:
                return [row[0] for row in await driver.fetch(self._postgresql, arrays)]
            return list((await connection.exec_driver_sql(self._postgresql, arrays)).scalars())
        found: list[Any] = []
        for text, values in self._sqlite.over(rows):
            found += (await connection.exec_driver_sql(text, tuple(values))).scalars()
        return found

    async def __call__(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert `rows`, tuples in the order of the columns; return how many were inserted."""
        return await _run(connection, self._sqlite, self._postgresql, rows)


class BulkUpdate:
    """Update many rows of `table`, each by its own key.

    A row is the key's values, then `change`'s. `expressions` give a column's new value as SQL: `{name}`
    is the row's value of that name, and the column's own name is the stored value. `guard` is SQL
    that is added to the WHERE in the same way: a state change names its old state, and the count of
    updated rows decides.
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
        value_of = {column.name: f"v.{column.name}" for column in columns}
        sets = ", ".join(
            f"{column.name} = " + expressions.get(column.name, "{" + column.name + "}").format(**value_of)
            for column in change
        )
        where = " AND ".join(f"{table.name}.{column.name} = {value_of[column.name]}" for column in key)
        if guard:
            where += f" AND {guard.format(**value_of)}"
        update = f"UPDATE {table.name} SET {sets} FROM"
        names = ", ".join(column.name for column in columns)
        # Begins with UPDATE, by which the driver knows that it must count rows.
        self._sqlite = ManyRows(
            len(columns),
            lambda values: f"{update} (WITH v ({names}) AS ({values}) SELECT * FROM v) AS v WHERE {where}",
        )
        self._postgresql = f"{update} {_unnest(columns)} WHERE {where}"

    async def __call__(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Update by `rows` (key's values, then changed values); return how many rows were updated."""
        return await _run(connection, self._sqlite, self._postgresql, rows)


class ManyRows:
    """One SQLite statement for 1, 2, 4, ... rows of `columns` values each; `text_over` writes it over a VALUES list."""

    def __init__(self, columns: int, text_over: Callable[[str], str]) -> None:
        self._row = f"({', '.join('?' * columns)})"
        self._text_over = text_over
        self._texts: dict[int, str] = {}

    def over(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Any]]]:
        """The statements that together take all of `rows`, largest first, each with its parameters."""
        start = 0
        while (left := len(rows) - start) > 0:
            size = min(_ROWS_MAX, 1 << left.bit_length() - 1)
            yield self._of(size), [value for row in rows[start : start + size] for value in row]
            start += size

    def _of(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            text = self._texts[size] = self._text_over(f"VALUES {', '.join([self._row] * size)}")
        return text


def _unnest(columns: Sequence[Column[Any]]) -> str:
    # The type of an array names no collation.
    types = (column.type.compile(_POSTGRESQL).partition(" COLLATE ")[0] for column in columns)
    arrays = ", ".join(f"${position}::{type_}[]" for position, type_ in enumerate(types, start=1))
    return f"unnest({arrays}) AS v({', '.join(column.name for column in columns)})"


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[Sequence[Any] | None, ...]:
    """The columns of `rows`; None for one without any value, as `unnest` fills up shorter arrays with NULL."""
    return tuple([None if values.count(None) == len(values) else values for values in zip(*rows, strict=True)])


async def _run(connection: AsyncConnection, file: ManyRows, server: str, rows: Sequence[tuple[Any, ...]]) -> int:
    if not rows:
        return 0
    direct, changed = sqlite.driver_behind(connection), 0
    if direct is None and connection.dialect.name != "sqlite":
        arrays = _columns(rows)
        if (driver := postgresql.driver_behind(connection)) is not None:
            return await driver.execute(server, arrays)
        return int((await connection.exec_driver_sql(server, arrays)).rowcount)
    for text, values in file.over(rows):
        if direct is None:
            changed += (await connection.exec_driver_sql(text, tuple(values))).rowcount
        else:
            changed += (await direct.ask(text, values))[1]
    return changed
