"""The tables of bulk actions. All times are microseconds since the epoch by the database's clock."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from domain.bulk.model import BulkActionStatus, TargetState
from domain.storage import Id, Micros, metadata, one_of

__all__ = ["PENDING", "RUNNING", "bulk_action_sagas", "bulk_actions"]

#: As SQL. A query must repeat the partial indexes' words.
RUNNING = "status = 'RUNNING'"
PENDING = "state = 'PENDING'"

#: One row an action. `kind` has no CHECK: a newer release may know more kinds, and older ones run beside it.
bulk_actions = Table(
    "bulk_actions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("subject", Text),
    Column("reason", Text, nullable=False),
    Column("request_id", Text),
    #: The filter as it was asked for, as JSON. The sagas that matched are in bulk_action_sagas.
    Column("filter", Text, nullable=False),
    #: The same as a SagaQuery, as JSON: a saga must still match when its turn comes.
    Column("query", Text, nullable=False),
    Column("step", Text),
    Column("sagas_per_second", Integer, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("finished_at", Micros),
    Column("matched", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("passed_over", Integer, nullable=False),
    #: When the next turn is due.
    Column("next_at", Micros, nullable=False),
    #: Made by the client that started it, which may repeat the start; NULL if it made none.
    Column("idempotency_key", Text),
    CheckConstraint(one_of("status", BulkActionStatus), name="status"),
    Index("ix_bulk_actions_idempotency_key", "idempotency_key", unique=True),
    CheckConstraint(f"({RUNNING}) = (finished_at IS NULL)", name="finished"),
    Index("ix_bulk_actions_next_at", "next_at", sqlite_where=text(RUNNING), postgresql_where=text(RUNNING)),
)

#: The sagas of an action, chosen when it started. No foreign key to `sagas`: its check would lock the row of each
#: matching saga until the start commits, and the sagas' owners would pass over all of them meanwhile. Sagas are never
#: deleted, and `seatsaga doctor` looks for rows without one.
bulk_action_sagas = Table(
    "bulk_action_sagas",
    metadata,
    Column("bulk_action_id", Id, ForeignKey("bulk_actions.id"), nullable=False),
    Column("saga_id", Id, nullable=False),
    Column("state", Text, nullable=False),
    #: Why it was passed over, as one sentence.
    Column("why", Text),
    PrimaryKeyConstraint("bulk_action_id", "saga_id"),
    CheckConstraint(one_of("state", TargetState), name="state"),
    Index(
        "ix_bulk_action_sagas_pending",
        "bulk_action_id",
        "saga_id",
        sqlite_where=text(PENDING),
        postgresql_where=text(PENDING),
    ),
    sqlite_with_rowid=False,
)
