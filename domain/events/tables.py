"""The saga log's table."""

from __future__ import annotations

from sqlalchemy import Column, Integer, PrimaryKeyConstraint, Table, Text

from domain.storage import Id, Micros, metadata

__all__ = ["saga_events"]

#: Appended to, never updated. The primary key makes a repeated sequence impossible.
saga_events = Table(
    "saga_events",
    metadata,
    Column("saga_id", Id, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("correlation_id", Id, nullable=False),
    Column("type", Text, nullable=False),
    Column("step", Text),
    Column("compensation", Text),
    Column("attempt", Integer),
    Column("message", Text, nullable=False),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("failure_step", Text),
    Column("at", Micros, nullable=False),
    #: The role that asked for the change; NULL if nobody did, and in events of releases before this column.
    Column("actor_role", Text),
    Column("actor_subject", Text),
    #: The message's content as JSON (`domain.facts`); NULL if the type says everything, and before this column.
    Column("facts", Text),
    PrimaryKeyConstraint("saga_id", "sequence"),
    sqlite_with_rowid=False,
)
