"""Find passengers by their family name: its folded form, and an index of it.

The release before writes no folded names, and so does no row that is there: every replica of this release fills them,
some hundred rows at a time. On a large table make the column and the index beforehand, see docs/scaling.md.

Revision: 0018, after: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
ends = None


def upgrade() -> None:
    # Without a default and nullable: no row is rewritten.
    folded = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    # SQLite has no IF NOT EXISTS for a column, and is not in use meanwhile.
    by_hand = op.get_context().dialect.name == "postgresql" or None
    op.add_column("passengers", sa.Column("family_folded", folded, nullable=True), if_not_exists=by_hand)
    op.create_index("ix_passengers_family_folded", "passengers", ["family_folded", "saga_id"], if_not_exists=True)


def downgrade() -> None:
    op.drop_index("ix_passengers_family_folded", table_name="passengers")
    op.drop_column("passengers", "family_folded")
