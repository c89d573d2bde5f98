"""Replaces database files all together or not at all, also if the process dies in between.

::

    NAME.restore.part/   the new files, being made          a death here leaves the old ones
          │ rename: this decides
          ▼
    NAME.restore/        the new files, whole and checked   the next holder of the lock installs them
          │ finish: each old file aside, the new one in its place, again and again until it is done
          ▼
    NAME, and NAME.before-... with the former files

While `NAME.restore` exists no process opens the database: it may be half old and half new.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from domain.errors import ConfigurationError

__all__ = ["decide", "finish", "require_finished", "sync_file", "sync_folder"]

_SIDECARS = ("-wal", "-shm", "-journal")


@contextmanager
def decide(path: Path) -> Iterator[Path]:
    """A folder for the new files of `path` and its neighbours, under their final names.

    Once the block has ended, they are certain to be installed: by `finish`, in this process or in
    the next one that takes the lock. If the block raises, or the process dies in it, nothing has
    happened. The caller has the lock of `path`.
    """
    part, decided = _named(path, "restore.part"), _named(path, "restore")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        yield part
        for file in part.iterdir():
            sync_file(file)
        sync_folder(part)
        part.rename(decided)
        sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def finish(path: Path) -> Path | None:
    """Install the files that `decide` prepared for `path`, if there are any; return the former files' folder.

    The old files with these names are set aside, with their logs. The caller has the lock of `path`.
    """
    decided = _named(path, "restore")
    if not decided.exists():
        return None
    left = sorted(decided.iterdir())
    former = _former(path, decided) if left else None
    for new in (file for file in left if file.is_file()):
        assert former is not None, "made where anything is left"
        for suffix in (*_SIDECARS, ""):
            old = path.with_name(new.name + suffix)
            if old.exists():
                old.rename(former / old.name)
        new.rename(path.with_name(new.name))
        sync_folder(path.parent)
    aside = None
    if former is not None and any(former.iterdir()):
        aside = former.rename(path.with_name(former.name))
    elif former is not None:
        former.rmdir()
    decided.rmdir()
    sync_folder(path.parent)
    return aside


def require_finished(path: Path) -> None:
    """Raise ConfigurationError while the files of `path` are being replaced."""
    if _named(path, "restore").exists():
        raise ConfigurationError(
            f"{path} is being restored. If no restore is running, start the server, which finishes it, or repeat: "
            "seatsaga restore FILE"
        )


def _former(path: Path, decided: Path) -> Path:
    """The folder for the former files; the same for each process that continues this replacement."""
    for folder in (file for file in decided.iterdir() if file.is_dir()):
        return folder
    folder = decided / f"{path.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    folder.mkdir(mode=0o700)
    return folder


def _named(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def sync_file(path: Path) -> None:
    """Return once the file's contents are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return once the names in the folder are on the disk."""
    sync_file(path)
