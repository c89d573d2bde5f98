"""A backend is in service only where everything is as its settings want it; else no saga moves."""

from __future__ import annotations

import asyncio
import io
import shutil
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.bootstrap import Backend
from app.migrations import SchemaState, head, revision_of, schema_state, upgrade
from app.private_files import kept_token
from app.settings import Settings, load_settings
from domain.errors import ConfigurationError, SchemaError, SeatsagaError
from domain.jobs import RunOutcome
from domain.saga import list_replicas
from domain.storage import Database, FileLock
from tests.app.schemas import (
    NEXT_REVISION,
    by_the_next_version,
    empty_postgres,
    end_release,
    on,
    set_revision,
    tables_of,
)
from tests.support.asking import AN_OPERATOR, operator

TOKEN: Final = "an operator's token"
FLIGHTS: Final = 453
SEATS: Final = 73_386
MEMBERS: Final = 100
#: Where tokens guard the database.
JWT: Final = {"auth": "jwt", "jwt_secret": SecretStr("a secret of thirty-two characters or more")}


def settings_for(url: str, folder: Path, **others: Any) -> Settings:
    """Settings of the database at `url` that keep every file in `folder`."""
    return load_settings({}, **{"database_url": url, "log_dir": folder / "logs", "admin_token": TOKEN} | others)


@asynccontextmanager
async def in_service(settings: Settings, *, console: io.StringIO | None = None) -> AsyncIterator[Backend]:
    backend = Backend(settings, console=console or io.StringIO())
    async with backend.running():
        yield backend


async def refusal(settings: Settings) -> SeatsagaError:
    """Why a backend with `settings` does not start."""
    with pytest.raises((ConfigurationError, SchemaError)) as caught:
        async with in_service(settings):
            pass
    assert "\n" not in str(caught.value)
    return caught.value


async def trouble_of(backend: Backend) -> dict[str, str]:
    """What each check of readiness says that does not pass."""
    report = await backend.readiness.examine()
    return {check: trouble for check, trouble in report.checks.items() if trouble is not None}


async def count(database: Database, table: str) -> int:
    async with database.reading() as connection:
        number: int = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
        return number


async def contents(database: Database) -> tuple[int, int, int]:
    """How many flights, seats and members there are."""
    return (
        await count(database, "flights"),
        await count(database, "seats"),
        await count(database, "loyalty_accounts"),
    )


async def replicas_of(database: Database) -> set[str]:
    async with database.reading() as connection:
        now = await database.clock.now(connection)
        return {replica.id for replica in await list_replicas(connection, now)}


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was not there before a backend was in service in it, once; only to be looked at and copied."""
    folder = tmp_path_factory.mktemp("first") / "not" / "there"

    async def start_and_stop() -> None:
        settings = settings_for(f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}", folder)
        async with in_service(settings.model_copy(update={"admin_token": None})):
            pass

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, start_and_stop()).result()
    return folder


@pytest.fixture
def folder(first_start: Path, tmp_path: Path) -> Path:
    """A copy of the folder of a backend that was in service once."""
    return Path(shutil.copytree(first_start, tmp_path / "installation"))


@pytest.fixture
def embedded(folder: Path) -> Settings:
    """Settings of a SQLite database that was in service once."""
    return settings_for(f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}", folder)


# ---------------------------------------------------------------------- an embedded database


async def test_an_embedded_database_is_made_migrated_and_filled(first_start: Path) -> None:
    url = f"sqlite+aiosqlite:///{first_start / 'seatsaga.db'}"
    assert await schema_state(url) is SchemaState.CURRENT
    database = Database(url)
    assert await contents(database) == (FLIGHTS, SEATS, MEMBERS)
    await database.close()
    assert (first_start / "seatsaga.sandbox.db").exists(), "the sandbox's books are its own"


async def test_a_start_after_the_first_adds_nothing(embedded: Settings) -> None:
    async with in_service(embedded) as backend:
        assert await contents(backend.database) == (FLIGHTS, SEATS, MEMBERS)


async def test_flights_of_the_owner_are_not_mixed_with_the_demo_timetable(embedded: Settings) -> None:
    await on(
        embedded.database_url, lambda connection: connection.execute(text("DELETE FROM seats WHERE flight_id > 1"))
    )
    await on(embedded.database_url, lambda connection: connection.execute(text("DELETE FROM flights WHERE id > 1")))
    await on(embedded.database_url, lambda connection: connection.execute(text("UPDATE flights SET number = 'XY7'")))
    async with in_service(embedded) as backend:
        assert await count(backend.database, "flights") == 1


async def test_a_database_that_tokens_guard_gets_no_demo_data(tmp_path: Path) -> None:
    console = io.StringIO()
    guarded = settings_for(f"sqlite+aiosqlite:///{tmp_path / 'seatsaga.db'}", tmp_path, **JWT)
    async with in_service(guarded, console=console) as backend:
        assert await contents(backend.database) == (0, 0, 0)
    assert (
        "There are no flights; add some with: seatsaga import-flights FILE.csv, or seatsaga seed" in console.getvalue()
    )


async def test_a_failed_run_of_a_job_is_warned_of_until_one_succeeds(embedded: Settings) -> None:
    async with in_service(embedded) as backend:
        job, replica = "release-expired-reservations", backend.engine.replica.id
        await backend.jobs.record(
            job, duration_ms=1, outcome=RunOutcome.FAILED, affected=7, error="Passed over 1.", replica=replica
        )
        report = await backend.readiness.examine()
        assert report.is_ready
        assert report.warnings["jobs"] == f"the last run failed of {job}: /admin/scheduler says why"
        await backend.jobs.record(job, duration_ms=1, outcome=RunOutcome.OK, affected=0, error=None, replica=replica)
        assert (await backend.readiness.examine()).warnings["jobs"] is None


async def test_a_second_backend_on_the_same_file_is_refused_and_the_first_serves_on(
    embedded: Settings, folder: Path
) -> None:
    async with in_service(embedded) as first:
        before = await replicas_of(first.database)
        fault = await refusal(embedded)
        assert isinstance(fault, ConfigurationError)
        assert str(fault).startswith(f"{folder / 'seatsaga.db'} is served by another process")
        assert "SEATSAGA_DATABASE_URL" in str(fault)
        assert await trouble_of(first) == {}
        assert first.engine.runner.standstill is None
        assert first.engine.replica.id in before
        assert await replicas_of(first.database) == before


async def test_a_new_backend_goes_on_where_the_one_before_was_left(embedded: Settings) -> None:
    replicas: list[str] = []
    for _ in range(3):
        async with in_service(embedded) as backend:
            replicas.append(backend.engine.replica.id)
            assert await trouble_of(backend) == {}
    assert len(set(replicas)) == 3


async def test_a_backend_that_is_not_in_service_says_so(embedded: Settings) -> None:
    async with in_service(embedded) as backend:
        assert await trouble_of(backend) == {}
    # Its database is closed, and not to be opened again by asking.
    assert backend.engine.runner.standstill == "the saga runner has stopped"
    assert backend.scheduler.standstill == "the scheduler has stopped"


async def test_a_fault_while_in_service_gives_the_file_up_as_well(embedded: Settings, folder: Path) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        async with in_service(embedded):
            raise RuntimeError("on purpose")
    lock = FileLock(folder / "seatsaga.db")
    assert lock.acquire()
    lock.release()


async def test_an_embedded_database_whose_version_has_ended_this_one_is_refused_and_let_be(
    embedded: Settings, folder: Path
) -> None:
    await set_revision(embedded.database_url, NEXT_REVISION)
    await end_release(embedded.database_url)
    fault = await refusal(embedded)
    assert isinstance(fault, SchemaError)
    assert NEXT_REVISION in str(fault)
    assert "run a newer seatsaga" in str(fault)
    assert await revision_of(embedded.database_url) == NEXT_REVISION
    lock = FileLock(folder / "seatsaga.db")
    assert lock.acquire(), "the newer one may start at once"
    lock.release()


async def test_an_embedded_database_of_an_older_version_is_migrated(embedded: Settings, tmp_path: Path) -> None:
    code, _, errors = await by_the_next_version(tmp_path, start_of(embedded))
    assert code == 0, errors
    assert await revision_of(embedded.database_url) == NEXT_REVISION
    assert "one_more" in await tables_of(embedded.database_url)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes and no database at all\n" * 200)
    fault = await refusal(settings_for(f"sqlite+aiosqlite:///{path}", tmp_path))
    assert str(fault).startswith(f"sqlite+aiosqlite:///{path}: the database does not answer")
    assert path.read_text().startswith("these are notes")


async def test_a_pause_of_the_expiry_is_warned_of(embedded: Settings) -> None:
    async with in_service(embedded) as backend:
        assert (await backend.readiness.examine()).warnings["expiry"] is None
        await backend.jobs.pause("release-expired-reservations", operator("ann", "Repairs."))
        report = await backend.readiness.examine()
        assert report.is_ready
        warning = report.warnings["expiry"]
        assert warning == "release-expired-reservations is paused by ann: lapsed holds keep their seats"
        await backend.jobs.resume("release-expired-reservations", AN_OPERATOR)
        assert (await backend.readiness.examine()).warnings["expiry"] is None


# ---------------------------------------------------------------------- PostgreSQL


async def test_an_empty_postgresql_is_refused_with_the_command_and_let_be(postgres_url: URL, tmp_path: Path) -> None:
    async with empty_postgres(postgres_url) as url:
        fault = await refusal(settings_for(url, tmp_path))
        assert isinstance(fault, SchemaError)
        assert str(fault).endswith("run: seatsaga migrate")
        assert await tables_of(url) == set()


async def test_a_postgresql_of_an_older_version_is_refused_with_the_command_and_let_be(
    postgres_url: URL, tmp_path: Path
) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url)
        code, _, errors = await by_the_next_version(tmp_path, start_of(settings_for(url, tmp_path)))
        assert code == 1
        last = errors.splitlines()[-1]
        assert last.startswith("domain.errors.SchemaError: ")
        assert last.endswith("run: seatsaga migrate")
        assert await revision_of(url) == head()


async def test_a_postgresql_of_a_newer_version_that_has_ended_this_one_is_refused(
    postgres_url: URL, tmp_path: Path
) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url)
        await set_revision(url, NEXT_REVISION)
        await end_release(url)
        fault = await refusal(settings_for(url, tmp_path))
        assert isinstance(fault, SchemaError)
        assert NEXT_REVISION in str(fault)
        assert "run a newer seatsaga" in str(fault)


async def test_backends_share_a_migrated_postgresql_which_is_not_filled_unasked(
    postgres_url: URL, tmp_path: Path
) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url)
        async with in_service(settings_for(url, tmp_path / "one")) as one:
            async with in_service(settings_for(url, tmp_path / "two")) as two:
                assert await replicas_of(one.database) == {one.engine.replica.id, two.engine.replica.id}
            assert one.engine.runner.standstill is None
            assert await contents(one.database) == (0, 0, 0)


async def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        # Bound and not listening: whoever connects is turned away.
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        fault = await refusal(settings_for(f"postgresql+asyncpg://me:hunter2@127.0.0.1:{port}/seats", tmp_path))
    assert isinstance(fault, ConfigurationError)
    assert str(fault).startswith(f"SEATSAGA_DATABASE_URL=postgresql+asyncpg://me:***@127.0.0.1:{port}/seats: ")
    assert "does not answer" in str(fault)
    assert "hunter2" not in str(fault)


# ---------------------------------------------------------------------- operators


async def test_the_operators_token_is_as_set_else_as_kept_else_there_is_none(embedded: Settings, folder: Path) -> None:
    unset = embedded.model_copy(update={"admin_token": None})
    kept = kept_token(folder)
    assert kept is not None, "made at the first start"
    async with in_service(embedded) as backend:
        assert backend.admin_token == TOKEN
    async with in_service(unset) as backend:
        assert backend.admin_token == kept
    async with in_service(unset.model_copy(update=JWT)) as backend:
        assert backend.admin_token is None
    assert kept_token(folder) == kept


def start_of(settings: Settings) -> str:
    """A program that starts a backend and stops it."""
    given = {"database_url": settings.database_url, "log_dir": str(settings.log_dir), "admin_token": TOKEN}
    return f"""
import asyncio
from app.bootstrap import Backend
from app.settings import load_settings
async def start_and_stop():
    async with Backend(load_settings({{}}, **{given!r})).running():
        pass
asyncio.run(start_and_stop())
"""
