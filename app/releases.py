"""The releases that may serve a schema. Migrations declare them, and the database stores them for older code to read.

A release is named by its head, its newest revision. Every migration from 0003 on declares in `ends`
the newest release that it ends, together with all earlier ones. None means that it only expands, so
earlier releases may run beside the new one. So at any revision the database knows the releases that
may serve it::

    revision   ends     may serve it
    0003       0001     0002 0003
    0004       None     0002 0003 0004     expands
    0005       0003     0004 0005          contracts

Code that does not know the database's revision looks for its own head in `schema_releases`. So the
columns of this table must never change.
"""

from __future__ import annotations

from typing import Any, Final

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Insert, Table, Text, delete, insert, inspect, select

from domain.storage import FILLED_BY_MIGRATIONS, metadata

__all__ = ["SAID_BEFORE", "ended_by", "keep", "may_serve", "schema_releases", "serving"]

#: The newest release that does not write its revision into its row of `replicas`.
SAID_BEFORE: Final = "0002"

schema_releases: Final = Table(
    "schema_releases", metadata, Column("revision", Text, primary_key=True), info=FILLED_BY_MIGRATIONS
)


def serving(script: ScriptDirectory, revision: str | None) -> list[str] | None:
    """The releases that may serve a schema at `revision`, oldest first; None where it keeps no account of them.

    Raises LookupError if a migration does not declare `ends`.
    """
    line = _line(script, revision)
    said = [number for number, item in enumerate(line) if hasattr(item.module, "ends")]
    if not said:
        return None
    silent = [item.revision for item in line[said[0] :] if not hasattr(item.module, "ends")]
    if silent:
        raise LookupError(f"migration {silent[0]} does not say in `ends` which releases it ends")
    revisions = [item.revision for item in line]
    ended = [revisions.index(line[number].module.ends) for number in said if line[number].module.ends is not None]
    return revisions[max(ended, default=-1) + 1 :]


def ended_by(script: ScriptDirectory, revision: str) -> frozenset[str]:
    """The releases that may serve the schema before the migration to `revision`, but not after it."""
    before = script.get_revision(revision).down_revision
    assert before is None or isinstance(before, str), "the line of migrations has no branches"
    return frozenset(serving(script, before) or ()) - frozenset(serving(script, revision) or ())


def may_serve(connection: Connection, release: str) -> bool:
    """Whether a database at a revision unknown to this code allows `release` to serve it."""
    if not inspect(connection).has_table(schema_releases.name):
        return False
    found = connection.execute(select(schema_releases).where(schema_releases.c.revision == release))
    return found.first() is not None


def keep(script: ScriptDirectory, *, ctx: MigrationContext, heads: set[str], **_: Any) -> None:
    """Store the releases that may serve the schema, after each migration up or down, in its transaction."""
    revisions = serving(script, next(iter(heads), None))
    if revisions is None:
        return
    if ctx.as_sql:
        for statement in (delete(schema_releases), *(_keeping(revision) for revision in revisions)):
            compiled = statement.compile(dialect=ctx.dialect, compile_kwargs={"literal_binds": True})
            ctx.impl.static_output(f"{compiled};")
        return
    assert ctx.connection is not None
    ctx.connection.execute(delete(schema_releases))
    ctx.connection.execute(insert(schema_releases), [{"revision": revision} for revision in revisions])


def _keeping(revision: str) -> Insert:
    return insert(schema_releases).values(revision=revision)


def _line(script: ScriptDirectory, revision: str | None) -> list[Any]:
    """The migrations up to `revision`, oldest first."""
    return [] if revision is None else list(script.walk_revisions("base", revision))[::-1]
