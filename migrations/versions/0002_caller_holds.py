"""Count a caller's holds: an index of sagas in flight by their subject, and gates that replicas lock to count.

Revision: 0002, after: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

#: As many as the code counts modulo.
_GATES = 16_384


def upgrade() -> None:
    op.create_table(
        "hold_gates",
        sa.Column("gate", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("gate", name=op.f("pk_hold_gates")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"INSERT INTO hold_gates (gate) SELECT generate_series(0, {_GATES - 1})")
    op.create_index(
        "ix_sagas_in_flight",
        "sagas",
        ["subject", "finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_sagas_in_flight", table_name="sagas")
    op.drop_table("hold_gates")
