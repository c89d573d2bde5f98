"""The tables of bookings and their passengers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from domain.bookings.model import BookingStatus
from domain.storage import FILLED_BY_MIGRATIONS, Bytewise, Id, Micros, metadata, one_of

__all__ = ["HOLD_GATES", "bookings", "caller_seats", "hold_gates", "passengers"]

#: Large enough that two callers seldom share a gate, and a batch of 256 starts seldom meets another batch's gates.
HOLD_GATES: Final = 16_384

bookings = Table(
    "bookings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("saga_id", Id, nullable=False, unique=True),
    Column("cancellation_id", Id),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("miles_awarded", BigInteger, nullable=False),
    Column("points_redeemed", BigInteger, nullable=False),
    Column("created_at", Micros, nullable=False),
    CheckConstraint(one_of("status", BookingStatus), name="status"),
    Index("ix_bookings_subject", "subject", "id"),
    Index(
        "uq_bookings_cancellation_id",
        "cancellation_id",
        unique=True,
        sqlite_where=text("cancellation_id IS NOT NULL"),
        postgresql_where=text("cancellation_id IS NOT NULL"),
    ),
)

# The only table that keeps people's names; `position` is the passenger's place in the booking, 0-based.
passengers = Table(
    "passengers",
    metadata,
    Column("saga_id", Id, nullable=False),
    Column("position", Integer, nullable=False),
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("date_of_birth", Text),
    #: The family name as a search compares it (`domain.bookings.names`); NULL until it is filled, if a release before
    #: this column wrote the row.
    Column("family_folded", Bytewise),
    PrimaryKeyConstraint("saga_id", "position"),
    # For searches. The rows to be filled lie together in it.
    Index("ix_passengers_family_folded", "family_folded", "saga_id"),
    sqlite_with_rowid=False,
)

#: The purchases of limited callers, a row a booking and flight; `caller_flight` is `flight-id:subject`, so that one
#: column finds the purchases of one caller on one flight. The booking says whether a row still counts.
caller_seats = Table(
    "caller_seats",
    metadata,
    Column("caller_flight", Text, nullable=False),
    Column("saga_id", Id, nullable=False),
    Column("seats", SmallInteger, nullable=False),
    PrimaryKeyConstraint("caller_flight", "saga_id"),
    sqlite_with_rowid=False,
)

#: Replicas lock these rows to count a caller's seats one after the other. Filled once, on PostgreSQL only, with all
#: numbers below HOLD_GATES: SQLite has one writer.
hold_gates = Table(
    "hold_gates",
    metadata,
    Column("gate", Integer, primary_key=True, autoincrement=False),
    info=FILLED_BY_MIGRATIONS,
)
