"""A start that is refused says so in one line and ends with exit code 2, whatever is in its way."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.migrations import upgrade
from domain.storage import Server
from sandbox import PostgresBooks
from tests.conftest import administer, as_text
from tests.support.children import environment, seatsaga, serving_child

DATA, LOGS = "data", "logs"


def refusal(folder: Path, **settings: str) -> str:
    """The one line of a start in `folder` that is refused."""
    env = environment(folder, **{"port": "9599", **settings})
    ended = seatsaga("serve", env=env, folder=folder, unprivileged=True)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    said = [line for line in ended.stderr.splitlines() if " [LOG] " not in line]
    assert len(said) == 1, ended.stderr
    assert said[0].startswith("seatsaga: ")
    assert "Traceback" not in ended.stderr
    return said[0]


def unwritable(path: Path) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(0o500)


def folder_instead(path: Path) -> None:
    path.mkdir(parents=True)


def read_only(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.chmod(0o400)


def file_instead(path: Path) -> None:
    path.write_text("not a folder")


@pytest.mark.parametrize(
    ("obstruct", "where"),
    [
        (unwritable, ""),
        (unwritable, "data"),
        (unwritable, "logs"),
        (file_instead, "data"),
        (file_instead, "logs"),
        (read_only, "data/seatsaga.db"),
        (read_only, "data/seatsaga.db.lock"),
        (read_only, "data/seatsaga.sandbox.db"),
        (read_only, "logs/saga_orchestrator.log"),
        (read_only, "logs/saga_bookings.log"),
        (folder_instead, "data/seatsaga.db"),
        (folder_instead, "data/seatsaga.db.lock"),
        (folder_instead, "data/seatsaga.sandbox.db"),
        (folder_instead, "data/admin-token"),
        (folder_instead, "logs/saga_orchestrator.log"),
    ],
)
def test_a_file_or_folder_in_the_way_is_named(
    tmp_path: Path, sqlite_template: Path, obstruct: Callable[[Path], None], where: str
) -> None:
    if "sandbox" in where:
        (tmp_path / DATA).mkdir()
        shutil.copy(sqlite_template, tmp_path / DATA / "seatsaga.db")
    obstruct(tmp_path / where)
    try:
        assert str(tmp_path / where) in refusal(tmp_path)
    finally:
        (tmp_path / where).chmod(0o700)


def test_an_address_that_is_not_this_machines_is_named(tmp_path: Path) -> None:
    settings = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters or more"}
    assert "203.0.113.7" in refusal(tmp_path, host="203.0.113.7", **settings)
    assert "no.such.host.invalid" in refusal(tmp_path, host="no.such.host.invalid", **settings)


def test_a_low_port_is_named(tmp_path: Path) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 81:
        assert "81" in refusal(tmp_path, port="81")


def test_a_taken_port_is_found_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = refusal(tmp_path, port=port)
    assert f"127.0.0.1:{port}" in said
    assert "SEATSAGA_PORT" in said
    assert not (tmp_path / DATA / "seatsaga.db").exists()


def test_a_database_that_another_user_has_left_open_to_others_is_refused(tmp_path: Path, sqlite_template: Path) -> None:
    if os.geteuid() != 0:
        # Nobody but root can give a file away.
        return
    (tmp_path / DATA).mkdir(mode=0o700)
    path = Path(shutil.copy(sqlite_template, tmp_path / DATA / "seatsaga.db"))
    path.chmod(0o666)
    os.chown(path, 65534, 65534)
    said = refusal(tmp_path)
    assert f"chmod 600 {path}" in said
    assert "another user" in said


# ---------------------------------------------------------------------- PostgreSQL


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_name_is_refused(postgres_url: URL, tmp_path: Path, encoding: str) -> None:
    name = f"encoding_{encoding.lower()}"
    asyncio.run(
        administer(
            postgres_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    )
    try:
        said = refusal(tmp_path, database_url=as_text(postgres_url.set(database=name)))
    finally:
        asyncio.run(administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))
    assert encoding in said
    assert "UTF8" in said


@pytest.fixture
async def limited(postgres_url: URL) -> AsyncIterator[URL]:
    """A migrated database of somebody else's, and a user who may use what is in it and make nothing."""
    name = f"limited_{uuid.uuid4().hex[:8]}"
    await administer(postgres_url, f'CREATE DATABASE "{name}"')
    await administer(postgres_url, f"CREATE ROLE {name} LOGIN")
    owner = postgres_url.set(database=name)
    await upgrade(as_text(owner))
    await administer(owner, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
    await administer(owner, f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")
    yield owner.set(username=name)
    await administer(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')
    await administer(postgres_url, f"DROP ROLE {name}")


async def test_books_that_may_not_be_made_refuse_the_start(limited: URL, tmp_path: Path) -> None:
    said = await asyncio.to_thread(refusal, tmp_path, database_url=as_text(limited))
    assert "GRANT CREATE ON DATABASE" in said


async def test_where_the_books_are_there_a_start_needs_no_right_to_make_them(
    postgres_url: URL, limited: URL, tmp_path: Path
) -> None:
    owner = postgres_url.set(database=limited.database)
    books = PostgresBooks(Server(owner))
    await books.open()
    await books.close()
    await administer(owner, f"GRANT USAGE ON SCHEMA sandbox TO {limited.username}")
    await administer(
        owner, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sandbox TO {limited.username}"
    )
    async with serving_child(tmp_path, environment(tmp_path, as_text(limited))) as child:
        assert child.terminate() == 0


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert"])
def test_a_certificate_that_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    path = tmp_path / "none.pem"
    url = f"postgresql+asyncpg://me:hunter2@127.0.0.1:1/seats?sslmode=verify-full&{option}={path}"
    said = refusal(tmp_path, database_url=url)
    assert str(path) in said
    assert "hunter2" not in said


def test_a_refused_start_leaves_no_tables_behind(tmp_path: Path) -> None:
    read_only(tmp_path / DATA / "seatsaga.db")
    refusal(tmp_path)
    (tmp_path / DATA / "seatsaga.db").chmod(0o600)
    with closing(sqlite3.connect(tmp_path / DATA / "seatsaga.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
