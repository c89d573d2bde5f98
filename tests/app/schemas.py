"""Databases without a schema, and a version to come that has one migration more."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

import migrations
from app.migrations import head
from tests.support.databases import administer

__all__ = [
    "NEXT_REVISION",
    "REVISIONS",
    "VERSION_TABLE",
    "by_the_next_version",
    "empty_postgres",
    "end_release",
    "on",
    "set_revision",
    "tables_of",
]

T = TypeVar("T")
_ROOT: Final = Path(__file__).parents[2]
VERSION_TABLE: Final = "alembic_version"
#: Every migration there is, oldest first.
REVISIONS: Final = sorted(path.stem[:4] for path in Path(migrations.__file__).parent.glob("versions/0*.py"))
NEXT_REVISION: Final = "9999"
_NEXT: Final = '''"""One more."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
ends = {ends!r}


def upgrade() -> None:
    op.create_table("one_more", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade() -> None:
    op.drop_table("one_more")
'''


@asynccontextmanager
async def empty_postgres(server: URL) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database without anything in it, until the block ends."""
    name = f"empty_{uuid.uuid4().hex}"
    await administer(server, f'CREATE DATABASE "{name}"')
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        await administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def on(url: str, work: Callable[[Connection], T]) -> T:
    """What `work` returns, in a transaction on the database at `url`."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def tables_of(url: str) -> set[str]:
    """The names of all tables in the database at `url`."""
    return set(await on(url, lambda connection: inspect(connection).get_table_names()))


async def set_revision(url: str, revision: str) -> None:
    """Let a migrated database say that it is at `revision`."""
    statement = text(f"UPDATE {VERSION_TABLE} SET version_num = :revision").bindparams(revision=revision)
    await on(url, lambda connection: connection.execute(statement))


async def end_release(url: str, revision: str | None = None) -> None:
    """Let a migrated database say that releases at `revision`, this code's where None, may not serve it."""
    statement = text("DELETE FROM schema_releases WHERE revision = :revision").bindparams(revision=revision or head())
    await on(url, lambda connection: connection.execute(statement))


async def by_the_next_version(folder: Path, program: str, *, ends: str | None = None) -> tuple[int, str, str]:
    """The exit code of the Python `program`, its output and its errors, where there is one migration more.

    `folder`: where the next version's migrations may be kept. `ends`: the newest release that its migration ends.
    """
    package = folder / "next" / "migrations"
    if not package.exists():
        shutil.copytree(Path(migrations.__file__).parent, package)
        (package / "versions" / "9999_next.py").write_text(_NEXT.format(revision=NEXT_REVISION, head=head(), ends=ends))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        # Without the working folder, whose migrations would go first.
        "-P",
        "-c",
        program,
        env={**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{_ROOT}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode().strip(), errors.decode().strip()
