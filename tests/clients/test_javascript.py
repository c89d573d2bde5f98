"""Every JavaScript client that docs/clients.md shows, and the audits of graphql-http, against a real server.

What each client must bring about is told in clients/src/story.ts.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.clients.javascript import JavaScript
from tests.clients.tokens import SECRET, customer, token
from tests.support.children import Child, environment, fill, serving_child
from tests.support.waiting import eventually

CLIENTS = (
    "apollo-multipart",
    "apollo-split",
    "fetch",
    "graphql-sse",
    "graphql-ws",
    "relay",
    "urql-sse",
    "urql-websocket",
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_books_follows_over_a_lost_connection_reads_all_pages_and_is_told_what_to_mend(
    javascript: JavaScript, server: Child, client: str
) -> None:
    javascript.run(client, url=server.url, token=token(customer()))


async def test_a_socket_goes_on_after_its_token_a_silent_network_and_a_restart_but_not_beyond_the_session(
    javascript: JavaScript, server: Child
) -> None:
    subject = customer()
    javascript.run("sockets", url=server.url, expiring_token=token(subject, seconds=2), token=token(subject))


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
            running = asyncio.create_task(
                asyncio.to_thread(javascript.run, "away", url=server.url, token=token(customer()))
            )

            async def are_away() -> bool:
                async with httpx.AsyncClient(base_url=server.url) as http:
                    answer = await http.get("/readyz")
                return bool(answer.json()["checks"]["database"] == "failed")

            await eventually(are_away, 40)
            other.execute("ROLLBACK")
        assert (await running).count("came back in time") == 2


async def test_all_audits_of_graphql_over_http_are_ok(javascript: JavaScript, server: Child) -> None:
    said = javascript.run("audits", url=server.url, token=token(customer()))
    assert "61 of 61 audits ok" in said
