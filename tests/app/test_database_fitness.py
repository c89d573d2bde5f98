"""A start on a PostgreSQL that will not do is refused, with what to do; what may lose data is said loudly."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url
from typer.testing import CliRunner

from app.bootstrap import Backend
from app.cli import cli
from app.database_fitness import ServerFacts, refuse_unfit
from app.migrations import upgrade
from app.settings import Settings
from cluster.pgbouncer import PgBouncer
from cluster.postgres import PostgresServer, multi_host_url
from domain.errors import ConfigurationError
from tests.app.test_bootstrap import refusal, settings_for
from tests.conftest import administer
from tests.support.children import environment, seatsaga
from tests.support.waiting import eventually

#: Of the servers here, 3 of which are reserved.
CONNECTIONS_MAX = 200
FIT = ServerFacts(18, False, False, 97, False, False, False)
#: What a session of ours begins with.
OURS = (
    "application_name,jit,idle_in_transaction_session_timeout,"
    "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count"
)
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


@pytest.fixture
def backend() -> str:
    """SQLite has no server to ask."""
    return "postgresql"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server as in production, whose settings are these tests' own."""
    with PostgresServer(durable=True) as server:
        server.execute("CREATE DATABASE seatsaga")
        yield server


@pytest.fixture
async def url(server: PostgresServer) -> AsyncIterator[str]:
    """A migrated database of that server; what a test has set there is gone after it."""
    url = server.database_url("seatsaga")
    await upgrade(url)
    yield url
    server.execute("ALTER DATABASE seatsaga RESET ALL")
    server.execute("ALTER SYSTEM RESET ALL")
    server.execute("SELECT pg_reload_conf()")


def through(pooler: PgBouncer, database_url: str) -> str:
    return pooler.url(str(make_url(database_url).database))


async def refused(settings: Settings) -> str:
    error = await refusal(settings)
    assert isinstance(error, ConfigurationError)
    return str(error)


async def warned(backend: Backend) -> dict[str, str]:
    """What /readyz would say of the server now."""
    warnings = (await backend.readiness.examine()).warnings
    return {name: said for name in ("durability", "connections") if (said := warnings[name])}


# ---------------------------------------------------------------------- what is warned of


async def test_of_a_server_that_loses_nothing_nothing_is_said(url: str, tmp_path: Path) -> None:
    said = io.StringIO()
    backend = Backend(settings_for(url, tmp_path), console=said)
    async with backend.running():
        assert await warned(backend) == {}
    assert "The database:" not in said.getvalue()


@pytest.mark.parametrize("setting", _DURABILITY)
async def test_a_setting_that_may_lose_what_was_answered_is_said_for_as_long_as_it_is_so(
    server: PostgresServer, url: str, tmp_path: Path, setting: str
) -> None:
    server.execute(f"ALTER SYSTEM SET {setting} = off")
    server.execute("SELECT pg_reload_conf()")
    await eventually(lambda: server.execute(f"SHOW {setting}") == "off")
    said = io.StringIO()
    backend = Backend(settings_for(url, tmp_path), console=said)
    expected = f"{setting} off: a crash of the server may lose what was answered"
    async with backend.running():
        assert await warned(backend) == {"durability": expected}
        server.execute(f"ALTER SYSTEM RESET {setting}")
        server.execute("SELECT pg_reload_conf()")

        async def is_well() -> bool:
            return await warned(backend) == {}

        await eventually(is_well)
    assert f"The database: {expected}." in said.getvalue()


async def test_all_that_is_off_is_said_in_one_sentence(server: PostgresServer, url: str, tmp_path: Path) -> None:
    for setting in _DURABILITY:
        server.execute(f"ALTER SYSTEM SET {setting} = off")
    server.execute("SELECT pg_reload_conf()")
    await eventually(lambda: server.execute("SHOW synchronous_commit") == "off")
    backend = Backend(settings_for(url, tmp_path), console=io.StringIO())
    async with backend.running():
        found = await warned(backend)
    assert found["durability"].startswith("fsync and full_page_writes and synchronous_commit off: ")


async def test_a_server_without_room_for_another_replica_is_said(url: str, tmp_path: Path) -> None:
    backend = Backend(settings_for(url, tmp_path, database_connections_max=100), console=io.StringIO())
    async with backend.running():
        assert await warned(backend) == {
            "connections": "the server has 94 connections for other replicas, and one may need 103"
        }


# ---------------------------------------------------------------------- what is refused


def test_a_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    settings = settings_for("postgresql+asyncpg://db.example/seatsaga", tmp_path)
    refuse_unfit(replace(FIT, version=15), settings)
    with pytest.raises(ConfigurationError) as caught:
        refuse_unfit(replace(FIT, version=14), settings)
    assert str(caught.value) == "SEATSAGA_DATABASE_URL leads to PostgreSQL 14; it must be 15 or newer."


@pytest.mark.parametrize(
    ("settings", "needed", "remedy"),
    [
        ({"database_connections_max": 200}, 203, "set SEATSAGA_DATABASE_CONNECTIONS_MAX to less than 200, or raise"),
        ({"database_connections_max": 197}, 200, "set SEATSAGA_DATABASE_CONNECTIONS_MAX to less than 197, or raise"),
        ({"database_connections_max": 197, "database_hints": "off"}, 199, "set SEATSAGA_DATABASE_CONNECTIONS_MAX"),
    ],
)
async def test_a_server_with_fewer_connections_than_one_replica_needs_is_refused(
    url: str, tmp_path: Path, settings: dict[str, Any], needed: int, remedy: str
) -> None:
    said = await refused(settings_for(url, tmp_path, **settings))
    assert said.startswith(
        f"the server of SEATSAGA_DATABASE_URL allows 197 connections, and this replica may need {needed}: {remedy}"
    )


@pytest.mark.parametrize("whose", ["DATABASE seatsaga", "ROLE postgres"])
async def test_the_limits_of_the_database_and_of_the_user_count_as_well(
    server: PostgresServer, url: str, tmp_path: Path, whose: str
) -> None:
    server.execute(f"ALTER {whose} CONNECTION LIMIT 18")
    try:
        assert "allows 18 connections, and this replica may need 19" in await refused(settings_for(url, tmp_path))
    finally:
        server.execute(f"ALTER {whose} CONNECTION LIMIT -1")


async def test_a_standby_is_refused(server: PostgresServer, url: str, tmp_path: Path) -> None:
    with PostgresServer(standby_of=server) as standby:
        said = await refused(settings_for(standby.database_url("seatsaga"), tmp_path))
        assert said == (
            "SEATSAGA_DATABASE_URL leads to a standby, which takes no writes; name the primary, or all hosts: "
            "HOST:PORT,HOST:PORT."
        )
        several = multi_host_url("seatsaga", standby, standby)
        said = await refused(settings_for(several, tmp_path))
        assert said == "SEATSAGA_DATABASE_URL: none of its hosts takes writes."
        both = Backend(settings_for(multi_host_url("seatsaga", standby, server), tmp_path), console=io.StringIO())
        async with both.running():
            assert (await both.readiness.examine()).is_ready


async def test_a_database_that_takes_no_writes_is_refused(server: PostgresServer, url: str, tmp_path: Path) -> None:
    server.execute("ALTER DATABASE seatsaga SET default_transaction_read_only = on")
    said = await refused(settings_for(url, tmp_path))
    assert said.startswith("SEATSAGA_DATABASE_URL leads to a database that takes no writes; ")


async def test_a_server_that_is_not_there_is_refused_without_its_password(tmp_path: Path, unused_tcp_port: int) -> None:
    url = f"postgresql+asyncpg://postgres:secret@127.0.0.1:{unused_tcp_port}/seatsaga"
    said = await refused(settings_for(url, tmp_path))
    assert said.startswith(f"SEATSAGA_DATABASE_URL=postgresql+asyncpg://postgres:***@127.0.0.1:{unused_tcp_port}/")


# ---------------------------------------------------------------------- poolers


async def test_a_pooler_is_served_through_where_the_way_past_it_is_told(
    pooler: PgBouncer, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(through(pooler, database_url), tmp_path, database_direct_url=database_url)
    backend = Backend(settings, console=io.StringIO())
    async with backend.running():
        assert (await backend.readiness.examine()).is_ready


@pytest.fixture(params=["refuses", "swallows", "swallows, by the session", "seems to heed"])
async def way(request: pytest.FixtureRequest, pooler: PgBouncer, database_url: str) -> AsyncIterator[str]:
    """A database through a pooler that does one or the other with what our sessions begin with."""
    url, name = make_url(database_url), make_url(database_url).database
    if request.param == "refuses":
        yield through(pooler, database_url)
        return
    if request.param == "seems to heed":
        await administer(url, f"ALTER DATABASE \"{name}\" SET idle_in_transaction_session_timeout = '10s'")
    pool_mode = "session" if request.param.endswith("session") else "transaction"
    with PgBouncer(url, pool_mode=pool_mode, tolerates=OURS) as tolerant:
        yield through(tolerant, database_url)


async def test_a_pooler_is_refused_where_the_way_past_it_is_not_told(way: str, tmp_path: Path) -> None:
    assert await refused(settings_for(way, tmp_path)) == (
        "SEATSAGA_DATABASE_URL leads to a pooler; set SEATSAGA_DATABASE_DIRECT_URL besides, to the server itself."
    )


async def test_a_way_past_the_pooler_that_is_a_pooler_itself_is_refused(way: str, tmp_path: Path) -> None:
    assert await refused(settings_for(way, tmp_path, database_direct_url=way)) == (
        "SEATSAGA_DATABASE_DIRECT_URL leads to a pooler; it must lead to the server itself, past every pooler."
    )


async def test_a_way_past_the_pooler_that_leads_to_another_database_is_refused(
    pooler: PgBouncer, database_url: str, postgres_url: URL, tmp_path: Path
) -> None:
    elsewhere = database_url.replace(str(make_url(database_url).database), str(postgres_url.database))
    settings = settings_for(through(pooler, database_url), tmp_path, database_direct_url=elsewhere)
    assert (await refused(settings)).startswith("SEATSAGA_DATABASE_DIRECT_URL leads to another database than ")


async def test_a_way_past_the_pooler_that_leads_to_another_server_is_refused(
    pooler: PgBouncer, database_url: str, url: str, tmp_path: Path
) -> None:
    settings = settings_for(through(pooler, database_url), tmp_path, database_direct_url=url)
    assert (await refused(settings)).startswith("SEATSAGA_DATABASE_DIRECT_URL leads to another database than ")


def test_a_command_that_needs_the_way_past_the_pooler_says_so(
    pooler: PgBouncer, postgres_url: URL, tmp_path: Path
) -> None:
    url = pooler.url(str(postgres_url.database))
    done = CliRunner().invoke(cli, ["migrate"], env=environment(tmp_path, url))
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception).startswith(
        f"{url} is behind a pooler; SEATSAGA_DATABASE_DIRECT_URL must lead to the server itself"
    )


async def test_a_refused_start_ends_with_one_line_and_exit_code_2(
    pooler: PgBouncer, database_url: str, tmp_path: Path
) -> None:
    done = seatsaga("serve", env=environment(tmp_path, through(pooler, database_url)), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "seatsaga: SEATSAGA_DATABASE_URL leads to a pooler; set SEATSAGA_DATABASE_DIRECT_URL besides, to the server "
        "itself.\n"
    )
