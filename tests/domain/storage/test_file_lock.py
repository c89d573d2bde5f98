"""One serving process a database file: the lock shuts others out, and the system drops it however its holder dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.storage import FileLock
from tests.support.waiting import eventually

_ACQUIRE = """
import sys
from pathlib import Path
from domain.storage import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held" if lock.acquire() else "shut out", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def another_process(database: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process that has tried to take the lock and lives on, and what became of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ACQUIRE, str(database), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            said = await process.stdout.readline()
        yield process, said.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate(b"")


async def test_a_second_process_is_shut_out_until_the_first_gives_the_lock_up(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "seatsaga.db")
    assert lock.acquire()
    async with another_process(tmp_path / "seatsaga.db") as (_, said):
        assert said == "shut out"
    lock.release()
    async with another_process(tmp_path / "seatsaga.db") as (_, said):
        assert said == "held"
        assert not lock.acquire()


async def test_the_lock_of_a_killed_process_is_dropped(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "seatsaga.db")
    async with another_process(tmp_path / "seatsaga.db") as (process, said):
        assert said == "held"
        assert not lock.acquire()
        process.kill()
        assert await process.wait() == -9
        assert await eventually(lock.acquire)
    lock.release()


async def test_a_process_that_ends_by_itself_leaves_the_lock_free(tmp_path: Path) -> None:
    async with another_process(tmp_path / "seatsaga.db") as (process, said):
        assert said == "held"
        await process.communicate(b"")
    lock = FileLock(tmp_path / "seatsaga.db")
    assert lock.acquire()
    lock.release()


def test_a_lock_is_held_once_even_within_a_process(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "seatsaga.db"), FileLock(tmp_path / "seatsaga.db")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_locks_of_different_files_do_not_meet(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "one.db"), FileLock(tmp_path / "two.db")
    assert first.acquire()
    assert second.acquire()
    first.release()
    second.release()


def test_giving_up_a_lock_that_is_not_held_is_nothing(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "seatsaga.db")
    lock.release()
    assert lock.acquire()
    lock.release()
    lock.release()


def test_the_lock_makes_its_folder_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "data" / "seatsaga.db")
    assert lock.acquire()
    assert (tmp_path / "data" / "seatsaga.db.lock").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "data" / "seatsaga.db").exists()
    lock.release()
