"""Tell a repeated start of a bulk action from a new one: the key that its client made.

An expansion: the release before starts actions without a key.

Revision: 0020, after: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
ends = None


def upgrade() -> None:
    op.add_column("bulk_actions", sa.Column("idempotency_key", sa.Text, nullable=True))
    op.create_index("ix_bulk_actions_idempotency_key", "bulk_actions", ["idempotency_key"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_bulk_actions_idempotency_key", table_name="bulk_actions")
    op.drop_column("bulk_actions", "idempotency_key")
