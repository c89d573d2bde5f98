"""Alembic's entry point: runs on a connection that it is given, opens one to SEATSAGA_DATABASE_URL, or prints SQL.

With `--sql` nothing is connected to; see `migrations.scripts`.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.metadata import metadata
from app.releases import keep
from migrations.scripts import BEGINNINGS, refusal

DATABASE_URL_DEFAULT = "sqlite+aiosqlite:///data/seatsaga.db"


def migrate(connection: Connection) -> None:
    """Run the requested migrations in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
        on_version_apply=partial(keep, context.script),
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    """For the alembic command itself."""
    engine = create_async_engine(os.environ.get("SEATSAGA_DATABASE_URL", DATABASE_URL_DEFAULT))
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


def print_sql() -> None:
    """Print the requested migrations for the asked kind of database, or that of SEATSAGA_DATABASE_URL."""
    url = os.environ.get("SEATSAGA_DATABASE_URL", DATABASE_URL_DEFAULT)
    dialect = context.config.attributes.get("dialect") or make_url(url).get_backend_name()
    context.configure(
        dialect_name=dialect,
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        render_as_batch=dialect == "sqlite",
        transactional_ddl=True,
        transaction_per_migration=dialect == "postgresql",
        on_version_apply=partial(keep, context.script),
    )
    output = context.get_context().impl
    for line in BEGINNINGS[dialect]:
        output.static_output(line)
    begins_at = context.get_starting_revision_argument()
    if begins_at is not None:
        is_there = f"EXISTS (SELECT 1 FROM alembic_version WHERE version_num = '{begins_at}')"
        reason = f"This script begins at revision {begins_at}, and the database is not there"
        for statement in refusal(dialect, f"NOT {is_there}", reason):
            output.static_output(f"{statement};")
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    print_sql()
elif isinstance(given, Connection):
    migrate(given)
else:
    asyncio.run(connect_and_migrate())
