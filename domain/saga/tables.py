"""The engine's tables. All times are microseconds since the epoch by the database's clock."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from domain.saga.states import Direction, Phase, SagaStatus, StepStatus
from domain.storage import Id, Micros, metadata, one_of

__all__ = [
    "ACTIVE",
    "FOREVER",
    "NOBODY",
    "UNDONE",
    "replicas",
    "saga_counts",
    "saga_definitions",
    "saga_durations",
    "saga_labels",
    "saga_steps",
    "sagas",
]

#: As SQL: the saga is not terminal. A query must say it in the words of the partial index.
ACTIVE = "finished_at IS NULL"

#: Who owns a parked saga: no replica, so that none looks at it and none takes it over, of whatever release.
NOBODY = "00000000-0000-0000-0000-000000000000"

#: In `counted_until`: the replica counts what it ends itself, or others have counted all of it.
FOREVER = 2**63 - 1

#: As SQL: everything that the saga did is undone. A query must say it in the words of the partial index.
UNDONE = "status = 'COMPENSATED'"

#: As SQL: the saga waits for a moment.
DUE = "due_at IS NOT NULL"

#: One row a process. A replica whose lease has lapsed loses its sagas to whoever claims them.
replicas = Table(
    "replicas",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", Text, nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("lease_until", Micros, nullable=False),
    #: Its software's version, and the newest revision of the schema that it knows; NULL of releases before 0003.
    Column("release", Text),
    Column("revision", Text),
    #: What it ended before this moment is in saga_counts; NULL, of a replica of a release before that table: nothing.
    Column("counted_until", Micros),
    Index("ix_replicas_lease_until", "lease_until"),
)

sagas = Table(
    "sagas",
    metadata,
    Column("id", Id, primary_key=True),
    Column("correlation_id", Id, nullable=False, unique=True),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    #: Of the definition that it began with, as in saga_definitions; NULL of sagas from before 0004.
    Column("definition_fingerprint", Text),
    Column("status", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    #: 1 while an attempt under the present round may have had its effect: its answer was lost.
    Column("uncertain", Integer, nullable=False),
    #: When the present operation was first begun: what its budget is measured from.
    Column("attempted_since", Micros),
    #: Bit i is set while step i has, or may have, an effect that is not undone.
    Column("effects", Integer, nullable=False),
    Column("context", Text, nullable=False),
    Column("simulation", Text),
    #: When the runner should look at the saga again; NULL while a call is out and once it is terminal.
    Column("due_at", Micros),
    Column("deadline_at", Micros),
    Column("pinned_at", Micros),
    Column("cancel_requested_at", Micros),
    Column("hold_expired_at", Micros),
    Column("retry_requested_at", Micros),
    Column("skip_step", Text),
    Column("skip_reason", Text),
    #: 1 once an operator has skipped something: the saga can then only end ABANDONED.
    Column("given_up", Integer, nullable=False),
    Column("replica", Id, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("failure_step", Text),
    Column("started_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("finished_at", Micros),
    #: When and why it was last parked, and the status that it then had. They tell of the present only while PARKED.
    Column("parked_at", Micros),
    Column("parked_from", Text),
    Column("parked_code", Text),
    Column("parked_reason", Text),
    CheckConstraint(one_of("status", SagaStatus), name="status"),
    CheckConstraint(one_of("direction", Direction), name="direction"),
    CheckConstraint(one_of("phase", Phase), name="phase"),
    CheckConstraint(
        f"({ACTIVE}) = (status <> 'COMPLETED' AND status <> 'COMPENSATED' AND status <> 'ABANDONED')", name="finished"
    ),
    # What the poll asks: small, as a saga is in it only while it waits for nobody's answer.
    Index("ix_sagas_due_at", "due_at", sqlite_where=text(DUE), postgresql_where=text(DUE)),
    # What a takeover and the list of active sagas ask; written when a saga starts and ends.
    Index("ix_sagas_replica", "replica", "id", sqlite_where=text(ACTIVE), postgresql_where=text(ACTIVE)),
    Index("ix_sagas_subject", "subject", "id"),
    # What a caller has in flight, however much there was before. By both columns: by the first alone SQLite would
    # rather go through everybody's, by the index of when sagas finished.
    Index("ix_sagas_in_flight", "subject", "finished_at", sqlite_where=text(ACTIVE), postgresql_where=text(ACTIVE)),
    # What of a caller's came to nothing lately; written when a saga ends undone.
    Index("ix_sagas_undone", "subject", "finished_at", sqlite_where=text(UNDONE), postgresql_where=text(UNDONE)),
    Index("ix_sagas_started_at", "started_at"),
    Index("ix_sagas_finished_at", "finished_at"),
)

saga_steps = Table(
    "saga_steps",
    metadata,
    Column("saga_id", Id, ForeignKey("sagas.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("next_attempt_at", Micros),
    Column("started_at", Micros),
    Column("finished_at", Micros),
    Column("summary", Text),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("compensation", Text),
    Column("undo_status", Text),
    Column("undo_attempt", Integer, nullable=False),
    Column("undo_next_attempt_at", Micros),
    Column("undo_started_at", Micros),
    Column("undo_finished_at", Micros),
    Column("undo_summary", Text),
    Column("undo_failure_code", Text),
    Column("undo_failure_message", Text),
    PrimaryKeyConstraint("saga_id", "position"),
    CheckConstraint(one_of("status", StepStatus), name="status"),
    sqlite_with_rowid=False,
)

#: What the steps of a definition are, by the fingerprint that its sagas keep: so that a change can be named.
saga_definitions = Table(
    "saga_definitions",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("outline", Text, nullable=False),
)

#: What a saga can be found by, in words of the features: `flight:12`, `member:SS0000001`.
saga_labels = Table(
    "saga_labels",
    metadata,
    Column("label", Text, nullable=False),
    Column("saga_id", Id, ForeignKey("sagas.id"), nullable=False),
    PrimaryKeyConstraint("label", "saga_id"),
    sqlite_with_rowid=False,
)

#: How many sagas ended, got stuck and started, in periods of `seconds` from `starts_at` on. Each saga that has ended
#: counts once under its last status when it ended, and once under PENDING when it had started; each time that one gets
#: stuck counts under STUCK. A row belongs to the replica that owned these sagas, and to one of its turns at a time
#: (`lane`), so that nobody waits for it. `failed_step` is empty where nothing failed.
saga_counts = Table(
    "saga_counts",
    metadata,
    Column("seconds", Integer, nullable=False),
    Column("starts_at", Micros, nullable=False),
    Column("replica", Id, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("definition", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("failed_step", Text, nullable=False),
    Column("sagas", BigInteger, nullable=False),
    #: Of those that ended: their steps that are COMPLETED and FAILED, their compensations COMPLETED and SKIPPED.
    Column("steps_completed", BigInteger, nullable=False),
    Column("steps_failed", BigInteger, nullable=False),
    Column("undos_completed", BigInteger, nullable=False),
    Column("undos_skipped", BigInteger, nullable=False),
    PrimaryKeyConstraint("seconds", "starts_at", "replica", "lane", "definition", "status", "failed_step"),
    sqlite_with_rowid=False,
)

#: How long the sagas took that ended in a period, as a sketch (`domain.saga.sketch`). Rows as in saga_counts.
saga_durations = Table(
    "saga_durations",
    metadata,
    Column("seconds", Integer, nullable=False),
    Column("starts_at", Micros, nullable=False),
    Column("replica", Id, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("sketch", LargeBinary, nullable=False),
    PrimaryKeyConstraint("seconds", "starts_at", "replica", "lane"),
    sqlite_with_rowid=False,
)
