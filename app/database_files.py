"""The files of an embedded database: its own, and the sandbox's books beside it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from typing import Final

from app.settings import Settings
from domain.errors import ConfigurationError
from domain.loops import Loop
from domain.storage import FileLock, database_file, database_url, require_whole, sidecars, trim_log
from sandbox import books_beside

__all__ = ["files_of", "log_trimming", "require_sound"]

#: A write-ahead log may keep a card's token for so long after the database has deleted it.
TRIM_INTERVAL_SECONDS: Final = 30.0
_logger = logging.getLogger("seatsaga")


def files_of(settings: Settings) -> list[Path]:
    """The existing files of the database and the books; none on PostgreSQL."""
    if not settings.is_embedded:
        return []
    url = database_url(settings.database_url)
    return [file for file in (database_file(url), books_beside(url)) if isinstance(file, Path) and file.exists()]


def require_sound(settings: Settings, lock: FileLock) -> None:
    """Check the files for damage if their last use did not end cleanly. The caller must hold the `lock`.

    Raises DamagedError if a file is damaged. Raises ConfigurationError if another file replaced the database but its
    write-ahead log remained: SQLite would apply the log to the wrong file.
    """
    database = database_file(database_url(settings.database_url))
    for file in files_of(settings):
        log, _ = sidecars(file)
        has_log = log.exists() and log.stat().st_size > 0
        if lock.ended_cleanly and not has_log:
            continue
        if file == database and lock.was_replaced and has_log:
            raise ConfigurationError(
                f"{log} belongs to another file than the one that is now at {file}. If that is a backup, put it there "
                "with: seatsaga restore FILE"
            )
        began = time.monotonic()
        require_whole(file)
        _logger.warning(
            "The last process that had %s did not end cleanly. The file was checked in %.1f s and is not damaged.",
            file,
            time.monotonic() - began,
        )


def log_trimming(settings: Settings) -> Loop:
    """Empties the files' write-ahead logs periodically. If a reader is in the way, it tries again the next time."""

    async def trim() -> None:
        for file in files_of(settings):
            try:
                await asyncio.to_thread(trim_log, file)
            except sqlite3.Error as error:
                _logger.warning("The log of %s could not be emptied: %s.", file, error)

    return Loop(
        "log-trimming",
        trim,
        pause_seconds=TRIM_INTERVAL_SECONDS,
        on_fault=lambda error: _logger.error("The database's logs could not be emptied.", exc_info=error),
        retry_seconds=TRIM_INTERVAL_SECONDS,
    )
