"""Store an operator's pause of a payment provider.

An expansion: the release before neither reads nor writes the table, so it goes on sending while this one is paused.

Revision: 0013, after: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
ends = None


def upgrade() -> None:
    op.create_table(
        "provider_controls",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_controls")),
    )


def downgrade() -> None:
    op.drop_table("provider_controls")
