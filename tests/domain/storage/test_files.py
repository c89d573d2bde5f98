"""A database file is known by what it is: no second name for it leads to a second server, or to a second log."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from domain.errors import ConfigurationError
from domain.storage import Database, FileLock, database_file, database_url, require_one_home
from sandbox import SqliteBooks, books_beside
from tests.domain.storage.test_file_lock import another_process


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database file in a folder of its own."""
    path = tmp_path / "data" / "seatsaga.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE some (id INTEGER)")
    return path


async def test_a_link_in_another_folder_leads_to_the_one_lock(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "other.db"
    link.symlink_to(file)
    lock = FileLock(file)
    assert lock.acquire()
    async with another_process(link) as (_, said):
        assert said == "shut out"
    lock.release()
    assert sorted(path.name for path in link.parent.iterdir()) == ["other.db"]


async def test_the_file_itself_is_locked_whatever_lies_beside_it(file: Path) -> None:
    lock = FileLock(file)
    assert lock.acquire()
    # As in another container, whose folder has no lock file.
    (file.parent / "seatsaga.db.lock").unlink()
    async with another_process(file) as (_, said):
        assert said == "shut out"
    lock.release()


async def test_the_lock_leaves_sqlites_own_locks_alone(file: Path) -> None:
    lock = FileLock(file)
    assert lock.acquire()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO some VALUES (1)")
        connection.execute("COMMIT")
    lock.release()


@pytest.mark.parametrize("which", ["given", "other"])
def test_a_file_with_two_names_is_refused_by_either(file: Path, tmp_path: Path, which: str) -> None:
    other = tmp_path / "other.db"
    os.link(file, other)
    with pytest.raises(ConfigurationError, match=r"has 2 names \(hard links\)"):
        FileLock(file if which == "given" else other).acquire()
    assert not (tmp_path / "other.db.lock").exists()
    other.unlink()
    lock = FileLock(file)
    assert lock.acquire()
    lock.release()


async def test_a_file_with_two_names_is_not_opened_either(file: Path, tmp_path: Path) -> None:
    other, log = tmp_path / "other.db", tmp_path / "other.db-wal"
    os.link(file, other)
    database = Database(f"sqlite+aiosqlite:///{other}")
    with pytest.raises(ConfigurationError, match="hard links"):
        await database.ping()
    await database.close()
    assert not log.exists()


async def test_books_with_two_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seatsaga.sandbox.db"
    path.touch()
    os.link(path, tmp_path / "copy.db")
    books = SqliteBooks(path)
    with pytest.raises(ConfigurationError, match="hard links"):
        await books.open()
    await books.close()


def test_a_file_that_is_mounted_by_itself_is_refused(file: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    line = "63 43 254:0 /srv/x.db {place} rw,relatime - ext4 /dev/vda rw\n"
    mounts.write_text(line.format(place="/") + line.format(place=file.parent))
    require_one_home(file, mounts=mounts)
    mounts.write_text(line.format(place=file))
    with pytest.raises(ConfigurationError, match="mount its folder instead"):
        require_one_home(file, mounts=mounts)
    spaced = file.with_name("a b.db")
    spaced.touch()
    mounts.write_text(line.format(place=str(spaced).replace(" ", "\\040")))
    with pytest.raises(ConfigurationError, match="is a mount of its own"):
        require_one_home(spaced, mounts=mounts)


def test_the_books_stand_beside_the_file_and_not_beside_a_link_to_it(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)
    url = database_url(f"sqlite+aiosqlite:///{link}")
    assert database_file(url) == file.resolve()
    assert books_beside(url) == file.resolve().with_name("seatsaga.sandbox.db")


async def test_what_is_made_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/data/seatsaga.db")
        await database.ping()
        books = SqliteBooks(tmp_path / "data" / "seatsaga.sandbox.db")
        await books.open()
        made = {path.name: mode_of(path) for path in (tmp_path / "data").iterdir()}
        await books.close()
        await database.close()
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "data") == 0o700
    names = [f"seatsaga{kind}{log}" for kind in (".db", ".sandbox.db") for log in ("", "-shm", "-wal")]
    assert made == dict.fromkeys(names, 0o600)


def test_the_lock_tells_how_its_last_holder_ended(file: Path) -> None:
    lock = FileLock(file)
    assert lock.acquire()
    assert lock.ended_cleanly
    left = (file.parent / "seatsaga.db.lock").read_text()
    lock.release()
    assert (file.parent / "seatsaga.db.lock").read_text() == ""
    # As a killed process leaves it.
    (file.parent / "seatsaga.db.lock").write_text(left)
    again = FileLock(file)
    assert again.acquire()
    assert (again.ended_cleanly, again.was_replaced) == (False, False)
    again.release()


def test_the_lock_tells_whether_another_file_stands_in_the_place_of_one_whose_holder_died(file: Path) -> None:
    lock = FileLock(file)
    assert lock.acquire()
    left = (file.parent / "seatsaga.db.lock").read_text()
    lock.release()
    (file.parent / "seatsaga.db.lock").write_text(left)
    copy = file.with_name("copy.db")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)
    again = FileLock(file)
    assert again.acquire()
    assert (again.ended_cleanly, again.was_replaced) == (False, True)
    again.release()
