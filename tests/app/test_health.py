"""/readyz proves that the replica can do its work: each thing is broken for real, named, and mended."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from seatsaga_client import ApiError
from sqlalchemy import Connection, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from app.migrations import head
from domain.saga.tables import sagas
from domain.storage import Database
from tests.app.airline import Airline, Exposition, airline
from tests.app.schemas import NEXT_REVISION, VERSION_TABLE, by_the_next_version, end_release, on, set_revision
from tests.app.test_scheduler import Sweep, scheduling
from tests.conftest import administer
from tests.support.databases import connected
from tests.support.waiting import eventually

#: As short as it may be: what has stood still for so long is no longer ready.
LEASE_SECONDS = 2


@asynccontextmanager
async def in_service(database_url: str, folder: Path) -> AsyncIterator[Airline]:
    """An airline that is ready."""
    async with airline(database_url, folder, lease_seconds=LEASE_SECONDS) as served:
        assert await readiness(served) == {}
        yield served


async def readiness(served: Airline) -> dict[str, str]:
    """What /readyz names as wrong, once its status says the same and /metrics agrees."""
    response = await served.http.get("/readyz")
    body = response.json()
    wrong = {check: trouble for check, trouble in body["checks"].items() if trouble != "ok"}
    assert list(body["checks"]) == ["database", "schema", "runner", "scheduler"]
    assert (response.status_code, body["status"]) == ((503, "unready") if wrong else (200, "ready"))
    return wrong


async def comes_to(served: Airline, check: str) -> str:
    """What is wrong with `check`, once something is."""

    async def wrong() -> str:
        return (await readiness(served)).get(check, "")

    return await eventually(wrong)


async def recovers(served: Airline) -> None:
    """Ready again, without a restart."""

    async def ready() -> bool:
        return await readiness(served) == {}

    await eventually(ready, 20)


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncIterator[None]:
    """Somebody else has locked all writing: on PostgreSQL one table against everything, on SQLite the file."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    async with connected(url) as connection:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield


async def test_alive_and_ready_while_all_is_well(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        alive = await served.nobody.get("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        assert alive.headers["cache-control"] == "no-store"
        await served.ended(await served.book())
        # Time enough for an idle runner to count as standing still, if it did not show that it lives.
        await asyncio.sleep(LEASE_SECONDS * 1.5)
        await recovers(served)


async def test_a_runner_that_has_stopped_is_named(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        await served.backend.engine.runner.stop()
        assert await readiness(served) == {"runner": "the saga runner has stopped"}
        # Nobody restarts a process that answers; it only gets no requests.
        assert (await served.nobody.get("/healthz")).status_code == 200
        assert (await served.scrape()).by("seatsaga_check_ok", "check") == {
            (check,): 1 for check in ("database", "schema", "scheduler")
        }


async def test_a_parked_saga_is_warned_of_and_leaves_the_replica_in_service(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        saga = await served.book(simulate={"delayMs": 5000})

        async def damage(connection: AsyncConnection) -> None:
            await connection.execute(update(sagas).values(context="{oops"))

        await served.backend.database.write(damage)

        async def warned() -> bool:
            answer = await served.http.get("/readyz")
            assert answer.status_code == 200
            assert "1 saga is parked" in str(answer.json().get("warnings", {}).get("parked"))
            return True

        await eventually(warned, 20)
        assert (await served.scrape()).by("seatsaga_sagas_live", "status")["PARKED",] == 1
        await served.ended(await served.book())
        assert saga is not None


async def test_a_scheduler_that_has_stopped_is_named(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        await served.backend.scheduler.stop()
        assert await readiness(served) == {"scheduler": "the scheduler has stopped"}


async def test_a_runner_that_cannot_keep_its_lease_is_named_though_its_loops_are_alive(
    database_url: str, tmp_path: Path
) -> None:
    async with in_service(database_url, tmp_path) as served:
        async with locked(database_url, "replicas"):
            trouble = await comes_to(served, "runner")
            # Not its turns, of which none is due.
            assert re.match(r"the saga runner's (poll|lease) has not succeeded for \d+ s$", trouble), trouble
        await recovers(served)
        await served.ended(await served.book())


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_runner_whose_turns_come_to_nothing_is_named(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        waiting = await served.book({"delayMs": 1_000})
        async with locked(database_url, "payments"):
            trouble = await comes_to(served, "runner")
            # Whichever of the two turns has taken the saga up.
            assert re.match(r"the saga runner's turn( beside)? has not succeeded for \d+ s$", trouble), trouble
        await recovers(served)
        assert (await served.ended(waiting))["status"] in ("COMPLETED", "COMPENSATED")


async def test_a_scheduler_that_cannot_read_what_operators_want_is_named(database: Database) -> None:
    async with scheduling(database, Sweep()) as (scheduler, _):
        assert scheduler.standstill is None
        await on(database.url.render_as_string(hide_password=False), rename("job_controls", "elsewhere"))
        assert "could not read the jobs' controls" in await eventually(lambda: scheduler.standstill or "")
        await on(database.url.render_as_string(hide_password=False), rename("elsewhere", "job_controls"))
        await eventually(lambda: scheduler.standstill is None)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_names_and_reasons_are_told_to_operators_alone(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        paused = await served.http.post(
            "/admin/scheduler/jobs/release-expired-reservations/pause", json={"reason": "For the audit."}
        )
        assert paused.status_code == 200
        await served.backend.engine.runner.stop()
        wrong = {"authorization": "Bearer not the operators' token"}
        for asking in (served.nobody.get("/readyz"), served.nobody.get("/readyz", headers=wrong)):
            answer = await asking
            assert answer.status_code == 503
            assert answer.json() == {
                "status": "unready",
                "checks": {"database": "ok", "schema": "ok", "runner": "failed", "scheduler": "ok"},
                "warnings": {"expiry": "send an operator's token to see the details"},
            }
        told = (await served.http.get("/readyz")).json()
        assert "is paused by admin-token:" in told["warnings"]["expiry"]
        assert told["checks"]["runner"] == "the saga runner has stopped"


# ---------------------------------------------------------------------- the database


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_file_that_was_moved_away_is_named_though_it_is_open(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        move_away(make_url(database_url))
        assert "moved, removed or replaced" in str(await comes_to(served, "database"))
        # What would be lost with the process is not begun: no card is charged that no file tells of.
        with pytest.raises(ApiError, match="cannot be used just now"):
            await served.book()
        # Nor is another one that comes in its place the same.
        put_another(make_url(database_url))
        assert "moved, removed or replaced" in str(await comes_to(served, "database"))
        with pytest.raises(ApiError, match="cannot be used just now"):
            await served.book()


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_database_that_does_not_answer_is_named_and_what_waited_goes_on_when_it_does(
    database_url: str, postgres_url: URL, tmp_path: Path
) -> None:
    name = make_url(database_url).database
    async with in_service(database_url, tmp_path) as served:
        waiting = await served.book({"delayMs": 1_000})
        await administer(postgres_url, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await administer(
            postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        assert (await comes_to(served, "database")) in ("it accepts no connections", "it does not answer")

        async def told() -> Exposition:
            found = await served.scrape()
            assert found("seatsaga_check_ok", check="database") == 0
            # What cannot be known is left out; what was counted here is still told.
            assert found("seatsaga_holds_live") is None
            return found

        found = await eventually(told)
        assert found("seatsaga_sagas_started_total", definition="BOOK_AND_EARN") == 1
        assert (await served.nobody.get("/healthz")).status_code == 200
        await administer(postgres_url, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await recovers(served)
        assert (await served.ended(waiting))["status"] == "COMPLETED"


# ---------------------------------------------------------------------- the schema


async def test_a_database_without_a_revision_is_named(database_url: str, tmp_path: Path) -> None:
    async with in_service(database_url, tmp_path) as served:
        await on(database_url, lambda connection: connection.execute(text(f"DELETE FROM {VERSION_TABLE}")))
        assert await readiness(served) == {"schema": f"the schema is at revision none, and this version needs {head()}"}


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_schema_that_was_taken_back_under_a_running_server_is_named(database_url: str, tmp_path: Path) -> None:
    code, said, errors = await by_the_next_version(tmp_path, taken_back(database_url, tmp_path))
    assert code == 0, errors
    assert said == f"the schema is at revision {head()}, and this version needs {NEXT_REVISION}"


async def test_a_replica_of_the_version_before_serves_on_until_its_release_is_ended(
    database_url: str, tmp_path: Path
) -> None:
    async with in_service(database_url, tmp_path) as served:
        await set_revision(database_url, NEXT_REVISION)
        assert await readiness(served) == {}
        assert "schema" not in (await served.http.get("/readyz")).json().get("warnings", {})
        await served.ended(await served.book())
        await end_release(database_url)
        assert await readiness(served) == {
            "schema": f"the schema is at revision {NEXT_REVISION}, which this version, at {head()}, may not serve:"
            " replace it by a newer one"
        }


def move_away(url: URL) -> None:
    path = Path(str(url.database))
    path.rename(path.with_name("elsewhere.db"))


def put_another(url: URL) -> None:
    Path(str(url.database)).touch()


def taken_back(database_url: str, folder: Path) -> str:
    """A program that starts a backend, takes the schema's revision back, and prints what readiness says of it."""
    given = {"database_url": database_url, "log_dir": str(folder / "logs"), "admin_token": "a token of sixteen"}
    return f"""
import asyncio
from app.bootstrap import Backend
from app.settings import load_settings
from tests.app.schemas import set_revision
async def start_and_take_back():
    backend = Backend(load_settings({{}}, **{given!r}))
    async with backend.running():
        assert (await backend.readiness.examine()).is_ready
        await set_revision({database_url!r}, {head()!r})
        print((await backend.readiness.examine()).checks["schema"])
asyncio.run(start_and_take_back())
"""


def rename(table: str, name: str) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))
