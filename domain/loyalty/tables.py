"""Accounts and their entries. Entries are only ever added; an account is the sum of its entries."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint

from domain.loyalty.model import EntryReason
from domain.storage import Id, Micros, metadata, one_of

__all__ = ["loyalty_accounts", "loyalty_entries"]

loyalty_accounts = Table(
    "loyalty_accounts",
    metadata,
    Column("member_number", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
)

loyalty_entries = Table(
    "loyalty_entries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("member_number", Text, ForeignKey("loyalty_accounts.member_number"), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("pending_points", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("saga_id", Id),
    Column("correlation_id", Id),
    Column("balance_after", BigInteger, nullable=False),
    Column("at", Micros, nullable=False),
    CheckConstraint(one_of("reason", EntryReason), name="reason"),
    # No change is made twice for one saga, also if its step runs again.
    UniqueConstraint("saga_id", "reason"),
    Index("ix_loyalty_entries_member_number", "member_number", "id"),
)
