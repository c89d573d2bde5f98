"""Count the sagas that ended before the counts existed.

A revision of its own, as the locks of 0009 would otherwise last as long. On PostgreSQL replicas of the release before
may keep running meanwhile. So only sagas that ended an hour ago or earlier are counted, as no transaction can still
end those; the rest is counted once these replicas are gone. 1.1 million sagas took about 20 s of a processor on SQLite.

Revision: 0010, after: 0009
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

from domain.saga import recount
from migrations.scripts import is_script

revision = "0010"
down_revision = "0009"
ends = None

_HOUR_US = 3_600_000_000
_FOREVER = 2**63 - 1


def upgrade() -> None:
    if is_script():
        # The server counts them: it does so for every replica that is gone, from `counted_until` on.
        op.execute("UPDATE replicas SET counted_until = 0")
        op.execute(
            "INSERT INTO replicas (id, host, process_id, started_at, lease_until, counted_until)"
            " SELECT DISTINCT replica, 'gone', 0, 0, 0, 0 FROM sagas"
            " WHERE replica IS NOT NULL AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.id = sagas.replica)"
        )
        return
    connection = op.get_bind()
    until = _FOREVER if connection.dialect.name == "sqlite" else time.time_ns() // 1_000 - _HOUR_US
    recount(connection, until=until)
    connection.execute(sa.text("UPDATE replicas SET counted_until = :until"), {"until": until})


def downgrade() -> None:
    op.execute("DELETE FROM saga_counts")
    op.execute("DELETE FROM saga_durations")
    op.execute("UPDATE replicas SET counted_until = NULL")
