"""Count sagas as they end, by period. 0010 counts earlier ones.

An expansion: the release before ends sagas and does not count them. A replica of it has NULL in `counted_until`, and
its sagas are counted once it is gone.

Revision: 0009, after: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
ends = None

_NUMBERS = ("sagas", "steps_completed", "steps_failed", "undos_completed", "undos_skipped")


def upgrade() -> None:
    op.add_column("replicas", sa.Column("counted_until", sa.BigInteger(), nullable=True))
    op.create_table(
        "saga_counts",
        *_period(),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("failed_step", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _NUMBERS),
        sa.PrimaryKeyConstraint(
            "seconds",
            "starts_at",
            "replica",
            "lane",
            "definition",
            "status",
            "failed_step",
            name=op.f("pk_saga_counts"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "saga_durations",
        *_period(),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seconds", "starts_at", "replica", "lane", name=op.f("pk_saga_durations")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("saga_durations")
    op.drop_table("saga_counts")
    op.drop_column("replicas", "counted_until")


def _period() -> tuple[sa.Column[object], ...]:
    """The columns of a row's period and of its owner."""
    return (
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("replica", sa.Text().with_variant(sa.UUID(as_uuid=False), "postgresql"), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
    )
