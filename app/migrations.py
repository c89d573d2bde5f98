"""Migrates a database's schema to this code's version, and compares the two.

A migration runs while replicas serve, so each is a transaction of its own. On PostgreSQL, a migration
that waits for a table's lock gives up after a second and retries, because other sessions queue behind
it. Two processes that migrate at once take turns, and the second finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Text, inspect, literal_column, select, table, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

import migrations
from app import releases
from app.schema_parts import missing_parts, tables_that_are_there
from domain.errors import ConfigurationError, SchemaError
from domain.saga import LiveReplica, live_replicas
from domain.storage import REMEDY, Bounds, Database, damage_of, database_file, database_url

__all__ = [
    "REFUSED_BY_POOLERS",
    "SchemaStanding",
    "SchemaState",
    "alembic_config",
    "downgrade",
    "head",
    "line_of",
    "require_current",
    "require_served",
    "revision_of",
    "schema_state",
    "script",
    "standing_of",
    "standing_within",
    "upgrade",
]

#: So many missing parts are named.
PARTS_SHOWN_MAX: Final = 5
#: PgBouncer's error for the startup parameters of our sessions.
REFUSED_BY_POOLERS: Final = "unsupported startup parameter"
#: Moving the data of a large table takes longer than any statement of a request may.
_BOUNDS: Final = Bounds(2, statement_seconds=3_600.0, idle_transaction_seconds=None)
#: How long a migration, and every session queued behind it, waits for a table's lock.
LOCK_SECONDS: Final = 1
_VERSION_TABLE: Final = "alembic_version"
_REVISION: Final = select(literal_column("version_num", Text)).select_from(table(_VERSION_TABLE))
#: Excludes other migrations, but no reader.
_TAKE_TURNS: Final = text(f"LOCK TABLE {_VERSION_TABLE} IN SHARE ROW EXCLUSIVE MODE")
_GIVE_WAY: Final = text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
#: unique_violation, duplicate_table: CREATE TABLE IF NOT EXISTS raises them if another session creates the table now.
_MADE_MEANWHILE: Final = frozenset({"23505", "42P07"})
_LOCK_NOT_AVAILABLE: Final = "55P03"


class SchemaState(StrEnum):
    """The state of a database's schema, compared with this code."""

    EMPTY = "EMPTY"
    """No migration has run."""
    CURRENT = "CURRENT"
    """It is exactly the schema that this code needs."""
    BEHIND = "BEHIND"
    """Migrations are missing: run `seatsaga migrate`."""
    AHEAD = "AHEAD"
    """A newer seatsaga migrated it, and it still allows this code to serve it."""
    ENDED = "ENDED"
    """A newer seatsaga migrated it, and this code may not serve it: run the newer one."""

    @property
    def is_served(self) -> bool:
        """Whether this code may serve it."""
        return self in (SchemaState.CURRENT, SchemaState.AHEAD)


@dataclass(frozen=True, slots=True)
class SchemaStanding:
    """The revision of a database (None: no schema), and its state."""

    revision: str | None
    state: SchemaState


@cache
def head() -> str:
    """The revision that this code needs."""
    revision = script().get_current_head()
    if revision is None:
        raise LookupError("there are no migrations")
    return revision


async def upgrade(url: str, revision: str = "head", *, alone: bool = False) -> None:
    """Migrate the database at `url` up to `revision`, each migration in a transaction; does nothing if it is there.

    Raises SchemaError if a migration would end a release with a live replica, unless it is certain that
    there is none (`alone`), or if other sessions keep tables locked for too long. Then all earlier
    migrations are done, and nothing of this one.
    """
    database = Database(url, bounds=_BOUNDS)
    try:
        await _make_version_table(database)
        await _refuse_half(database)
        for step in line_of(head() if revision == "head" else revision):
            if _is_beyond(step, await database.read(_read_revision)):
                continue
            if _copies_tables(step):
                await _apply_copying(url, step, alone=alone)
            else:
                await _apply(database, step, alone=alone)
    except DBAPIError as error:
        if _sqlstate(error) != _LOCK_NOT_AVAILABLE:
            raise
        raise SchemaError(
            f"a table is in use and could not be changed; the schema is at {await revision_of(url) or 'nothing'}."
            " Run it again: seatsaga migrate"
        ) from error
    finally:
        await database.close()


async def downgrade(url: str, revision: str) -> None:
    """Migrate the database at `url` down to `revision`, in one transaction."""
    database = Database(url, bounds=_BOUNDS, foreign_keys=False)
    try:
        await database.write(_keeping_references(_running(lambda config: command.downgrade(config, revision))))
    finally:
        await database.close()


async def revision_of(url: str) -> str | None:
    """The revision of the database at `url`; None if there is no schema or no file yet.

    Raises ConfigurationError if the database does not answer.
    """
    return (await standing_of(url)).revision


async def schema_state(url: str) -> SchemaState:
    """The state of the schema of the database at `url`. Raises ConfigurationError as `revision_of`."""
    return (await standing_of(url)).state


async def standing_of(url: str) -> SchemaStanding:
    """The revision and state of the database at `url`. Changes nothing.

    Raises ConfigurationError if the database does not answer.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite" and not database_file(parsed).exists():
        return SchemaStanding(None, SchemaState.EMPTY)
    database = Database(parsed)
    try:
        return await database.read(lambda connection: connection.run_sync(_standing))
    except (SQLAlchemyError, OSError) as error:
        # The lines below the first are the statement and a link.
        reason = str(error).partition("\n")[0]
        shown = parsed.render_as_string(hide_password=True)
        if REFUSED_BY_POOLERS in reason:
            raise ConfigurationError(
                f"{shown} is behind a pooler; SEATSAGA_DATABASE_DIRECT_URL must lead to the server itself, past it."
            ) from error
        remedy = f" If it is damaged, {REMEDY}" if damage_of(error) else ""
        raise ConfigurationError(
            f"{shown}: the database does not answer ({type(error).__name__}: {reason}).{remedy}"
        ) from error
    finally:
        await database.close()


async def standing_within(database: Database) -> SchemaStanding:
    """As `standing_of`, for a database in service; raises if it does not answer. Runs one or two statements."""

    async def work(connection: AsyncConnection) -> SchemaStanding:
        revision = await _read_revision(connection)
        return SchemaStanding(revision, await connection.run_sync(_state, revision))

    return await database.read(work)


async def require_current(url: str) -> None:
    """Raise SchemaError, which says what to run, unless this code may serve the schema.

    It may serve a schema at exactly this code's head, or a newer one that allows it. A schema at the head must have
    every part: one that was broken off may say that it is there.
    """
    standing = await standing_of(url)
    require_served(standing)
    if standing.state is SchemaState.CURRENT:
        await _require_whole(url)


async def _require_whole(url: str) -> None:
    database = Database(url)
    try:
        missing = await database.read(missing_parts)
    finally:
        await database.close()
    if missing:
        more = f" and {len(missing) - PARTS_SHOWN_MAX} more" if len(missing) > PARTS_SHOWN_MAX else ""
        raise SchemaError(
            f"the database says that it is at revision {head()}, and has no"
            f" {', '.join(missing[:PARTS_SHOWN_MAX])}{more}: a migration was broken off."
            " Restore a backup, and migrate it."
        )


def require_served(standing: SchemaStanding) -> None:
    """Raise SchemaError, which says what to run, unless this code may serve a schema with this standing."""
    match standing.state:
        case SchemaState.CURRENT | SchemaState.AHEAD:
            return
        case SchemaState.ENDED:
            raise SchemaError(
                f"the database is at revision {standing.revision}, which this version, at {head()}, may not serve;"
                " run a newer seatsaga."
            )
        case SchemaState.EMPTY | SchemaState.BEHIND:
            raise SchemaError("the database's schema is not what this version needs; run: seatsaga migrate")


# ---------------------------------------------------------------------- one migration


async def _make_version_table(database: Database) -> None:
    """Create the version table, whose lock makes migrations take turns."""

    async def is_there(connection: AsyncConnection) -> bool:
        return await connection.run_sync(lambda within: inspect(within).has_table(_VERSION_TABLE))

    if await database.read(is_there):
        return
    try:
        await database.write(_running(command.ensure_version))
    except DBAPIError as error:
        if _sqlstate(error) not in _MADE_MEANWHILE:
            raise


async def _refuse_half(database: Database) -> None:
    """Raise SchemaError if there are tables of ours, and no revision."""

    async def look(connection: AsyncConnection) -> list[str]:
        return [] if await _read_revision(connection) is not None else await tables_that_are_there(connection)

    found = await database.read(look)
    if found:
        raise SchemaError(
            f"the database has {len(found)} of seatsaga's tables ({found[0]}, ...) and no revision: a migration was"
            " broken off. Restore a backup, or give it an empty database."
        )


async def _apply(database: Database, revision: str, *, alone: bool) -> None:
    """Migrate to `revision` from the one before it, unless another process has done so meanwhile."""
    ended = frozenset() if alone else releases.ended_by(script(), revision)
    copies = _copies_tables(revision)

    async def look(connection: AsyncConnection) -> None:
        _refuse_to_end(revision, ended, await live_replicas(connection, at=await database.clock.now(connection)))

    async def migrate(connection: AsyncConnection) -> None:
        if database.dialect == "postgresql":
            await connection.execute(_TAKE_TURNS)
            await connection.execute(_GIVE_WAY)
        if _is_beyond(revision, await _read_revision(connection)):
            return
        run = _running(lambda config: command.upgrade(config, revision))
        await (_keeping_references(run) if copies else run)(connection)
        if ended:
            # A replica may have started since the first check. One that starts now sees the new schema.
            at = await database.clock.now(connection)
            _refuse_to_end(revision, ended, await live_replicas(connection, at=at, hold_others=True))

    if ended:
        await database.read(look)
    await database.write(migrate)


async def _apply_copying(url: str, revision: str, *, alone: bool) -> None:
    """As `_apply`, for a migration that copies tables.

    SQLite would treat referring rows as orphaned when the table's old form is dropped, so foreign keys
    are off meanwhile. Before the commit, every reference is checked.
    """
    database = Database(url, bounds=_BOUNDS, foreign_keys=False)
    try:
        await _apply(database, revision, alone=alone)
    finally:
        await database.close()


def _keeping_references(
    work: Callable[[AsyncConnection], Coroutine[Any, Any, None]],
) -> Callable[[AsyncConnection], Coroutine[Any, Any, None]]:
    """`work`, followed by a check of all foreign keys of a SQLite database; raises SchemaError if one is broken."""

    async def within(connection: AsyncConnection) -> None:
        await work(connection)
        if connection.dialect.name == "sqlite":
            lost = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().first()
            if lost is not None:
                raise SchemaError(
                    f"rows of {lost['table']} would refer to rows of {lost['parent']} that are not there;"
                    " nothing was done."
                )

    return within


def _refuse_to_end(revision: str, ended: frozenset[str], alive: list[LiveReplica]) -> None:
    """Raise SchemaError if one of the `alive` replicas is of a release that the migration to `revision` ends."""
    named = [
        f"process {replica.process_id} on {replica.host} (at {replica.revision or f'{releases.SAID_BEFORE} or before'})"
        for replica in alive
        if (replica.revision or releases.SAID_BEFORE) in ended
    ]
    if named:
        raise SchemaError(
            f"revision {revision} ends releases up to {max(ended)}, and of those are alive: {', '.join(named)}."
            " Replace them, then run it again: seatsaga migrate"
        )


def _copies_tables(revision: str) -> bool:
    """Whether the migration declares `copies_tables`."""
    return getattr(script().get_revision(revision).module, "copies_tables", False)


def _running(migrate: Callable[[Config], None]) -> Callable[[AsyncConnection], Coroutine[Any, Any, None]]:
    """A function that runs a command of Alembic within a transaction."""

    def within(connection: Connection) -> None:
        config = alembic_config()
        config.attributes["connection"] = connection
        migrate(config)

    return lambda connection: connection.run_sync(within)


# ---------------------------------------------------------------------- revisions


def _standing(connection: Connection) -> SchemaStanding:
    revision = None
    if inspect(connection).has_table(_VERSION_TABLE):
        revision = connection.execute(_REVISION).scalar_one_or_none()
    return SchemaStanding(revision, _state(connection, revision))


def _state(connection: Connection, revision: str | None) -> SchemaState:
    if revision is None:
        return SchemaState.EMPTY
    if revision == head():
        return SchemaState.CURRENT
    if revision in line_of(head()):
        return SchemaState.BEHIND
    return SchemaState.AHEAD if releases.may_serve(connection, head()) else SchemaState.ENDED


async def _read_revision(connection: AsyncConnection) -> str | None:
    return (await connection.execute(_REVISION)).scalar_one_or_none()


def _is_beyond(revision: str, found: str | None) -> bool:
    """Whether a schema at `found` already includes that revision; a newer seatsaga's does."""
    return found is not None and (found not in line_of(head()) or revision in line_of(found))


@cache
def line_of(revision: str | None) -> tuple[str, ...]:
    """All revisions up to this one, oldest first."""
    if revision is None:
        return ()
    return tuple(item.revision for item in script().walk_revisions("base", revision))[::-1]


@cache
def script() -> ScriptDirectory:
    """The migrations."""
    return ScriptDirectory.from_config(alembic_config())


def alembic_config() -> Config:
    """Alembic's settings, without a database."""
    config = Config()
    # Relative to the package, so that an installed wheel works from any folder.
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
