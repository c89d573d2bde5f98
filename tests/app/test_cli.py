"""The command `seatsaga`, as a process of its own: what it does, what it says, and the code it ends with."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

from app.cli import _COMMANDS
from app.migrations import SchemaState, head, schema_state, upgrade
from app.scheduler import EXPIRY_JOB
from domain.flights import COLUMNS
from domain.jobs import Job, Jobs, RunOutcome
from domain.storage import Database
from schema.root import SDL_FILE
from tests.app.schemas import NEXT_REVISION, end_release, set_revision
from tests.support.children import seatsaga, seatsaga_anew
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).parents[2]
SECONDS_MAX: Final = 60.0
FLIGHTS: Final = 453
SAGA: Final = "0198c0de-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    errors: str

    @property
    def refusal(self) -> str:
        """The one line by which the command was refused."""
        assert self.code == 2, self
        assert "Traceback" not in self.errors
        lines = self.errors.splitlines()
        assert len(lines) == 1, lines
        assert self.out == ""
        return lines[0]

    @property
    def said(self) -> str:
        """What a command that did its work printed, one space between any two words."""
        assert self.code == 0, self
        return " ".join(self.out.split())


@dataclass(frozen=True)
class Shell:
    """Runs `seatsaga` in `folder`, with a database there."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "seatsaga.db"

    @property
    def url(self) -> str:
        return f"sqlite+aiosqlite:///{self.path}"

    @property
    def environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith(("SEATSAGA_", "STRIPE_"))}
        own = {
            "SEATSAGA_DATABASE_URL": self.url,
            "SEATSAGA_LOG_DIR": str(self.folder / "logs"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "250",
            "NO_COLOR": "1",
        }
        return others | own | self.variables

    def __call__(self, *arguments: str, **variables: str) -> Ended:
        child = seatsaga(*arguments, env=self.environment | variables, folder=self.folder)
        return Ended(child.returncode, child.stdout, child.stderr)

    def anew(self, *arguments: str, **variables: str) -> Ended:
        """By an interpreter that has imported nothing yet."""
        child = seatsaga_anew(*arguments, env=self.environment | variables, folder=self.folder)
        return Ended(child.returncode, child.stdout, child.stderr)

    @property
    def record(self) -> list[tuple[str, str, str, str, str]]:
        """The record of operator actions, oldest first: who, what, why, before and after."""
        with closing(sqlite3.connect(self.path)) as connection:
            columns = "subject, kind, reason, state_before, state_after"
            return connection.execute(f"SELECT {columns} FROM operator_actions ORDER BY at, id").fetchall()

    def count(self, table: str) -> int:
        """How many rows `table` has."""

        async def ask() -> int:
            database = Database(self.url)
            try:
                async with database.reading() as connection:
                    number: int = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
                    return number
            finally:
                await database.close()

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, only to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "seatsaga.db"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, upgrade(f"sqlite+aiosqlite:///{path}")).result()
    return path


@pytest.fixture(scope="module")
def seeded(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Ended]:
    """A shell whose database was filled by the command, and what that said."""
    shell = Shell(tmp_path_factory.mktemp("seeded"))
    shutil.copy(migrated, shell.path)
    return shell, shell("seed")


@pytest.fixture
def fresh(tmp_path: Path) -> Shell:
    """A shell whose database is not there yet."""
    return Shell(tmp_path)


@pytest.fixture
def shell(fresh: Shell, migrated: Path) -> Shell:
    """A shell whose database is migrated and empty."""
    shutil.copy(migrated, fresh.path)
    return fresh


# ---------------------------------------------------------------------- settings and usage


def test_a_wrong_setting_ends_any_command_with_one_line(fresh: Shell) -> None:
    assert fresh("migrate", SEATSAGA_PORT="http").refusal == (
        "seatsaga: SEATSAGA_PORT=http is not valid; expected: a port from 1 to 65535."
    )
    assert fresh("seed", SEATSAGA_LEASE_SECOND="9").refusal == (
        "seatsaga: SEATSAGA_LEASE_SECOND is not a setting; did you mean SEATSAGA_LEASE_SECONDS?"
    )
    assert not fresh.path.exists()


def test_a_wrong_secret_and_a_password_are_not_printed(fresh: Shell) -> None:
    assert "SEATSAGA_JWT_SECRET is not valid" in fresh("serve", SEATSAGA_JWT_SECRET="hunter2").refusal
    line = fresh("migrate", SEATSAGA_DATABASE_URL="mysql://me:hunter2@db/seats").refusal
    assert "mysql://me:***@db/seats" in line


def test_what_looks_like_markup_in_a_value_is_printed_as_it_is(fresh: Shell) -> None:
    assert "SEATSAGA_AUTH=[bold]x[/nothing] is" in fresh("migrate", SEATSAGA_AUTH="[bold]x[/nothing]").refusal


def test_serving_outsiders_without_authentication_is_refused_whichever_way_it_is_asked_for(fresh: Shell) -> None:
    by_option = fresh("serve", "--host", "0.0.0.0").refusal
    assert by_option == fresh("serve", SEATSAGA_HOST="0.0.0.0").refusal
    assert "SEATSAGA_AUTH=jwt" in by_option
    assert list(fresh.folder.iterdir()) == []


def test_an_unknown_command_and_none_at_all_end_with_usage(fresh: Shell) -> None:
    for ended in (fresh("fly"), fresh()):
        assert ended.code == 2
        assert "Usage" in ended.out + ended.errors
        assert "Traceback" not in ended.errors


def test_every_command_is_there_and_says_what_it_does(fresh: Shell) -> None:
    listed = [
        line.strip("│ ").split("  ")[0] for line in fresh.anew("--help").out.partition("Commands")[2].splitlines()
    ]
    assert set(_COMMANDS) == {name for name in listed if name and not name.startswith(("─", "╰"))}


@pytest.mark.parametrize("command", [["fly"], ["--version"], ["jobs", "pause", EXPIRY_JOB]], ids="-".join)
def test_a_command_whose_process_is_forked_says_what_it_says_anew(shell: Shell, command: list[str]) -> None:
    assert shell(*command) == shell.anew(*command)


def test_a_command_does_not_wait_for_what_only_others_need(shell: Shell) -> None:
    imported = shell.anew("jobs", "list", PYTHONPROFILEIMPORTTIME="1").errors
    assert " app.migrations\n" in imported
    for others in ("uvicorn", "strawberry", "websockets", "app.backups"):
        assert f" {others}\n" not in imported


# ---------------------------------------------------------------------- migrate


def test_migrate_makes_the_schema_and_says_from_where_to_where(fresh: Shell) -> None:
    assert fresh("migrate").said == f"Migrated from nothing to {head()}."
    assert asyncio.run(schema_state(fresh.url)) is SchemaState.CURRENT
    assert fresh("migrate").said == f"The schema is at {head()}."
    assert fresh.count("flights") == 0


def test_migrate_makes_the_folder_of_an_embedded_database(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    url = f"sqlite+aiosqlite:///{tmp_path / 'data' / 'seatsaga.db'}"
    assert shell("migrate", SEATSAGA_DATABASE_URL=url).said == f"Migrated from nothing to {head()}."
    assert asyncio.run(schema_state(url)) is SchemaState.CURRENT


def test_migrate_lets_a_database_of_a_newer_version_be(shell: Shell) -> None:
    asyncio.run(set_revision(shell.url, NEXT_REVISION))
    assert shell("migrate").said == f"The schema is at {NEXT_REVISION}, which is newer; this version may serve it."


def test_migrate_refuses_a_database_whose_version_has_ended_this_one(shell: Shell) -> None:
    asyncio.run(set_revision(shell.url, NEXT_REVISION))
    asyncio.run(end_release(shell.url))
    line = shell("migrate").refusal
    assert NEXT_REVISION in line
    assert line.endswith("run a newer seatsaga.")


@pytest.mark.parametrize("command", [["migrate"], ["seed"], ["jobs", "list"]])
def test_a_database_that_does_not_answer_is_named_in_one_line(fresh: Shell, command: list[str]) -> None:
    with socket.socket() as nobody:
        # Bound and not listening: whoever connects is turned away.
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql+asyncpg://me:hunter2@127.0.0.1:{nobody.getsockname()[1]}/seats"
        line = fresh(*command, SEATSAGA_DATABASE_URL=url).refusal
    assert "does not answer" in line
    assert "hunter2" not in line


# ---------------------------------------------------------------------- seed


def test_seed_fills_an_empty_database(seeded: tuple[Shell, Ended]) -> None:
    shell, ended = seeded
    assert ended.said.endswith("Added 453 flights with 73,386 seats, and 100 members.")
    assert sorted((kind, after) for _, kind, _, _, after in shell.record) == [
        ("SEED", "453 flights loaded"),
        ("SEED", "members: 100"),
    ]
    assert (shell.count("flights"), shell.count("seats"), shell.count("loyalty_accounts")) == (FLIGHTS, 73_386, 100)


def test_seed_run_again_adds_nothing(seeded: tuple[Shell, Ended]) -> None:
    shell, _ = seeded
    assert shell("seed").said.endswith("Added 0 flights with 0 seats, and 0 members.")
    assert len(shell.record) == 2
    assert (shell.count("flights"), shell.count("seats"), shell.count("loyalty_accounts")) == (FLIGHTS, 73_386, 100)


@pytest.mark.parametrize("command", [["seed"], ["import-flights", "flights.csv"]])
def test_what_needs_a_schema_is_refused_without_one(fresh: Shell, command: list[str]) -> None:
    (fresh.folder / "flights.csv").touch()
    assert fresh(*command).refusal.endswith("run: seatsaga migrate")


def test_jobs_are_refused_without_a_schema(fresh: Shell) -> None:
    assert fresh("jobs", "list").refusal.endswith("run: seatsaga migrate")


# ---------------------------------------------------------------------- import-flights


def line_of(**others: str) -> str:
    """A line of a timetable, right but for `others`."""
    departs = datetime.now(UTC) + timedelta(days=10)
    cells = {
        "number": "SG101",
        "origin": "AMS",
        "destination": "JFK",
        "departs_at": departs.isoformat(timespec="seconds"),
        "arrives_at": (departs + timedelta(hours=8)).isoformat(timespec="seconds"),
        "economy_price": "250.00",
        "business_price": "900.00",
        "first_price": "2500.00",
        "currency": "USD",
    }
    assert set(others) <= set(cells) == set(COLUMNS)
    return ",".join((cells | others)[column] for column in COLUMNS)


def timetable(shell: Shell, *lines: str) -> str:
    """The path of a file of `lines` below the columns' names."""
    path = shell.folder / "flights.csv"
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return str(path)


def test_a_good_timetable_is_loaded_whole_and_not_twice(shell: Shell) -> None:
    path = timetable(shell, line_of(), line_of(number="SG102"), line_of(number="SG103", origin="LHR"))
    assert shell("import-flights", path).said.endswith("Loaded 3 flights with 486 seats.")
    assert (shell.count("flights"), shell.count("seats")) == (3, 486)
    again = shell("import-flights", path)
    assert again.code == 1
    assert (shell.count("flights"), shell.count("seats")) == (3, 486)


# ---------------------------------------------------------------------- the record


def test_what_a_command_changes_is_on_the_record_of_the_database(shell: Shell) -> None:
    user = f"command-line:{getpass.getuser()}"
    path = timetable(shell, line_of(), line_of(number="SG102"))
    assert shell("import-flights", path, "--reason", " The summer. ").code == 0
    # Nothing was changed: nothing is recorded.
    assert shell("import-flights", path, "--reason", "Again.").code == 1
    assert shell("import-flights", path, "--reason", "two\nlines").refusal.endswith("give one line of text.")
    assert shell("backup", "one.tar").code == 0
    loaded = (user, "IMPORT_FLIGHTS", "The summer.", "not loaded", "2 flights loaded")
    assert shell.record == [loaded]

    assert shell("restore", "one.tar", "--reason", "A drill.", "--despite-findings").code == 0
    restored = (user, "RESTORE", "A drill.", "the former database", "the backup one.tar")
    assert shell.record == [loaded, restored]

    target = f"sqlite+aiosqlite:///{shell.folder / 'other.db'}"
    assert shell("copy-database", shell.url, target, "--reason", "A move.").code == 0
    copied = Shell(shell.folder, {"SEATSAGA_DATABASE_URL": target})
    with closing(sqlite3.connect(shell.folder / "other.db")) as connection:
        found = connection.execute("SELECT kind, reason, state_after FROM operator_actions ORDER BY at, id").fetchall()
    assert found == [
        ("IMPORT_FLIGHTS", "The summer.", "2 flights loaded"),
        ("RESTORE", "A drill.", "the backup one.tar"),
        ("COPY_DATABASE", "A move.", f"copied from {shell.url}"),
    ]
    # The source is only read.
    assert shell.record == [loaded, restored]
    assert copied("doctor").code == 0


# ---------------------------------------------------------------------- what is wrong with a timetable


def test_of_a_bad_timetable_every_bad_line_is_named_and_nothing_is_loaded(shell: Shell) -> None:
    path = timetable(
        shell,
        line_of(),
        line_of(number="SG102", origin="XQZ"),
        line_of(number="SG103"),
        line_of(number="SG104", economy_price="[b]0[/b]"),
    )
    ended = shell("import-flights", path)
    assert ended.code == 1
    assert "Traceback" not in ended.errors
    named = [line.removeprefix(f"{path}:").split(":")[0] for line in ended.errors.splitlines() if path in line]
    assert named == ["3", "5"]
    assert "XQZ" in ended.errors
    assert ended.errors.splitlines()[-1] == "Nothing was loaded: 2 faults."
    assert "Loaded" not in ended.out
    assert (shell.count("flights"), shell.count("seats")) == (0, 0)


def test_one_fault_is_counted_as_one(shell: Shell) -> None:
    ended = shell("import-flights", timetable(shell, line_of(currency="dollars")))
    assert ended.code == 1
    assert ended.errors.splitlines()[-1] == "Nothing was loaded: 1 fault."


def test_a_timetable_that_is_not_there_is_named(shell: Shell) -> None:
    ended = shell("import-flights", "nowhere.csv")
    assert ended.code == 2
    assert "nowhere.csv" in ended.errors
    assert "Traceback" not in ended.errors


def test_a_database_that_another_program_has_locked_is_named_in_one_line(shell: Shell) -> None:
    with closing(sqlite3.connect(shell.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = shell("import-flights", timetable(shell, line_of()))
    assert ended.code == 2
    assert ended.errors.splitlines()[-1] == "seatsaga: the database cannot be used (database is locked)."
    assert "Traceback" not in ended.errors


# ---------------------------------------------------------------------- schema


def test_schema_prints_what_is_committed(fresh: Shell) -> None:
    ended = fresh("schema")
    assert (ended.code, ended.errors) == (0, "")
    assert ended.out.strip() == SDL_FILE.read_text().strip()
    assert fresh("schema", "--check").said == "schema/schema.graphql matches the code."


# ---------------------------------------------------------------------- jobs


def rows_of(shell: Shell, *job_ids: str) -> list[str]:
    """The lines of these jobs in `seatsaga jobs list`, one space between any two words."""
    ended = shell("jobs", "list")
    assert ended.code == 0, ended
    rows = [" ".join(line.replace("│", "|").split()) for line in ended.out.splitlines()]
    return [row for job_id in job_ids for row in rows if row.startswith(f"| {job_id} |")]


def test_jobs_are_listed_without_a_server_and_as_set(shell: Shell) -> None:
    said = shell("jobs", "list", SEATSAGA_EXPIRY_INTERVAL_SECONDS="7.5").said
    assert "7.5 s" in said
    for job_id in (EXPIRY_JOB, "recover-sagas", "prune-history"):
        assert job_id in said


def test_a_job_is_paused_and_resumed(shell: Shell) -> None:
    refused = shell("jobs", "pause", EXPIRY_JOB)
    assert refused.refusal == f"seatsaga: pausing {EXPIRY_JOB} needs a reason; add: --reason TEXT"
    assert shell("jobs", "pause", EXPIRY_JOB, "--reason", "Repairs.").said == "Paused on every replica."
    paused, other = rows_of(shell, EXPIRY_JOB, "recover-sagas")
    assert f"| PAUSED by command-line:{getpass.getuser()} |" in paused
    assert "| on |" in other
    assert shell("jobs", "resume", EXPIRY_JOB).said == "Resumed."
    [resumed] = rows_of(shell, EXPIRY_JOB)
    assert "| on |" in resumed


def test_a_job_gets_another_interval_within_limits(shell: Shell) -> None:
    assert shell("jobs", "interval", EXPIRY_JOB, "5").said == "Every 5 s from now on."
    refused = shell("jobs", "interval", EXPIRY_JOB, "86401")
    assert refused.refusal == "seatsaga: the interval must be 1 to 86400 seconds."
    [row] = rows_of(shell, EXPIRY_JOB)
    assert "| 5 s |" in row


def test_a_run_is_asked_for_and_waits_for_a_server(shell: Shell) -> None:
    assert shell("jobs", "run", EXPIRY_JOB).said == "A run is requested."
    [row] = rows_of(shell, EXPIRY_JOB)
    assert "| run requested |" in row
    assert shell.count("job_runs") == 0


def test_the_runs_of_a_job_are_shown_newest_first(shell: Shell) -> None:
    async def record() -> None:
        database = Database(shell.url)
        jobs = Jobs(database, [Job(EXPIRY_JOB, "Releases.", 30)])
        for affected, error in ((11, None), (22, "on purpose"), (33, None)):
            outcome = RunOutcome.FAILED if error else RunOutcome.OK
            await jobs.record(
                EXPIRY_JOB, duration_ms=affected, outcome=outcome, affected=affected, error=error, replica="here"
            )
        await database.close()

    asyncio.run(record())
    said = shell("jobs", "runs", EXPIRY_JOB).said
    assert said.index("33 ms") < said.index("22 ms") < said.index("11 ms")
    assert "FAILED" in said
    assert "on purpose" in said
    newest = shell("jobs", "runs", EXPIRY_JOB, "--limit", "1").said
    assert "33 ms" in newest
    assert "22 ms" not in newest
    [row] = rows_of(shell, EXPIRY_JOB)
    assert row.endswith("| OK | 33 | 3 | 1 |")


@pytest.mark.parametrize("command", ["pause sweep", "runs sweep", "interval sweep 5"])
def test_a_job_that_there_is_not_is_named(shell: Shell, command: str) -> None:
    assert shell("jobs", *command.split()).refusal == (
        "seatsaga: there is no job sweep; list the jobs with: seatsaga jobs list"
    )


# ---------------------------------------------------------------------- servers


@pytest.mark.parametrize(
    "command",
    [
        ["sagas", "list"],
        ["incidents"],
        ["actions"],
        ["watch", SAGA],
        ["scenarios"],
        ["book", "--passenger", "Ada Lovelace"],
        ["pay", SAGA],
        ["confirm", SAGA],
        ["provider", "status"],
        ["provider", "pause", "--reason", "Repairs."],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_what_talks_to_a_server_says_that_none_answers(fresh: Shell, command: list[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert fresh(*command, "--url", url).refusal == (
            f"seatsaga: No server answers at {url} (All connection attempts failed). Start one with: seatsaga serve"
        )


async def _steer_provider(shell: Shell, *address: str) -> None:
    """Pause and resume the payment provider; refused without a reason."""
    stands = await asyncio.to_thread(shell, "provider", "status", *address)
    assert stands.said.startswith("sandbox is CLOSED since ")
    assert "0 calls in flight, 0 waiting; any number of requests a second may be sent." in stands.said
    refused = await asyncio.to_thread(shell, "provider", "pause", "--reason", " ", *address)
    assert refused.refusal == "seatsaga: The reason must not be blank; give one of 1 to 500 characters."
    paused = await asyncio.to_thread(shell, "provider", "pause", "--reason", "[/x] Repairs.", *address)
    assert paused.said.startswith("sandbox is PAUSED since ")
    assert "[/x] Repairs." in paused.said
    resumed = await asyncio.to_thread(shell, "provider", "resume", "--reason", "Done.", *address)
    assert resumed.said.startswith("sandbox is HALF_OPEN since ")


async def test_serve_fills_its_database_shuts_others_out_and_ends_cleanly(fresh: Shell, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    output = tmp_path / "output"
    with output.open("wb") as file:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "serve", "--port", port,
            cwd=fresh.folder, env=fresh.environment, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        await eventually(lambda: "operator token: " in output.read_text(), SECONDS_MAX)
        assert f"serves on http://127.0.0.1:{port}/graphql" in output.read_text()
        token = (fresh.folder / "admin-token").read_text().strip()
        await eventually(lambda: f"operator token: {token}" in output.read_text(), SECONDS_MAX)
        assert token not in "".join(path.read_text() for path in (fresh.folder / "logs").iterdir())

        listed = await asyncio.to_thread(fresh, "sagas", "list", "--url", f"http://127.0.0.1:{port}")
        assert "correlation ID" in listed.said
        await asyncio.to_thread(fresh, "jobs", "pause", "prune-history", "--reason", "[/x] Repairs.")
        await asyncio.to_thread(fresh, "jobs", "resume", "prune-history")
        address = ("--url", f"http://127.0.0.1:{port}")
        exported = await asyncio.to_thread(fresh, "actions", "--json", *address)
        entries = [json.loads(line) for line in exported.out.splitlines()]
        by = {"role": "OPERATOR", "subject": f"command-line:{getpass.getuser()}"}
        assert [(entry["kind"], entry["by"], entry["job"], entry["reason"]) for entry in entries] == [
            ("JOB_RESUME", by, "prune-history", None),
            ("JOB_PAUSE", by, "prune-history", "[/x] Repairs."),
        ]
        paused = await asyncio.to_thread(fresh, "actions", "--kind", "JOB_PAUSE", "--limit", "1", *address)
        assert "[/x] Repairs." in paused.said
        assert "JOB_RESUME" not in paused.said
        await _steer_provider(fresh, *address)
        second = await asyncio.to_thread(fresh, "serve", "--port", port)
        assert second.code == 2
        assert f"{fresh.path} is served by another process" in second.errors.splitlines()[-1]
        assert "Traceback" not in second.errors

        server.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.wait(), SECONDS_MAX) == 0
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert "Traceback" not in output.read_text()
    assert await asyncio.to_thread(fresh.count, "flights") == FLIGHTS
