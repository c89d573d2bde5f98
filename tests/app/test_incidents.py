"""What a person who is woken up is told: the metrics that woke them, and `seatsaga incidents`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from app.observability.incident_gauges import IncidentGauges, Troubles
from app.observability.metrics import Metrics
from domain.incidents import Unsettled
from domain.money import Money
from tests.app.airline import TOKEN, Airline, Exposition, airline
from tests.support.children import seatsaga
from tests.support.waiting import eventually

STUCK = {"failAt": ["CONFIRM_BOOKING"], "failCompensationAt": ["CANCEL_PAYMENT"]}
SKIP = """mutation($id: UUID!) { skipStep(input: {correlationId: $id, step: AUTHORIZE_PAYMENT, reason: "Gone."}) {
  errors { __typename } } }"""
SETTLE = """mutation($id: UUID!) { settleSaga(input: {correlationId: $id, how: "Paid in cash."}) {
  errors { __typename } } }"""


async def told(served: Airline, folder: Path, *arguments: str) -> tuple[int, str]:
    """What the command says, and its exit code."""
    env = {"SEATSAGA_ADMIN_TOKEN": TOKEN, "COLUMNS": "200"}
    child = await asyncio.to_thread(
        seatsaga, "incidents", *arguments, "--url", str(served.http.base_url).rstrip("/"), env=env, folder=folder
    )
    assert child.stderr == ""
    return child.returncode, child.stdout


async def counted(served: Airline, **wanted: float) -> None:
    """Wait until the metrics of these names say so; money is in USD."""

    async def check() -> bool:
        scraped = await served.scrape()
        for name, value in wanted.items():
            labels = {"currency": "USD"} if name.endswith("_money") else {}
            assert scraped(f"seatsaga_{name}", **labels) == value
        return True

    await eventually(check, 15)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_an_incident_is_counted_listed_given_up_and_settled(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path) as served:
        assert await told(served, tmp_path) == (0, "No saga is stuck or parked.\n")
        await counted(served, incidents=0, incidents_money=0, sagas_unsettled=0, unsettled_money=0)
        saga = await served.book(STUCK)
        await served.until(saga, "SAGA_STUCK")
        await counted(served, incidents=1, incidents_money=100, sagas_unsettled=0, unsettled_money=0)

        code, table = await told(served, tmp_path)
        assert code == 1
        for word in ("STUCK SIMULATED", "CANCEL_PAYMENT", "100.00 USD", "docs/runbooks.md#the-failure-was-injected"):
            assert word in table
        code, exported = await told(served, tmp_path, "--json")
        (incident,) = [json.loads(line) for line in exported.splitlines()]
        assert (code, incident["sagas"], incident["seats"]) == (1, 1, 1)

        assert (await served.api.query(SKIP, id=saga))["skipStep"]["errors"] == []
        assert (await served.ended(saga))["status"] == "ABANDONED"
        await counted(served, incidents=0, incidents_money=0, sagas_unsettled=1, unsettled_money=100)
        assert (await served.api.query(SETTLE, id=saga))["settleSaga"]["errors"] == []
        await counted(served, sagas_unsettled=0, unsettled_money=0)


async def test_incidents_that_cannot_be_read_are_left_out() -> None:
    async def read() -> Troubles:
        raise ConnectionError

    metrics, gauges = Metrics(), IncidentGauges(read)
    metrics.collect_from(gauges)
    await gauges.refresh()
    assert not any("incidents" in name for name in Exposition(metrics.exposition().decode()).names)


async def test_money_of_each_currency_is_a_series_of_its_own_in_major_units() -> None:
    async def read() -> Troubles:
        return Troubles([], Unsettled(2, (Money(1_000, "JPY"), Money(12_50))))

    metrics, gauges = Metrics(), IncidentGauges(read)
    metrics.collect_from(gauges)
    await gauges.refresh()
    exposed = Exposition(metrics.exposition().decode())
    assert exposed.by("seatsaga_unsettled_money", "currency") == {("JPY",): 1_000, ("USD",): 12.5}
    assert exposed("seatsaga_incidents_money", currency="USD") == 0
