"""The payments' table."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from domain.payments.states import PaymentStatus
from domain.storage import Id, Micros, metadata, one_of

__all__ = ["payments"]

#: One payment a saga. The card's token is not here; the saga's context has it until it is used.
payments = Table(
    "payments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("saga_id", Id, nullable=False, unique=True),
    Column("correlation_id", Id, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("provider", Text, nullable=False),
    #: The provider's object for this payment; durable before any authorization.
    Column("reference", Text),
    Column("status", Text, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    #: The part that is refunded for certain, while not all of it is. NULL: nothing, or all if the status says so.
    Column("refunded_minor", BigInteger),
    CheckConstraint(one_of("status", PaymentStatus), name="status"),
    Index("ix_payments_reference", "reference"),
)
