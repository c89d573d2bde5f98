"""A log file that others may rotate, and that is set aside by ourselves when it has grown large.

The standard library's WatchedFileHandler follows a file that was renamed, too; but it writes line
by line through a buffer, in which a full disk leaves half a line that is said again later, it
does not notice its folder's end, and it tells standard error, not us, that lines were lost.
RotatingFileHandler goes on writing to a file that somebody else has renamed.
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
#: What customers did is for the eyes of whoever runs the server.
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class LogFile:
    """Appends whole batches of lines to `path`.

    Before each batch it looks whether `path` is still the file that is open: one that was renamed
    or removed, with its folder or alone, is begun anew. One that was truncated goes on from its
    new end. Beyond `bytes_max` (0: never) it becomes `path.1`, that `path.2`, and so on up to `kept`.
    """

    def __init__(self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, kept: int = FILES_KEPT) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        self._descriptor: int | None = None

    def open(self) -> None:
        """Open the file that stands at `path` now, made where there is none. Raises OSError, and keeps the former."""
        self._path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        former = self._descriptor
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        if former is not None:
            os.close(former)

    def write(self, data: bytes) -> None:
        """Append all of `data`. Raises OSError, and then nothing of it was appended."""
        descriptor = self._followed()
        size = os.fstat(descriptor).st_size
        if self._bytes_max and size and size + len(data) > self._bytes_max:
            descriptor = self._begun_anew()
            size = os.fstat(descriptor).st_size
        try:
            write_all(descriptor, data)
        except OSError:
            # No half a line: the whole batch is tried again. What is no file on a disk cannot be cut.
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise

    def close(self) -> None:
        """Write no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _followed(self) -> int:
        """The descriptor of what stands at `path`."""
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
            # We may no longer look into the folder; what is open can still be written.
            return False

    def _begun_anew(self) -> int:
        # Where the folder lets us rename nothing, a file that is too large is better than lines that are lost.
        with suppress(OSError):
            for number in range(self._kept - 1, 0, -1):
                if self._aside(number).exists():
                    self._aside(number).replace(self._aside(number + 1))
            self._path.replace(self._aside(1))
        return self._followed()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, waiting for whoever reads it. Raises OSError, where some of it may have been written."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # Whoever shares the descriptor has made it so; a full pipe is waited for all the same.
            select.select([], [descriptor], [])
