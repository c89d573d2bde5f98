"""Database files: identified by the file and not by its name, and private to their owner.

A SQLite database is a file and its log, `-wal`. SQLite looks for the log beside the name by which
the file was opened. So two names for one file would have two logs, and each process would miss the
other's log. Therefore every process uses one name: a symbolic link is followed; a file that has
several names, or is a mount of its own within a folder, is refused.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError
from domain.storage.replacing import finish

__all__ = ["FileLock", "make_private", "real_file", "require_one_home", "sidecars"]

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_MOUNTS: Final = Path("/proc/self/mountinfo")
_MOUNT_POINT_FIELD: Final = 4


def real_file(path: Path) -> Path:
    """The file that `path` leads to: the target if it is a symbolic link."""
    return path.resolve() if path.is_symlink() else path


def sidecars(path: Path) -> tuple[Path, Path]:
    """The paths of SQLite's log and of the log's index for the database at `path`."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def make_private(path: Path) -> None:
    """Make `path`, empty, and its folder if they are missing, both private to their owner. Raises OSError."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    # An existing file is not opened: closing it would release this process's SQLite locks on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def require_one_home(path: Path, *, mounts: Path = _MOUNTS) -> None:
    """Raise ConfigurationError if others may reach the database file at `path` by another name than this one.

    `mounts`: the system's list of this process's mounts; if there is none, only names are counted.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{path} is a folder; name a file.")
    if found.st_nlink > 1:
        raise ConfigurationError(
            f"{path} has {found.st_nlink} names (hard links), and SQLite would keep a log beside each: remove the "
            "others, or copy the database with: seatsaga backup"
        )
    if str(path.resolve()) in _mount_points(mounts):
        raise ConfigurationError(
            f"{path} is a mount of its own, so its log would be in another place: mount its folder instead."
        )


def _mount_points(mounts: Path) -> frozenset[str]:
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return frozenset()
    # Spaces and similar characters are octal escapes there.
    return frozenset(
        line.split(" ")[_MOUNT_POINT_FIELD].encode("ascii", "backslashreplace").decode("unicode_escape")
        for line in lines
    )


class FileLock:
    """Exclusive use of one database file by one serving process for its lifetime, under any name of the file.

    The operating system drops the lock when the process ends in any way. So the holder knows that no
    other replica is alive on this file, and may lapse their leases at once. The content of the lock's
    own file says whether the last holder ended cleanly.

    It holds two locks: on a file beside the database, and on the database itself, which is the
    same file under any name (a file that does not exist yet has no other name). These locks do not
    conflict with SQLite's: on Linux flock(2) and fcntl(2) are independent. But a process that closes
    any descriptor of a file loses SQLite's locks on it: so `release` comes after all connections are
    closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptors: list[int] = []
        #: Whether the last holder released the lock; False if it died with it.
        self.ended_cleanly = True
        #: Whether the database is another file than that of the last holder, who died.
        self.was_replaced = False

    def acquire(self) -> bool:
        """Take the lock without waiting; False if another process has it. Finishes an interrupted restore.

        Raises ConfigurationError if the file has a second name, OSError if it cannot be written.
        """
        path = real_file(self._path)
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if path.exists():
            require_one_home(path)
        if not self._take(path.with_name(f"{path.name}.lock")):
            return False
        finish(path)
        if path.exists() and not self._take(path):
            return False
        self._read_mark()
        self._write_mark(f"{os.getpid()} {' '.join(self._identities())}\n")
        return True

    def release(self) -> None:
        """Release the lock and note the clean end; does nothing if the lock is not held."""
        if self._descriptors:
            self._write_mark("")
            self._close()

    def _take(self, file: Path) -> bool:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            return False
        return True

    def _read_mark(self) -> None:
        left = os.pread(self._descriptors[0], 1_000, 0).decode("ascii", "replace").split()
        self.ended_cleanly = not left
        beside, *database = self._identities()
        # If the lock's own file is another one too, the whole folder was moved or restored.
        self.was_replaced = left[1:2] == [beside] and len(left) > 2 and left[2:] != database

    def _write_mark(self, text: str) -> None:
        os.ftruncate(self._descriptors[0], 0)
        os.pwrite(self._descriptors[0], text.encode("ascii"), 0)

    def _identities(self) -> list[str]:
        return [f"{found.st_dev}:{found.st_ino}" for found in map(os.fstat, self._descriptors)]

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
