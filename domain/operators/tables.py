"""The table of operator actions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, Text

from domain.storage import Id, Micros, metadata

__all__ = ["operator_actions"]

#: Append-only: a trigger refuses updates and deletes (see the migration), and no job prunes it.
operator_actions = Table(
    "operator_actions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Micros, nullable=False),
    Column("role", Text, nullable=False),
    Column("subject", Text),
    Column("kind", Text, nullable=False),
    Column("reason", Text),
    Column("saga_id", Id, ForeignKey("sagas.id")),
    Column("job_id", Text),
    Column("request_id", Text),
    Column("state_before", Text),
    Column("state_after", Text),
    #: Of a bulk action, and of each signal that it gave. No foreign key, as that room is on a higher floor.
    Column("bulk_action_id", Id),
    Index("ix_operator_actions_at_id", "at", "id"),
    Index("ix_operator_actions_saga_id", "saga_id"),
)
