"""Nobody but its owner reaches what an installation keeps: what is looser is tightened at the start, and said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.private_files import tighten
from app.settings import Settings, load_settings
from tests.support.children import environment, serving_child

FILES = (
    "data/seatsaga.db",
    "data/seatsaga.db-wal",
    "data/seatsaga.db-shm",
    "data/seatsaga.db.lock",
    "data/seatsaga.sandbox.db",
    "data/seatsaga.sandbox.db-wal",
    "data/admin-token",
    "logs/saga_orchestrator.log",
    "logs/saga_orchestrator.log.1",
    "logs/saga_bookings.log",
)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, database_url=f"sqlite+aiosqlite:///{tmp_path}/data/seatsaga.db", log_dir=tmp_path / "logs")


@pytest.fixture
def loose(tmp_path: Path) -> list[Path]:
    """Everything there is, open to all."""
    for name in ("data", "logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    files = [tmp_path / name for name in FILES]
    for file in files:
        file.touch()
        file.chmod(0o644)
    return files


def test_looser_files_and_folders_are_tightened_and_each_is_named(
    settings: Settings, loose: list[Path], tmp_path: Path
) -> None:
    notes = tighten(settings)
    assert {mode_of(file) for file in loose} == {0o600}
    assert {mode_of(tmp_path / name) for name in ("data", "logs")} == {0o700}
    for path in (*loose, tmp_path / "data", tmp_path / "logs"):
        assert any(note.startswith(f"{path} was open to others") for note in notes), path
    assert tighten(settings) == []


def test_a_folder_that_holds_more_than_ours_is_left_to_the_others_in_it(
    settings: Settings, loose: list[Path], tmp_path: Path
) -> None:
    theirs = tmp_path / "data" / "letters.txt"
    theirs.touch()
    theirs.chmod(0o644)
    notes = tighten(settings)
    assert mode_of(tmp_path / "data") == 0o755
    assert mode_of(theirs) == 0o644
    assert mode_of(tmp_path / "data" / "seatsaga.db") == 0o600
    assert any("stays open to others (mode 0755)" in note for note in notes)


def test_a_link_in_the_folder_is_not_followed(settings: Settings, loose: list[Path], tmp_path: Path) -> None:
    theirs = tmp_path / "letters.txt"
    theirs.touch()
    theirs.chmod(0o644)
    (tmp_path / "data" / "seatsaga.db.letters").symlink_to(theirs)
    tighten(settings)
    assert mode_of(theirs) == 0o644


def test_what_is_not_there_is_nothing_to_tighten(settings: Settings) -> None:
    assert tighten(settings) == []


@pytest.fixture
def open_database(tmp_path: Path, sqlite_template: Path) -> Path:
    """A migrated database that others may read, in a folder that others may enter."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    path = Path(shutil.copy(sqlite_template, tmp_path / "data" / "seatsaga.db"))
    path.chmod(0o644)
    return path


async def test_a_server_keeps_everything_for_its_owner_and_says_what_it_tightened(
    tmp_path: Path, open_database: Path
) -> None:
    before = os.umask(0)
    try:
        async with serving_child(tmp_path, environment(tmp_path)) as child:
            folders = (open_database.parent, tmp_path / "logs")
            found = {path: mode_of(path) for folder in folders for path in sorted(folder.iterdir())}
            said = child.output.read_text()
    finally:
        os.umask(before)
    names = {path.name for path in found}
    assert names >= {"seatsaga.db", "seatsaga.db-wal", "seatsaga.db-shm", "seatsaga.sandbox.db", "saga_bookings.log"}
    assert set(found.values()) == {0o600}
    assert {mode_of(folder) for folder in folders} == {0o700}
    assert f"{open_database} was open to others (mode 0644), and is 0600 now." in said
