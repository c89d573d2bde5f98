"""Record operators' actions, and store the actor of a saga's event.

An expansion: the release before writes neither, and keeps running beside this one.

Revision: 0006, after: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
ends = None

_ID = sa.Text().with_variant(postgresql.UUID(as_uuid=False), "postgresql")
_REFUSED = "operator_actions is only ever appended to"


def upgrade() -> None:
    op.add_column("saga_events", sa.Column("actor_role", sa.Text(), nullable=True))
    op.add_column("saga_events", sa.Column("actor_subject", sa.Text(), nullable=True))
    op.create_table(
        "operator_actions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("saga_id", _ID, nullable=True),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("state_before", sa.Text(), nullable=True),
        sa.Column("state_after", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["saga_id"], ["sagas.id"], name=op.f("fk_operator_actions_saga_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_actions")),
    )
    op.create_index("ix_operator_actions_at_id", "operator_actions", ["at", "id"], unique=False)
    op.create_index("ix_operator_actions_saga_id", "operator_actions", ["saga_id"], unique=False)
    if op.get_context().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER operator_actions_no_{change.lower()} BEFORE {change} ON operator_actions "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
            )
        # REPLACE deletes without telling the trigger above.
        op.execute(
            "CREATE TRIGGER operator_actions_no_replace BEFORE INSERT ON operator_actions "
            "WHEN EXISTS (SELECT 1 FROM operator_actions WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION operator_actions_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions "
        "FOR EACH STATEMENT EXECUTE FUNCTION operator_actions_refuse()"
    )


def downgrade() -> None:
    # Its triggers go with it.
    op.drop_table("operator_actions")
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION operator_actions_refuse()")
    op.drop_column("saga_events", "actor_subject")
    op.drop_column("saga_events", "actor_role")
