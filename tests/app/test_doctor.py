"""`seatsaga doctor` as its users run it: on a database that is served, stopped, killed, broken, or not there."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import subprocess
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from app.client import Client
from tests.support.children import environment, fill, seatsaga, serving_child
from tests.support.databases import connected
from tests.support.waiting import eventually
from tests.witness import Merchant
from tests.witness.fixtures import merchant, witness

__all__ = ["merchant", "witness"]

BOOK = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
FLIGHTS = "{ flights(first: 1) { edges { node { id } } } }"
FATES: list[dict[str, Any]] = [
    {"delayMs": 0},
    {"delayMs": 40, "failAt": ["CONFIRM_BOOKING"]},
    {"delayMs": 60, "loseAnswerAt": ["CONFIRM_BOOKING"]},
    {"delayMs": 300},
]


@pytest.fixture
def env(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of server and doctor; PostgreSQL is migrated and filled."""
    if backend == "sqlite":
        return environment(tmp_path)
    env = environment(tmp_path, request.getfixturevalue("database_url"), lease_seconds="4")
    assert seatsaga("seed", env=env, folder=tmp_path).returncode == 0
    return env


async def diagnosis(env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(seatsaga, "doctor", env=env, folder=folder)


async def book(client: Client, number: int, **simulate: Any) -> str:
    """A booking that will come to one end or another, or go as `simulate` says."""
    (flight,) = (await client.query(FLIGHTS))["flights"]["edges"]
    order = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "loyalty": {"memberNumber": f"SS{number % 5 + 1:07d}"},
        "simulate": simulate or FATES[number % len(FATES)],
    }
    answer = (await client.query(BOOK, input=order))["bookFlight"]
    assert answer["errors"] == [], answer
    correlation_id: str = answer["saga"]["correlationId"]
    return correlation_id


async def damage(env: dict[str, str], statement: str) -> None:
    url = make_url(env["SEATSAGA_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as connection:
            connection.execute(statement)
        return
    async with connected(url) as served:
        await served.execute(statement)


async def test_it_is_clean_while_bookings_run_after_a_kill_and_after_the_next_start(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        begun = await asyncio.gather(*(book(client, number) for number in range(40)))
        served = await diagnosis(env, tmp_path)
        begun += await asyncio.gather(*(book(client, number) for number in range(40)))
        child.kill()
    assert served.returncode == 0, served.stdout + served.stderr
    assert served.stdout.startswith("40 sagas, served by 1 process\n")
    killed = await diagnosis(env, tmp_path)
    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert killed.stdout.startswith("80 sagas, ")
    async with serving_child(tmp_path, env) as again, Client(again.url) as client:
        for correlation_id in begun:
            async for _ in client.follow(correlation_id):
                pass
        healed = await diagnosis(env, tmp_path)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    lines = healed.stdout.splitlines()
    assert [line[0] for line in lines[1:-1]] == ["✔"] * (len(lines) - 2)
    assert len(lines) > 15
    assert lines[-1] == "Everything is as it should be."


async def test_what_is_broken_is_named_on_a_line_of_its_own_and_the_exit_code_is_1(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        correlation_id = await book(client, 0)
        async for _ in client.follow(correlation_id):
            pass
        assert await asyncio.to_thread(child.terminate) == 0
    await damage(env, "UPDATE payments SET status = 'AUTHORIZED'")
    found = await diagnosis(env, tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == "1 saga, not served"
    (rule,) = [number for number, line in enumerate(lines) if line.startswith("✘")]
    assert lines[rule].split()[1] == "payment-booking"
    assert lines[rule + 1].startswith(f"    saga {correlation_id}: booking ")
    assert "AUTHORIZED" in lines[rule + 1]
    assert lines[rule + 2].startswith("✔")
    assert lines[-1] == "1 violation: payment-booking"


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_more_violations_than_are_named_are_said_to_be_there(env: dict[str, str], tmp_path: Path) -> None:
    assert seatsaga("migrate", env=env, folder=tmp_path).returncode == 0
    assert seatsaga("seed", env=env, folder=tmp_path).returncode == 0
    await damage(env, "UPDATE seats SET status = 'BOOKED' WHERE flight_id = 7")
    found = await diagnosis(env, tmp_path)
    assert found.returncode == 1
    assert found.stdout.count("flight 7 seat ") == 100
    assert "    ... and more\n" in found.stdout
    assert found.stdout.splitlines()[-1] == "100 violations, and more: seat-status"


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_pause_of_the_sweep_by_an_operator_is_heeded(env: dict[str, str], tmp_path: Path) -> None:
    async with serving_child(tmp_path, env | {"SEATSAGA_EXPIRY_INTERVAL_SECONDS": "3600"}) as child:
        async with Client(child.url) as client:
            correlation_id = await book(client, 0, delayMs=5_000)

            async def held() -> bool:
                with closing(sqlite3.connect(tmp_path / "data" / "seatsaga.db")) as connection:
                    rows = connection.execute("UPDATE seat_reservations SET held_at = 1, expires_at = 2")
                    connection.commit()
                    return rows.rowcount == 1

            await eventually(held)
        child.kill()
    await damage(env, f"UPDATE replicas SET lease_until = {2**60}")
    await damage(env, "UPDATE sagas SET pinned_at = NULL WHERE finished_at IS NULL")
    due = await diagnosis(env, tmp_path)
    assert due.returncode == 1
    assert correlation_id in due.stdout
    assert due.stdout.splitlines()[-1] == "1 violation: hold-time"
    pause = ("jobs", "pause", "release-expired-reservations", "--reason", "A test.")
    assert seatsaga(*pause, env=env, folder=tmp_path).returncode == 0
    paused = await diagnosis(env, tmp_path)
    assert paused.returncode == 0, paused.stdout
    assert "! LAPSED            1: sagas that hold seats for longer than they may" in paused.stdout
    assert "has paused their release" in paused.stdout


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_it_changes_nothing(env: dict[str, str], tmp_path: Path) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        async for _ in client.follow(await book(client, 0)):
            pass
        await asyncio.to_thread(child.terminate)
    files = [tmp_path / "data" / "seatsaga.db", tmp_path / "data" / "seatsaga.sandbox.db"]
    before = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    assert (await diagnosis(env, tmp_path)).returncode == 0
    assert [hashlib.sha256(file.read_bytes()).digest() for file in files] == before


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_where_there_is_no_database_it_says_so_and_makes_none(env: dict[str, str], tmp_path: Path) -> None:
    refused = await diagnosis(env, tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "run: seatsaga migrate" in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_with_stripe_it_says_that_the_provider_is_not_checked(env: dict[str, str], tmp_path: Path) -> None:
    assert seatsaga("migrate", env=env, folder=tmp_path).returncode == 0
    env |= {"SEATSAGA_PAYMENTS": "stripe", "STRIPE_API_KEY": "sk_test_nothing"}
    found = await diagnosis(env, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "provider-*        Not checked: the provider was not asked; seatsaga doctor --provider does." in found.stdout
    assert "provider-charges" not in found.stdout


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_with_stripe_it_checks_the_account_where_it_is_told_to(
    env: dict[str, str], tmp_path: Path, merchant: Merchant
) -> None:
    env |= {
        "SEATSAGA_PAYMENTS": "stripe",
        "STRIPE_API_KEY": merchant.api_key,
        "SEATSAGA_STRIPE_API_BASE": merchant.witness.url,
    }
    fill(env, tmp_path)
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        sold, _ = await paid(client), await paid(client, failAt=["CONFIRM_BOOKING"])
        assert await asyncio.to_thread(child.terminate) == 0
    asked = ("doctor", "--provider")
    clean = await asyncio.to_thread(seatsaga, *asked, env=env, folder=tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "✔ provider-charges" in clean.stdout
    await merchant.elsewhere(sold, "refund")
    found = await asyncio.to_thread(seatsaga, *asked, env=env, folder=tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"is CONFIRMED, and {sold} REFUNDED" in found.stdout
    # An account without the charge is as much of a fault.
    await damage(env, f"UPDATE payments SET reference = 'pi_gone' WHERE reference = '{sold}'")
    gone = await asyncio.to_thread(seatsaga, *asked, env=env, folder=tmp_path)
    assert "is paid by pi_gone, which the provider does not know" in gone.stdout


async def paid(client: Client, **simulate: Any) -> str:
    """The reference of the payment of a saga that has ended."""
    (flight,) = (await client.query(FLIGHTS))["flights"]["edges"]
    order = {
        "segments": [{"flightId": flight["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": "pm_card_visa"},
    } | ({"simulate": simulate} if simulate else {})
    correlation_id = (await client.query(BOOK, input=order))["bookFlight"]["saga"]["correlationId"]
    async for _ in client.follow(correlation_id):
        pass
    asked = "query($id: UUID!) { saga(correlationId: $id) { payment { providerReference } } }"
    reference: str = (await client.query(asked, id=correlation_id))["saga"]["payment"]["providerReference"]
    return reference
