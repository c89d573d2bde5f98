"""Let sagas wait for a word: the wait and the word on the saga's row, and the statuses of saga and step.

An expansion: the release before neither knows nor owns a saga that waits. Only definitions of a new version wait, and
it claims no saga of a version that it does not know.

Revision: 0011, after: 0010
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from migrations.scripts import allow_in_script, is_script

revision = "0011"
down_revision = "0010"
#: The release before goes on beside this one; to its readers a saga that waits is one that it cannot read.
ends = None

_SAGA = ("PENDING", "RUNNING", "COMPENSATING", "COMPLETED", "COMPENSATED", "STUCK", "PARKED", "ABANDONED")
_STEP = ("PENDING", "EXECUTING", "RETRYING", "COMPLETED", "FAILED", "SKIPPED", "STUCK")
_TEXTS = ("awaits", "word", "word_fingerprint")
_TIMES = ("awaited_since", "awaited_until", "word_at")


def upgrade() -> None:
    # Without a default and nullable: no row is rewritten, and the release before writes none.
    for name in _TEXTS:
        op.add_column("sagas", sa.Column(name, sa.Text(), nullable=True))
    for name in _TIMES:
        op.add_column("sagas", sa.Column(name, sa.BigInteger(), nullable=True))
    _allow("sagas", *_SAGA[:2], "WAITING", *_SAGA[2:])
    _allow("saga_steps", *_STEP[:3], "COMPLETED", "WAITING", *_STEP[4:])


def downgrade() -> None:
    waiting = op.get_bind().execute(sa.text("SELECT count(*) FROM sagas WHERE awaits IS NOT NULL")).scalar_one()
    if waiting:
        raise RuntimeError(f"{waiting} sagas wait, which no release before 0011 can run; let them end first.")
    _allow("saga_steps", *_STEP)
    _allow("sagas", *_SAGA)
    for name in (*_TEXTS, *_TIMES):
        op.drop_column("sagas", name)


def _allow(table: str, *statuses: str) -> None:
    """Set the statuses that a row of this table may have."""
    condition = " OR ".join(f"status = '{status}'" for status in statuses)
    if op.get_context().dialect.name == "postgresql":
        # Nobody looks at the rows that are there under this lock: 0012 does.
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_status")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_status CHECK ({condition}) NOT VALID")
        return
    if is_script():
        before = _SAGA if table == "sagas" else _STEP
        allow_in_script(table, " OR ".join(f"status = '{status}'" for status in before), condition)
        return
    _rewrite_check(table, condition)


def _rewrite_check(table: str, condition: str) -> None:
    """On SQLite: change the CHECK in the schema's own text, by the steps of its manual (lang_altertable, section 7).

    As in 0004: rebuilding the table would take longer with more sagas. Every row satisfies the new condition.
    """
    connection = op.get_bind()
    named = (table,)
    found = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", named
    ).scalar_one()
    changed, number = re.subn(
        rf"CONSTRAINT ck_{table}_status CHECK \([^()]*\)", f"CONSTRAINT ck_{table}_status CHECK ({condition})", found
    )
    if number != 1:
        raise RuntimeError(f"The table {table} has no CHECK ck_{table}_status as migrations write it; restore it.")
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", (changed, table))
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
