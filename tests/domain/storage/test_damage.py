"""Damage shows as soon as anybody reads what is damaged, and looking for it changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import DamagedError
from domain.storage import Database, damage_of, require_whole, sidecars
from tests.support.damage import ROWS, damage_pages, filled, left_by_a_kill


def contents(path: Path) -> dict[str, bytes]:
    files = (path, sidecars(path)[0])
    return {file.name: file.read_bytes() for file in files if file.exists() and file.stat().st_size}


def test_a_whole_file_is_whole_with_and_without_what_a_killed_process_has_left_in_its_log(tmp_path: Path) -> None:
    path = filled(tmp_path / "some.db")
    require_whole(path)
    left_by_a_kill(path)
    log, index = sidecars(path)
    assert log.stat().st_size > 0
    before = contents(path)
    require_whole(path)
    index.unlink()
    require_whole(path)
    assert contents(path) == before, "what is in the log stays there"


def test_damaged_pages_are_found_and_left_as_they_are(tmp_path: Path) -> None:
    path = filled(tmp_path / "some.db")
    damage_pages(path)
    before = contents(path)
    with pytest.raises(DamagedError, match=r"some\.db is damaged \(.*\); nothing was changed\..* seatsaga restore"):
        require_whole(path)
    assert contents(path) == before


def test_the_log_of_another_file_is_found_and_not_brought_into_this_one(tmp_path: Path) -> None:
    path, other = filled(tmp_path / "some.db"), filled(tmp_path / "other.db", rows=4 * ROWS)
    left_by_a_kill(other)
    for mine, theirs in zip(sidecars(path), sidecars(other), strict=True):
        shutil.copy(theirs, mine)
    before = contents(path)
    with pytest.raises(DamagedError):
        require_whole(path)
    assert contents(path) == before


def test_a_file_of_something_else_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("notes, and no database at all\n" * 200)
    with pytest.raises(DamagedError, match="not a database"):
        require_whole(path)


async def test_a_database_notes_the_damage_that_a_statement_has_met(tmp_path: Path) -> None:
    path = filled(tmp_path / "some.db")
    damage_pages(path)
    database = Database(f"sqlite+aiosqlite:///{path}")

    async def read(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT sum(length(value)) FROM many"))

    with pytest.raises(DBAPIError) as caught:
        await database.read(lambda connection: connection.execute(text("SELECT nothing FROM nowhere")))
    assert damage_of(caught.value) is None
    assert database.damage is None
    for attempt in (database.read(read), database.write(read)):
        with pytest.raises(DBAPIError) as caught:
            await attempt
        assert damage_of(caught.value)
        assert database.damage is not None
        assert "seatsaga restore FILE" in database.damage
    await database.close()


async def test_a_parked_read_notes_it_too(tmp_path: Path) -> None:
    path = filled(tmp_path / "some.db")
    damage_pages(path)
    database = Database(f"sqlite+aiosqlite:///{path}")
    async with database.reading() as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT sum(length(value)) FROM many"))
    assert database.damage is not None
    await database.close()


def test_what_a_kill_leaves_can_be_opened_again(tmp_path: Path) -> None:
    path = filled(tmp_path / "some.db")
    left_by_a_kill(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM many").fetchone() == (ROWS + 1,)
