"""A backup of an embedded database with the sandbox's books, both of one moment; and how it is put back.

::

    served ──▶ both locked for a moment ──▶ a snapshot of each ──▶ copied, read through ──▶ FILE, whole or not there
    FILE ──▶ unpacked beside the database, read through, migrated, examined ──▶ brought in, all of it or nothing

FILE is a tar archive: `seatsaga.db`, `seatsaga.sandbox.db`, and `manifest.json`, which comes last and
tells their sizes and sums, so that a part of an archive is never taken for one.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final

from app import migrations
from app.database_files import files_of
from app.examining import examine_database
from app.migrations import SchemaState
from app.settings import Settings
from domain.audit import Examination
from domain.errors import ConfigurationError, SchemaError, StorageError
from domain.storage import (
    FileLock,
    database_file,
    database_url,
    decide,
    finish,
    make_private,
    require_whole,
    sync_file,
    sync_folder,
)
from sandbox import books_beside

__all__ = ["Backup", "Restoration", "make_backup", "restore_backup"]

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
#: What the files are called in every archive, whatever they are called where they are used.
_DATABASE, _BOOKS = "seatsaga.db", "seatsaga.sandbox.db"
#: For so long a backup waits for its turn to write among those of a busy server.
LOCK_SECONDS_MAX: Final = 60.0
_PAGES_AT_A_TIME: Final = 4_096
_CHUNK_BYTES: Final = 1 << 20
_MANIFEST_BYTES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written: bytes by the name in the archive, of which moment, and how long writers waited for that."""

    files: Mapping[str, int]
    at: datetime
    paused_seconds: float


@dataclass(frozen=True, slots=True)
class Restoration:
    """What the examination found, whether the backup is in place, and where the former files are, if there were any."""

    examination: Examination
    is_done: bool
    former: Path | None


#: What follows a database's name in those of the files that SQLite, and we, keep beside it.
_COMPANIONS: Final = ("-wal", "-shm", "-journal", ".lock")


# ---------------------------------------------------------------------- backup


def make_backup(settings: Settings, file: Path) -> Backup:
    """Write a backup of the settings' embedded database to `file`, which must not be there yet.

    Guarantee: once it returns, all of it is on the disk, mode 0600; where it raises or dies there
    is no such file. What is committed while it copies is not in it; nobody waits but for the
    moment in which both snapshots are taken. Raises ConfigurationError on PostgreSQL or where
    `file` is there, DamagedError where what it copies is damaged, SchemaError without a schema.
    """
    _require_embedded(settings, "back it up with pg_dump")
    if file.exists() or file.is_symlink():
        raise ConfigurationError(f"{file} is there already; name another file, or remove it.")
    standing = asyncio.run(migrations.standing_of(settings.database_url))
    if standing.state is SchemaState.EMPTY:
        raise SchemaError(f"{database_file(database_url(settings.database_url))} has no schema: nothing to back up.")
    sources = dict(zip((_DATABASE, _BOOKS), files_of(settings), strict=False))
    own = {
        f"{source.resolve()}{suffix}" for source in sources.values() for suffix in ("-wal", "-shm", "-journal", ".lock")
    }
    if str(file.resolve()) in own:
        raise ConfigurationError(f"{file} is a name that the database itself uses; name another file.")
    with _new_file(file) as archive, _workplace(file) as folder:
        copies, at, paused_seconds = _copy_at_one_moment(sources, folder)
        for copy in copies.values():
            require_whole(copy)
        about = {
            "format": FORMAT,
            "at": at.isoformat(),
            "release": version("seatsaga"),
            "revision": standing.revision,
        }
        _pack(archive, copies, about)
        return Backup({name: copy.stat().st_size for name, copy in copies.items()}, at, paused_seconds)


def _copy_at_one_moment(sources: Mapping[str, Path], folder: Path) -> tuple[dict[str, Path], datetime, float]:
    """Copies in `folder` of all `sources` as they are at one moment, which, and how long writers waited for it."""
    with ExitStack() as stack:
        for source in sources.values():
            # Opening a file for more than reading brings its log into it: not one that does not belong there.
            require_whole(source)
        writers = [stack.enter_context(_open(source)) for source in sources.values()]
        readers = {name: stack.enter_context(_open(source)) for name, source in sources.items()}
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        at, began = datetime.now(UTC), time.monotonic()
        # Nobody can commit to any of them now. A snapshot is taken by the first read.
        for reader in readers.values():
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        for writer in writers:
            writer.execute("ROLLBACK")
        paused_seconds = time.monotonic() - began
        copies = {name: folder / name for name in sources}
        for name, reader in readers.items():
            make_private(copies[name])
            with closing(sqlite3.connect(copies[name])) as copy:
                reader.backup(copy, pages=_PAGES_AT_A_TIME)
        return copies, at, paused_seconds


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_SECONDS_MAX)) as connection:
        yield connection


def _pack(archive: IO[bytes], copies: Mapping[str, Path], about: dict[str, Any]) -> None:
    files = {}
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, copy in copies.items():
            tar.add(copy, name, recursive=False)
            with copy.open("rb") as content:
                files[name] = {
                    "bytes": copy.stat().st_size,
                    "sha256": hashlib.file_digest(content, "sha256").hexdigest(),
                }
        manifest = json.dumps(about | {"files": files}, indent=1).encode()
        member = tarfile.TarInfo(_MANIFEST)
        member.size, member.mode, member.mtime = len(manifest), 0o600, int(time.time())
        tar.addfile(member, io.BytesIO(manifest))


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears as `path`, whole, once the block has ended; raises where one has appeared meanwhile."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"{path} is being written by another backup; name another file.") from None
        try:
            # What a process that was killed has left.
            file.truncate(0)
            yield file
            file.flush()
            sync_file(part)
            _name(part, path)
        finally:
            part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _name(part: Path, path: Path) -> None:
    """Let the file at `part` be at `path`, unless another is."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already; name another file, or remove it.") from None
    except OSError:
        # As on a memory stick, whose file system knows one name a file.
        part.rename(path)


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A folder beside `path` for the length of the block."""
    folder = path.with_name(f"{path.name}.copies")
    _remove(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    if folder.exists():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


# ---------------------------------------------------------------------- restore


def restore_backup(settings: Settings, file: Path, *, despite_findings: bool) -> Restoration:
    """Put the backup in `file` in the place of the settings' embedded database and of the sandbox's books.

    Guarantee: whatever happens, a process that opens the database afterwards finds the former
    files or the restored ones, never some of each. Where the examination finds something, nothing
    is done, unless `despite_findings`. Raises ConfigurationError on PostgreSQL, where the database
    is served, or where `file` is no backup; DamagedError or SchemaError where what is in it cannot
    be used by this version.
    """
    _require_embedded(settings, "restore it with pg_restore")
    path = database_file(database_url(settings.database_url))
    names = {_DATABASE: path.name, _BOOKS: Path(str(books_beside(database_url(settings.database_url)))).name}
    lock = FileLock(path)
    if not lock.acquire():
        raise ConfigurationError(f"{path} is served by another process; stop that one first.")
    try:
        try:
            with decide(path) as folder:
                _unpack(file, folder, names)
                for new in folder.iterdir():
                    require_whole(new)
                examination = asyncio.run(_bring_up_to_date(settings, folder / path.name))
                if not examination.is_clean and not despite_findings:
                    raise _FoundError(examination)
        except _FoundError as found:
            return Restoration(found.examination, is_done=False, former=None)
        return Restoration(examination, is_done=True, former=finish(path))
    finally:
        lock.release()


class _FoundError(Exception):
    """The examination found something."""

    def __init__(self, examination: Examination) -> None:
        self.examination = examination


async def _bring_up_to_date(settings: Settings, path: Path) -> Examination:
    """Migrate the unpacked database, and examine it with the books beside it."""
    url = f"sqlite+aiosqlite:///{path}"
    if await migrations.schema_state(url) in (SchemaState.EMPTY, SchemaState.BEHIND):
        await migrations.upgrade(url, alone=True)
    await migrations.require_current(url)
    return await examine_database(settings, url)


def _unpack(file: Path, folder: Path, names: Mapping[str, str]) -> None:
    """What is in the archive, in `folder`, under `names`; all of it, as the manifest says."""
    found: dict[str, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    try:
        with tarfile.open(file, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or told:
                    raise ValueError(member.name)
                if member.name == _MANIFEST:
                    told = json.loads(content.read(_MANIFEST_BYTES_MAX))
                else:
                    found[member.name] = _write(content, folder / names[member.name])
    except (tarfile.TarError, ValueError, KeyError, EOFError) as error:
        raise ConfigurationError(f"{file} is no backup of seatsaga, or only a part of one.") from error
    if told.get("format") != FORMAT:
        raise ConfigurationError(f"{file} is only a part of a backup, or is one of another version of seatsaga.")
    if told.get("files") != found or _DATABASE not in found:
        raise StorageError(f"{file} is not as it was written: sizes or sums differ. Take another backup.")


def _write(content: IO[bytes], path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += file.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _require_embedded(settings: Settings, instead: str) -> None:
    if not settings.is_embedded:
        raise ConfigurationError(
            f"SEATSAGA_DATABASE_URL leads to PostgreSQL; {instead}, as docs/scaling.md says under Backup and restore."
        )
