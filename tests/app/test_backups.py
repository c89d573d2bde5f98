"""`seatsaga backup` and `restore`: of one moment, under load, whole or not at all, whenever it is killed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.client import Client
from domain.storage import FileLock
from tests.app.test_doctor import book
from tests.support.children import environment, seatsaga, serving_child
from tests.support.damage import damage_pages

FILES = ("seatsaga.db", "seatsaga.sandbox.db")
BACKUPS = 3


def generation(folder: Path) -> tuple[int, ...]:
    """Which files stand in the folder, as `make` has numbered them."""
    found = []
    for name in FILES:
        with closing(sqlite3.connect(folder / name)) as connection:
            found.append(connection.execute("PRAGMA user_version").fetchone()[0])
    return tuple(found)


def make(folder: Path, template: Path, number: int) -> Path:
    """An empty installation in `folder`, both of whose files bear this number."""
    folder.mkdir(parents=True)
    shutil.copy(template, folder / FILES[0])
    with closing(sqlite3.connect(folder / FILES[1], isolation_level=None)) as books:
        books.execute("PRAGMA journal_mode = WAL")
        books.execute(
            "CREATE TABLE entries (reference, state, amount, currency, authorizations, captures, voids, refunds)"
        )
    for name in FILES:
        with closing(sqlite3.connect(folder / name, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA user_version = {number}")
    return folder


def sums(folder: Path) -> dict[str, str]:
    """Every file of the folder but the lock's."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith(("-shm", ".lock"))
    }


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.fixture
def data(tmp_path: Path, sqlite_template: Path) -> Path:
    """Generation 1, backed up to backup.tar; then generation 2 came."""
    folder = make(tmp_path / "data", sqlite_template, 1)
    made = seatsaga("backup", "backup.tar", env=environment(tmp_path), folder=tmp_path)
    assert made.returncode == 0, made.stderr
    shutil.rmtree(folder)
    return make(folder, sqlite_template, 2)


# ---------------------------------------------------------------------- under load


async def test_backups_under_load_are_of_one_moment_each_and_go_on_where_they_were(
    env: dict[str, str], tmp_path: Path
) -> None:
    async def load(client: Client) -> None:
        for number in itertools.count():
            await asyncio.gather(*(book(client, 10 * number + each) for each in range(10)))

    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        await asyncio.gather(*(book(client, number) for number in range(20)))
        bookings = asyncio.create_task(load(client))
        made = [
            await asyncio.to_thread(seatsaga, "backup", f"{number}.tar", env=env, folder=tmp_path)
            for number in range(BACKUPS)
        ]
        assert not bookings.done(), "the server has gone on meanwhile"
        bookings.cancel()
        await asyncio.gather(bookings, return_exceptions=True)
        refused = await asyncio.to_thread(seatsaga, "restore", "0.tar", env=env, folder=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.endswith("is served by another process; stop it first.\n")
    for number, ended in enumerate(made):
        assert ended.returncode == 0, ended.stderr
        there = tmp_path / f"there-{number}"
        there.mkdir()
        elsewhere = environment(there)
        # Its examination would refuse money that only one of the two files knows of.
        restored = await asyncio.to_thread(
            seatsaga, "restore", str(tmp_path / f"{number}.tar"), env=elsewhere, folder=there
        )
        assert restored.returncode == 0, restored.stdout + restored.stderr
        assert "Everything is as it should be." in restored.stdout
    async with serving_child(there, elsewhere) as again, Client(again.url) as client:
        await client.query("{ flights(first: 1) { edges { node { id } } } }")
        await asyncio.gather(*(book(client, number) for number in range(5)))


# ---------------------------------------------------------------------- restore


def test_a_restore_sets_the_former_files_aside_with_their_logs_and_examines(
    env: dict[str, str], data: Path, tmp_path: Path
) -> None:
    (data / "seatsaga.db-wal").write_bytes(b"left by a server that was killed")
    (data / "seatsaga.db-shm").write_bytes(b"and its index")
    before = sums(data)
    restored = seatsaga("restore", "backup.tar", env=env, folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert "Everything is as it should be." in restored.stdout
    assert generation(data) == (1, 1)
    (former,) = data.glob("seatsaga.db.before-*")
    assert sums(former) == before
    assert str(former) in restored.stdout
    assert {path.stat().st_mode & 0o777 for path in data.iterdir() if path.is_file()} == {0o600}
    assert former.stat().st_mode & 0o777 == 0o700
    assert seatsaga("doctor", env=env, folder=tmp_path).returncode == 0


def test_a_restore_where_there_is_nothing_yet_makes_the_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    restored = seatsaga("restore", str(tmp_path / "backup.tar"), env=environment(tmp_path / "new"), folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert generation(tmp_path / "new" / "data") == (1, 1)
    assert list((tmp_path / "new" / "data").glob("*.before-*")) == []


def test_a_database_of_an_older_version_is_migrated(env: dict[str, str], data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / FILES[0], isolation_level=None)) as connection:
        (newest,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    script = (
        "import asyncio, sys; from app.migrations import downgrade; asyncio.run(downgrade(sys.argv[1], sys.argv[2]))"
    )
    url = env["SEATSAGA_DATABASE_URL"]
    subprocess.run([sys.executable, "-c", script, url, f"{int(newest) - 1:04d}"], env=env, check=True)
    assert seatsaga("backup", "older.tar", env=env, folder=tmp_path).returncode == 0
    restored = seatsaga("restore", "older.tar", env=env, folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    with closing(sqlite3.connect(data / FILES[0])) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)


@pytest.mark.parametrize("fault", ["cut short", "a byte", "without its end", "no archive", "of something else"])
def test_what_is_no_whole_backup_is_refused_and_nothing_is_touched(
    env: dict[str, str], data: Path, tmp_path: Path, fault: str
) -> None:
    content = bytearray((tmp_path / "backup.tar").read_bytes())
    match fault:
        case "cut short":
            content = content[: len(content) // 2]
        case "a byte":
            content[len(content) // 2] ^= 1
        case "without its end":
            content = content[: content.rindex(b"manifest.json")]
        case "no archive":
            content = bytearray(b"notes\n" * 1_000)
        case "of something else":
            content = bytearray(content.replace(b"seatsaga.sandbox.db", b"../etc/passwd.text"))
    (tmp_path / "wrong.tar").write_bytes(content)
    before = sums(data)
    refused = seatsaga("restore", "wrong.tar", env=env, folder=tmp_path)
    assert refused.returncode == 2, refused.stdout
    assert refused.stderr.startswith("seatsaga: wrong.tar is ")
    assert len(refused.stderr.splitlines()) == 1
    assert sums(data) == before
    assert not list(data.glob("*.restore*"))


def test_a_backup_that_does_not_hold_what_it_should_is_restored_on_a_clear_word_alone(
    env: dict[str, str], data: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(data / FILES[1], isolation_level=None)) as books:
        books.execute("INSERT INTO entries VALUES ('pi_lost', 'CAPTURED', 1, 'USD', 1, 1, 0, 0)")
    assert seatsaga("backup", "odd.tar", env=env, folder=tmp_path).returncode == 0
    with closing(sqlite3.connect(data / FILES[1], isolation_level=None)) as books:
        books.execute("DELETE FROM entries")
        books.execute("PRAGMA user_version = 3")
    refused = seatsaga("restore", "odd.tar", env=env, folder=tmp_path)
    assert refused.returncode == 1
    assert "reference pi_lost" in refused.stdout
    assert "seatsaga restore --despite-findings odd.tar" in refused.stderr
    assert generation(data) == (2, 3)
    assert seatsaga("restore", "--despite-findings", "odd.tar", env=env, folder=tmp_path).returncode == 0
    assert generation(data) == (2, 2)


# ---------------------------------------------------------------------- backup


def test_a_backup_is_for_its_owner_alone_and_never_takes_anothers_place(
    env: dict[str, str], data: Path, tmp_path: Path
) -> None:
    before = (tmp_path / "backup.tar").read_bytes()
    refused = seatsaga("backup", "backup.tar", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "seatsaga: backup.tar exists already; name another file, or remove it.\n"
    assert (tmp_path / "backup.tar").read_bytes() == before
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]
    refused = seatsaga("backup", "data/seatsaga.db-journal", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert "a name that the database itself uses" in refused.stderr
    assert seatsaga("backup", "none/at/all.tar", env=env, folder=tmp_path).returncode == 2


def test_what_is_damaged_is_not_backed_up(env: dict[str, str], data: Path, tmp_path: Path) -> None:
    damage_pages(data / FILES[1])
    refused = seatsaga("backup", "damaged.tar", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert "seatsaga.sandbox.db is damaged" in refused.stderr
    assert not (tmp_path / "damaged.tar").exists()


def test_an_installation_with_neither_tables_nor_file_has_nothing_to_back_up(
    env: dict[str, str], tmp_path: Path
) -> None:
    refused = seatsaga("backup", "new.tar", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert "nothing to back up" in refused.stderr


@pytest.mark.parametrize(("command", "instead"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgresql_has_its_own(tmp_path: Path, command: str, instead: str) -> None:
    env = environment(tmp_path, "postgresql+asyncpg://nobody@127.0.0.1:1/none")
    refused = seatsaga(command, "some.tar", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert instead in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


# ---------------------------------------------------------------------- killed at every step

_KILLED_AT_EVERY_STEP = """
# Forks a command again and again, each time on a folder of its own, and kills it at its next change of the file system.
import os, shutil, signal, sys
from pathlib import Path
from app import backups
from app.commands import asked_here
from app.settings import load_settings
base, command = Path(sys.argv[1]), sys.argv[2]
CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate", "os.chmod"}

def die_at(step):
    seen = 0
    def hear(event, arguments):
        nonlocal seen
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hear)

for step in range(1, 200):
    folder = Path(shutil.copytree(base, base.with_name(f"killed-{step}")))
    child = os.fork()
    if child == 0:
        settings = load_settings({}, database_url=f"sqlite+aiosqlite:///{folder}/data/seatsaga.db")
        die_at(step)
        if command == "backup":
            backups.make_backup(settings, folder / "new.tar")
        else:
            backups.restore_backup(settings, folder / "backup.tar", despite_findings=False, asked=asked_here(None))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(folder, os.waitstatus_to_exitcode(status), flush=True)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        break
"""


def killed_at_every_step(base: Path, command: str) -> list[Path]:
    """The folders in which the command was killed, one step later each; the last one in which it went through."""
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED_AT_EVERY_STEP, str(base), command],
        env=environment(base),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line.rsplit(" ", 1) for line in ended.stdout.splitlines()]
    assert [code for _, code in lines][-1] == "0", ended.stdout + ended.stderr
    assert len(lines) > 5
    return [Path(folder) for folder, _ in lines]


@pytest.fixture
def base(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    shutil.move(data, folder / "data")
    shutil.move(tmp_path / "backup.tar", folder / "backup.tar")
    return folder


def test_a_restore_that_is_killed_at_any_step_leaves_the_former_files_or_the_restored_ones(base: Path) -> None:
    generations = []
    for folder in killed_at_every_step(base, "restore"):
        data = folder / "data"
        pending = (data / "seatsaga.db.restore").exists()
        # Whoever comes next, takes the lock, and finds both files of one generation.
        lock = FileLock(data / "seatsaga.db")
        assert lock.acquire()
        lock.release()
        found = generation(data)
        assert found in ((1, 1), (2, 2)), folder
        assert not pending or found == (1, 1)
        assert not (data / "seatsaga.db.restore").exists()
        assert found == (2, 2) or sum(1 for _ in data.glob("*.before-*/seatsaga.*")) == 2
        generations.append(found[0])
    assert generations == sorted(generations, reverse=True), "once it is decided, it stays so"
    assert set(generations) == {1, 2}


def test_while_a_restore_is_half_done_nobody_opens_the_database(base: Path) -> None:
    folder = next(
        folder for folder in killed_at_every_step(base, "restore") if (folder / "data" / "seatsaga.db.restore").exists()
    )
    env = environment(folder)
    for command in (["doctor"], ["seed"]):
        refused = seatsaga(*command, env=env, folder=folder)
        assert refused.returncode == 2, refused.stdout
        assert "is being restored" in refused.stderr
    again = seatsaga("restore", "backup.tar", env=env, folder=folder)
    assert again.returncode == 0, again.stderr
    assert generation(folder / "data") == (1, 1)


def test_a_backup_that_is_killed_at_any_step_leaves_a_whole_one_or_none_and_the_next_one_succeeds(base: Path) -> None:
    for folder in killed_at_every_step(base, "backup"):
        assert generation(folder / "data") == (2, 2)
        new = folder / "new.tar"
        if new.exists():
            told = json.loads(subprocess.check_output(["tar", "xOf", str(new), "manifest.json"]))
            assert set(told["files"]) == set(FILES)
            new.unlink()
    # The one that was killed latest has left the most.
    env = environment(folder)
    assert seatsaga("backup", "new.tar", env=env, folder=folder).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["backup.tar", "data", "new.tar"]
