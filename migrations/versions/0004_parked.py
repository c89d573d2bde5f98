"""Park sagas that a release cannot read or run, and store each saga's definition fingerprint.

An expansion: the release before starts sagas without a fingerprint, and never meets a parked one,
as a parked saga belongs to no replica.

Revision: 0004, after: 0003
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from migrations.scripts import allow_in_script, is_script

revision = "0004"
down_revision = "0003"
#: The release before goes on beside this one; it cannot show a parked saga, which is rare and waits for an operator.
ends = None

_KNOWN = ("PENDING", "RUNNING", "COMPENSATING", "COMPLETED", "COMPENSATED", "STUCK", "ABANDONED")


def upgrade() -> None:
    op.create_table(
        "saga_definitions",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("outline", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_saga_definitions")),
    )
    # Without a default and nullable: no row is rewritten, and the release before writes none.
    op.add_column("sagas", sa.Column("definition_fingerprint", sa.Text(), nullable=True))
    op.add_column("sagas", sa.Column("parked_at", sa.BigInteger(), nullable=True))
    for name in ("parked_from", "parked_code", "parked_reason"):
        op.add_column("sagas", sa.Column(name, sa.Text(), nullable=True))
    _allow(*_KNOWN[:-1], "PARKED", "ABANDONED")


def downgrade() -> None:
    # A release before 0004 does not know the status. Its owner is no replica, so nobody runs such a saga.
    op.execute("UPDATE sagas SET status = parked_from WHERE status = 'PARKED'")
    _allow(*_KNOWN)
    for name in ("parked_reason", "parked_code", "parked_from", "parked_at", "definition_fingerprint"):
        op.drop_column("sagas", name)
    op.drop_table("saga_definitions")


def _allow(*statuses: str) -> None:
    """Set the statuses that a saga may have."""
    condition = " OR ".join(f"status = '{status}'" for status in statuses)
    if op.get_context().dialect.name == "postgresql":
        # Rows that are there satisfy it: nothing is looked at under the lock.
        op.execute("ALTER TABLE sagas DROP CONSTRAINT ck_sagas_status")
        op.execute(f"ALTER TABLE sagas ADD CONSTRAINT ck_sagas_status CHECK ({condition}) NOT VALID")
        op.execute("ALTER TABLE sagas VALIDATE CONSTRAINT ck_sagas_status")
        return
    if is_script():
        allow_in_script("sagas", " OR ".join(f"status = '{status}'" for status in _KNOWN), condition)
        return
    _rewrite_check(condition)


def _rewrite_check(condition: str) -> None:
    """On SQLite: change the CHECK in the schema's own text, by the steps of its manual (lang_altertable, section 7).

    Rebuilding the table would drop it while steps and labels refer to it, and would take longer with
    more sagas. Every row satisfies the new condition: it allows more, or no row has the removed status.
    """
    connection = op.get_bind()
    found = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'sagas'"
    ).scalar_one()
    changed, number = re.subn(
        r"CONSTRAINT ck_sagas_status CHECK \([^()]*\)", f"CONSTRAINT ck_sagas_status CHECK ({condition})", found
    )
    if number != 1:
        raise RuntimeError("The table sagas has no CHECK ck_sagas_status as migrations write it; restore the schema.")
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = 'sagas'", (changed,))
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
