"""What a browser may be made to do to us, and what it may show of us: as little as there can be."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio
from seatsaga_client import ApiError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from app.client import Client
from app.http.answers import PROBLEM_JSON
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.support.children import environment, seatsaga
from tests.support.waiting import eventually

SHOP: Final = "https://shop.example"
EVIL: Final = "https://evil.example"
#: Another program's page on this machine.
NEIGHBOUR: Final = "http://localhost:1"
QUERY: Final = {"query": "{ __typename }"}
MUTATION: Final = (
    'mutation { cancelSaga(input: {correlationId: "11111111-1111-4111-8111-111111111111"}) { saga { id } } }'
)
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { errors { __typename } } }"
PREFLIGHT: Final = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-request-id",
}
ADMIN: Final = "/admin/scheduler"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _broken(request: Request) -> Response:
    raise ValueError("broken on purpose")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def closed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """As it is without any setting: no origin but our own."""
    async with whole(sqlite_template, tmp_path_factory.mktemp("closed")) as served:
        served.app.router.routes.append(Route("/broken", _broken))
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """With a shop whose pages may call us."""
    async with whole(sqlite_template, tmp_path_factory.mktemp("shared"), allowed_origins=SHOP) as served:
        yield served


# ---------------------------------------------------------------------- headers of every answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/graphql?query={__typename}", 200),
        ("GET", "/graphql", 400),
        ("PUT", "/graphql", 405),
        ("POST", "/graphql", 415),
        ("GET", ADMIN, 401),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/nothing", 404),
        ("GET", "/broken", 500),
    ],
)
async def test_every_answer_says_what_browsers_may_do_with_it(
    closed: Whole, method: str, path: str, status: int
) -> None:
    response = await closed.http.request(method, path)

    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in response.headers
    assert len(response.headers["x-request-id"]) == 36
    assert all(len(response.headers.get_list(name)) == 1 for name in response.headers)


async def test_a_stream_says_so_too(closed: Whole) -> None:
    body = {"query": 'subscription { seatChanges(flightId: "RmxpZ2h0OjE") { number } }'}
    headers = {"accept": "text/event-stream"}
    async with closed.http.stream("POST", "/graphql", json=body, headers=headers) as response:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response.headers.get_list("cache-control") == ["no-store, no-transform"]


async def test_the_page_keeps_a_policy_of_its_own(closed: Whole) -> None:
    response = await closed.http.get("/graphql", headers={"accept": "text/html"})

    (policy,) = response.headers.get_list("content-security-policy")
    # GraphiQL where it is built, else a plain page of one document.
    assert "script-src 'self'" in policy or "script-src 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/graphql/",
        "//graphql",
        "//evil.example/graphql",
        "/graphql//",
        "/healthz/",
        "/saga/test/%2e%2e//",
        f"{ADMIN}/",
        f"{ADMIN}/jobs/prune-history/runs/",
        "/console/",
        "/",
    ],
)
async def test_no_answer_leads_to_a_host_that_the_request_names(closed: Whole, path: str) -> None:
    for method in ("GET", "POST"):
        request = httpx.Request(method, f"{closed.served.url}{path}", headers={"host": "localhost:1"})
        response = await closed.http.send(request)
        assert response.headers.get("location", "/").startswith("/")
        assert "localhost:1" not in response.text
        assert not response.headers.get("location", "").startswith("//")


async def test_an_endpoint_with_a_slash_too_many_is_none(closed: Whole) -> None:
    assert (await closed.http.post("/graphql/", json=QUERY)).status_code == 404
    assert (await closed.http.get("/healthz/")).status_code == 404


# ---------------------------------------------------------------------- other origins over HTTP


def allowances(response: httpx.Response) -> list[str]:
    """What the answer allows another origin."""
    return sorted(name for name in response.headers if name.startswith("access-control-allow"))


@pytest.mark.parametrize("path", ["/graphql", ADMIN, f"{ADMIN}/jobs/prune-history/run"])
async def test_a_page_of_an_allowed_origin_may_call_us_and_read_the_answer(shared: Whole, path: str) -> None:
    asked = await shared.http.options(path, headers={"origin": SHOP, **PREFLIGHT})
    answered = await shared.http.post(path, json=QUERY, headers={"origin": SHOP})

    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert int(asked.headers["access-control-max-age"]) > 0
    for response in (asked, answered):
        assert "origin" in response.headers["vary"].lower()
        assert "access-control-allow-credentials" not in response.headers
    assert answered.headers["access-control-allow-origin"] == SHOP
    for header in ("X-Request-ID", "Retry-After", "Date"):
        assert header in answered.headers["access-control-expose-headers"]


async def test_the_answers_own_vary_stays(shared: Whole) -> None:
    for origin in (SHOP, NEIGHBOUR, None):
        headers = {} if origin is None else {"origin": origin}
        response = await shared.http.post("/graphql", json=QUERY, headers=headers)
        assert response.headers["vary"] == "Accept, Origin"


async def test_a_stream_for_an_allowed_page_ends_when_the_page_is_gone(shared: Whole) -> None:
    feed = shared.app.state.backend.engine.feed
    wish = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": await first_flight(shared)}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "simulate": {"delayMs": 5_000},
    }
    await shared.http.post("/graphql", json={"query": BOOK, "variables": {"input": wish}})
    query = f'subscription {{ sagaEvents(correlationId: "{wish["correlationId"]}") {{ sequence }} }}'
    headers = {"origin": SHOP, "accept": "text/event-stream"}
    async with shared.http.stream("POST", "/graphql", json={"query": query}, headers=headers) as response:
        assert response.headers["access-control-allow-origin"] == SHOP
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                break
        assert feed.readers == 1

    await eventually(lambda: feed.readers == 0)


async def first_flight(served: Whole) -> str:
    response = await served.http.post("/graphql", json={"query": "{ flights { edges { node { id } } } }"})
    flight_id: str = response.json()["data"]["flights"]["edges"][0]["node"]["id"]
    return flight_id


async def test_a_refusal_may_be_read_by_an_allowed_page_too(shared: Whole) -> None:
    headers = {"origin": SHOP, "authorization": "Bearer guessed"}
    response = await shared.http.post("/graphql", json=QUERY, headers=headers)

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("origin", [EVIL, NEIGHBOUR, "null", "https://shop.example.evil.example"])
async def test_a_page_of_another_origin_is_allowed_nothing(closed: Whole, shared: Whole, origin: str) -> None:
    for served in (closed, shared):
        for path in ("/graphql", ADMIN):
            asked = await served.http.options(path, headers={"origin": origin, **PREFLIGHT})
            answered = await served.http.post(path, json=QUERY, headers={"origin": origin})
            assert asked.status_code in ((400, 401, 405) if origin == NEIGHBOUR else (403,))
            assert "access-control-allow-origin" not in asked.headers
            assert allowances(answered) == []


async def test_numbers_and_health_are_for_no_other_origin(shared: Whole) -> None:
    for path in ("/metrics", "/readyz"):
        assert allowances(await shared.http.get(path, headers={"origin": SHOP})) == []


# ---------------------------------------------------------------------- what is sent without asking first


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_does_nothing(shared: Whole, content_type: str) -> None:
    for origin, status in ((NEIGHBOUR, 415), (EVIL, 403)):
        headers = {"origin": origin, "content-type": content_type}
        response = await shared.http.post("/graphql", content=json.dumps({"query": MUTATION}), headers=headers)

        assert response.status_code == status
        assert allowances(response) == []


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/graphql-response+json",
        "text/event-stream",
        'multipart/mixed;subscriptionSpec="1.0"',
        "*/*",
    ],
)
async def test_a_mutation_never_runs_by_get_however_the_answer_is_wanted(closed: Whole, accept: str) -> None:
    response = await closed.http.get("/graphql", params={"query": MUTATION}, headers={"accept": accept})

    if "json" in response.headers["content-type"]:
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
    assert '{"errors":[{"message":"A mutation must not be sent by GET; use POST."' in response.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/healthz", 405)])
async def test_an_unknown_path_or_method_is_a_problem(closed: Whole, method: str, path: str, status: int) -> None:
    response = await closed.http.request(method, path)

    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM_JSON
    assert response.json()["status"] == status
    assert ("allow" in response.headers) == (status == 405)


async def test_the_scheduler_asks_for_a_token_whatever_a_browser_sends_by_itself(closed: Whole) -> None:
    for cookie in ("", f"token={ADMIN_TOKEN}", f"authorization=Bearer {ADMIN_TOKEN}"):
        response = await closed.http.post(f"{ADMIN}/jobs/prune-history/run", headers={"cookie": cookie})
        assert response.status_code == 401


# ---------------------------------------------------------------------- names that are made to lead here


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "0.0.0.0", "", "[::1"]
)
@pytest.mark.parametrize("path", ["/graphql", ADMIN, "/healthz", "/nothing"])
async def test_without_authentication_no_other_name_is_answered_for(closed: Whole, host: str, path: str) -> None:
    headers = {"host": host.format(port=closed.served.port), "authorization": f"Bearer {ADMIN_TOKEN}"}
    response = await closed.http.post(path, json={"query": MUTATION}, headers=headers)

    assert response.status_code == 421
    assert "SEATSAGA_ALLOWED_ORIGINS" in response.json()["detail"]
    assert "x-request-id" in response.headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.9.9.9:80", "[::1]:8000", "[::1]"])
async def test_every_name_of_this_machine_is_answered_for(closed: Whole, host: str) -> None:
    response = await closed.http.post("/graphql", json=QUERY, headers={"host": host})

    assert response.json()["data"] == {"__typename": "Query"}


async def test_the_hosts_of_allowed_origins_are_answered_for(closed: Whole, shared: Whole) -> None:
    for served, status in ((closed, 421), (shared, 200)):
        response = await served.http.post("/graphql", json=QUERY, headers={"host": "shop.example"})
        assert response.status_code == status


async def test_with_authentication_any_name_is_answered_for(sqlite_template: Path, tmp_path: Path) -> None:
    settings = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters"}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        headers = {"host": "api.example", "authorization": f"Bearer {ADMIN_TOKEN}"}
        assert (await served.http.post("/graphql", json=QUERY, headers=headers)).status_code == 200


# ---------------------------------------------------------------------- sockets


async def opens(served: Whole, **headers: str) -> int:
    """The status that the handshake is answered with."""
    try:
        async with connect(
            f"{served.served.socket_url}/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
            additional_headers=headers,
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_socket_is_opened_by_our_own_pages_and_allowed_ones_alone(closed: Whole, shared: Whole) -> None:
    port = closed.served.port
    assert await opens(closed) == 101
    assert await opens(closed, Origin=f"http://127.0.0.1:{port}") == 101
    for origin in (SHOP, EVIL, "null", "http://[", f"http://127.0.0.1:{port + 1}", f"{EVIL}/127.0.0.1:{port}"):
        assert await opens(closed, Origin=origin) == 403
    assert await opens(shared, Origin=SHOP) == 101
    assert await opens(shared, Origin=EVIL) == 403


async def test_a_page_whose_name_is_made_to_lead_here_opens_no_socket(closed: Whole) -> None:
    host = f"evil.example:{closed.served.port}"
    assert await opens(closed, Host=host, Origin=f"http://{host}") == 403


async def test_our_own_commands_say_why_they_are_not_answered(closed: Whole) -> None:
    # It leads to this machine, and is no name of it.
    async with Client(f"http://0.0.0.0:{closed.served.port}", ADMIN_TOKEN) as client:
        with pytest.raises(ApiError, match=r"answers 421\. Without authentication"):
            await client.query("{ __typename }")
        with pytest.raises(ApiError, match=r"answers 421\. Without authentication"):
            await anext(client.follow(str(uuid.uuid4())))
    async with Client(closed.served.url, "guessed") as client:
        with pytest.raises(ApiError, match="The token is not valid"):
            await client.query("{ __typename }")
        with pytest.raises(ApiError, match="The token is not valid"):
            await anext(client.follow(str(uuid.uuid4())))


# ---------------------------------------------------------------------- where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_a_start_that_would_let_the_world_in_without_authentication_is_refused(tmp_path: Path, host: str) -> None:
    asked = ("serve", "--host", host, "--port", "1")
    refused = await asyncio.to_thread(seatsaga, *asked, env=environment(tmp_path), folder=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr.strip() == (
        f"seatsaga: SEATSAGA_HOST={host}: without authentication the server listens on loopback alone; "
        "set SEATSAGA_AUTH=jwt, or SEATSAGA_HOST=127.0.0.1."
    )
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())
