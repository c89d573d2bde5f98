"""This installation's files are for its owner alone: 0700 for folders, 0600 for files.

What seatsaga makes is made so. What is looser, made by an older version or by hand, is tightened
at the start. A folder that holds more than ours is left as it is: it may be one like /tmp or
/var/log, whose others would be shut out.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.admin_token import TOKEN_FILE
from app.observability.logging import BOOKINGS_FILE, ORCHESTRATOR_FILE
from app.settings import Settings
from domain.errors import ConfigurationError
from domain.storage import database_file, database_url

__all__ = ["tighten"]

_OTHERS: Final = 0o077
_STEM_DEFAULT: Final = "seatsaga"


def tighten(settings: Settings) -> list[str]:
    """Shut others out of the settings' files and folders; what was done, in sentences for the log.

    Raises ConfigurationError, which names the command, where that is not ours to do.
    """
    notes = []
    ours = _names(settings)
    for folder in _folders(settings):
        if not folder.is_dir():
            continue
        entries = sorted(folder.iterdir())
        files = [entry for entry in entries if entry.name.startswith(ours) and stat.S_ISREG(entry.lstat().st_mode)]
        notes += [note for file in files for note in _shut(file, 0o600)]
        others = [entry for entry in entries if not entry.name.startswith(ours) and entry not in _folders(settings)]
        if not others:
            notes += _shut(folder, 0o700)
        elif _is_loose(folder):
            notes.append(f"{folder} stays open to others (mode {_mode(folder)}): it holds more than seatsaga's files.")
    return notes


def _folders(settings: Settings) -> list[Path]:
    logs = [] if settings.log_folder is None else [settings.log_folder]
    return list(dict.fromkeys([settings.data_dir, *logs]))


def _names(settings: Settings) -> tuple[str, ...]:
    """How the names of all files of ours begin."""
    stem = database_file(database_url(settings.database_url)).stem if settings.is_embedded else _STEM_DEFAULT
    return (f"{stem}.", TOKEN_FILE, ORCHESTRATOR_FILE, BOOKINGS_FILE)


def _shut(path: Path, mode: int) -> Iterator[str]:
    if not _is_loose(path):
        return
    before = _mode(path)
    try:
        path.chmod(mode)
    except PermissionError:
        raise ConfigurationError(
            f"{path} is open to others (mode {before}) and belongs to another user; run, as its owner: "
            f"chmod {mode:o} {path}"
        ) from None
    remark = "; who has read it has the operators' rights: remove it for a new one" if path.name == TOKEN_FILE else ""
    yield f"{path} was open to others (mode {before}), and is {mode:04o} now{remark}."


def _is_loose(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"
