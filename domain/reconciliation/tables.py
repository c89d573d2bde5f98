"""The tables of the reconciliation."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from domain.storage import Id, Micros, metadata

__all__ = ["OPEN", "payment_findings", "reconciliation_walks"]

#: As SQL: the difference stands. A query must repeat the partial index's words.
OPEN = "ended_at IS NULL"

#: Where the walk through a provider's books stands. `phase` is NULL between walks; the next one begins at `until_at`.
reconciliation_walks = Table(
    "reconciliation_walks",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("since_at", Micros, nullable=False),
    Column("until_at", Micros, nullable=False),
    Column("phase", Text),
    #: Behind which entry the next page of the phase begins; NULL at its first.
    Column("after", Text),
    #: A replica looks at the next page until then.
    Column("claimed_until", Micros),
    Column("finished_at", Micros),
)

#: `kind` has no CHECK: a newer release may know more kinds, and older ones run beside it.
payment_findings = Table(
    "payment_findings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("correlation_id", Text),
    Column("saga_id", Id),
    Column("at_stake_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("first_seen_at", Micros, nullable=False),
    Column("last_seen_at", Micros, nullable=False),
    Column("ended_at", Micros),
    Column("ending", Text),
    Index(
        "uq_payment_findings_open",
        "provider",
        "reference",
        "kind",
        unique=True,
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
)
