"""Store a caller's purchases, and index a caller's undone sagas.

An expansion: the release before knows neither. The sales of its replicas are not counted. On a large table make the
index beforehand, see docs/scaling.md.

Revision: 0007, after: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
ends = None


def upgrade() -> None:
    op.create_table(
        "caller_seats",
        sa.Column("caller_flight", sa.Text(), nullable=False),
        sa.Column("saga_id", sa.Text().with_variant(sa.UUID(as_uuid=False), "postgresql"), nullable=False),
        sa.Column("seats", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller_flight", "saga_id", name=op.f("pk_caller_seats")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_sagas_undone",
        "sagas",
        ["subject", "finished_at"],
        unique=False,
        if_not_exists=True,
        sqlite_where=sa.text("status = 'COMPENSATED'"),
        postgresql_where=sa.text("status = 'COMPENSATED'"),
    )


def downgrade() -> None:
    op.drop_index("ix_sagas_undone", table_name="sagas")
    op.drop_table("caller_seats")
