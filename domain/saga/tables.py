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
    "CODE_UNKNOWN",
    "FOREVER",
    "NOBODY",
    "STUCK",
    "STUCK_SINCE",
    "TROUBLED",
    "UNDONE",
    "UNSETTLED",
    "replicas",
    "saga_counts",
    "saga_definitions",
    "saga_durations",
    "saga_labels",
    "saga_steps",
    "sagas",
]

#: As SQL: the saga is not terminal. A query must repeat the partial index's words.
ACTIVE = "finished_at IS NULL"

#: The owner of a parked saga: no replica. So no replica of any release looks at it or takes it over.
NOBODY = "00000000-0000-0000-0000-000000000000"

#: In `counted_until`: the replica counts the sagas that it ends, or others have counted all of them.
FOREVER = 2**63 - 1

#: As SQL: all of the saga's effects are undone. A query must repeat the partial index's words.
UNDONE = "status = 'COMPENSATED'"

#: As SQL: the saga wants an operator. A query must repeat the partial index's words, also for the three below.
TROUBLED = "status IN ('STUCK', 'PARKED')"
STUCK = "status = 'STUCK'"
#: An operator gave something up, and nobody has recorded how that was settled.
UNSETTLED = "status = 'ABANDONED' AND settled_at IS NULL"
FAILED = "failure_code IS NOT NULL"

#: The code of a STUCK or PARKED saga that keeps none for its present place.
CODE_UNKNOWN = "UNKNOWN"
#: As SQL: since when a STUCK saga is stuck. Without `stuck_since` a release before 0017 let it get stuck, and has
#: changed it last then or at a slow retry since.
STUCK_SINCE = "coalesce(sagas.stuck_since, sagas.updated_at)"

#: As SQL: the saga waits for a moment.
DUE = "due_at IS NOT NULL"

#: One row a process. A replica whose lease has lapsed loses its sagas to the replica that claims them.
replicas = Table(
    "replicas",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", Text, nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("lease_until", Micros, nullable=False),
    #: Its software's version, and the newest schema revision that it knows; NULL for releases before 0003.
    Column("release", Text),
    Column("revision", Text),
    #: Sagas that it ended before this moment are in saga_counts; NULL (a release before that table): none are.
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
    #: The fingerprint of the definition that the saga began with, as in saga_definitions; NULL for sagas before 0004.
    Column("definition_fingerprint", Text),
    Column("status", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    #: 1 while an attempt under the present round may have had its effect: its answer was lost.
    Column("uncertain", Integer, nullable=False),
    #: When the present operation was first begun; its budget is measured from here.
    Column("attempted_since", Micros),
    #: Bit i is set while step i has, or may have, an effect that is not undone.
    Column("effects", Integer, nullable=False),
    Column("context", Text, nullable=False),
    Column("simulation", Text),
    #: When the runner must look at the saga again; NULL while a call is out and once the saga is terminal.
    Column("due_at", Micros),
    Column("deadline_at", Micros),
    Column("pinned_at", Micros),
    Column("cancel_requested_at", Micros),
    Column("hold_expired_at", Micros),
    Column("retry_requested_at", Micros),
    Column("skip_step", Text),
    Column("skip_reason", Text),
    #: The wait of the present step: what for, since when and until when; NULL while it does not wait. If only
    #: `awaited_since` is set, no call of the operation has left since then: the provider is away, or there is no place.
    Column("awaits", Text),
    Column("awaited_since", Micros),
    Column("awaited_until", Micros),
    #: The word that is to end the wait, as JSON, until the owner has obeyed it; NULL if it only asks for a look. And
    #: when it was said.
    Column("word", Text),
    Column("word_at", Micros),
    #: Tells the last word from any other until the saga waits for the same again: it may be a card, kept no longer.
    Column("word_fingerprint", Text),
    #: 1 once an operator has skipped something: the saga can then only end ABANDONED.
    Column("given_up", Integer, nullable=False),
    #: When it got STUCK since its last progress; NULL while it makes progress. A release before 0017 leaves it as it is
    #: and sets none: read it as STUCK_SINCE, and only of a STUCK saga.
    Column("stuck_since", Micros),
    #: When an operator recorded how something that the saga, now ABANDONED, had left behind was settled.
    Column("settled_at", Micros),
    Column("replica", Id, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("failure_step", Text),
    Column("started_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("finished_at", Micros),
    #: When and why it was last parked, and its status then. These describe the present only while the saga is PARKED.
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
    # For the poll. The index is small, as a saga is in it only while it waits for a moment and not for an answer.
    Index("ix_sagas_due_at", "due_at", sqlite_where=text(DUE), postgresql_where=text(DUE)),
    # For takeovers and the list of active sagas; written when a saga starts and ends.
    Index("ix_sagas_replica", "replica", "id", sqlite_where=text(ACTIVE), postgresql_where=text(ACTIVE)),
    Index("ix_sagas_subject", "subject", "id"),
    # For a caller's sagas in flight, however many finished ones there are. It has both columns: with the first alone,
    # SQLite would rather scan all callers' sagas by the index of `finished_at`.
    Index("ix_sagas_in_flight", "subject", "finished_at", sqlite_where=text(ACTIVE), postgresql_where=text(ACTIVE)),
    # For a caller's sagas that were undone lately; written when a saga ends undone.
    Index("ix_sagas_undone", "subject", "finished_at", sqlite_where=text(UNDONE), postgresql_where=text(UNDONE)),
    # For lists of what wants an operator, in both orders; written when a saga gets stuck or parked, and when it is not
    # any more.
    Index("ix_sagas_troubled", "id", sqlite_where=text(TROUBLED), postgresql_where=text(TROUBLED)),
    Index("ix_sagas_stuck_since", "stuck_since", "id", sqlite_where=text(STUCK), postgresql_where=text(STUCK)),
    Index("ix_sagas_unsettled", "id", sqlite_where=text(UNSETTLED), postgresql_where=text(UNSETTLED)),
    # For lists of sagas that failed with one code; written when a saga turns round.
    Index("ix_sagas_failure_code", "failure_code", "id", sqlite_where=text(FAILED), postgresql_where=text(FAILED)),
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

#: The steps of each definition, by the fingerprint that its sagas keep: so an error can name the change.
saga_definitions = Table(
    "saga_definitions",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("outline", Text, nullable=False),
)

#: Search keys of a saga, in the features' words: `flight:12`, `member:SS0000001`.
saga_labels = Table(
    "saga_labels",
    metadata,
    Column("label", Text, nullable=False),
    Column("saga_id", Id, ForeignKey("sagas.id"), nullable=False),
    PrimaryKeyConstraint("label", "saga_id"),
    sqlite_with_rowid=False,
)

#: How many sagas ended, got stuck and started, in periods of `seconds` from `starts_at` on. Each ended saga counts once
#: under its last status at its end, and once under PENDING at its start. Each time a saga gets stuck counts under
#: STUCK. A row belongs to the replica that owned these sagas, and to one of its turns at a time (`lane`), so that no
#: transaction waits for it. `failed_step` is empty if nothing failed.
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
    #: Of the ended sagas: their COMPLETED and FAILED steps, their COMPLETED and SKIPPED compensations.
    Column("steps_completed", BigInteger, nullable=False),
    Column("steps_failed", BigInteger, nullable=False),
    Column("undos_completed", BigInteger, nullable=False),
    Column("undos_skipped", BigInteger, nullable=False),
    PrimaryKeyConstraint("seconds", "starts_at", "replica", "lane", "definition", "status", "failed_step"),
    sqlite_with_rowid=False,
)

#: The durations of the sagas that ended in a period, as a sketch (`domain.saga.sketch`). Rows as in saga_counts.
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
