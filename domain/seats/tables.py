"""The tables of seats and reservations.

A statement that needs a partial index must repeat the index's condition with literal values, as
neither database can prove it for a bound parameter: `is_held` and `is_live` are those conditions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    literal_column,
    text,
)

from domain.seats.cabins import SEATS, CabinClass
from domain.seats.states import SeatReservationStatus, SeatStatus
from domain.storage import Id, Micros, metadata

__all__ = ["is_available", "is_held", "is_live", "one_of", "seat_reservations", "seats"]


def one_of(*values: str) -> str:
    """The values as an SQL list of literals."""
    return "(" + ", ".join(f"'{value}'" for value in values) + ")"


def _only(column: str, values: Iterable[str]) -> str:
    # Not IN: SQLite builds a table of more than two values again for every row that it checks,
    # which was half the cost of an insert.
    return " OR ".join(f"{column} = '{value}'" for value in values)


_HELD: Final = f"status = '{SeatReservationStatus.HELD}'"
_LIVE: Final = f"status IN {one_of(*(status for status in SeatReservationStatus if status.is_live))}"

seats = Table(
    "seats",
    metadata,
    Column("flight_id", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("flights.id"), primary_key=True),
    Column("seat", SmallInteger, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    CheckConstraint(f"seat BETWEEN 0 AND {SEATS - 1}", name="seat"),
    CheckConstraint(_only("status", SeatStatus), name="status"),
    # Every read is in primary-key order, so the table is its own index.
    sqlite_with_rowid=False,
)

seat_reservations = Table(
    "seat_reservations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("saga_id", Id, nullable=False),
    Column("correlation_id", Id, nullable=False),
    Column("flight_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("seat", SmallInteger, nullable=False),
    Column("segment", SmallInteger, nullable=False),
    Column("passenger", SmallInteger, nullable=False),
    Column("cabin", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("held_at", Micros, nullable=False),
    Column("expires_at", Micros, nullable=False),
    Column("ended_at", Micros),
    ForeignKeyConstraint(["flight_id", "seat"], ["seats.flight_id", "seats.seat"]),
    CheckConstraint("segment >= 0 AND passenger >= 0", name="place"),
    CheckConstraint(_only("cabin", CabinClass), name="cabin"),
    CheckConstraint(_only("status", SeatReservationStatus), name="status"),
    CheckConstraint("expires_at > held_at", name="lifetime"),
    CheckConstraint(f"({_LIVE}) = (ended_at IS NULL)", name="ended"),
    # One seat has at most one owner, even if the code is wrong.
    Index(
        "uq_seat_reservations_live",
        "flight_id",
        "seat",
        unique=True,
        sqlite_where=text(_LIVE),
        postgresql_where=text(_LIVE),
    ),
    Index(None, "saga_id"),
    # For the foreign key's check of each seat that is removed.
    Index(None, "flight_id", "seat"),
    # For the sweep: the next holds to lapse.
    Index(
        "ix_seat_reservations_held",
        "expires_at",
        "saga_id",
        sqlite_where=text(_HELD),
        postgresql_where=text(_HELD),
    ),
    # For the operators' list.
    Index(None, "expires_at", "id"),
)

# Has no type on purpose: SQLite has no booleans, and SQLAlchemy would write `... = 1`, which uses no index.
is_available: Final[ColumnElement[Any]] = literal_column(f"seats.status = '{SeatStatus.AVAILABLE}'")
is_held: Final[ColumnElement[Any]] = literal_column(f"seat_reservations.{_HELD}")
is_live: Final[ColumnElement[Any]] = literal_column(f"seat_reservations.{_LIVE}")
