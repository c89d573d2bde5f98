"""Store an event's content as data beside its message.

An expansion: the release before writes none, and keeps running beside this one.

Revision: 0008, after: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
ends = None


def upgrade() -> None:
    op.add_column("saga_events", sa.Column("facts", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("saga_events", "facts")
