"""Damage to a SQLite file: how it shows, and what to say of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from domain.errors import DamagedError, StorageError

__all__ = ["REMEDY", "damage_of", "require_whole"]

#: What an operator does about it; docs/operations.md says more.
REMEDY: Final = "keep a copy of the file with its -wal, then put a backup in its place: seatsaga restore FILE"
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_PRIMARY_CODE: Final = 0xFF


def damage_of(error: BaseException) -> str | None:
    """What SQLite says of the file where `error` means that it is damaged, or cannot be read or written; else None."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return None
    code = getattr(cause, "sqlite_errorcode", None)
    return str(cause) if code is not None and code & _PRIMARY_CODE in _DAMAGE else None


def require_whole(path: Path) -> None:
    """Raise DamagedError where SQLite finds the database at `path`, with the log beside it, damaged.

    Reads all of it, and changes nothing: what is in the log stays there, for whoever saves what can be saved.
    Raises StorageError where it cannot be read for another reason.
    """
    try:
        # A connection that may write would, at its end, bring a log into the file that perhaps is not the file's own.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        reason = damage_of(error)
        if reason is None:
            raise StorageError(f"{path} cannot be read ({error}).") from error
        found = reason
    if found != "ok":
        # The first line says what kind of page it is, where it says "***".
        reason = " ".join(found.split()).strip("* ")
        raise DamagedError(f"{path} is damaged ({reason}); nothing was changed. To go on, {REMEDY}")
