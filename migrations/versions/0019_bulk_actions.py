"""Keep bulk actions and their sagas, and name the bulk action of an operator's action.

An expansion: the release before knows neither table and writes no bulk action.

Revision: 0019, after: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
ends = None

_RUNNING = sa.text("status = 'RUNNING'")
_PENDING = sa.text("state = 'PENDING'")


def upgrade() -> None:
    op.create_table(
        "bulk_actions",
        sa.Column("id", _id(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("sagas_per_second", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("passed_over", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status = 'RUNNING' OR status = 'STOPPED' OR status = 'DONE'", name=op.f("ck_bulk_actions_status")
        ),
        sa.CheckConstraint("(status = 'RUNNING') = (finished_at IS NULL)", name=op.f("ck_bulk_actions_finished")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_actions")),
    )
    op.create_index(
        "ix_bulk_actions_next_at", "bulk_actions", ["next_at"], sqlite_where=_RUNNING, postgresql_where=_RUNNING
    )
    op.create_table(
        "bulk_action_sagas",
        sa.Column("bulk_action_id", _id(), nullable=False),
        sa.Column("saga_id", _id(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state = 'PENDING' OR state = 'DONE' OR state = 'PASSED_OVER'", name=op.f("ck_bulk_action_sagas_state")
        ),
        sa.ForeignKeyConstraint(
            ["bulk_action_id"], ["bulk_actions.id"], name=op.f("fk_bulk_action_sagas_bulk_action_id")
        ),
        sa.PrimaryKeyConstraint("bulk_action_id", "saga_id", name=op.f("pk_bulk_action_sagas")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_bulk_action_sagas_pending",
        "bulk_action_sagas",
        ["bulk_action_id", "saga_id"],
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )
    op.add_column("operator_actions", sa.Column("bulk_action_id", _id(), nullable=True))


def downgrade() -> None:
    op.drop_column("operator_actions", "bulk_action_id")
    op.drop_table("bulk_action_sagas")
    op.drop_table("bulk_actions")


def _id() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.UUID(as_uuid=False), "postgresql")
