"""A frontend's day with every JavaScript library that docs/clients.md shows, and the audits of graphql-http.

What each library must bring about is told in clients/src/day.ts.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.clients.javascript import JavaScript
from tests.clients.tokens import SECRET, customer, token
from tests.support.children import Child, environment, fill, serving_child
from tests.support.waiting import eventually

LIBRARIES = (
    "apollo",
    "apollo-multipart",
    "fetch",
    "graphql-sse",
    "graphql-ws",
    "relay",
    "urql",
    "urql-sse",
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_library_searches_holds_pays_over_a_lost_connection_cancels_and_is_told_what_to_mend(
    javascript: JavaScript, server: Child, library: str
) -> None:
    javascript.run(f"day-{library}", url=server.url, token=token(customer()))


async def test_who_is_sent_away_comes_back_when_the_server_says(javascript: JavaScript, tmp_path: Path) -> None:
    settings = {"auth": "jwt", "jwt_secret": SECRET, "simulation": "on", "sagas_active_max": "1"}
    env = environment(tmp_path, **settings)
    fill(env, tmp_path)
    async with serving_child(tmp_path, env) as server:
        javascript.run("busy", url=server.url, token=token(customer()))


async def test_who_finds_the_database_locked_comes_back_when_the_server_says(
    javascript: JavaScript, tmp_path: Path
) -> None:
    settings = {"auth": "jwt", "jwt_secret": SECRET}
    env = environment(tmp_path, **settings)
    fill(env, tmp_path)
    async with serving_child(tmp_path, env) as server:
        with closing(sqlite3.connect(tmp_path / "data" / "seatsaga.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            lines: list[str] = []
            running = asyncio.create_task(
                asyncio.to_thread(javascript.run, "away", lines.append, url=server.url, token=token(customer()))
            )
            await eventually(lambda: "".join(lines).count("was sent away") == 2 or running.done(), 60)
            other.execute("ROLLBACK")
        assert (await running).count("came back in time") == 2


async def test_all_audits_of_graphql_over_http_are_ok(javascript: JavaScript, server: Child) -> None:
    said = javascript.run("audits", url=server.url, token=token(customer()))
    assert "61 of 61 audits ok" in said
