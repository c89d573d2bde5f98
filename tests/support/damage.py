"""SQLite files as accidents leave them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

__all__ = ["ROWS", "damage_pages", "filled", "left_by_a_kill"]

PAGE_BYTES: Final = 4_096
ROWS: Final = 500
_KILLED: Final = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO many (value) VALUES ('one more')")
connection.execute("UPDATE many SET value = hex(zeroblob(1500)) WHERE id % 50 = 0")
os.kill(os.getpid(), signal.SIGKILL)
"""


def filled(path: Path, *, rows: int = ROWS) -> Path:
    """A database with a table `many` of `rows` rows, that nobody has open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE many (id INTEGER PRIMARY KEY, value TEXT)")
        connection.executemany("INSERT INTO many (value) VALUES (?)", [("x" * 200,) for _ in range(rows)])
    return path


def left_by_a_kill(path: Path) -> None:
    """Let a process write to the `filled` database at `path`, and die before it can clean up."""
    assert subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False).returncode == -9


def damage_pages(path: Path, *, first: int = 2) -> None:
    """Overwrite every page of the file from this one on, as a failing disk would; the first is number 1."""
    with path.open("r+b") as file:
        file.seek((first - 1) * PAGE_BYTES)
        file.write(os.urandom(max(0, path.stat().st_size - file.tell())))
