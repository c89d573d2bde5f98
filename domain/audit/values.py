"""Checks whether every value can be read: it has its column's type, and this release knows it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    Table,
    and_,
    case,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Finding, look
from domain.bookings import BookingStatus
from domain.bookings.tables import bookings
from domain.loyalty import EntryReason
from domain.loyalty.tables import loyalty_entries
from domain.payments import PaymentStatus
from domain.payments.tables import payments
from domain.saga import SagaStatus, StepStatus
from domain.saga.tables import saga_steps, sagas
from domain.seats import CabinClass, SeatReservationStatus, SeatStatus
from domain.seats.tables import seat_reservations, seats
from domain.storage import data_tables, is_known, metadata

__all__ = ["check_values"]

_ENUMS: Final[tuple[tuple[Column[str], type[StrEnum]], ...]] = (
    (sagas.c.status, SagaStatus),
    (saga_steps.c.status, StepStatus),
    (saga_steps.c.undo_status, StepStatus),
    (bookings.c.status, BookingStatus),
    (payments.c.status, PaymentStatus),
    (seats.c.status, SeatStatus),
    (seat_reservations.c.status, SeatReservationStatus),
    (seat_reservations.c.cabin, CabinClass),
    (loyalty_entries.c.reason, EntryReason),
)


async def check_values(connection: AsyncConnection) -> list[Finding]:
    """Check every value that must be one of a few and, on SQLite, the type of every value.

    PostgreSQL enforces the types. A column of a SQLite table accepts a value of any type.
    """
    known = Finding("known-values", "Every status, cabin and reason is one that this release knows.")
    for column, values in _ENUMS:
        is_strange = and_(column.is_not(None), not_(is_known(column, values)))
        await look(connection, known, _rows(column.table, column, is_strange), partial(_tell_unknown, column))
    if connection.dialect.name != "sqlite":
        return [known]
    types = Finding("column-types", "Every value has the type of its column.")
    for table in data_tables(metadata):
        wrong = case(*((not_(_has_its_type(column)), column.name) for column in table.columns))
        await look(connection, types, _rows(table, wrong, wrong.is_not(None)), partial(_tell_mistyped, table))
    return [known, types]


def _rows(table: FromClause, told: ColumnElement[Any], condition: ColumnElement[bool]) -> Select[Any]:
    """The primary keys of the table's rows under the condition, and a text for each."""
    return select(*table.primary_key, told).where(condition).order_by(*table.primary_key)


def _tell_unknown(column: Column[str], row: Sequence[Any]) -> tuple[str, str]:
    return _subject(column.table, row), f"{column.name} is {row[-1]!r}"


def _tell_mistyped(table: Table, row: Sequence[Any]) -> tuple[str, str]:
    return _subject(table, row), f"{row[-1]} has another type than {table.columns[row[-1]].type!r}"


def _subject(table: FromClause, row: Sequence[Any]) -> str:
    return f"{table.description} {'/'.join(map(str, row[:-1]))}"


def _has_its_type(column: Column[Any]) -> ColumnElement[bool]:
    match column.type:
        case Integer() | Boolean():
            name = "integer"
        case Float():
            name = "real"
        case LargeBinary():
            name = "blob"
        case _:
            name = "text"
    return or_(column.is_(None), func.typeof(column) == name)
