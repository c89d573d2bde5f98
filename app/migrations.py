"""Brings a database's schema to what this code needs, and tells how far it is from it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Text, literal_column, select, table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

import migrations
from domain.errors import ConfigurationError, SchemaError
from domain.storage import Database, database_file, database_url

__all__ = [
    "SchemaState",
    "downgrade",
    "head",
    "require_current",
    "revision_of",
    "revision_within",
    "schema_state",
    "state_of",
    "upgrade",
]

_REVISION: Final = select(literal_column("version_num", Text)).select_from(table("alembic_version"))


class SchemaState(StrEnum):
    """How a database's schema stands to this code."""

    EMPTY = "EMPTY"
    """No migration has run."""
    CURRENT = "CURRENT"
    """Exactly what this code needs."""
    BEHIND = "BEHIND"
    """Migrations are missing: run `seatsaga migrate`."""
    AHEAD = "AHEAD"
    """A newer seatsaga has migrated it: run that one."""


@cache
def head() -> str:
    """The revision that this code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise LookupError("there are no migrations")
    return revision


async def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` up to `revision`, in one transaction; nothing where it is there already."""
    await _run(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str) -> None:
    """Migrate the database at `url` down to `revision`, in one transaction."""
    await _run(url, lambda config: command.downgrade(config, revision))


async def revision_of(url: str) -> str | None:
    """The revision that the database at `url` is at, or None where there is no schema, or no file yet.

    Raises ConfigurationError where the database does not answer.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite" and not database_file(parsed).exists():
        return None
    database = Database(parsed)
    try:
        return await database.read(lambda connection: connection.run_sync(_revision))
    except (SQLAlchemyError, OSError) as error:
        # The lines below the first are the statement and a link.
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"SEATSAGA_DATABASE_URL={parsed.render_as_string(hide_password=True)}: the database does not answer"
            f" ({type(error).__name__}: {reason})."
        ) from error
    finally:
        await database.close()


async def revision_within(database: Database) -> str | None:
    """The revision that `database`, which is in service, is at; raises where it does not answer. One statement."""

    async def work(connection: AsyncConnection) -> str | None:
        return (await connection.execute(_REVISION)).scalar_one_or_none()

    return await database.read(work)


async def schema_state(url: str) -> SchemaState:
    """How the schema of the database at `url` stands to this code."""
    return state_of(await revision_of(url))


def state_of(revision: str | None) -> SchemaState:
    """How a schema at `revision` stands to this code; None: there is none."""
    if revision is None:
        return SchemaState.EMPTY
    if revision == head():
        return SchemaState.CURRENT
    return SchemaState.BEHIND if revision in _known_revisions() else SchemaState.AHEAD


async def require_current(url: str) -> None:
    """Raise SchemaError, which says what to run, unless the schema is exactly what this code needs."""
    match await schema_state(url):
        case SchemaState.CURRENT:
            return
        case SchemaState.AHEAD:
            raise SchemaError(
                f"the database is at revision {await revision_of(url)}, which this version does not know;"
                " run a newer seatsaga."
            )
        case _:
            raise SchemaError("the database's schema is not what this version needs; run: seatsaga migrate")


async def _run(url: str, migrate: Callable[[Config], None]) -> None:
    database = Database(url)
    config = _config()

    def within(connection: Connection) -> None:
        config.attributes["connection"] = connection
        migrate(config)

    try:
        await database.write(lambda connection: connection.run_sync(within))
    finally:
        await database.close()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    # By the package's own place, so that an installed wheel works from any folder.
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
