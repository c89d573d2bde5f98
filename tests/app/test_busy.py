"""A server that is full, or fails, answers so that its client can read why and when to come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed

from app.http.answers import PROBLEM_JSON
from app.http.negotiation import GRAPHQL_JSON, JSON
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

SHOP: Final = "https://shop.example"
ORIGIN: Final = {"Origin": SHOP}
QUERY: Final = {"query": "{ __typename }"}
FOLLOW: Final = {"query": 'subscription { sagaEvents(correlationId: "11111111-1111-4111-8111-111111111111") { type } }'}
BROWSER: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MULTIPART: Final = 'multipart/mixed;subscriptionSpec="1.0", application/json'
ADMIN: Final = "/admin/scheduler"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _broken(request: Request) -> Response:
    raise ValueError("broken on purpose")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """Has one place, and a shop whose pages may call it."""
    settings = {"requests_active_max": 1, "allowed_origins": SHOP, "allowed_headers": "X-Shop-Session"}
    async with whole(sqlite_template, tmp_path_factory.mktemp("small"), **settings) as served:
        served.app.router.routes.append(Route("/graphql/broken", _broken))
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def full(small: Whole) -> AsyncIterator[Whole]:
    """Its place is taken by a stream."""
    headers = {"Accept": "text/event-stream"}
    async with small.http.stream("POST", "/graphql", json=FOLLOW, headers=headers) as stream:
        assert stream.status_code == 200
        yield small

    async def is_free() -> bool:
        return (await small.http.post("/graphql", json=QUERY)).status_code == 200

    await eventually(is_free)


# ---------------------------------------------------------------------- a full server


@pytest.mark.parametrize(
    ("method", "path", "accept", "kind"),
    [
        ("POST", "/graphql", GRAPHQL_JSON, GRAPHQL_JSON),
        ("POST", "/graphql", f"{GRAPHQL_JSON}, {JSON};q=0.9", GRAPHQL_JSON),
        ("POST", "/graphql", JSON, JSON),
        ("POST", "/graphql", "*/*", JSON),
        ("POST", "/graphql", "text/event-stream", GRAPHQL_JSON),
        ("POST", "/graphql", f"text/event-stream, {GRAPHQL_JSON}", GRAPHQL_JSON),
        ("POST", "/graphql", f"image/png\n{GRAPHQL_JSON}", GRAPHQL_JSON),
        ("POST", "/graphql", f"text/event-stream\n{JSON}", JSON),
        ("POST", "/graphql", MULTIPART, JSON),
        ("GET", "/graphql?query={__typename}", GRAPHQL_JSON, GRAPHQL_JSON),
        ("GET", "/graphql", BROWSER, "text/html"),
        ("GET", ADMIN, "*/*", PROBLEM_JSON),
        ("POST", f"{ADMIN}/jobs/prune-history/run", JSON, PROBLEM_JSON),
        ("GET", "/saga/test", BROWSER, "text/html"),
        ("GET", "/console/assets/index.js", "*/*", PROBLEM_JSON),
        ("POST", "/webhooks/stripe", "*/*", PROBLEM_JSON),
        ("GET", "/sandbox/confirm/x", BROWSER, "text/html"),
    ],
)
async def test_a_full_server_says_when_to_come_back_in_what_the_client_accepts(
    full: Whole, method: str, path: str, accept: str, kind: str
) -> None:
    lines = [("Accept", line) for line in accept.split("\n")]
    response = await full.http.request(method, path, headers=[*lines, *ORIGIN.items()])

    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.headers["content-type"].partition(";")[0] == kind
    assert "accept" in response.headers["vary"].lower()
    match kind:
        case "text/html":
            assert '<meta http-equiv="refresh" content="2">' in response.text
        case "application/problem+json":
            assert response.json()["status"] == 503
            assert response.json()["detail"].endswith("try again in 2 s.")
        case _:
            (error,) = response.json()["errors"]
            assert error["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": 1, "retryAfterSeconds": 2}
    if path.startswith(("/graphql", ADMIN)):
        assert readable(response)


async def test_a_socket_is_opened_and_closed_with_the_reason(full: Whole) -> None:
    # A browser hides the status and the headers of a refused handshake from the page.
    async with open_socket(full.served, **ORIGIN) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.initialise()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1013,
        "LIMIT_EXCEEDED: all places are taken; try again in 2 s",
    )


async def test_a_preflight_is_answered_all_the_same_and_takes_no_place(small: Whole, full: Whole) -> None:
    refused_before = await refusals(full)
    for path in ("/graphql", ADMIN):
        asked = await full.http.options(path, headers={**ORIGIN, "Access-Control-Request-Method": "POST"})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == SHOP
    # One of nobody is refused for what it is.
    assert (await full.http.options("/graphql")).status_code == 405
    assert await refusals(full) == refused_before


async def refusals(served: Whole) -> str:
    text = (await served.http.get("/metrics")).text
    (line,) = (line for line in text.splitlines() if line.startswith("seatsaga_requests_refused_total"))
    return line


# ---------------------------------------------------------------------- every answer can be read


def readable(response: httpx.Response) -> bool:
    """Whether a page of the shop can read the answer and the headers that say when to come back."""
    exposed = response.headers.get("access-control-expose-headers", "").split(", ")
    return response.headers.get("access-control-allow-origin") == SHOP and {
        "Retry-After",
        "X-Request-ID",
        "ETag",
        "Date",
    } <= set(exposed)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", {"Content-Type": "text/plain"}, 415),
        ("POST", "/graphql", {"Accept": "image/png"}, 406),
        ("PUT", "/graphql", {}, 405),
        ("POST", "/graphql", {"Authorization": "Bearer guessed"}, 401),
        ("POST", "/graphql", {"Host": "evil.example"}, 421),
        ("POST", "/graphql", {"X-Forwarded-For": "192.0.2.1"}, 403),
        ("GET", "/graphql/nothing", {}, 404),
        ("GET", "/graphql/broken", {}, 500),
        ("GET", ADMIN, {}, 401),
        ("GET", f"{ADMIN}/nothing", {"Authorization": f"Bearer {ADMIN_TOKEN}"}, 404),
        ("DELETE", ADMIN, {}, 405),
    ],
)
async def test_a_page_of_another_origin_reads_every_refusal(
    small: Whole, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = await small.http.request(method, path, headers={**ORIGIN, **headers}, content=b"{}")

    assert response.status_code == status
    assert readable(response)
    assert "origin" in response.headers["vary"].lower()


# ---------------------------------------------------------------------- preflights


SENT_BY_LIBRARIES: Final = (
    "authorization,content-type,x-request-id,last-event-id,prefer,cache-control,x-requested-with,"
    "traceparent,tracestate,baggage,sentry-trace,b3,x-b3-traceid,x-b3-spanid,x-b3-sampled,"
    "x-datadog-origin,x-datadog-trace-id,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-tags,newrelic,"
    "request-id,request-context,x-amzn-trace-id,x-cloud-trace-context,elastic-apm-traceparent,uber-trace-id,"
    "apollographql-client-name,apollographql-client-version,apollo-require-preflight,x-apollo-operation-name,"
    "x-apollo-operation-id,graphql-require-preflight,graphql-preflight"
)


@pytest.mark.parametrize("asked", [SENT_BY_LIBRARIES, "x-shop-session", "X-Shop-Session, traceparent"])
async def test_a_preflight_allows_what_libraries_send_by_themselves_and_what_is_set(small: Whole, asked: str) -> None:
    headers = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    response = await small.http.options("/graphql", headers=headers)

    allowed = {name.strip().lower() for name in response.headers["access-control-allow-headers"].split(",")}
    assert {name.strip().lower() for name in asked.split(",")} <= allowed
    assert response.headers["access-control-max-age"] == "7200"


async def test_a_preflight_that_asks_for_more_lets_the_browser_name_the_header(small: Whole) -> None:
    headers = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-other"}
    response = await small.http.options("/graphql", headers=headers)

    assert response.status_code == 200
    assert "x-other" not in response.headers["access-control-allow-headers"].lower()
