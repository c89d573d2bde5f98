"""Which releases may serve a schema: said by its migrations, kept in the database, read by code that knows them not.

A release is named by its head, the newest revision that it brings. Every migration from 0003 on
says in `ends` which releases it ends: None where it only expands, so that those of before go on
beside the new one; else the newest of those that cannot, and all before it end as well. So the
database says at any revision who may serve it::

    revision   ends     may serve it
    0003       0001     0002 0003
    0004       None     0002 0003 0004     expands
    0005       0003     0004 0005          contracts

Code whose head is not the database's revision, and which does not know that revision, looks for
its head in `schema_releases`. So this table's form is never changed.
"""

from __future__ import annotations

from typing import Any, Final

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Table, Text, delete, insert, inspect, select

from domain.storage import FILLED_BY_MIGRATIONS, metadata

__all__ = ["SAID_BEFORE", "ended_by", "keep", "may_serve", "schema_releases", "serving"]

#: The newest release of those that do not write what they are of into their row of `replicas`.
SAID_BEFORE: Final = "0002"

schema_releases: Final = Table(
    "schema_releases", metadata, Column("revision", Text, primary_key=True), info=FILLED_BY_MIGRATIONS
)


def serving(script: ScriptDirectory, revision: str | None) -> list[str] | None:
    """The releases that may serve a schema at `revision`, oldest first; None where it keeps no account of them.

    Raises LookupError where a migration does not say which it ends.
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
    """The releases that may serve a schema before the migration to `revision`, and not after it."""
    before = script.get_revision(revision).down_revision
    assert before is None or isinstance(before, str), "the line of migrations has no branches"
    return frozenset(serving(script, before) or ()) - frozenset(serving(script, revision) or ())


def may_serve(connection: Connection, release: str) -> bool:
    """Whether a database that is at a revision unknown to this code says that `release` may serve it."""
    if not inspect(connection).has_table(schema_releases.name):
        return False
    found = connection.execute(select(schema_releases).where(schema_releases.c.revision == release))
    return found.first() is not None


def keep(script: ScriptDirectory, *, ctx: MigrationContext, heads: set[str], **_: Any) -> None:
    """After each migration, up or down: let the database say who may serve it now, in the same transaction."""
    revisions = serving(script, next(iter(heads), None))
    if revisions is None:
        return
    assert ctx.connection is not None
    ctx.connection.execute(delete(schema_releases))
    ctx.connection.execute(insert(schema_releases), [{"revision": revision} for revision in revisions])


def _line(script: ScriptDirectory, revision: str | None) -> list[Any]:
    """The migrations up to `revision`, oldest first."""
    return [] if revision is None else list(script.walk_revisions("base", revision))[::-1]
