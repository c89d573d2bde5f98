"""A file that is set aside when it has grown large, and begun anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TextIO

__all__ = ["FILES_KEPT", "FILE_BYTES_MAX", "RotatedFile"]

FILE_BYTES_MAX: Final = 20_000_000
FILES_KEPT: Final = 5


class RotatedFile:
    """Appends text to `path`; beyond `bytes_max` it becomes `path.1`, that `path.2`, and so on up to `kept`."""

    def __init__(self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, kept: int = FILES_KEPT) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._kept = kept
        self._open_file: TextIO | None = None

    def open(self) -> TextIO:
        """Make sure that it can be written. Raises OSError."""
        if self._open_file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open_file = self._path.open("a", encoding="utf-8")
        return self._open_file

    def write(self, text: str) -> None:
        """Append `text`, whole lines, and hand it to the operating system."""
        if not text:
            return
        file = self.open()
        if file.tell() and file.tell() + len(text) > self._bytes_max:
            self._rotate()
            file = self.open()
        file.write(text)
        file.flush()

    def close(self) -> None:
        """Write no more."""
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    def _rotate(self) -> None:
        self.close()
        for number in range(self._kept - 1, 0, -1):
            aside = self._aside(number)
            if aside.exists():
                aside.replace(self._aside(number + 1))
        self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
