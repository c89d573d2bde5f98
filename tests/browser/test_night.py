"""An operator's night: 5,000 sagas are stuck, as the payment provider is away.

Python plays the monitoring, the provider and the auditor; the story in console/browser/night.js is the person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import promql_parser
import pytest
import pytest_asyncio
import yaml

from domain.saga import SagaStatus
from tests.app.airline import Exposition
from tests.browser.chromium import missing
from tests.browser.stage import Stage, stories
from tests.browser.stuck_sagas import HOLD_SECONDS, get_stuck
from tests.support.required import require
from tests.witness import Books, Merchant, Witness

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAGAS: Final = 5_000
#: Of these: their compensation keeps failing once the provider is back.
HOPELESS: Final = 2
#: On a busy machine.
NIGHT_SECONDS_MAX: Final = 480
ALERTS: Final = Path(__file__).parents[2] / "docs" / "alerts" / "seatsaga.rules.yml"
INCIDENTS: Final = """{
  incidents { status step compensation failureCode sagas seats points runbook money { amount currency } }
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def merchant() -> AsyncIterator[Merchant]:
    """Our account at a provider that the test sends away."""
    require("BROWSER", missing())
    async with Witness.running() as witness:
        yield witness.merchant()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, merchant: Merchant) -> AsyncIterator[Stage]:
    """A server that starts with 5,000 stuck sagas, before a provider that is away."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "data").mkdir()
    url = f"sqlite+aiosqlite:///{folder / 'data' / 'seatsaga.db'}"
    await get_stuck(url, merchant.witness, merchant, SAGAS, twice=HOPELESS)
    stage = Stage(
        folder,
        {"payments": "stripe", "stripe_api_base": merchant.witness.url, "hold_seconds": str(HOLD_SECONDS)},
        variables={"STRIPE_API_KEY": merchant.api_key},
        errands={
            "provider: come back": merchant.witness.come_back,
            "provider: give no answer": partial(merchant.fault, "void", "RESET"),
        },
    )
    try:
        await stage.start()
        yield stage
    finally:
        await stage.close()


@stories("night")
async def test_a_night(stage: Stage, merchant: Merchant, file: str, story: str) -> None:
    before = await merchant.books()
    reserved = sum(payment.authorized for payment in before.payments)
    assert len([payment for payment in before.payments if payment.authorized]) == SAGAS
    metrics = await scraped(stage)
    assert is_firing("SeatsagaSagasStuck", metrics)
    assert metrics.by("seatsaga_incidents_money", "currency") == {("USD",): reserved / 100}
    assert (await query(stage, INCIDENTS))["incidents"] == [
        {
            "status": "STUCK",
            "step": "AUTHORIZE_PAYMENT",
            "compensation": "CANCEL_PAYMENT",
            "failureCode": "PROVIDER_UNREACHABLE",
            "sagas": SAGAS,
            "seats": SAGAS,
            "points": 0,
            "runbook": "the-provider-cannot-be-reached",
            "money": [{"amount": f"{reserved / 100:.2f}", "currency": "USD"}],
        }
    ]

    await stage.tell(file, story, seconds_max=NIGHT_SECONDS_MAX)

    assert_record_is_whole(
        [json.loads(line) for line in (await stage.command("actions", "--json", "--url", stage.url)).splitlines()]
    )
    metrics = await scraped(stage)
    assert not is_firing("SeatsagaSagasStuck", metrics)
    assert not is_firing("SeatsagaMoneyUnsettled", metrics)
    assert metrics("seatsaga_incidents") == 0
    assert metrics.by("seatsaga_incidents_money", "currency") == {}
    assert metrics.by("seatsaga_unsettled_money", "currency") == {}
    assert await ends(stage) == {"COMPENSATED": SAGAS - HOPELESS, "ABANDONED": HOPELESS}
    assert "Everything is as it should be." in await stage.command("doctor", "--provider")
    assert_nothing_is_kept(await merchant.books())


def assert_record_is_whole(actions: list[dict[str, Any]]) -> None:
    """Each thing that was done is there once for each saga, with its subject; who got no answer was tried again."""
    assert all(action["by"]["subject"].startswith("admin-token:") for action in actions)
    kinds = Counter(action["kind"] for action in actions)
    [*again, start] = [action for action in actions if action["kind"] == "BULK_START"]
    assert start["reason"] == "The provider is back"
    assert again
    assert all(action["reason"].startswith("They got no answer") for action in again)
    retries = [action for action in actions if action["kind"] == "RETRY_SAGA"]
    alone = {action["saga"]["correlationId"] for action in retries if action["bulkAction"] is None}
    retried, *_ = per_bulk_action = [
        Counter(action["saga"]["correlationId"] for action in retries if action["bulkAction"] == one["bulkAction"])
        for one in (start, *again)
    ]
    assert all(set(sagas.values()) == {1} for sagas in per_bulk_action)
    assert all(sagas.keys() <= retried.keys() for sagas in per_bulk_action)
    assert len(retried.keys() | alone) == SAGAS
    assert kinds == {
        "BULK_START": len(per_bulk_action),
        "RETRY_SAGA": len(alone) + sum(map(len, per_bulk_action)),
        "SKIP_STEP": HOPELESS,
        "SETTLE": HOPELESS,
    }
    skipped, settled = (
        {action["saga"]["correlationId"]: action["reason"] for action in actions if action["kind"] == kind}
        for kind in ("SKIP_STEP", "SETTLE")
    )
    assert skipped.keys() == settled.keys()
    assert set(skipped.values()) == {"The flight is closed: its seats cannot be freed here"}
    assert set(settled.values()) == {"Freed at the gate by hand"}


def assert_nothing_is_kept(books: Books) -> None:
    """No booking of this night was made, so none has cost its customer anything."""
    assert len(books.payments) == SAGAS
    books.assert_kept({})


def is_firing(alert: str, metrics: Exposition) -> bool:
    """Whether the rule `max by (...) (metric{label="value"}) > 0` holds now."""
    rules = {
        rule["alert"]: rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    }
    compared: Any = promql_parser.parse(rules[alert])
    selector = compared.lhs.expr
    labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    values = metrics.by(selector.name, *labels)
    return values.get(tuple(labels.values()), 0.0) > float(compared.rhs.val)


async def scraped(stage: Stage) -> Exposition:
    async with client(stage) as http:
        return Exposition((await http.get("/metrics")).raise_for_status().text)


async def ends(stage: Stage) -> dict[str, int]:
    """How many sagas there are, by status."""
    counts = " ".join(f"{status}: sagas(filter: {{status: {status}}}) {{ totalCount }}" for status in SagaStatus)
    found = await query(stage, f"{{ {counts} }}")
    return {status: number["totalCount"] for status, number in found.items() if number["totalCount"]}


async def query(stage: Stage, document: str) -> dict[str, Any]:
    """As the operator."""
    async with client(stage) as http:
        answer = (await http.post("/graphql", json={"query": document})).raise_for_status().json()
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]
    return found


def client(stage: Stage) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stage.url, headers={"Authorization": f"Bearer {stage.token}"}, timeout=30.0)
