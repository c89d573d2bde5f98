"""Keeps this installation's files private to their owner: mode 0700 for folders, 0600 for files.

seatsaga creates its files with these modes. Looser modes, from an older version or set by hand, are
tightened at the start. A folder with files of others keeps its mode: it may be /tmp or /var/log, and
its other users would be locked out.

One of the files is the operators' token, created once if the settings have none.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.observability.logging import BOOKINGS_FILE, ORCHESTRATOR_FILE
from app.settings import Settings
from domain.errors import ConfigurationError
from domain.storage import database_file, database_url

__all__ = ["TOKEN_FILE", "keep_token", "kept_token", "tighten"]

_OTHERS: Final = 0o077
_STEM_DEFAULT: Final = "seatsaga"
TOKEN_FILE: Final = "admin-token"
_BYTES: Final = 32


def tighten(settings: Settings) -> list[str]:
    """Make the settings' files and folders private. Returns the changes, as sentences for the log.

    Raises ConfigurationError, which names the command to run, if another user owns one of them.
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
    """The prefixes of the names of all our files."""
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
    remark = "; others may have read it: remove it to get a new token" if path.name == TOKEN_FILE else ""
    yield f"{path} was open to others (mode {before}), and is {mode:04o} now{remark}."


def _is_loose(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS)


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def kept_token(folder: Path) -> str | None:
    """The token in `folder`; None if there is none."""
    path = folder / TOKEN_FILE
    try:
        return path.read_text("ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as a token; remove it, or correct its owner and mode."
        ) from error


def keep_token(folder: Path) -> str:
    """The token in `folder`; it is created with mode 0600 if there is none.

    Raises ConfigurationError if others may read it.
    """
    found = kept_token(folder)
    path = folder / TOKEN_FILE
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"{path} is empty; remove it.") from None
        found = secrets.token_urlsafe(_BYTES)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(found + "\n")
    elif path.stat().st_mode & _OTHERS:
        raise ConfigurationError(f"others may read {path}; run: chmod 600 {path}")
    return found
