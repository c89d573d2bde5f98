"""The databases of the tests themselves: what a test leaves behind must not reach the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.engine import URL

from tests.support.databases import USES_MAX, Pool, administer, connected

_COUNTS = "SELECT ARRAY[(SELECT count(*) FROM flights), (SELECT count(*) FROM operator_actions)]"
#: A flight, whose airports must be there, and what is only ever appended to.
_LEAVINGS = """
    INSERT INTO airports (code, name, city, country, time_zone, latitude, longitude)
        VALUES ('JFK', 'a', 'b', 'XX', 'UTC', 0, 0), ('LHR', 'a', 'b', 'XX', 'UTC', 0, 0);
    INSERT INTO operator_actions (id, at, role, kind)
        VALUES ('11111111-2222-4333-8444-555555555555', 0, 'OPERATOR', 'JOB_RUN')
"""
_FLIGHT = """
    INSERT INTO flights (number, origin, destination, departs_at, arrives_at, departs_on, distance_miles,
        economy_minor, business_minor, first_minor, currency)
        VALUES ('T1', 'JFK', 'LHR', 0, 1, '1970-01-01', 1, 1, 1, 1, 'USD') RETURNING id
"""


@pytest.fixture
async def pool(postgres_url: URL, postgres_template: str) -> AsyncIterator[Pool]:
    pool = Pool(postgres_url, postgres_template)
    yield pool
    await pool.close()


async def leave_rows(url: URL) -> int:
    """Fill an empty database; the ID of its flight."""
    async with connected(url) as connection:
        assert await connection.fetchval(_COUNTS) == [0, 0]
        await connection.execute(_LEAVINGS)
        return int(await connection.fetchval(_FLIGHT))


async def test_the_next_test_gets_the_same_database_empty_and_ids_begin_anew(pool: Pool) -> None:
    first = await pool.take()
    flight_id = await leave_rows(first)
    await pool.give_back(first)
    second = await pool.take()
    assert second == first
    assert await leave_rows(second) == flight_id
    await pool.give_back(second)


async def test_two_tests_at_once_have_a_database_each(pool: Pool) -> None:
    first, second = await pool.take(), await pool.take()
    assert first != second
    await pool.give_back(first)
    await pool.give_back(second)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE one_more (id INTEGER)",
        "ALTER TABLE sagas ADD COLUMN one_more INTEGER",
        "ALTER TABLE operator_actions RENAME TO elsewhere; ALTER TABLE elsewhere RENAME TO operator_actions",
        "DROP INDEX uq_seat_reservations_live",
        "CREATE FUNCTION one_more() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE operator_actions DISABLE TRIGGER ALL",
        "CREATE SCHEMA one_more",
        "REVOKE ALL ON sagas FROM postgres",
        "UPDATE alembic_version SET version_num = 'other'",
        "DELETE FROM hold_gates WHERE gate = 1",
        "INSERT INTO schema_releases (revision) VALUES ('other')",
        "INSERT INTO airports SELECT 'A' || g, 'a', 'b', 'XX', 'UTC', 0, 0 FROM generate_series(1, 99) g; ANALYZE",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 1', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 90', current_database()); END $$",
    ],
)
async def test_a_database_with_more_changes_than_rows_is_dropped(pool: Pool, change: str) -> None:
    changed = await pool.take()
    await administer(changed, change)
    await pool.give_back(changed)
    other = await pool.take()
    assert other != changed
    assert await leave_rows(other) == 1
    await pool.give_back(other)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await administer(changed, "SELECT 1")


async def test_a_database_with_a_session_in_it_is_dropped(pool: Pool) -> None:
    shared = await pool.take()
    async with connected(shared) as session:
        await pool.give_back(shared)
        other = await pool.take()
        assert other != shared
        await pool.give_back(other)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await session.execute("SELECT 1")


async def test_a_database_is_not_used_for_ever(pool: Pool) -> None:
    names = set()
    for _ in range(USES_MAX + 1):
        url = await pool.take()
        names.add(url.database)
        await pool.give_back(url)
    assert len(names) == 2
