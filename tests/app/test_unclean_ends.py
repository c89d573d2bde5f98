"""After an unclean end the files are looked through before anything is served; damage is said wherever it is met."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from app.database_files import require_sound
from app.settings import Settings, load_settings
from domain.errors import ConfigurationError, DamagedError
from domain.storage import FileLock, sidecars
from tests.app.airline import Airline, airline
from tests.support.children import environment, seatsaga
from tests.support.damage import damage_pages, filled, left_by_a_kill
from tests.support.waiting import eventually


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return filled(folder / "seatsaga.db")


@pytest.fixture
def settings(file: Path) -> Settings:
    return load_settings({}, database_url=f"sqlite+aiosqlite:///{file}")


def start(settings: Settings, file: Path) -> FileLock:
    """The files' part of a start: the lock is taken, then they are looked through where that is called for."""
    lock = FileLock(file)
    assert lock.acquire()
    try:
        require_sound(settings, lock)
    finally:
        lock.release()
    return lock


def die(file: Path) -> None:
    """As a server that is killed leaves the lock's own file."""
    lock = FileLock(file)
    assert lock.acquire()
    path = file.with_name("seatsaga.db.lock")
    left = path.read_text()
    lock.release()
    path.write_text(left)


def test_after_a_clean_end_nothing_is_looked_through(settings: Settings, file: Path) -> None:
    start(settings, file)
    damage_pages(file)
    start(settings, file)


@pytest.mark.parametrize("damaged", ["seatsaga.db", "seatsaga.sandbox.db"])
def test_after_an_unclean_end_damage_refuses_the_start(settings: Settings, file: Path, damaged: str) -> None:
    filled(file.with_name("seatsaga.sandbox.db"))
    die(file)
    start(settings, file)
    die(file)
    damage_pages(file.with_name(damaged))
    with pytest.raises(DamagedError, match=damaged):
        start(settings, file)


def test_what_others_have_left_in_the_log_is_looked_through_as_well(settings: Settings, file: Path) -> None:
    left_by_a_kill(file)
    start(settings, file)
    damage_pages(file)
    with pytest.raises(DamagedError):
        start(settings, file)


def test_a_file_that_was_put_beside_the_log_of_the_former_one_is_refused_and_both_let_be(
    settings: Settings, file: Path
) -> None:
    copy = Path(shutil.copy(file, file.with_name("copy.db")))
    die(file)
    left_by_a_kill(file)
    copy.replace(file)
    before = [path.read_bytes() for path in (file, sidecars(file)[0])]
    with pytest.raises(ConfigurationError, match=r"seatsaga\.db-wal belongs to another file"):
        start(settings, file)
    assert [path.read_bytes() for path in (file, sidecars(file)[0])] == before


def test_a_folder_that_was_copied_as_a_whole_after_a_kill_is_looked_through_and_served(
    settings: Settings, file: Path, tmp_path: Path
) -> None:
    die(file)
    left_by_a_kill(file)
    shutil.copytree(file.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "seatsaga.db"
    start(load_settings({}, database_url=f"sqlite+aiosqlite:///{copy}"), copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM many").fetchone() == (501,)


# ---------------------------------------------------------------------- as users run it


@pytest.fixture
async def served(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Airline]:
    path = tmp_path / "data" / "seatsaga.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    async with airline(f"sqlite+aiosqlite:///{path}", tmp_path) as served:
        yield served


async def test_damage_that_is_met_while_serving_turns_readiness_red_with_what_to_do(
    served: Airline, tmp_path: Path
) -> None:
    assert (await served.http.get("/readyz")).status_code == 200
    damage_pages(tmp_path / "data" / "seatsaga.db")

    async def red() -> str:
        answer = await served.http.get("/readyz")
        assert answer.status_code == 503
        said: str = answer.json()["checks"]["database"]
        assert "damaged" in said
        return said

    said = await eventually(red)
    assert "seatsaga restore FILE" in said
    assert str(tmp_path) not in said
    assert (await served.http.get("/healthz")).status_code == 200


async def test_every_command_says_damage_in_one_line(sqlite_template: Path, tmp_path: Path) -> None:
    env = environment(tmp_path)
    path = tmp_path / "data" / "seatsaga.db"
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    damage_pages(path)
    for command in (["doctor"], ["replicas"], ["jobs", "list"], ["seed"], ["serve", "--port", "9501"]):
        ended = seatsaga(*command, env=env, folder=tmp_path)
        assert ended.returncode == 2, (command, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        said = [line for line in ended.stderr.splitlines() if line.startswith("seatsaga: ")]
        assert len(said) == 1, ended.stderr
        assert "damaged" in said[0]
        assert "seatsaga restore FILE" in said[0]
