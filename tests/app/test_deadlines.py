"""A request that says when its answer is expected is answered before, with the saga as it stands."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from starlette.datastructures import Headers

from app.http.deadlines import answer_within, preferred_wait
from tests.app.whole import Whole, whole

WAITING: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 30) { status } }"
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { errors { __typename } } }"
ENVOY: Final = "x-envoy-expected-rq-timeout-ms"


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode()) for name, value in pairs])


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([], None),
        (["wait=20"], 20),
        (["WAIT=20"], 20),
        (["wait = 20"], 20),
        (['wait="20"'], 20),
        (["return=minimal, wait=20; foo=1"], 20),
        (["respond-async", "wait=20"], 20),
        (["wait=20, wait=5"], 20),
        (["wait=0"], 0),
        (["wait"], None),
        (["wait="], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=soon, wait=5"], None),
        (["wait=1e9"], None),
        (["wait=99999999999999999999"], None),
        (["wait=²"], None),
        (["waiting=20"], None),
        ([", ;=,"], None),
    ],
)
def test_the_preference_to_wait_is_read_and_nonsense_ignored(given: list[str], seconds: int | None) -> None:
    assert preferred_wait(headers(*(("prefer", value) for value in given))) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ([], None),
        ([("prefer", "wait=20")], 19),
        ([("prefer", "wait=2")], 1.5),
        ([("prefer", "wait=0")], 0),
        ([(ENVOY, "15000")], 14),
        ([(ENVOY, "15000"), ("prefer", "wait=20")], 14),
        ([(ENVOY, "15000"), ("prefer", "wait=10")], 9),
        ([(ENVOY, "0")], None),
        ([(ENVOY, "-5")], None),
        ([(ENVOY, "15s"), ("prefer", "wait=10")], 9),
        ([(ENVOY, "9" * 400)], None),
    ],
)
def test_the_answer_is_due_some_time_before_it_is_expected(given: list[tuple[str, str]], seconds: float | None) -> None:
    assert answer_within(headers(*given)) == seconds


# ---------------------------------------------------------------------- over HTTP


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """A server with a saga that takes much longer than any request here."""
    async with whole(sqlite_template, tmp_path_factory.mktemp("deadlines")) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow(served: Whole) -> str:
    found = await served.http.post("/graphql", json={"query": "{ flights { edges { node { id } } } }"})
    wish = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": found.json()["data"]["flights"]["edges"][0]["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": "pm_card_visa"},
        "simulate": {"delayMs": 5_000},
    }
    booked = await served.http.post("/graphql", json={"query": BOOK, "variables": {"input": wish}})
    assert booked.json()["data"]["bookFlight"]["errors"] == []
    return str(wish["correlationId"])


async def asked(served: Whole, correlation_id: str, **sent: str) -> httpx.Response:
    """The answer of a query that would wait for half a minute."""
    question: dict[str, Any] = {"query": WAITING, "variables": {"id": correlation_id}}
    named = {name.replace("_", "-"): value for name, value in sent.items()}
    async with asyncio.timeout(15):
        return await served.http.post("/graphql", json=question, headers=named, timeout=None)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("sent", "applied"),
    [
        ({"prefer": "wait=0"}, "wait=0"),
        ({"prefer": "respond-async, wait=1"}, "wait=1"),
        ({"x_envoy_expected_rq_timeout_ms": "200"}, None),
        ({"x_envoy_expected_rq_timeout_ms": "200", "prefer": "wait=25"}, "wait=25"),
        ({"x_envoy_expected_rq_timeout_ms": "200", "prefer": "wait=for it"}, None),
        ({"x_envoy_expected_rq_timeout_ms": "200", "accept": "text/event-stream"}, None),
    ],
)
async def test_the_saga_is_shown_as_it_stands_in_time(
    served: Whole, slow: str, sent: dict[str, str], applied: str | None
) -> None:
    response = await asked(served, slow, **sent)

    assert response.status_code == 200
    assert '"status":"RUNNING"' in response.text
    assert response.headers.get("preference-applied") == applied
