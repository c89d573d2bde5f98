"""`seatsaga reconcile` as its users run it: after a restore to an earlier moment it lists exactly what differs."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from app.client import Client
from domain.money import Money
from domain.outcome import Succeeded
from domain.payments import PaymentOrder
from tests.app.airline import airline
from tests.support.children import environment, fill, seatsaga, serving_child
from tests.support.waiting import eventually
from tests.witness import Merchant
from tests.witness.fixtures import merchant, witness

__all__ = ["merchant", "witness"]

HOUR_SECONDS: Final = 3_600
BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
FLIGHTS: Final = "{ flights(first: 1) { edges { node { id } } } }"
SAGA: Final = """query($id: UUID!) { saga(correlationId: $id) {
  status payment { providerReference } booking { reference } } }"""
CANCEL: Final = """mutation($input: CancelBookingInput!) { cancelBooking(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""


@dataclass(frozen=True)
class Ended:
    """A saga that has ended, and its payment at the provider."""

    correlation_id: str
    payment: str
    booking: str | None


@dataclass(frozen=True)
class Provider:
    """The provider of an installation: the sandbox, or a merchant at the witness."""

    folder: Path
    merchant: Merchant | None

    @property
    def settings(self) -> dict[str, str]:
        if self.merchant is None:
            return {}
        return {
            "SEATSAGA_PAYMENTS": "stripe",
            "STRIPE_API_KEY": self.merchant.api_key,
            "SEATSAGA_STRIPE_API_BASE": self.merchant.witness.url,
        }

    async def begin(self) -> None:
        """An hour ago: walks leave the newest minutes."""
        if self.merchant is not None:
            await self.merchant.advance(-HOUR_SECONDS)

    def keep(self) -> None:
        """Put the sandbox's books where no restore reaches them: a provider is not restored with us."""
        if self.merchant is None:
            for file in (self.folder / "data").glob("seatsaga.sandbox.db*"):
                shutil.copy(file, self.folder / file.name)

    def bring_back(self) -> None:
        """The provider is as it was before the restore, and it all was an hour ago, here and there."""
        if self.merchant is None:
            for file in (self.folder / "data").glob("seatsaga.sandbox.db*"):
                file.unlink()
            for file in self.folder.glob("seatsaga.sandbox.db*"):
                shutil.copy(file, self.folder / "data" / file.name)
            self._age("seatsaga.sandbox.db", "entries", "created_at", "changed_at")
        self.age_sagas()

    def age_sagas(self) -> None:
        """Let an hour pass for what has ended here."""
        self._age("seatsaga.db", "sagas", "finished_at")

    def _age(self, file: str, table: str, *columns: str) -> None:
        with closing(sqlite3.connect(self.folder / "data" / file, isolation_level=None)) as connection:
            for column in columns:
                connection.execute(f"UPDATE {table} SET {column} = {column} - {HOUR_SECONDS} * 1000000")


@pytest.fixture(params=["sandbox", "stripe"])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> Provider:
    found = Provider(tmp_path, request.getfixturevalue("merchant") if request.param == "stripe" else None)
    await found.begin()
    return found


@pytest.fixture
def env(provider: Provider, tmp_path: Path) -> dict[str, str]:
    env = environment(tmp_path) | provider.settings
    fill(env, tmp_path)
    return env


async def run(*arguments: str, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(seatsaga, *arguments, env=env, folder=folder)


async def book(client: Client, **simulate: Any) -> Ended:
    """A saga that has ended, booked unless `simulate` says otherwise."""
    (flight,) = (await client.query(FLIGHTS))["flights"]["edges"]
    order = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": "pm_card_visa"},
    }
    answer = (await client.query(BOOK, input=order | ({"simulate": simulate} if simulate else {})))["bookFlight"]
    assert answer["errors"] == [], answer
    return await ended(client, answer["saga"]["correlationId"])


async def cancel(client: Client, booking: str) -> None:
    answer = (await client.query(CANCEL, input={"reference": booking}))["cancelBooking"]
    assert answer["errors"] == [], answer
    async for _ in client.follow(answer["saga"]["correlationId"]):
        pass


async def ended(client: Client, correlation_id: str) -> Ended:
    async for _ in client.follow(correlation_id):
        pass
    saga = (await client.query(SAGA, id=correlation_id))["saga"]
    booking = saga["booking"]["reference"] if saga["booking"] else None
    return Ended(correlation_id, saga["payment"]["providerReference"], booking)


async def test_after_a_restore_to_an_earlier_moment_it_lists_exactly_what_differs(
    provider: Provider, env: dict[str, str], tmp_path: Path
) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        stays, to_cancel = await book(client), await book(client)
        await book(client, failAt=["CONFIRM_BOOKING"])
        await cancel(client, (await book(client)).booking or "")
        made = await run("backup", "backup.tar", env=env, folder=tmp_path)
        assert made.returncode == 0, made.stderr
        # The hour that will be lost here, and not at the provider.
        await cancel(client, to_cancel.booking or "")
        lost = await book(client)
        await book(client, failAt=["CONFIRM_BOOKING"])
        await cancel(client, (await book(client)).booking or "")
        assert await asyncio.to_thread(child.terminate) == 0
    provider.keep()
    restored = await run("restore", "--despite-findings", "backup.tar", env=env, folder=tmp_path)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    provider.bring_back()

    found = await run("reconcile", "--since", "1d", "--json", env=env, folder=tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    told = json.loads(found.stdout)
    differs = {(item["kind"], item["reference"]): item for item in told["findings"]}
    assert differs.keys() == {("BOOKING_REFUNDED", to_cancel.payment), ("UNKNOWN_MONEY", lost.payment)}
    assert differs["UNKNOWN_MONEY", lost.payment]["correlationId"] == lost.correlation_id
    assert to_cancel.booking in differs["BOOKING_REFUNDED", to_cancel.payment]["detail"]
    assert stays.payment not in found.stdout
    assert told["mended"] == []

    # Money that we do not know is not given back, whoever asks.
    mended = await run("reconcile", "--since", "1d", "--mend", env=env, folder=tmp_path)
    assert mended.returncode == 1, mended.stdout + mended.stderr
    lines = mended.stdout.splitlines()
    assert lines[-1].startswith("2 differences; at stake: ")
    assert any(line.startswith(f"    {lost.payment}  saga {lost.correlation_id}  ") for line in lines)

    # The table of docs/scaling.md: cancelling the booking again ends its finding.
    async with serving_child(tmp_path, env) as again, Client(again.url) as client:
        await cancel(client, to_cancel.booking or "")
        assert await asyncio.to_thread(again.terminate) == 0
    provider.age_sagas()
    settled = await run("reconcile", "--since", "1d", "--json", env=env, folder=tmp_path)
    assert settled.returncode == 1, settled.stdout + settled.stderr
    assert [item["reference"] for item in json.loads(settled.stdout)["findings"]] == [lost.payment]


@pytest.mark.parametrize("provider", ["sandbox"], indirect=True)
async def test_where_nothing_differs_it_says_so_and_exits_0(env: dict[str, str], tmp_path: Path) -> None:
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        await book(client)
        served = await run("reconcile", "--since", "1d", env=env, folder=tmp_path)
    assert served.returncode == 0, served.stdout + served.stderr
    assert served.stdout.splitlines()[-1] == "The provider's books and ours agree."


@pytest.mark.parametrize("provider", ["sandbox"], indirect=True)
async def test_a_time_that_is_none_is_refused_in_one_line(env: dict[str, str], tmp_path: Path) -> None:
    refused = await run("reconcile", "--since", "yesterday", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        "seatsaga: --since yesterday is no time; write one as 2026-11-30T12:00Z, or how long ago as 90m, 2h, 7d.\n"
    )


@pytest.mark.parametrize("provider", ["stripe"], indirect=True)
async def test_a_provider_that_does_not_answer_is_said_in_one_line(
    provider: Provider, env: dict[str, str], tmp_path: Path
) -> None:
    assert provider.merchant is not None
    await provider.merchant.set(access="REVOKED")
    refused = await run("reconcile", env=env, folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "seatsaga: The provider's books could not be read: it answered 401.\n"


# ---------------------------------------------------------------- the job


async def test_the_job_shows_what_it_finds_as_metrics_and_waits_while_the_provider_is_paused(
    database_url: str, tmp_path: Path
) -> None:
    async with airline(database_url, tmp_path) as served:
        strange = PaymentOrder(str(uuid.uuid4()), Money(12_50))
        assert isinstance(await served.gateway.authorize("pi_strange", strange, "a key"), Succeeded)
        served.clock.advance(600)
        run = "/admin/scheduler/jobs/reconcile-payments/run"
        served.backend.guard.set_paused("a test")
        waits = (await served.http.post(run)).json()
        assert (waits["outcome"], waits["affected"]) == ("OK", 0)
        served.backend.guard.set_paused(None)

        assert (await served.http.post(run)).json()["affected"] == 1

        async def shown() -> bool:
            exposed = await served.scrape()
            assert exposed.by("seatsaga_payment_findings_open", "kind") == {("UNKNOWN_MONEY",): 1}
            assert exposed.by("seatsaga_payment_findings_money", "kind", "currency") == {("UNKNOWN_MONEY", "USD"): 12.5}
            return True

        await eventually(shown)
