"""Alembic's entry point: runs on a connection that it is given, or opens one to SEATSAGA_DATABASE_URL."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.metadata import metadata
from app.releases import keep

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


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    migrate(given)
else:
    asyncio.run(connect_and_migrate())
