"""Everything is served beneath SEATSAGA_BASE_PATH, whether a proxy passes the path on or strips it."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from app.client import Client
from app.http.console import Console
from app.settings import OWN_PATHS
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.support.children import environment, serving_child
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

BASE: Final = "/seats"
OPERATOR: Final = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { errors { __typename } } }"
AWAITED: Final = (
    "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 5) "
    "{ status awaiting { ... on CardConfirmationAwaited { url } } } }"
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beneath(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """Served beneath a path."""
    async with whole(sqlite_template, tmp_path_factory.mktemp("beneath"), base_path=BASE) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traefik(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """Served at the root, behind a proxy that strips a prefix and names it."""
    async with whole(sqlite_template, tmp_path_factory.mktemp("traefik"), forwarded_allow_ips="127.0.0.1") as served:
        yield served


async def test_no_base_path_hides_a_path_of_our_own(beneath: Whole) -> None:
    served = {str(getattr(route, "path", "")).split("/")[1].split("{")[0] for route in beneath.app.router.routes}
    assert served - {""} == set(OWN_PATHS)


# ---------------------------------------------------------------------- both kinds of proxies


@pytest.mark.parametrize("prefix", [BASE, ""])
async def test_every_path_is_served_with_the_base_path_and_without(beneath: Whole, prefix: str) -> None:
    statuses = {
        path: (await beneath.http.get(prefix + path, headers=OPERATOR)).status_code
        for path in ("/healthz", "/readyz", "/metrics", "/admin/scheduler", "/saga", "/saga/test", "/nothing")
    }
    assert statuses.pop("/nothing") == 404
    assert set(statuses.values()) == {200}
    hook = await beneath.http.post(f"{prefix}/webhooks/stripe")
    assert "SEATSAGA_STRIPE_WEBHOOK_SECRET" in hook.json()["detail"]
    answer = await beneath.http.post(f"{prefix}/graphql", json={"query": "{ __typename }"})
    assert answer.json()["data"] == {"__typename": "Query"}
    async with open_socket(beneath.served, path=f"{prefix}/graphql") as socket:
        await socket.initialise()


@pytest.mark.parametrize("path", [f"{BASE}{BASE}/graphql", "/seatsx/graphql", f"{BASE}graphql", f"{BASE}//graphql"])
async def test_a_path_that_only_looks_alike_is_not_found(beneath: Whole, path: str) -> None:
    assert (await beneath.http.post(path, json={"query": "{ __typename }"})).status_code == 404


@pytest.mark.parametrize("path", [BASE, f"{BASE}/", "/"])
async def test_the_first_page_is_beneath_the_base_path(beneath: Whole, path: str) -> None:
    response = await beneath.http.get(path)
    assert (response.status_code, response.headers["location"]) == (307, f"{BASE}/saga/test")


# ---------------------------------------------------------------------- addresses that clients are given


async def test_documents_name_their_files_beneath_the_base_path(beneath: Whole) -> None:
    for path in ("/saga/test", "/graphql"):
        page = await beneath.http.get(BASE + path, headers={"Accept": "text/html"})
        assert page.status_code == 200
        if Console().is_built:
            assert f'<meta name="base-path" content="{BASE}"' in page.text
        for address in re.findall(r'(?:src|href)="([^#"]*)"', page.text):
            assert address.startswith((f"{BASE}/", "data:"))
            assert (await beneath.http.get(address, headers={"Accept": "*/*"})).status_code in (200, 400)


async def test_the_page_of_a_cards_holder_is_beneath_the_base_path(beneath: Whole) -> None:
    url = await asked_at(beneath)
    assert url.startswith(f"{BASE}/sandbox/confirm/")
    answered = await beneath.http.post(url, data={"answer": "approve"})
    assert (answered.status_code, answered.headers["location"]) == (303, url)


async def asked_at(served: Whole, **headers: str) -> str:
    """The address that the customer of a new booking is sent to by the bank."""
    found = await served.http.post("/graphql", json={"query": "{ flights { edges { node { id } } } }"}, headers=headers)
    wish = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": found.json()["data"]["flights"]["edges"][0]["node"]["id"]}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": "pm_card_threeDSecure2Required"},
    }
    await served.http.post("/graphql", json={"query": BOOK, "variables": {"input": wish}}, headers=headers)
    question = {"query": AWAITED, "variables": {"id": wish["correlationId"]}}
    asked: list[dict[str, Any]] = []

    async def is_asked() -> bool:
        saga = (await served.http.post("/graphql", json=question, headers=headers)).json()["data"]["saga"]
        asked.append(saga["awaiting"] or {})
        return "url" in asked[-1]

    await eventually(is_asked)
    return str(asked[-1]["url"])


async def test_the_commands_take_a_url_with_a_path(beneath: Whole) -> None:
    async with Client(f"{beneath.served.url}{BASE}/") as client:
        assert await client.query("{ __typename }") == {"__typename": "Query"}
        url = await asked_at(beneath)
        assert client.address(url) == f"{beneath.served.url}{url}"


async def test_the_start_prints_whole_addresses(tmp_path: Path) -> None:
    async with serving_child(tmp_path, environment(tmp_path, base_path=BASE)) as child:
        said = child.output.read_text()
    assert f"seatsaga serves on {child.url}{BASE}/graphql" in said


# ---------------------------------------------------------------------- X-Forwarded-Prefix


@pytest.mark.parametrize(
    ("prefix", "location"),
    [
        ("/seats", "/seats/saga/test"),
        ("/seats/", "/seats/saga/test"),
        ("/shop, /seats", "/shop/seats/saga/test"),
        ("//evil.example", "/saga/test"),
        ("https://evil.example", "/saga/test"),
        ('/"><script>', "/saga/test"),
        ("/graphql", "/saga/test"),
        ("", "/saga/test"),
    ],
)
async def test_without_the_setting_a_trusted_proxy_may_name_the_prefix_that_it_strips(
    traefik: Whole, prefix: str, location: str
) -> None:
    response = await traefik.http.get("/", headers={"X-Forwarded-Prefix": prefix})
    assert response.headers["location"] == location


async def test_a_prefix_holds_for_its_own_request_alone(traefik: Whole) -> None:
    assert (await asked_at(traefik, **{"X-Forwarded-Prefix": "/seats"})).startswith("/seats/sandbox/")
    assert (await asked_at(traefik)).startswith("/sandbox/")


async def test_a_prefix_of_anybody_else_is_ignored(sqlite_template: Path, tmp_path: Path) -> None:
    settings = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters or more"}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        response: httpx.Response = await served.http.get("/", headers={"X-Forwarded-Prefix": "/seats"})
    assert response.headers["location"] == "/saga/test"
