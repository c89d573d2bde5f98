"""The database is away, read-only, locked or full: callers are told when to come back, operators why, and it mends."""

from __future__ import annotations

import sqlite3
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from seatsaga_client import UnavailableError
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url

from app.http.negotiation import GRAPHQL_JSON, JSON
from tests.app.airline import Airline, airline
from tests.app.schemas import on
from tests.conftest import administer
from tests.support.required import require
from tests.support.waiting import eventually

NOTICED_SECONDS_MAX: Final = 1.0
TMPFS_BYTES: Final = 16 * 1_048_576
BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
FLIGHTS: Final = "{ flights(first: 1) { edges { node { id } } } }"
Break = Callable[[Airline, str, URL], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def read_only_file(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    ((_, writer),) = served.backend.database._driven_writes._idle
    await writer.run("PRAGMA query_only = ON", ())
    yield
    await writer.run("PRAGMA query_only = OFF", ())


@asynccontextmanager
async def locked_file(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    """By another process, for longer than a write waits."""
    with closing(sqlite3.connect(str(make_url(database_url).database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@asynccontextmanager
async def full_disk(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    filler = Path(str(make_url(database_url).database)).with_name("filler")
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    yield
    filler.unlink()


@asynccontextmanager
async def server_away(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    name = make_url(database_url).database
    await administer(maintenance, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    await administer(maintenance, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    yield
    await administer(maintenance, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


@asynccontextmanager
async def read_only_server(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    """As a standby is, to whoever is connected to it."""
    name = make_url(database_url).database
    terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await administer(maintenance, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await administer(maintenance, terminate)
    yield
    await administer(maintenance, f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await administer(maintenance, terminate)


@asynccontextmanager
async def full_server(served: Airline, database_url: str, maintenance: URL) -> AsyncIterator[None]:
    """As it answers where its disk is full."""
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    )
    tables = ("sagas", "replicas", "job_controls", "job_runs")
    await on(database_url, lambda connection: connection.execute(text(refuse)))
    for table in tables:
        trigger = text(f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION refuse()")
        await on(database_url, partial(Connection.execute, statement=trigger))
    yield
    await on(database_url, lambda connection: connection.execute(text("DROP FUNCTION refuse CASCADE")))


WAYS: Final[list[tuple[str, Break, str]]] = [
    ("sqlite", read_only_file, "read-only"),
    ("sqlite", locked_file, "another process has locked it"),
    ("sqlite", full_disk, "its disk is full"),
    ("postgresql", server_away, ""),
    ("postgresql", read_only_server, "read-only, or a standby"),
    ("postgresql", full_server, "its disk is full"),
]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    require("SMALL_DISK", None if mounted.returncode == 0 else f"no file system can be mounted: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def place(breaking: Break, database_url: str, tmp_path: Path) -> Iterator[str]:
    """The database's URL; where its disk is to be full, on one that is small."""
    if breaking is not full_disk:
        yield database_url
        return
    with small_disk(tmp_path / "small") as small:
        file = Path(str(make_url(database_url).database))
        (small / file.name).write_bytes(file.read_bytes())
        yield f"sqlite+aiosqlite:///{small / file.name}"


async def told(served: Airline, *, operator: bool = True) -> dict[str, str]:
    client = served.http if operator else served.nobody
    checks: dict[str, str] = (await client.get("/readyz")).json()["checks"]
    return checks


@pytest.mark.parametrize(("backend", "breaking", "cause"), WAYS, indirect=["backend"])
async def test_who_writes_is_told_when_to_come_back_and_operators_why(
    place: str, breaking: Break, cause: str, postgres_url: URL, tmp_path: Path
) -> None:
    async with airline(place, tmp_path, lease_seconds=4) as served:
        (flight,) = (await served.api.query(FLIGHTS))["flights"]["edges"]
        started = str(uuid.uuid4())
        booking = {
            "correlationId": started,
            "segments": [{"flightId": flight["node"]["id"]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        }
        waiting = await served.book({"delayMs": 500})
        async with breaking(served, place, postgres_url):
            for media_type in (GRAPHQL_JSON, JSON):
                answer = await served.http.post(
                    "/graphql",
                    json={"query": BOOK, "variables": {"input": booking}},
                    headers={"accept": media_type},
                    timeout=40,
                )
                assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), answer.text
                assert answer.headers["content-type"].startswith(media_type)
                body = answer.json()
                assert "data" not in body
                (error,) = body["errors"]
                assert error["extensions"] == {"code": "UNAVAILABLE", "retryAfterSeconds": 2}
            with pytest.raises(UnavailableError):
                await served.api.query(BOOK, input=booking)
            failed_at = time.monotonic()

            async def says() -> str:
                trouble = (await told(served))["database"]
                return trouble if trouble != "ok" else ""

            said = await eventually(says)
            assert time.monotonic() - failed_at < NOTICED_SECONDS_MAX * 3
            assert cause in said
            assert (await told(served, operator=False))["database"] == "failed"
            refused = await served.http.post("/admin/scheduler/jobs/prune-history/pause", timeout=40)
            assert (refused.status_code, refused.headers.get("retry-after")) == (503, "2"), refused.text
            assert (await served.nobody.get("/healthz")).status_code == 200

        async def is_ready() -> bool:
            return (await served.http.get("/readyz")).status_code == 200

        await eventually(is_ready, 30)
        again = await served.api.query(BOOK, input=booking)
        assert again["bookFlight"]["errors"] == []
        for correlation_id in (waiting, started):
            assert (await served.ended(correlation_id))["status"] == "COMPLETED"
    lines = (tmp_path / "logs" / "saga_orchestrator.log").read_text().splitlines()
    # The driver says in its own way that its pool is not full.
    assert [line for line in lines if "Traceback" in line and "logger=asyncpg" not in line] == []
