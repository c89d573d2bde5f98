"""The server as its users meet it: a process, a port, and what is left when it dies."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.engine import make_url
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.client import Client
from app.migrations import downgrade
from domain.bookings import scenarios_of
from domain.storage import Server
from sandbox import Entry, PostgresBooks, SqliteBooks
from tests.app.whole import fill
from tests.support.asking import bearer_of
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.sequences import BOOKINGS, EARN
from tests.support.waiting import eventually

BOOK = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId status } errors { __typename ... on UserError { message } } } }"""
SAGAS = """query($after: String) { sagas(first: 100, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
  correlationId status sequence
  events { sequence type } reservations { status } booking { reference } payment { status providerReference }
} } } }"""
FLIGHTS = "{ flights(first: 20) { edges { node { id } } } }"
SEATS = """query($id: ID!) { node(id: $id) { ... on Flight { seats { status } } } }"""
ACCOUNTS = """query($number: String!) { loyaltyAccount(memberNumber: $number) {
  balance pendingMiles entries(first: 100) { edges { node { points } } } } }"""
TERMINAL = {"COMPLETED", "COMPENSATED", "ABANDONED"}


@pytest.fixture
def env(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a server; on PostgreSQL the database is migrated and filled, as its operator would do."""
    if backend == "sqlite":
        return environment(tmp_path)
    env = environment(tmp_path, request.getfixturevalue("database_url"), lease_seconds="2")
    filled = seatsaga("seed", env=env, folder=tmp_path)
    assert filled.returncode == 0, filled.stderr
    return env


@pytest.fixture
async def child(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[Child]:
    async with serving_child(tmp_path, env) as child:
        yield child


def order(flight_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        **changes,
    }


async def book(client: Client, flight_id: str, **changes: Any) -> str:
    answer = (await client.query(BOOK, input=order(flight_id, **changes)))["bookFlight"]
    assert answer["errors"] == [], answer
    correlation_id: str = answer["saga"]["correlationId"]
    return correlation_id


async def flight_ids(client: Client) -> list[str]:
    return [edge["node"]["id"] for edge in (await client.query(FLIGHTS))["flights"]["edges"]]


async def all_sagas(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await client.query(SAGAS, after=after))["sagas"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
async def test_a_booking_is_made_and_its_watcher_sees_every_event_live(child: Child) -> None:
    async with Client(child.url) as client:
        flight = (await flight_ids(client))[0]
        wanted = str(uuid.uuid4())

        async def watch() -> list[str]:
            return [event["type"] async for event in client.follow(wanted)]

        watching = asyncio.create_task(watch())
        await book(client, flight, correlationId=wanted, simulate={"delayMs": 20})
        seen = await watching
        assert seen[0] == "SAGA_STARTED"
        assert seen[-1] == "SAGA_COMPLETED"
        assert seen.count("STEP_COMPLETED") == len(EARN.steps) - 1
        assert seen.count("STEP_SKIPPED") == 1


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_scenarios_are_as_they_should_be_and_watch_draws_a_saga(
    child: Child, env: dict[str, str], tmp_path: Path
) -> None:
    ran = await asyncio.to_thread(seatsaga, "scenarios", "--url", child.url, env=env, folder=tmp_path)
    assert ran.returncode == 0, ran.stdout
    played = [scenario for definition in BOOKINGS for scenario in scenarios_of(definition)]
    number, failures = len(played), [scenario.compensated for scenario in played if scenario.failed_step]
    assert f"{number} of {number}" in ran.stdout
    report = json.loads((tmp_path / "saga_test_report.json").read_text())
    assert (report["passed"], report["failed"]) == (number, 0)
    seen = [scenario["seen"] for scenario in report["scenarios"]]
    assert [tuple(each["compensations"]) for each in seen if each["failedStep"]] == failures
    last = report["scenarios"][-1]["correlationId"]
    watched = await asyncio.to_thread(seatsaga, "watch", last, "--url", child.url, env=env, folder=tmp_path)
    assert watched.returncode == 1
    assert watched.stdout.count("COMPENSATION_COMPLETED") == len(failures[-1])
    shown = await asyncio.to_thread(seatsaga, "sagas", "show", last, "--url", child.url, env=env, folder=tmp_path)
    assert "REFUND_PAYMENT" in shown.stdout
    listed = await asyncio.to_thread(seatsaga, "sagas", "list", "--url", child.url, env=env, folder=tmp_path)
    assert listed.stdout.count("COMPENSATED") == len(failures)
    log = (tmp_path / "logs" / "saga_orchestrator.log").read_text()
    for marker in ("[SAGA]", "[SAGA STEP]", "[QUEUE]", "[COMPENSATION]", "[LOG]"):
        assert marker in log
    # From the request to the gateway call, every line of the saga bears its correlation ID.
    assert "call of REFUND_PAYMENT succeeded" in "".join(line for line in log.splitlines() if last in line)
    assert any("POST /graphql" in line for line in log.splitlines() if last in line)
    bookings = [json.loads(line) for line in (tmp_path / "logs" / "saga_bookings.log").read_text().splitlines()]
    assert [line["status"] for line in bookings].count("COMPLETED") == number - len(failures)
    assert "pm_card_visa" not in log


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_sigterm_ends_streams_and_exits_0_within_seconds_and_the_next_start_goes_on(
    child: Child, env: dict[str, str], tmp_path: Path
) -> None:
    async with Client(child.url) as client:
        running = await book(client, (await flight_ids(client))[0], simulate={"delayMs": 1500})
    async with connect(
        f"ws://127.0.0.1:{child.port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")]
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        query = f'subscription {{ sagaEvents(correlationId: "{running}") {{ sequence }} }}'
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        assert json.loads(await socket.recv())["type"] == "next"
        began = time.monotonic()
        assert await asyncio.to_thread(child.terminate) == 0
        assert time.monotonic() - began < 8
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
        assert socket.close_code in (1001, 1012)
    async with serving_child(tmp_path, env) as again, Client(again.url) as client:
        types = [event["type"] async for event in client.follow(running)]
    assert types[-1] == "SAGA_COMPLETED"


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_operators_say_over_http_holds_after_a_restart_and_is_warned_of(
    child: Child, env: dict[str, str], tmp_path: Path
) -> None:
    job = "/admin/scheduler/jobs/release-expired-reservations"
    token = admin_token_of(env, tmp_path)
    bearer, by = {"authorization": f"Bearer {token}"}, bearer_of(token)
    async with httpx.AsyncClient(base_url=child.url, headers=bearer) as operator:
        assert (await operator.post(f"{job}/pause", json={"reason": "Repairs."})).status_code == 200
        assert (await operator.patch(job, json={"intervalSeconds": 77})).status_code == 200
    assert await asyncio.to_thread(child.terminate) == 0
    async with (
        serving_child(tmp_path, env) as again,
        httpx.AsyncClient(base_url=again.url, headers=bearer) as operator,
    ):
        listed = (await operator.get("/admin/scheduler")).json()
        ready = await operator.get("/readyz")
        ran = (await operator.post(f"{job}/run")).json()
    (found,) = [each for each in listed["jobs"] if each["id"] == job.rpartition("/")[2]]
    assert (found["paused"], found["pausedBy"], found["intervalSeconds"]) == (True, by, 77)
    assert ready.status_code == 200
    assert f"is paused by {by}" in ready.json()["warnings"]["expiry"]
    # Paused or not.
    assert (ran["outcome"], ran["affected"]) == ("OK", 0)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_second_server_on_the_same_file_is_refused_with_one_line(
    child: Child, env: dict[str, str], tmp_path: Path
) -> None:
    refused = await asyncio.to_thread(seatsaga, "serve", "--port", "1", env=env, folder=tmp_path)
    assert refused.returncode == 2
    lines = [line for line in refused.stderr.splitlines() if "[LOG]" not in line]
    assert len(lines) == 1
    assert "seatsaga.db is served by another process" in lines[0]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_postgresql_that_is_not_migrated_is_refused_with_the_command_to_run(
    database_url: str, tmp_path: Path
) -> None:
    env = environment(tmp_path, database_url)
    await downgrade(database_url, "base")
    refused = await asyncio.to_thread(seatsaga, "serve", "--port", "1", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert "run: seatsaga migrate" in refused.stderr
    migrated = await asyncio.to_thread(seatsaga, "migrate", env=env, folder=tmp_path)
    assert "Migrated from nothing to" in migrated.stdout
    async with serving_child(tmp_path, env) as child:
        assert child.terminate() == 0


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("killed_after_seconds", [0.02, 0.15, 0.4])
async def test_after_sigkill_the_next_start_finishes_or_undoes_every_saga(
    tmp_path: Path, env: dict[str, str], killed_after_seconds: float
) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        flights = await flight_ids(client)
        fates: list[dict[str, Any]] = [
            {"delayMs": 60},
            {"delayMs": 40, "failAt": ["CONFIRM_BOOKING"]},
            {"delayMs": 50, "loseAnswerAt": ["CONFIRM_BOOKING"]},
            {"delayMs": 0},
        ]

        async def one(number: int) -> str:
            return await book(
                client,
                flights[number % 2],
                loyalty={"memberNumber": f"SS{number % 5 + 1:07d}"},
                simulate=fates[number % 4],
            )

        started = await asyncio.gather(*(one(number) for number in range(40)))
        await asyncio.sleep(killed_after_seconds)
        child.kill()
    async with serving_child(tmp_path, env) as again, Client(again.url, admin_token_of(env, tmp_path)) as client:

        async def over() -> list[dict[str, Any]]:
            found = await all_sagas(client)
            assert {saga["correlationId"] for saga in found} == set(started)
            assert {saga["status"] for saga in found} <= TERMINAL, [saga["status"] for saga in found]
            return found

        found = await eventually(over, 30)
        await assert_exact(client, env, tmp_path, found, flights[:2])


def admin_token_of(env: dict[str, str], folder: Path) -> str:
    """The token that the server has kept in its data folder."""
    return (folder / "data" / "admin-token").read_text().strip()


async def assert_exact(
    client: Client, env: dict[str, str], folder: Path, found: list[dict[str, Any]], flights: list[str]
) -> None:
    """Seats, money at the provider, miles and events are what the sagas' ends say, to the last one."""
    entries = await provider_entries(env, folder)
    for saga in found:
        assert [event["sequence"] for event in saga["events"]] == list(range(1, saga["sequence"] + 1))
        types = [event["type"] for event in saga["events"]]
        assert len([type_ for type_ in types if type_ in ("SAGA_COMPLETED", "SAGA_COMPENSATED")]) == 1
        completed = saga["status"] == "COMPLETED"
        assert (saga["booking"] is not None) is completed
        assert {item["status"] for item in saga["reservations"]} <= ({"CONFIRMED"} if completed else {"RELEASED"})
        entry = entries.pop(saga["payment"]["providerReference"], None) if saga["payment"] else None
        if completed:
            assert entry is not None
            assert (entry.state, entry.captures, entry.refunds) == ("CAPTURED", 1, 0)
        elif entry is not None:
            assert entry.captures == entry.refunds
            assert entry.state in ("VOIDED", "REFUNDED")
    assert entries == {}
    confirmed = sum(len(saga["reservations"]) for saga in found if saga["status"] == "COMPLETED")
    booked = 0
    for flight in flights:
        statuses = [seat["status"] for seat in (await client.query(SEATS, id=flight))["node"]["seats"]]
        assert "HELD" not in statuses
        booked += statuses.count("BOOKED")
    assert booked == confirmed
    for number in range(1, 6):
        account = (await client.query(ACCOUNTS, number=f"SS{number:07d}"))["loyaltyAccount"]
        assert account["pendingMiles"] == 0
        assert sum(edge["node"]["points"] for edge in account["entries"]["edges"]) == account["balance"]


async def provider_entries(env: dict[str, str], folder: Path) -> dict[str, Entry]:
    url = make_url(env["SEATSAGA_DATABASE_URL"])
    books: SqliteBooks | PostgresBooks
    if url.get_backend_name() == "sqlite":
        books = SqliteBooks(folder / "data" / "seatsaga.sandbox.db")
    else:
        books = PostgresBooks(Server(url))
    await books.open()
    try:
        return await books.entries()
    finally:
        await books.close()


def test_the_demo_data_is_all_there(tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert seatsaga("migrate", env=env, folder=tmp_path).returncode == 0
    first = seatsaga("seed", env=env, folder=tmp_path)
    assert "Added 453 flights with 73,386 seats, and 100 members." in first.stdout
    with sqlite3.connect(tmp_path / "data" / "seatsaga.db") as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("flights", "seats", "loyalty_accounts")
        ]
    connection.close()
    assert counts == [453, 73_386, 100]
    again = seatsaga("seed", env=env, folder=tmp_path)
    assert "Added 0 flights" in again.stdout


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_server_freezes_what_it_starts_with_and_collects_more_seldom(tmp_path: Path, database_url: str) -> None:
    await fill(database_url)
    async with serving_child(tmp_path, environment(tmp_path, database_url), module="tests.app.collected") as child:
        assert child.terminate() == 0
    said = re.search(r"^collector: (\d+) (\d+) (\d+) (\d+)$", child.output.read_text(), re.MULTILINE)
    assert said is not None
    *thresholds, frozen = map(int, said.groups())
    assert thresholds == [10_000, 20, 50]
    assert frozen > 100_000
