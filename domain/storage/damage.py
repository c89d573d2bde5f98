"""Damage to a SQLite file: its detection and its description."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from domain.errors import DamagedError, StorageError

__all__ = ["REMEDY", "damage_of", "require_whole"]

#: What an operator must do; docs/operations.md says more.
REMEDY: Final = "keep a copy of the file with its -wal, then put a backup in its place: seatsaga restore FILE"
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_PRIMARY_CODE: Final = 0xFF


def damage_of(error: BaseException) -> str | None:
    """SQLite's message if `error` means that the file is damaged, or cannot be read or written; else None."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return None
    code = getattr(cause, "sqlite_errorcode", None)
    return str(cause) if code is not None and code & _PRIMARY_CODE in _DAMAGE else None


def require_whole(path: Path) -> None:
    """Raise DamagedError if SQLite finds damage in the database at `path` and its log.

    Reads the whole file and changes nothing: the log keeps its content, so that data can still be
    recovered. Raises StorageError if the file cannot be read for another reason.
    """
    try:
        # A writing connection would merge a log into the file at its end, and the log may belong to another file.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        reason = damage_of(error)
        if reason is None:
            raise StorageError(f"{path} cannot be read ({error}).") from error
        found = reason
    if found != "ok":
        # The first line names the kind of page if it contains "***".
        reason = " ".join(found.split()).strip("* ")
        raise DamagedError(f"{path} is damaged ({reason}); nothing was changed. To go on, {REMEDY}")
