"""`seatsaga migrate --sql` and `alembic upgrade --sql`: sqlite3 and psql run what they print, and it is the schema."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url

from app.migration_sql import Dialect, script_of
from app.migrations import head, require_current, revision_of, upgrade
from domain.errors import SchemaError
from tests.app.schemas import REVISIONS, empty_postgres, on
from tests.app.test_migrations import all_details
from tests.support.children import environment, seatsaga, serving_child
from tests.support.required import require

ROOT: Final = Path(__file__).parents[2]


def run(url: str, sql: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would."""
    parsed = make_url(url)
    if shutil.which("sqlite3" if parsed.get_backend_name() == "sqlite" else "psql") is None:
        require("SQL_SHELLS", "sqlite3 and psql run these scripts; install them.")
    if parsed.get_backend_name() == "sqlite":
        command = ["sqlite3", str(parsed.database)]
        return subprocess.run(command, input=sql, capture_output=True, text=True, timeout=60, check=False)
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    command = ["psql", "-X", "-q", plain, "-f", "-"]
    return subprocess.run(command, input=sql, capture_output=True, text=True, timeout=60, check=False)


def kind(url: str) -> Dialect:
    return "sqlite" if url.startswith("sqlite") else "postgresql"


def lines(script: str) -> list[str]:
    """Without comments, and without the order of constraints, which SQLAlchemy keeps in sets."""
    return sorted(line.strip(", ") for line in script.splitlines() if line and not line.startswith("--"))


def sqlite_url(folder: Path, name: str) -> str:
    return f"sqlite+aiosqlite:///{folder / name}.db"


def contents(connection: Connection) -> tuple[Any, list[Any]]:
    releases = connection.execute(text("SELECT revision FROM schema_releases ORDER BY revision")).all()
    return all_details(connection), list(releases)


@pytest.fixture(scope="module")
def at_revisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database at each revision."""
    folder = tmp_path_factory.mktemp("revisions")
    for revision in REVISIONS:
        asyncio.run(upgrade(sqlite_url(folder, "growing"), revision))
        shutil.copy(folder / "growing.db", folder / f"{revision}.db")
    return folder


@pytest.fixture(scope="module")
def expected_sqlite(at_revisions: Path) -> Any:
    return asyncio.run(on(sqlite_url(at_revisions, head()), contents))


@pytest.mark.parametrize("begins_at", [None, *REVISIONS])
def test_on_sqlite_the_script_makes_the_schema_from_any_revision(
    tmp_path: Path, at_revisions: Path, expected_sqlite: Any, begins_at: str | None
) -> None:
    url = sqlite_url(tmp_path, "one")
    if begins_at is not None:
        shutil.copy(at_revisions / f"{begins_at}.db", tmp_path / "one.db")
    ended = run(url, script_of("sqlite", begins_at=begins_at))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert asyncio.run(revision_of(url)) == head()
    assert asyncio.run(on(url, contents)) == expected_sqlite
    asyncio.run(require_current(url))
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("begins_at", [None, "0003", REVISIONS[-1]])
async def test_on_postgresql_the_script_makes_the_schema(postgres_url: URL, begins_at: str | None) -> None:
    async with empty_postgres(postgres_url) as url, empty_postgres(postgres_url) as other:
        if begins_at is not None:
            await upgrade(url, begins_at)
        ended = await asyncio.to_thread(run, url, script_of("postgresql", begins_at=begins_at))
        await upgrade(other)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert await revision_of(url) == head()
        assert await on(url, contents) == await on(other, contents)
        await require_current(url)


async def test_a_server_starts_on_what_the_command_printed(tmp_path: Path, postgres_url: URL) -> None:
    async with empty_postgres(postgres_url) as other:
        for url in (sqlite_url(tmp_path, "one"), other):
            env = environment(tmp_path, url, auth="jwt", jwt_secret="a secret of at least thirty-two bytes")
            printed = await asyncio.to_thread(seatsaga, "migrate", "--sql", env=env, folder=tmp_path)
            assert printed.returncode == 0, printed.stderr
            assert (await asyncio.to_thread(run, url, printed.stdout)).returncode == 0
            async with serving_child(tmp_path, env):
                pass


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///nowhere.db", "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"])
def test_alembic_prints_the_same_and_connects_to_nothing(tmp_path: Path, url: str) -> None:
    env = os.environ | {"SEATSAGA_DATABASE_URL": url}
    command = [
        str(Path(sys.executable).with_name("alembic")),
        "-c",
        str(ROOT / "alembic.ini"),
        "upgrade",
        "head",
        "--sql",
    ]
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == []
    assert lines(ended.stdout) == lines(script_of(kind(url)))


# ---------------------------------------------------------------------- what a script refuses


def test_a_script_for_another_revision_changes_nothing(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path, "one")
    asyncio.run(upgrade(url, "0009"))
    ended = run(url, script_of("sqlite", begins_at="0010"))

    assert ended.returncode != 0
    assert "begins at revision 0010" in ended.stderr
    assert asyncio.run(revision_of(url)) == "0009"


async def test_on_postgresql_too(postgres_url: URL) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url, "0009")
        ended = await asyncio.to_thread(run, url, script_of("postgresql", begins_at="0010"))

        assert ended.returncode != 0
        assert "begins at revision 0010" in ended.stderr
        assert await revision_of(url) == "0009"


@pytest.mark.parametrize(
    ("number", "load", "said"),
    [("SS0101", None, "leading zeros"), ("SS101", "00000000-0000-7000-8000-000000000001", "being loaded")],
)
def test_what_only_a_program_can_convert_ends_the_script_and_nothing_is_done(
    tmp_path: Path, number: str, load: str | None, said: str
) -> None:
    url = sqlite_url(tmp_path, "one")
    asyncio.run(upgrade(url, "0003"))
    with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as connection:
        for code in ("AAA", "BBB"):
            connection.execute("INSERT INTO airports VALUES (?, '', '', '', '', 0, 0)", [code])
        flight = (1, number, "AAA", "BBB", 0, 0, "2030-01-01", 0, 0, 0, 0, "USD", load)
        connection.execute(f"INSERT INTO flights VALUES ({', '.join('?' * len(flight))})", flight)
        before = connection.execute("SELECT * FROM sqlite_schema").fetchall()
        ended = run(url, script_of("sqlite", begins_at="0003"))
        after = connection.execute("SELECT * FROM sqlite_schema").fetchall()

    assert ended.returncode != 0
    assert said in ended.stderr
    assert after == before
    assert asyncio.run(revision_of(url)) == "0003"


def test_sagas_that_ended_before_are_left_to_the_server_to_count(tmp_path: Path) -> None:
    script = script_of("sqlite", begins_at="0009")

    assert "UPDATE replicas SET counted_until = 0;" in script


def test_the_script_says_which_releases_it_ends_and_how_it_is_run() -> None:
    script = script_of("postgresql", begins_at="0002")

    assert script.startswith("\\set ON_ERROR_STOP on\n-- From 0002 to ")
    assert "-- 0003 ends releases up to 0001: stop all of their replicas before you run it." in script


# ---------------------------------------------------------------------- half a schema


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("DROP TABLE job_runs", "has no table job_runs: a migration was broken off"),
        ("DROP INDEX ix_sagas_in_flight", "has no index ix_sagas_in_flight:"),
        ("ALTER TABLE sagas DROP COLUMN parked_reason", "has no column sagas.parked_reason:"),
        ("DELETE FROM alembic_version", "of seatsaga's tables (airports, ...) and no revision"),
    ],
)
def test_half_a_schema_is_not_served_and_the_error_says_what_is_missing(tmp_path: Path, broken: str, said: str) -> None:
    path = tmp_path / "data" / "seatsaga.db"
    path.parent.mkdir()
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(broken)
    ended = seatsaga("serve", "--port", "1", env=environment(tmp_path), folder=tmp_path)

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_half_a_schema_of_postgresql_is_not_served(postgres_url: URL) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url)
        await on(url, lambda connection: connection.execute(text("DROP TABLE job_runs")))
        with pytest.raises(SchemaError, match="has no table job_runs"):
            await require_current(url)
