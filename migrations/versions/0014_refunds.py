"""Let a payment's refund be pending, or in part, and let its charge be disputed.

An expansion: the release before cannot show a payment in one of the new statuses. It makes none, and runs no saga that
does: those are of definitions of a new version.

Revision: 0014, after: 0013
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from migrations.scripts import allow_in_script, is_script

revision = "0014"
down_revision = "0013"
#: The release before goes on beside this one; to its readers such a payment is one that it cannot read.
ends = None

_BEFORE = ("PENDING", "AUTHORIZED", "CAPTURED", "VOIDED", "REFUNDED", "DECLINED", "UNKNOWN")
_NEW = ("REFUND_PENDING", "DISPUTED")


def upgrade() -> None:
    # Without a default and nullable: no row is rewritten, and the release before writes none.
    op.add_column("payments", sa.Column("refunded_minor", sa.BigInteger(), nullable=True))
    _allow(*_BEFORE[:4], "REFUND_PENDING", "REFUNDED", "DISPUTED", *_BEFORE[5:])


def downgrade() -> None:
    statement = sa.text("SELECT count(*) FROM payments WHERE status = :one OR status = :other")
    left = op.get_bind().execute(statement, {"one": _NEW[0], "other": _NEW[1]}).scalar_one()
    if left:
        raise RuntimeError(
            f"{left} payments have a refund that is pending, or are disputed, which no release before 0014 can read; "
            "let their refunds and disputes end first."
        )
    _allow(*_BEFORE)
    op.drop_column("payments", "refunded_minor")


def _allow(*statuses: str) -> None:
    """Set the statuses that a payment may have."""
    condition = " OR ".join(f"status = '{status}'" for status in statuses)
    if op.get_context().dialect.name == "postgresql":
        # Nobody looks at the rows that are there under this lock: 0016 does.
        op.execute("ALTER TABLE payments DROP CONSTRAINT ck_payments_status")
        op.execute(f"ALTER TABLE payments ADD CONSTRAINT ck_payments_status CHECK ({condition}) NOT VALID")
        return
    if is_script():
        allow_in_script("payments", " OR ".join(f"status = '{status}'" for status in _BEFORE), condition)
        return
    _rewrite_check(condition)


def _rewrite_check(condition: str) -> None:
    """On SQLite: change the CHECK in the schema's own text, by the steps of its manual (lang_altertable, section 7).

    As in 0004: rebuilding the table would take longer with more payments. Every row satisfies the new condition.
    """
    connection = op.get_bind()
    found = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'payments'"
    ).scalar_one()
    changed, number = re.subn(
        r"CONSTRAINT ck_payments_status CHECK \([^()]*\)", f"CONSTRAINT ck_payments_status CHECK ({condition})", found
    )
    if number != 1:
        raise RuntimeError("The table payments has no CHECK ck_payments_status as migrations write it; restore it.")
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = 'payments'", (changed,)
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
