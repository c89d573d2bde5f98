"""Store since when a saga is stuck and whether it is settled, and index what wants an operator.

An expansion: the release before sets neither column. A saga that it lets get stuck counts as stuck since its last
change, until a replica of this release tries it again; one that it ends ABANDONED is not settled. On a large table make
the columns and the indexes beforehand, see docs/scaling.md.

Revision: 0017, after: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
ends = None

_INDEXES = {
    "ix_sagas_troubled": (["id"], "status IN ('STUCK', 'PARKED')"),
    "ix_sagas_stuck_since": (["stuck_since", "id"], "status = 'STUCK'"),
    "ix_sagas_unsettled": (["id"], "status = 'ABANDONED' AND settled_at IS NULL"),
    "ix_sagas_failure_code": (["failure_code", "id"], "failure_code IS NOT NULL"),
}


def upgrade() -> None:
    # SQLite has no IF NOT EXISTS for a column, and is not in use meanwhile.
    by_hand = op.get_context().dialect.name == "postgresql" or None
    # Nullable and without a default: no row is rewritten.
    for name in ("stuck_since", "settled_at"):
        op.add_column("sagas", sa.Column(name, sa.BigInteger(), nullable=True), if_not_exists=by_hand)
    for name, (columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "sagas", columns, if_not_exists=True, sqlite_where=where, postgresql_where=where)
    # A saga whose log was pruned is stuck since its last change, as far as anybody knows.
    op.execute(
        "UPDATE sagas SET stuck_since = coalesce((SELECT max(at) FROM saga_events"
        " WHERE saga_events.saga_id = sagas.id AND type = 'SAGA_STUCK'), updated_at)"
        " WHERE status IN ('STUCK', 'PARKED') AND (status = 'STUCK' OR parked_from = 'STUCK')"
    )


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, table_name="sagas")
    for name in ("settled_at", "stuck_since"):
        op.drop_column("sagas", name)
