"""A log file that external tools may rotate, and that rotates itself when it is too large.

The standard library's WatchedFileHandler also reopens a renamed file. But it writes line by line
through a buffer: after a full disk, half a line is written twice. It does not notice that its folder
was removed, and it reports lost lines to standard error, not to us. RotatingFileHandler keeps
writing to a file that another program has renamed.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["FILES_KEPT", "FILE_BYTES_MAX", "LogFile", "write_all"]

FILE_BYTES_MAX: Final = 20_000_000
FILES_KEPT: Final = 5
#: The log shows the actions of customers, so only the user of the server may read it.
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class LogFile:
    """Appends whole batches of lines to `path`.

    Before each batch it checks that `path` is still the open file. If the file was renamed or removed,
    alone or with its folder, a new one is opened. A truncated file continues at its new end. Beyond
    `bytes_max` (0: never) the file becomes `path.1`, `path.1` becomes `path.2`, and so on up to `kept`.
    """

    def __init__(self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, kept: int = FILES_KEPT) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open the file at `path`; create it if it is missing. On OSError the former file stays open."""
        self._path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        former = self._descriptor
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        if former is not None:
            os.close(former)

    def write(self, data: bytes) -> None:
        """Append all of `data`. On OSError, nothing was appended."""
        descriptor = self._followed()
        size = os.fstat(descriptor).st_size
        if self._bytes_max and size and size + len(data) > self._bytes_max:
            descriptor = self._begun_anew()
            size = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, data)
        except OSError:
            # Leave no half line, as the whole batch is retried. Only a regular file can be truncated.
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _followed(self) -> int:
        """The descriptor of the file that is at `path` now."""
        if self._descriptor is None or self._has_moved(self._descriptor):
            self.open()
        assert self._descriptor is not None, "open has opened it, or raised"
        return self._descriptor

    def _has_moved(self, descriptor: int) -> bool:
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            # The folder may be unreadable now; the open file can still be written.
            return False

    def _begun_anew(self) -> int:
        # If the folder permits no rename, a file that is too large is better than lost lines.
        with suppress(OSError):
            for number in range(self._kept - 1, 0, -1):
                if self._aside(number).exists():
                    self._aside(number).replace(self._aside(number + 1))
            self._path.replace(self._aside(1))
        return self._followed()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; wait if the reader is slow. On OSError, part of it may have been written."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Another process that shares the descriptor made it non-blocking; wait for a full pipe anyway.
            select.select([], [descriptor], [])
