"""`seatsaga copy-database` as operators run it: after a crash, cut short in the middle, and with nobody to copy to."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.engine import URL, make_url

from app.client import Client
from app.database_copy import copy_database
from tests.app.schemas import empty_postgres
from tests.app.test_doctor import book
from tests.app.whole import fill
from tests.support.asking import AN_OPERATOR
from tests.support.children import environment, seatsaga, serving_child
from tests.support.databases import connected
from tests.support.waiting import eventually

SAGA: Final = "query($id: UUID!) { saga(correlationId: $id) { status sequence } }"
FATES: Final[list[dict[str, Any]]] = [
    {"delayMs": 0},
    {"delayMs": 300, "failAt": ["CONFIRM_BOOKING"]},
    {"delayMs": 600, "loseAnswerAt": ["CONFIRM_BOOKING"]},
    {"delayMs": 1_500},
]
TERMINAL: Final = {"COMPLETED", "COMPENSATED", "ABANDONED"}
GATE: Final = 41


async def test_sagas_of_a_killed_process_end_on_the_new_database_and_their_readers_miss_nothing(
    tmp_path: Path, postgres_url: URL
) -> None:
    # A lease so long that nobody could wait for it to lapse.
    old = environment(tmp_path, lease_seconds="300")
    source = old["SEATSAGA_DATABASE_URL"]
    assert (await asyncio.to_thread(seatsaga, "migrate", env=old, folder=tmp_path)).returncode == 0
    await fill(source)
    seen: dict[str, list[int]] = {}

    async def watch(client: Client, correlation_id: str) -> None:
        try:
            async for event in client.follow(correlation_id):
                seen.setdefault(correlation_id, []).append(event["sequence"])
        except asyncio.CancelledError:
            return

    async with serving_child(tmp_path, old) as child, Client(child.url) as client:
        begun = await asyncio.gather(*(book(client, number, **FATES[number % len(FATES)]) for number in range(24)))
        watching = [asyncio.create_task(watch(client, correlation_id)) for correlation_id in begun]
        await eventually(lambda: len(seen) == len(begun) and max(map(len, seen.values())) > 4)
        child.kill()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching)
    with closing(sqlite3.connect(str(make_url(source).database))) as left:
        assert left.execute("SELECT count(*) FROM sagas WHERE finished_at IS NULL").fetchone()[0] > 0
    async with empty_postgres(postgres_url) as target:
        moved = await asyncio.to_thread(seatsaga, "copy-database", source, target, env=old, folder=tmp_path)
        assert moved.returncode == 0, moved.stdout + moved.stderr
        assert "NOT THE SAME" not in moved.stdout
        assert "Next: set SEATSAGA_DATABASE_URL=postgresql+asyncpg://" in moved.stdout
        new = environment(tmp_path, target)
        async with serving_child(tmp_path, new) as child, Client(child.url) as client:
            for correlation_id in begun:
                known = seen[correlation_id]
                async with asyncio.timeout(40):
                    async for event in client.follow(correlation_id, after=known[-1]):
                        known.append(event["sequence"])
                saga = (await client.query(SAGA, id=correlation_id))["saga"]
                assert saga["status"] in TERMINAL
                assert known == list(range(1, saga["sequence"] + 1))
            healed = await asyncio.to_thread(seatsaga, "doctor", env=new, folder=tmp_path)
        assert healed.returncode == 0, healed.stdout


def _begin(source: str, target: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "copy-database", source, target],
        env=environment(folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def blocked_copy(source: str, target: str, folder: Path) -> subprocess.Popen[str]:
    """The command, copying into `target` until it waits for the gate that the caller has closed there."""
    command = _begin(source, target, folder)
    async with connected(target) as administrator:

        async def waits() -> bool:
            assert command.poll() is None, command.communicate()
            found = await administrator.fetchval(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
            )
            return bool(found)

        await eventually(waits, 60)
    return command


@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT", "connection lost"])
async def test_what_is_cut_short_leaves_the_target_empty_and_the_next_try_copies_all(
    end: str, tmp_path: Path, postgres_url: URL
) -> None:
    env = environment(tmp_path)
    source = env["SEATSAGA_DATABASE_URL"]
    assert (await asyncio.to_thread(seatsaga, "migrate", env=env, folder=tmp_path)).returncode == 0
    await fill(source)
    async with empty_postgres(postgres_url) as target:
        filled = await asyncio.to_thread(
            seatsaga, "migrate", env=env | {"SEATSAGA_DATABASE_URL": target}, folder=tmp_path
        )
        assert filled.returncode == 0
        async with connected(target) as holder:
            # Whatever comes to the members' entries waits, with all the seats copied before them.
            await holder.execute(
                "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN NEW; END $$"
            )
            await holder.execute(
                "CREATE TRIGGER wait BEFORE INSERT ON loyalty_entries FOR EACH ROW EXECUTE FUNCTION wait()"
            )
            await holder.execute(f"SELECT pg_advisory_lock({GATE})")
            command = await blocked_copy(source, target, tmp_path)
            try:
                if end == "connection lost":
                    await holder.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                else:
                    command.send_signal(getattr(signal, end))
                said, errors = await asyncio.to_thread(command.communicate, timeout=30)
            finally:
                command.kill()
                command.wait()
            await holder.execute(f"SELECT pg_advisory_unlock({GATE})")

            async def gone() -> bool:
                others = await holder.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                return not others

            await eventually(gone, 30)
            for table in ("airports", "flights", "seats", "loyalty_accounts", "loyalty_entries"):
                assert await holder.fetchval(f"SELECT count(*) FROM {table}") == 0
        match end:
            case "SIGKILL":
                assert command.returncode == -signal.SIGKILL
            case "SIGINT":
                assert command.returncode == 130, said + errors
            case _:
                assert command.returncode == 2, errors
                assert errors.startswith("seatsaga: loyalty_entries: the target did not take the rows")
                assert errors.count("\n") == 1
        assert "Next: " not in said
        again = await asyncio.to_thread(seatsaga, "copy-database", source, target, env=env, folder=tmp_path)
        assert again.returncode == 0, again.stderr


async def test_a_file_that_a_killed_copy_was_writing_is_empty_and_the_next_try_copies_all(tmp_path: Path) -> None:
    env = environment(tmp_path)
    source, target = env["SEATSAGA_DATABASE_URL"], f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    assert (await asyncio.to_thread(seatsaga, "migrate", env=env, folder=tmp_path)).returncode == 0
    await fill(source)
    program = f"""
import asyncio, sys
from app.commands import asked_here
from app.database_copy import copy_database
def progress(done, total):
    if done > total // 2:
        print("all is written, and being read back", flush=True)
        sys.stdin.read()
asyncio.run(copy_database({source!r}, {target!r}, with_books=True, progress=progress, asked=asked_here(None)))
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), 60)
    finally:
        child.kill()
        await child.wait()
    # It refuses a target that has a single row.
    copied = await copy_database(source, target, with_books=True, progress=lambda done, total: None, asked=AN_OPERATOR)
    assert {table.name: table.target.rows for table in copied}["loyalty_accounts"] == 100


async def test_the_process_that_serves_the_source_is_named(tmp_path: Path) -> None:
    env = environment(tmp_path)
    source = env["SEATSAGA_DATABASE_URL"]
    assert (await asyncio.to_thread(seatsaga, "migrate", env=env, folder=tmp_path)).returncode == 0
    await fill(source)
    async with serving_child(tmp_path, env) as child:
        refused = await asyncio.to_thread(seatsaga, "copy-database", source, source + "2", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"is in use by process {child.process.pid}; stop it.\n")


async def test_a_target_that_does_not_answer_is_named_in_one_line(tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert (await asyncio.to_thread(seatsaga, "migrate", env=env, folder=tmp_path)).returncode == 0
    nowhere = "postgresql+asyncpg://somebody:secret@127.0.0.1:1/nowhere"
    refused = await asyncio.to_thread(
        seatsaga, "copy-database", env["SEATSAGA_DATABASE_URL"], nowhere, env=env, folder=tmp_path
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "127.0.0.1:1/nowhere: the database does not answer" in refused.stderr
    assert "secret" not in refused.stderr
