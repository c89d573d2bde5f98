"""Frequent statements: compiled once, and sent directly to the driver.

SQLAlchemy takes about 100 microseconds from a statement to its rows, several times SQLite's own
time, and a booking runs twenty statements. A `Query` keeps the compiled text and the binding of its
parameters, so that another run costs little more than the driver's call. If anything listens to
executed statements (a tracer, a test), it uses SQLAlchemy's normal way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

from sqlalchemy import Dialect, Float, Numeric, Select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from domain.storage import postgresql, sqlite
from domain.storage.tables import AnyRow

__all__ = ["Query"]

_DIALECTS = {
    url.get_backend_name(): url.get_dialect()()
    for url in (make_url("sqlite+aiosqlite://"), make_url("postgresql+asyncpg://"))
}
_Process = Callable[[Any], Any]


class Query:
    """A SELECT with named parameters; `await query(connection, name=value)` gives all of its rows.

    Rows have their columns by position and by name, on both databases. The text may not depend
    on the values: membership is `any_of`, never `in_` of a bound list.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self.statement = statement

    async def __call__(self, connection: AsyncConnection, **parameters: Any) -> Sequence[AnyRow]:
        """The rows, read within the transaction that `connection` has begun."""
        if (file := sqlite.driver_behind(connection)) is not None:
            compiled = self._on_sqlite
            _, _, _, rows = await file.ask(compiled.text, compiled.values(parameters))
            return compiled.rows(rows)
        if (driver := postgresql.driver_behind(connection)) is not None:
            compiled = self._on_postgresql
            return compiled.rows(await driver.fetch(compiled.text, compiled.values(parameters)))
        found: Sequence[AnyRow] = (await connection.execute(self.statement, parameters)).all()
        return found

    async def first(self, connection: AsyncConnection, **parameters: Any) -> AnyRow | None:
        """The first row, or None without rows."""
        rows = await self(connection, **parameters)
        return rows[0] if rows else None

    async def column(self, connection: AsyncConnection, **parameters: Any) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in await self(connection, **parameters)]

    @cached_property
    def _on_sqlite(self) -> _Compiled:
        return _Compiled(self.statement, _DIALECTS["sqlite"])

    @cached_property
    def _on_postgresql(self) -> _Compiled:
        return _Compiled(self.statement, _DIALECTS["postgresql"])


def _kind(type_: TypeEngine[Any]) -> int | None:
    """The server's object ID of a type, if its conversion depends on it: float8 or numeric."""
    if isinstance(type_, Float | Numeric):
        return 1700 if type_.asdecimal else 701
    return None


class _Compiled:
    """A statement in one database's form: its text, its parameters in order, and the type of its rows."""

    def __init__(self, statement: Select[*tuple[Any, ...]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if compiled.post_compile_params:
            raise ValueError(f"the text depends on the values of {compiled.post_compile_params}: {compiled}")
        self.text = str(compiled)
        processors = cast(dict[str, _Process], compiled._bind_processors)
        # A name with a default is a value that the statement itself contains.
        self._binds = [
            (name, processors.get(name), compiled.binds[name].value, compiled.binds[name].required)
            for name in cast("list[str]", compiled.positiontup)
        ]
        columns = list(compiled._result_columns)
        names = [column.keyname for column in columns]
        # Its names are known only here.
        make_type: Any = namedtuple
        row = make_type("Row", names, rename=True)
        self._make = cast("Callable[[Sequence[Any]], AnyRow]", row._make)
        self._converters = [
            (position, convert)
            for position, column in enumerate(columns)
            if (convert := column.type._cached_result_processor(dialect, _kind(column.type))) is not None
        ]

    def values(self, parameters: dict[str, Any]) -> list[Any]:
        """The values to bind."""
        values = []
        for name, process, default, required in self._binds:
            value = parameters[name] if required or name in parameters else default
            values.append(value if process is None else process(value))
        return values

    def rows(self, rows: Sequence[Any]) -> Sequence[AnyRow]:
        """The driver's `rows`, with names and in Python's types."""
        if self._converters:
            return [self._make(self._converted(row)) for row in rows]
        return list(map(self._make, rows))

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for position, convert in self._converters:
            values[position] = convert(values[position])
        return values
