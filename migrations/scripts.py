"""What migrations print in place of what they do, when they make an SQL script and are connected to nothing.

A script stops at its first error: its first line tells sqlite3 or psql to. On PostgreSQL each migration is a
transaction of its own; on SQLite all of them are one.
"""

from __future__ import annotations

from alembic import op

__all__ = ["BEGINNINGS", "allow_in_script", "is_script", "refusal", "refuse_if"]

#: The first lines of a script, by database. The first is a command of sqlite3 or psql: another tool that does not know
#: it, and might go on after an error, runs nothing.
BEGINNINGS = {
    "sqlite": (".bail on", "PRAGMA foreign_keys = OFF;"),
    "postgresql": (
        r"\set ON_ERROR_STOP on",
        "-- A table that is in use is waited for so long; then run the rest again, with --from what was reached.",
        "SET lock_timeout = '1s';",
    ),
}


def is_script() -> bool:
    """Whether an SQL script is made."""
    return op.get_context().as_sql


def refuse_if(condition: str, reason: str) -> None:
    """Let the script end here, with `reason`, if an SQL condition is met."""
    for statement in refusal(op.get_context().dialect.name, condition, reason):
        op.execute(statement)


def refusal(dialect: str, condition: str, reason: str) -> tuple[str, ...]:
    """The statements of `refuse_if`."""
    if dialect == "postgresql":
        return (f"DO $$ BEGIN IF {condition} THEN RAISE EXCEPTION '{reason}'; END IF; END $$",)
    # SQLite says which constraint failed.
    return (
        f'CREATE TEMPORARY TABLE refusal (is_none INTEGER CONSTRAINT "{reason}" CHECK (is_none))',
        f"INSERT INTO refusal SELECT NOT ({condition})",
        "DROP TABLE refusal",
    )


def allow_in_script(table: str, before: str, after: str) -> None:
    """On SQLite: change the condition of the CHECK of a table's status, as 0004 does, without a look at the table."""
    name = f"CONSTRAINT ck_{table}_status CHECK"
    of_table = f"type = 'table' AND name = '{table}'"
    refuse_if(
        f"NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE {of_table} AND instr(sql, {_quoted(f'{name} ({before})')}))",
        f"The table {table} has no CHECK ck_{table}_status as migrations write it; restore it.",
    )
    op.execute("PRAGMA writable_schema = ON")
    op.execute(
        f"UPDATE sqlite_schema SET sql = replace(sql, {_quoted(f'{name} ({before})')}, {_quoted(f'{name} ({after})')})"
        f" WHERE {of_table}"
    )
    op.execute("PRAGMA writable_schema = RESET")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
