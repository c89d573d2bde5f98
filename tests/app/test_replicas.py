"""`seatsaga replicas` as operators run it: beside a server, after its death, and where nothing was ever served."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, TextClause, text

from app.client import Client
from tests.app.schemas import on
from tests.app.whole import fill
from tests.support.children import environment, seatsaga, serving_child
from tests.support.waiting import eventually

BOOK = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
FLIGHTS = "{ flights(first: 1) { edges { node { id } } } }"
LEASE_SECONDS = 4


@pytest.fixture
async def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of server and command, of a database with a few flights."""
    await fill(database_url)
    return environment(tmp_path, database_url, lease_seconds=str(LEASE_SECONDS))


async def asked(env: dict[str, str], folder: Path, *arguments: str) -> str:
    found = await asyncio.to_thread(seatsaga, "replicas", *arguments, env=env, folder=folder)
    assert found.returncode == 0, found.stderr
    return found.stdout


async def book(client: Client, **simulate: Any) -> str:
    (flight,) = (await client.query(FLIGHTS))["flights"]["edges"]
    order = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "simulate": simulate,
    }
    answer = (await client.query(BOOK, input=order))["bookFlight"]
    assert answer["errors"] == [], answer
    correlation_id: str = answer["saga"]["correlationId"]
    return correlation_id


def _execute(statement: TextClause, connection: Connection) -> None:
    connection.execute(statement)


async def test_a_process_is_told_alive_with_what_it_holds_then_lapsed_and_its_heir_holds_it(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        async for _ in client.follow(await book(client)):
            pass
        for _ in range(2):
            await book(client, delayMs=5_000)
        (alive,) = json.loads(await asked(env, tmp_path, "--json"))["replicas"]
        child.kill()
    assert alive["state"] == "alive"
    assert (alive["processId"], alive["host"]) == (child.process.pid, socket.gethostname())
    assert alive["sagas"] == 2
    assert alive["startedAt"] < alive["leaseUntil"]
    assert alive["lagSeconds"] < LEASE_SECONDS
    async with serving_child(tmp_path, env) as heir, Client(heir.url) as client:

        async def taken_over() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(await asked(env, tmp_path, "--json"))
            held = {replica["processId"]: replica["sagas"] for replica in found["replicas"]}
            assert set(held) == {heir.process.pid, child.process.pid}
            return found if held[child.process.pid] == 0 else {}

        found = await eventually(taken_over, 30)
        table = await asked(env | {"COLUMNS": "200"}, tmp_path)
    assert [replica["state"] for replica in found["replicas"]] == ["alive", "lapsed"]
    assert found["unclaimed"] == []
    rows = [line for line in table.splitlines() if re.search(r"[0-9a-f]{8}-", line)]
    assert len(rows) == 2
    assert str(heir.process.pid) in rows[0]
    assert "alive, lease " in rows[0]
    assert "lapsed since " in rows[1]


async def test_what_nobody_takes_over_is_told(env: dict[str, str], tmp_path: Path) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        await book(client, delayMs=5_000)
        child.kill()
    for statement in ("UPDATE sagas SET version = 99", "UPDATE replicas SET lease_until = lease_until - 100 * 1000000"):
        await on(env["SEATSAGA_DATABASE_URL"], partial(_execute, text(statement)))
    found = json.loads(await asked(env, tmp_path, "--json"))
    assert found["unclaimed"] == [{"definition": "BOOK_AND_EARN", "version": 99, "sagas": 1}]
    assert [replica["state"] for replica in found["replicas"]] == ["lapsed"]
    told = (await asked(env, tmp_path)).splitlines()[-1]
    assert told == "Sagas of BOOK_AND_EARN version 99 without an owner: 1. No replica knows that version."


async def test_where_nothing_was_ever_served_nobody_is_told(env: dict[str, str], tmp_path: Path) -> None:
    found = json.loads(await asked(env, tmp_path, "--json"))
    assert (found["replicas"], found["unclaimed"]) == ([], [])


def test_where_there_is_no_database_it_says_so_and_makes_none(tmp_path: Path) -> None:
    refused = seatsaga("replicas", env=environment(tmp_path), folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "run: seatsaga migrate" in refused.stderr
    assert not list(tmp_path.iterdir())
