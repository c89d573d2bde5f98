"""Backs up an embedded database with the sandbox's books, both as of one moment, and restores it.

::

    served ──▶ both locked for a moment ──▶ a snapshot of each ──▶ copied, read through ──▶ FILE, whole or not there
    FILE ──▶ unpacked beside the database, read through, migrated, examined ──▶ brought in, all of it or nothing

FILE is a tar archive: `seatsaga.db`, `seatsaga.sandbox.db`, and last `manifest.json` with their sizes
and checksums, so that an incomplete archive is never accepted.
"""

from __future__ import annotations

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

from sqlalchemy.ext.asyncio import AsyncConnection

from app import migrations
from app.database_files import files_of
from app.examining import examine_database
from app.migrations import SchemaState
from app.running import run_command
from app.settings import Settings
from domain.actors import Asked
from domain.audit import Examination
from domain.errors import ConfigurationError, SchemaError, StorageError
from domain.operators import Entry, OperatorActionKind, record_entry
from domain.storage import (
    Database,
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
#: The names of the files in every archive; the names in use may differ.
_DATABASE, _BOOKS = "seatsaga.db", "seatsaga.sandbox.db"
#: How long a backup waits for the write locks of a busy server.
LOCK_SECONDS_MAX: Final = 60.0
_PAGES_AT_A_TIME: Final = 4_096
_CHUNK_BYTES: Final = 1 << 20
_MANIFEST_BYTES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Backup:
    """The result of a backup: bytes by name in the archive, its moment, and how long writers waited."""

    files: Mapping[str, int]
    at: datetime
    paused_seconds: float


@dataclass(frozen=True, slots=True)
class Restoration:
    """The result of a restore: the examination, whether the backup is in place, and the folder of the former files."""

    examination: Examination
    is_done: bool
    former: Path | None


#: The suffixes of the files that SQLite and we keep beside a database.
_COMPANIONS: Final = ("-wal", "-shm", "-journal", ".lock")


# ---------------------------------------------------------------------- backup


def make_backup(settings: Settings, file: Path) -> Backup:
    """Write a backup of the settings' embedded database to `file`, which must not exist yet.

    Guarantee: once it returns, the whole file is on the disk, mode 0600; if it raises or the process
    dies, there is no such file. Commits during the copy are not in it; writers wait only while both
    snapshots are taken. Raises ConfigurationError on PostgreSQL or if `file` exists, DamagedError if
    the copied database is damaged, SchemaError without a schema.
    """
    _require_embedded(settings, "back it up with pg_dump")
    if file.exists() or file.is_symlink():
        raise ConfigurationError(f"{file} exists already; name another file, or remove it.")
    standing = run_command(migrations.standing_of(settings.database_url))
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
    """Copy all `sources` into `folder` as of one moment. Returns copies, moment, and how long writers waited."""
    with ExitStack() as stack:
        for source in sources.values():
            # Opening a file for writing applies its write-ahead log: never apply a log of another file.
            require_whole(source)
        writers = [stack.enter_context(_open(source)) for source in sources.values()]
        readers = {name: stack.enter_context(_open(source)) for name, source in sources.items()}
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        at, began = datetime.now(UTC), time.monotonic()
        # All of them are locked against commits now. The first read takes a snapshot.
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
    """A file that appears at `path` complete when the block ends; raises if `path` has been created meanwhile."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"{path} is being written by another backup; name another file.") from None
        try:
            # A killed process has left it.
            file.truncate(0)
            yield file
            file.flush()
            sync_file(part)
            _name(part, path)
        finally:
            part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _name(part: Path, path: Path) -> None:
    """Move the file at `part` to `path`, unless `path` exists."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; name another file, or remove it.") from None
    except OSError:
        # Some file systems, as on a memory stick, have no hard links.
        part.rename(path)


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, removed when the block ends."""
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


def restore_backup(settings: Settings, file: Path, *, despite_findings: bool, asked: Asked) -> Restoration:
    """Replace the settings' embedded database and the sandbox's books by the backup in `file`.

    Guarantee: a process that opens the database afterwards finds either the former files or the
    restored ones, never a mix, even if this process is killed. If the examination finds something,
    nothing is restored, unless `despite_findings`. Raises ConfigurationError on PostgreSQL, if the
    database is served, or if `file` is not a backup; DamagedError or SchemaError if this version
    cannot use its contents. The restored database's record of operator actions names `asked`.
    """
    _require_embedded(settings, "restore it with pg_restore")
    path = database_file(database_url(settings.database_url))
    names = {_DATABASE: path.name, _BOOKS: Path(str(books_beside(database_url(settings.database_url)))).name}
    lock = FileLock(path)
    if not lock.acquire():
        raise ConfigurationError(f"{path} is served by another process; stop it first.")
    try:
        try:
            with decide(path) as folder:
                _unpack(file, folder, names)
                for new in folder.iterdir():
                    require_whole(new)
                examination = run_command(_bring_up_to_date(settings, folder / path.name))
                if not examination.is_clean and not despite_findings:
                    raise _FoundError(examination)
                run_command(_record(folder / path.name, file, asked))
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


async def _record(path: Path, file: Path, asked: Asked) -> None:
    """Put the restore on the record of the unpacked database."""
    database = Database(f"sqlite+aiosqlite:///{path}")

    async def work(connection: AsyncConnection) -> None:
        entry = Entry(asked, OperatorActionKind.RESTORE, "the former database", f"the backup {file.name}")
        await record_entry(connection, entry, at=await database.clock.now(connection))

    try:
        await database.write(work)
    finally:
        await database.close()


def _unpack(file: Path, folder: Path, names: Mapping[str, str]) -> None:
    """Extract the archive into `folder` under `names`; checks that it is complete by the manifest."""
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
        raise ConfigurationError(f"{file} is not a complete backup of seatsaga; name another file.") from error
    if told.get("format") != FORMAT:
        raise ConfigurationError(f"{file} is incomplete, or of another version of seatsaga; name another file.")
    if told.get("files") != found or _DATABASE not in found:
        raise StorageError(f"{file} is damaged: sizes or checksums differ from its manifest. Use another backup.")


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
            f"SEATSAGA_DATABASE_URL names PostgreSQL; {instead}. See Backup and restore in docs/scaling.md."
        )
