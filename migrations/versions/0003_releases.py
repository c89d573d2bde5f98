"""A schema names the releases that may serve it, and a replica names its own release.

An expansion: the release before knows neither column, and keeps running beside this one.

Revision: 0003, after: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
#: Its replicas count what a caller holds, and do not queue at the gates of 0002: beside others, one caller could
#: hold more than is allowed.
ends = "0001"


def upgrade() -> None:
    op.create_table(
        "schema_releases",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_schema_releases")),
    )
    # Without a default and nullable: no row is rewritten, and those who know nothing of them write none.
    op.add_column("replicas", sa.Column("release", sa.Text(), nullable=True))
    op.add_column("replicas", sa.Column("revision", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("replicas", "revision")
    op.drop_column("replicas", "release")
    op.drop_table("schema_releases")
