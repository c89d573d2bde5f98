"""Check the rows that were there before 0011 against its new statuses.

A revision of its own: on PostgreSQL it reads both tables, and the locks of 0011 would otherwise last as long.

Revision: 0012, after: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
ends = None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in ("sagas", "saga_steps"):
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_status")


def downgrade() -> None:
    """A constraint that was checked stays so."""
