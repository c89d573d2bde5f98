"""Files by what they are, not by what they are called; and for their owner alone.

A SQLite database is a file and its log, `-wal`, which SQLite looks for beside the name that the
file is opened by. Two names for one file would be two logs, each of which the other process
knows nothing of. So every process goes by one name: a symbolic link is followed, and a file
that has several names, or is mounted by itself into a folder, is refused.
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
    """The file that `path` leads to: where it is a symbolic link, what it links to."""
    return path.resolve() if path.is_symlink() else path


def sidecars(path: Path) -> tuple[Path, Path]:
    """Where SQLite keeps the log of the database at `path`, and the log's index."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def make_private(path: Path) -> None:
    """Make `path`, empty, and its folder where they are missing: both for their owner alone. Raises OSError."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    # One that is there already is not opened: closing it would take SQLite's locks on it away from this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def require_one_home(path: Path, *, mounts: Path = _MOUNTS) -> None:
    """Raise ConfigurationError where others may reach the database file at `path` by another name than this one.

    `mounts`: the system's list of what is mounted for this process; where there is none, only names are counted.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{path} is a folder; a file is wanted there.")
    if found.st_nlink > 1:
        raise ConfigurationError(
            f"{path} has {found.st_nlink} names (hard links), and SQLite would keep a log beside each: remove the "
            "others, or copy the database with: seatsaga backup"
        )
    if str(path.resolve()) in _mount_points(mounts):
        raise ConfigurationError(
            f"{path} is mounted by itself, and its log would lie elsewhere: mount the folder that it is in."
        )


def _mount_points(mounts: Path) -> frozenset[str]:
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return frozenset()
    # Spaces and the like stand there as octal escapes.
    return frozenset(
        line.split(" ")[_MOUNT_POINT_FIELD].encode("ascii", "backslashreplace").decode("unicode_escape")
        for line in lines
    )


class FileLock:
    """Exclusive use of one database file by one serving process, for as long as it lives, whatever the file is called.

    The operating system drops the lock when the process dies, however it dies: who holds it
    knows that no other replica is alive on this file and may lapse their leases at once. What
    the last holder left in the lock's own file says whether it ended cleanly.

    It holds two locks: on a file beside the database, and on the database itself, which is the
    same file under any name (one that is not there yet has no other). Such a lock does not meet
    those that SQLite takes: flock(2) and fcntl(2) know nothing of each other on Linux. But a
    process that closes any descriptor of a file loses SQLite's locks on it: so `release` comes
    after all connections are closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptors: list[int] = []
        #: Whether the last holder gave the lock up, rather than died with it.
        self.ended_cleanly = True
        #: Whether another file stands where the last holder, who died, had its database.
        self.was_replaced = False

    def acquire(self) -> bool:
        """Take the lock without waiting; False where another process has it. Ends a restore that was interrupted.

        Raises ConfigurationError where the file has another name besides, OSError where it cannot be written.
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
        """Give the lock up, as the end of its holder; nothing where it is not held."""
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
        # Where the lock's own file is another one too, the whole folder was moved or brought back.
        self.was_replaced = left[1:2] == [beside] and len(left) > 2 and left[2:] != database

    def _write_mark(self, text: str) -> None:
        os.ftruncate(self._descriptors[0], 0)
        os.pwrite(self._descriptors[0], text.encode("ascii"), 0)

    def _identities(self) -> list[str]:
        return [f"{found.st_dev}:{found.st_ino}" for found in map(os.fstat, self._descriptors)]

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
