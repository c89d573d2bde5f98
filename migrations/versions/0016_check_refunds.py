"""Check the rows that were there before 0014 against its new statuses.

A revision of its own: on PostgreSQL it reads the table, and the locks of 0014 would otherwise last as long.

Revision: 0016, after: 0015
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
ends = None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE payments VALIDATE CONSTRAINT ck_payments_status")


def downgrade() -> None:
    """A constraint that was checked stays so."""
