"""What only the primary has, while COMMIT waits for a standby, nobody gets to see."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cluster.postgres import PostgresServer
from domain.errors import CommitUnknownError
from domain.storage import Bounds, Database
from tests.support.waiting import eventually

STATEMENT_SECONDS = 1.0
_FIRST = text("INSERT INTO numbers VALUES (1)")


async def test_a_commit_that_is_given_up_stays_unseen_until_a_standby_has_it() -> None:
    with PostgresServer(settings=("synchronous_commit=on",)) as server:
        database = Database(server.url, bounds=Bounds(4, statement_seconds=STATEMENT_SECONDS))
        await database.write(lambda connection: connection.execute(text("CREATE TABLE numbers (number INTEGER)")))
        await wait_for(server, "'nobody'")

        with pytest.raises(CommitUnknownError):
            await database.write(lambda connection: connection.execute(_FIRST))

        # Given up, and not cancelled: for longer than the driver would have taken for that.
        assert server.execute(f"SELECT count(*), pg_sleep({STATEMENT_SECONDS}) FROM numbers") == "0|"
        assert await database.read(number_of_rows) == 0
        await wait_for(server, "''")

        async def is_there() -> bool:
            return await database.read(number_of_rows) == 1

        await eventually(is_there)
        await database.close()


async def wait_for(server: PostgresServer, standby: str) -> None:
    """Let commits wait for this standby from now on; for none, where its name is empty."""
    server.execute(f"ALTER SYSTEM SET synchronous_standby_names = {standby}")
    server.execute("SELECT pg_reload_conf()")
    await eventually(lambda: f"'{server.execute('SHOW synchronous_standby_names')}'" == standby)


async def number_of_rows(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT count(*) FROM numbers"))).scalar_one())
