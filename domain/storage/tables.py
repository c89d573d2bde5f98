"""The metadata of every feature's tables, and the column types of both databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, ColumnElement, MetaData, Row, Table, Text, literal_column
from sqlalchemy.dialects import postgresql

__all__ = [
    "FILLED_BY_MIGRATIONS",
    "AnyRow",
    "Bytewise",
    "Id",
    "Micros",
    "data_tables",
    "is_known",
    "metadata",
    "one_of",
]

#: One naming convention, so that migrations can name every constraint on both databases.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: A UUID as canonical lower-case text in Python: TEXT on SQLite, UUID on PostgreSQL.
Id = Text().with_variant(postgresql.UUID(as_uuid=False), "postgresql")

#: Text that both databases order by its bytes in UTF-8, so that one range of an index holds all with one beginning.
Bytewise = Text().with_variant(Text(collation="C"), "postgresql")

#: An instant in microseconds since the epoch, UTC.
Micros = BigInteger

#: `Table(..., info=...)` for tables whose rows all come from migrations, in each database: nothing to copy.
FILLED_BY_MIGRATIONS: Final[dict[Any, Any]] = {"filled_by": "migrations"}

#: A row whose column names are known at the place that reads it.
AnyRow = Row[*tuple[Any, ...]]


def data_tables(metadata: MetaData) -> list[Table]:
    """The tables with an installation's data, each after the tables of its foreign keys."""
    return [table for table in metadata.sorted_tables if table.info != FILLED_BY_MIGRATIONS]


def one_of(column: str, values: Iterable[str]) -> str:
    """SQL for a CHECK: `column` is one of `values`. As ORs: SQLite builds the list of an IN again for every row."""
    return " OR ".join(f"{column} = '{value}'" for value in values)


def is_known(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """SQL for a list: `column` is one of `values`.

    A row of a newer release, or one that somebody changed by hand, may have another value. The list leaves that row
    out and shows all others; `seatsaga doctor` names it.
    """
    return literal_column(f"({one_of(str(column), values)})", Boolean)
