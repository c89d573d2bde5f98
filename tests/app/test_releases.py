"""Old and new beside each other: who may serve a schema, who ends whom, and migrations of what is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.bootstrap import Backend
from app.migrations import SchemaState, head, revision_of, schema_state, upgrade
from app.settings import Settings, load_settings
from domain.errors import SchemaError
from domain.saga import SagaEngine, list_replicas
from domain.storage import Database
from tests.app.schemas import NEXT_REVISION, REVISIONS, by_the_next_version, empty_postgres, on
from tests.support.children import environment, seatsaga
from tests.support.databases import connected
from tests.support.waiting import eventually

LEASE_SECONDS = 2
#: All but the first have only expanded.
EXPANDED = REVISIONS[1:]


def migrate(url: str) -> str:
    """A program that migrates, or says why not, and then how the schema stands."""
    return f"""
import asyncio
from app.migrations import schema_state, upgrade
from domain.errors import SchemaError
async def migrate():
    try:
        await upgrade({url!r})
    except SchemaError as error:
        print(error)
    print(await schema_state({url!r}))
asyncio.run(migrate())
"""


async def served_by(url: str) -> list[str]:
    """The releases that may serve the database, as it says itself."""
    statement = text("SELECT revision FROM schema_releases ORDER BY revision")
    return await on(url, lambda connection: list(connection.execute(statement).scalars()))


@asynccontextmanager
async def replica(database_url: str, revision: str | None) -> AsyncIterator[SagaEngine]:
    """A process of the release at `revision`, alive until the block ends."""
    database = Database(database_url)
    engine = SagaEngine(database, [], lease_seconds=LEASE_SECONDS, release="0.0.9", revision=revision)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()
        await database.close()


def settings_for(url: str, folder: Path) -> Settings:
    return load_settings(
        {}, database_url=url, log_dir=folder / "logs", admin_token="a token of sixteen", lease_seconds=LEASE_SECONDS
    )


# ---------------------------------------------------------------------- who may serve


async def test_an_expansion_leaves_the_release_before_in_service_and_a_contraction_ends_it(
    database_url: str, tmp_path: Path
) -> None:
    assert await served_by(database_url) == EXPANDED
    expanded = await by_the_next_version(tmp_path / "expands", migrate(database_url))
    assert expanded == (0, "CURRENT", "")
    assert await served_by(database_url) == [*EXPANDED, NEXT_REVISION]
    assert await schema_state(database_url) is SchemaState.AHEAD


async def test_a_contraction_ends_the_releases_that_it_names_and_all_before(database_url: str, tmp_path: Path) -> None:
    contracted = await by_the_next_version(tmp_path, migrate(database_url), ends=head())
    assert contracted == (0, "CURRENT", "")
    assert await served_by(database_url) == [NEXT_REVISION]
    assert await schema_state(database_url) is SchemaState.ENDED
    back = f"import asyncio; from app.migrations import downgrade; asyncio.run(downgrade({database_url!r}, {head()!r}))"
    assert await by_the_next_version(tmp_path, back) == (0, "", "")
    assert await served_by(database_url) == EXPANDED
    assert await schema_state(database_url) is SchemaState.CURRENT


async def test_a_migration_must_say_whom_it_ends(database_url: str, tmp_path: Path) -> None:
    assert await by_the_next_version(tmp_path, "pass") == (0, "", "")
    script = tmp_path / "next" / "migrations" / "versions" / "9999_next.py"
    script.write_text(script.read_text().replace("ends = None\n", ""))
    code, _, errors = await by_the_next_version(tmp_path, migrate(database_url))
    assert code == 1
    assert errors.endswith("LookupError: migration 9999 does not say in `ends` which releases it ends")
    assert await revision_of(database_url) == head()


# ---------------------------------------------------------------------- whom it would end


@pytest.mark.parametrize(("revision", "said"), [(head(), head()), (None, "0002 or before")])
async def test_a_release_is_not_ended_while_a_replica_of_it_is_alive(
    database_url: str, tmp_path: Path, revision: str | None, said: str
) -> None:
    async with replica(database_url, revision) as alive:
        async with alive.database.reading() as connection:
            (row,) = await list_replicas(connection, await alive.database.clock.now(connection))
        assert (row.release, row.revision) == ("0.0.9", revision)
        code, out, errors = await by_the_next_version(tmp_path, migrate(database_url), ends=head())
        assert code == 0, errors
        assert out.splitlines() == [
            f"revision {NEXT_REVISION} ends releases up to {head()}, and of those are alive: process {row.process_id}"
            f" on {row.host} (at {said}). Replace them, then run it again: seatsaga migrate",
            "BEHIND",
        ]
        assert await revision_of(database_url) == head()
    # It has given its lease up; its row is still there.
    assert await by_the_next_version(tmp_path, migrate(database_url), ends=head()) == (0, "CURRENT", "")


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_replica_that_begins_after_the_first_look_is_seen_by_the_second(
    database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(connected(database_url))
        async with other.transaction():
            await other.execute("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE")
            ending = asyncio.create_task(by_the_next_version(tmp_path, migrate(database_url), ends=head()))
            await waits_for_a_lock(database_url, "LOCK TABLE alembic_version%")
            await stack.enter_async_context(replica(database_url, head()))
        code, out, errors = await ending
        assert code == 0, errors
        assert f"ends releases up to {head()}, and of those are alive" in out
        assert await revision_of(database_url) == head()


async def test_replicas_of_a_release_that_goes_on_are_in_nobodys_way(database_url: str, tmp_path: Path) -> None:
    async with replica(database_url, head()):
        assert await by_the_next_version(tmp_path, migrate(database_url), ends="0002") == (0, "CURRENT", "")
        assert await served_by(database_url) == [*EXPANDED[1:], NEXT_REVISION]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_replica_that_begins_while_its_release_is_ended_leaves(database_url: str, tmp_path: Path) -> None:
    backend = Backend(settings_for(database_url, tmp_path))

    async def serve() -> None:
        async with backend.running():
            raise AssertionError("it serves")

    async with connected(database_url) as other:
        async with other.transaction():
            # As a migration that contracts does at its end.
            await other.execute("UPDATE alembic_version SET version_num = $1", NEXT_REVISION)
            await other.execute("DELETE FROM schema_releases WHERE revision = $1", head())
            await other.execute("LOCK TABLE replicas IN SHARE MODE")
            start = asyncio.create_task(serve())
            await waits_for_a_lock(database_url, "INSERT INTO replicas%")
        with pytest.raises(SchemaError, match=f"at revision {NEXT_REVISION}, which this version, at {head()}"):
            await start


# ---------------------------------------------------------------------- migrations of what is in use


async def waits_for_a_lock(url: str, statement: str, *, clients: int = 1) -> None:
    """Until so many clients wait for a lock with a statement LIKE this."""
    async with connected(url) as watcher:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"

        async def waits() -> bool:
            return bool(await watcher.fetchval(waiting, statement) == clients)

        await eventually(waits, 20)


async def test_a_migration_gives_way_to_those_who_wait_behind_it_and_in_the_end_gives_up(postgres_url: URL) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url, "0002")
        async with connected(url) as reader, connected(url) as writer:
            transaction = reader.transaction()
            await transaction.start()
            await reader.execute("SELECT * FROM replicas")
            migration = asyncio.create_task(upgrade(url))
            await waits_for_a_lock(url, "ALTER TABLE replicas%")
            # Behind the ALTER, which stands behind the reader.
            await writer.execute("UPDATE replicas SET lease_until = lease_until", timeout=10)
            with pytest.raises(SchemaError, match=r"in use and could not be changed; the schema is at 0002\. Run it"):
                await migration
            assert await revision_of(url) == "0002"
            await transaction.rollback()
        await upgrade(url)
        assert await revision_of(url) == head()


async def test_those_who_migrate_a_schema_at_once_take_turns(postgres_url: URL, tmp_path: Path) -> None:
    async with empty_postgres(postgres_url) as url:
        await upgrade(url, "0002")
        said = await migrated_at_once(url, tmp_path, "LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE")
        assert said == [f"Migrated from 0002 to {head()}."] * 2
        assert await served_by(url) == EXPANDED


async def test_those_who_migrate_an_empty_database_at_once_take_turns(postgres_url: URL, tmp_path: Path) -> None:
    async with empty_postgres(postgres_url) as url:
        made = (
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)"
        )
        said = await migrated_at_once(url, tmp_path, made)
        assert said == [f"Migrated from nothing to {head()}."] * 2
        assert await served_by(url) == EXPANDED


async def migrated_at_once(url: str, folder: Path, held_back_by: str) -> list[str]:
    """What two processes say that migrate, and that both stand behind `held_back_by` before it lets them go."""
    env = environment(folder, url)
    async with connected(url) as other:
        async with other.transaction():
            await other.execute(held_back_by)
            both = [
                asyncio.create_task(asyncio.to_thread(seatsaga, "migrate", env=env, folder=folder)) for _ in range(2)
            ]
            await waits_for_a_lock(url, "%alembic_version%", clients=2)
        ended = await asyncio.gather(*both)
    assert [child.stderr for child in ended] == ["", ""]
    return [child.stdout.strip() for child in ended]
