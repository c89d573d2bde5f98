"""Migrations alone make the schema that the code declares, on both databases, up and down."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

import app.bootstrap
from app.metadata import metadata
from app.migrations import SchemaState, downgrade, head, revision_of, schema_state, upgrade
from domain.bookings.tables import HOLD_GATES
from tests.app.schemas import (
    NEXT_REVISION,
    REVISIONS,
    VERSION_TABLE,
    by_the_next_version,
    empty_postgres,
    end_release,
    on,
    set_revision,
    tables_of,
)

#: Indexes of tables that may be large, since 0016.
_BY_HAND: Final = [
    "ix_sagas_troubled",
    "ix_sagas_stuck_since",
    "ix_sagas_unsettled",
    "ix_sagas_failure_code",
    "ix_passengers_family_folded",
]
#: Imports every feature, hence every table.
EVERYTHING: Final = app.bootstrap


@pytest.fixture
async def empty_urls(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The URLs of two databases without anything in them, gone after the test."""
    if backend == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'one.db'}", f"sqlite+aiosqlite:///{tmp_path / 'two.db'}"
        return
    server: URL = request.getfixturevalue("postgres_url")
    async with empty_postgres(server) as one, empty_postgres(server) as two:
        yield one, two


@pytest.fixture
def empty_url(empty_urls: tuple[str, str]) -> str:
    """The URL of a database without anything in it."""
    return empty_urls[0]


def without_spaces(sql: object) -> str:
    return re.sub(r"\s+", " ", str(sql))


def details(inspector: Inspector, table: str) -> dict[str, Any]:
    """What a comparison by Alembic leaves out: CHECKs, conditions of partial indexes, defaults, keys."""
    return {
        "columns": {
            column["name"]: (str(column["type"]), column["nullable"], column["default"])
            for column in inspector.get_columns(table)
        },
        "key": inspector.get_pk_constraint(table)["constrained_columns"],
        "checks": {check["name"]: without_spaces(check["sqltext"]) for check in inspector.get_check_constraints(table)},
        "indexes": {
            index["name"]: (
                index["column_names"],
                bool(index["unique"]),
                {name: without_spaces(value) for name, value in index.get("dialect_options", {}).items()},
            )
            for index in inspector.get_indexes(table)
        },
        "unique": {unique["name"]: unique["column_names"] for unique in inspector.get_unique_constraints(table)},
        "foreign keys": {
            key["name"]: (key["constrained_columns"], key["referred_table"], key["referred_columns"])
            for key in inspector.get_foreign_keys(table)
        },
    }


def all_details(connection: Connection) -> dict[str, dict[str, Any]]:
    inspector = inspect(connection)
    return {table: details(inspector, table) for table in inspector.get_table_names() if table != VERSION_TABLE}


# ---------------------------------------------------------------------- what migrations make


async def test_alembic_finds_nothing_to_change_in_a_migrated_database(empty_url: str) -> None:
    await upgrade(empty_url)

    def compare(connection: Connection) -> list[Any]:
        # As migrations/env.py has it.
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    assert metadata.tables, "else there is nothing to compare with"
    assert await on(empty_url, compare) == []


async def test_migrations_and_declarations_make_the_same_schema_to_the_last_check(empty_urls: tuple[str, str]) -> None:
    migrated, declared = empty_urls
    await upgrade(migrated)
    await on(declared, metadata.create_all)
    expected = await on(declared, all_details)
    assert set(expected) == set(metadata.tables)
    assert await on(migrated, all_details) == expected


def test_the_metadata_of_alembic_holds_every_table_by_itself() -> None:
    program = "from app.metadata import metadata; print(*sorted(metadata.tables))"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout.split() == sorted(metadata.tables)


async def test_one_seat_has_one_live_reservation_whatever_the_code_does(empty_url: str) -> None:
    await upgrade(empty_url)

    def live_index(connection: Connection) -> list[tuple[str | None, str]]:
        return [
            (index["name"], without_spaces(index["dialect_options"][f"{connection.dialect.name}_where"]))
            for index in inspect(connection).get_indexes("seat_reservations")
            if index["unique"] and index["column_names"] == ["flight_id", "seat"]
        ]

    [(name, condition)] = await on(empty_url, live_index)
    assert name == "uq_seat_reservations_live"
    assert set(re.findall(r"'(\w+)'", condition)) == {"HELD", "CONFIRMED"}

    reservations = metadata.tables["seat_reservations"]

    def reserve(*statuses: str) -> Callable[[Connection], None]:
        def insert(connection: Connection) -> None:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET session_replication_role = replica"))  # no flight is needed
            for status in statuses:
                ended_at = 3 if status in ("RELEASED", "EXPIRED") else None
                connection.execute(
                    reservations.insert().values(
                        id=str(uuid.uuid4()),
                        saga_id=str(uuid.uuid4()),
                        correlation_id=str(uuid.uuid4()),
                        flight_id=1,
                        seat=7,
                        segment=0,
                        passenger=0,
                        cabin="ECONOMY",
                        status=status,
                        held_at=1,
                        expires_at=2,
                        ended_at=ended_at,
                    )
                )

        return insert

    await on(empty_url, reserve("RELEASED", "EXPIRED", "RELEASED", "HELD"))
    for status in ("HELD", "CONFIRMED"):
        with pytest.raises(IntegrityError, match=r"uq_seat_reservations_live|seat_reservations\.seat"):
            await on(empty_url, reserve(status))
    await on(empty_url, reserve("EXPIRED"))


# ---------------------------------------------------------------------- up and down


async def test_down_leaves_nothing_and_up_again_makes_the_same(empty_url: str) -> None:
    await upgrade(empty_url)
    first = await on(empty_url, all_details)
    await downgrade(empty_url, "base")
    assert await tables_of(empty_url) == {VERSION_TABLE}
    assert await revision_of(empty_url) is None
    assert await schema_state(empty_url) is SchemaState.EMPTY
    await upgrade(empty_url)
    assert await on(empty_url, all_details) == first
    assert await revision_of(empty_url) == head()


async def test_each_migration_alone_goes_down_and_up_again_to_the_same(empty_url: str) -> None:
    assert REVISIONS[-1] == head()
    made = {}
    for revision in REVISIONS:
        await upgrade(empty_url, revision)
        made[revision] = await on(empty_url, all_details)
    for revision in reversed(REVISIONS[:-1]):
        await downgrade(empty_url, revision)
        assert await on(empty_url, all_details) == made[revision]
    for revision in REVISIONS[1:]:
        await upgrade(empty_url, revision)
        assert await on(empty_url, all_details) == made[revision]


async def test_what_was_made_by_hand_beforehand_is_accepted(empty_urls: tuple[str, str], backend: str) -> None:
    """On a large database that is in use, so that bookings do not wait for its indexes."""
    if backend == "sqlite":
        pytest.skip("an SQLite database is not in use while it is migrated")
    migrated, by_hand = empty_urls
    await upgrade(migrated)
    await upgrade(by_hand, "0016")
    definitions = text("SELECT indexdef FROM pg_indexes WHERE indexname = ANY(:names)").bindparams(names=_BY_HAND)
    indexes = await on(migrated, lambda connection: connection.execute(definitions).scalars().all())
    assert len(indexes) == len(_BY_HAND)

    def make(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE sagas ADD COLUMN stuck_since BIGINT, ADD COLUMN settled_at BIGINT"))
        connection.execute(text('ALTER TABLE passengers ADD COLUMN family_folded TEXT COLLATE "C"'))
        for index in indexes:
            connection.execute(text(index))

    await on(by_hand, make)
    await upgrade(by_hand)
    assert await on(by_hand, all_details) == await on(migrated, all_details)


async def test_there_is_a_gate_for_every_caller_where_there_may_be_replicas(empty_url: str, backend: str) -> None:
    await upgrade(empty_url)
    statement = text("SELECT gate FROM hold_gates ORDER BY gate")
    gates = await on(empty_url, lambda connection: connection.execute(statement).scalars().all())
    assert gates == (list(range(HOLD_GATES)) if backend == "postgresql" else [])


async def test_up_once_more_changes_nothing(empty_url: str) -> None:
    await upgrade(empty_url)
    first = await on(empty_url, all_details)
    await upgrade(empty_url)
    assert await on(empty_url, all_details) == first


async def test_a_migration_that_fails_leaves_the_database_as_it_was(empty_url: str) -> None:
    # The name of an index that the first migration makes, after some tables.
    await on(empty_url, lambda connection: connection.execute(text("CREATE TABLE others (id INTEGER)")))
    await on(empty_url, lambda connection: connection.execute(text("CREATE INDEX ix_flights_route ON others (id)")))
    with pytest.raises(Exception, match="already exists"):
        await upgrade(empty_url)
    assert await tables_of(empty_url) - {VERSION_TABLE} == {"others"}
    assert await revision_of(empty_url) is None


# ---------------------------------------------------------------------- how far a database is


async def test_a_database_without_migrations_is_empty(empty_url: str) -> None:
    assert await revision_of(empty_url) is None
    assert await schema_state(empty_url) is SchemaState.EMPTY
    assert await tables_of(empty_url) == set(), "looking changes nothing"


async def test_a_migrated_database_is_current(empty_url: str) -> None:
    await upgrade(empty_url)
    assert await schema_state(empty_url) is SchemaState.CURRENT


async def test_a_database_at_a_revision_that_is_not_known_is_ahead_while_it_says_that_it_may_be_served(
    empty_url: str,
) -> None:
    await upgrade(empty_url)
    await set_revision(empty_url, NEXT_REVISION)
    assert await revision_of(empty_url) == NEXT_REVISION
    assert await schema_state(empty_url) is SchemaState.AHEAD
    await end_release(empty_url)
    assert await schema_state(empty_url) is SchemaState.ENDED


async def test_a_database_of_this_version_is_behind_the_next_one(empty_url: str, tmp_path: Path) -> None:
    await upgrade(empty_url)
    before = await on(empty_url, all_details)
    program = f"""
import asyncio
from app.migrations import schema_state, upgrade
async def look_and_upgrade():
    print(await schema_state({empty_url!r}))
    await upgrade({empty_url!r})
    print(await schema_state({empty_url!r}))
asyncio.run(look_and_upgrade())
"""
    code, out, errors = await by_the_next_version(tmp_path, program)
    assert code == 0, errors
    assert out.split() == ["BEHIND", "CURRENT"]
    assert await revision_of(empty_url) == NEXT_REVISION
    assert await schema_state(empty_url) is SchemaState.AHEAD
    after = await on(empty_url, all_details)
    assert set(after) - set(before) == {"one_more"}
    assert {table: after[table] for table in before} == before
