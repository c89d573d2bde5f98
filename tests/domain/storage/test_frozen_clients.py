"""What a client that stands still has locked is let go, at whatever moment it froze."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from domain.storage import Bounds, Database, Server
from tests.support.waiting import eventually

BOUNDS = Bounds(idle_transaction_seconds=0.2, transaction_seconds=0.4)
SETTINGS = text("SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_timeout')")


@pytest.mark.parametrize("froze", ["between two statements", "within a statement"])
async def test_the_server_ends_the_transaction_of_a_client_that_froze(postgres_url: URL, froze: str) -> None:
    server = Server(postgres_url, bounds=BOUNDS)
    frozen, other = await server.connect(), await server.connect()
    await frozen.execute("BEGIN")
    await frozen.execute("SELECT pg_advisory_xact_lock(4711)")
    if froze == "within a statement":
        # It is prepared, and the server waits to be told to execute it: that is not idle.
        await frozen.prepare("SELECT 1")

    async def is_free() -> bool:
        return bool(await other.fetchval("SELECT pg_try_advisory_xact_lock(4711)"))

    await eventually(is_free)
    assert await is_refused(frozen)
    await other.close()


async def test_behind_a_pooler_every_transaction_is_bounded_by_itself(postgres_url: URL) -> None:
    database = Database(postgres_url, bounds=BOUNDS, direct_url=postgres_url)
    async with database.reading() as connection:
        assert tuple((await connection.execute(SETTINGS)).one()) == ("200ms", "400ms")
    await database.close()


async def is_refused(connection: asyncpg.Connection) -> bool:
    try:
        await connection.fetchval("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return True
    return False
