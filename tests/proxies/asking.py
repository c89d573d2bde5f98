"""Clients of a proxy: requests, and the events of a saga over every transport."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.http.negotiation import GRAPHQL_JSON
from tests.support.proxies import Proxy
from tests.support.required import require

__all__ = [
    "EVENTS",
    "FLIGHTS",
    "MULTIPART",
    "SHOP",
    "SSE",
    "TRANSPORTS",
    "WAIT",
    "ask",
    "book_slowly",
    "by_curl",
    "by_multipart",
    "by_socket",
    "by_sse",
    "client",
    "followed",
    "hold",
    "order",
    "pay",
    "trust",
]

SHOP: Final = "https://shop.example"
SSE: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed;subscriptionSpec=1.0"
PROTOCOL: Final = Subprotocol("graphql-transport-ws")
SECONDS_MAX: Final = 40.0

FLIGHTS: Final = "{ flights(first: 30) { edges { node { id number departsAt arrivesAt } } } }"
BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId status } errors { __typename ... on UserError { message } } } }"""
PAY: Final = """mutation($input: PayForHoldInput!) { payForHold(input: $input) {
  saga { status } errors { __typename ... on UserError { message } } } }"""
WAIT: Final = "query($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) { status } }"
EVENTS: Final = "subscription($id: UUID!) { sagaEvents(correlationId: $id) { sequence type } }"
Events = AsyncGenerator[dict[str, Any], None]


def trust(front: Proxy) -> ssl.SSLContext:
    """A context that trusts the proxy's authority alone."""
    return ssl.create_default_context(cafile=str(front.authority))


def client(front: Proxy, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """An HTTP client of the proxy, which connects from `address`."""
    transport = httpx.AsyncHTTPTransport(verify=trust(front), local_address=address)
    return httpx.AsyncClient(base_url=front.address, transport=transport, timeout=SECONDS_MAX)


async def ask(http: httpx.AsyncClient, query: str, **variables: object) -> dict[str, Any]:
    """The data of the answer to an operation by POST."""
    answer = await http.post(
        "/graphql", json={"query": query, "variables": variables}, headers={"accept": GRAPHQL_JSON}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"]
    return found


def order(flight_id: str, **more: object) -> dict[str, Any]:
    """A booking of one seat."""
    return {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        **more,
    }


async def hold(http: httpx.AsyncClient) -> str:
    """The correlation ID of a hold that nobody has paid for."""
    return await _book(http, payLater=True)


async def book_slowly(http: httpx.AsyncClient) -> str:
    """The correlation ID of a saga that takes more than half a minute."""
    return await _book(http, simulate={"delayMs": 5_000, "failAt": ["CONFIRM_BOOKING"]})


async def _book(http: httpx.AsyncClient, **more: object) -> str:
    flights = (await ask(http, FLIGHTS))["flights"]["edges"]
    booked = (await ask(http, BOOK, input=order(flights[0]["node"]["id"], **more)))["bookFlight"]
    assert booked["errors"] == []
    found: str = booked["saga"]["correlationId"]
    return found


async def pay(http: httpx.AsyncClient, correlation_id: str) -> None:
    """Pay for a hold."""
    payment = {"correlationId": correlation_id, "payment": {"token": "pm_card_visa"}}
    assert (await ask(http, PAY, input=payment))["payForHold"]["errors"] == []


# ---------------------------------------------------------------------- events


async def by_sse(front: Proxy, correlation_id: str) -> Events:
    """By Server-Sent Events."""
    async with client(front) as http, http.stream(**_subscription(correlation_id, SSE)) as response:
        _assert_is_stream(response, SSE)
        async for event in _events_of(response.aiter_lines()):
            yield event


async def by_multipart(front: Proxy, correlation_id: str) -> Events:
    """By multipart, as Apollo Client asks for it."""
    async with client(front) as http, http.stream(**_subscription(correlation_id, MULTIPART)) as response:
        _assert_is_stream(response, "multipart/mixed")
        async for line in response.aiter_lines():
            if line.startswith('{"payload"'):
                yield json.loads(line)["payload"]["data"]["sagaEvents"]
            if line == "--graphql--":
                return
    raise AssertionError("the stream ended without its closing boundary")


async def by_socket(front: Proxy, correlation_id: str) -> Events:
    """By graphql-transport-ws."""
    url = f"{front.address.replace('http', 'ws', 1)}/graphql"
    secure = trust(front) if url.startswith("wss") else None
    async with connect(url, subprotocols=[PROTOCOL], ssl=secure) as socket:
        await socket.send('{"type": "connection_init"}')
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": EVENTS, "variables": {"id": correlation_id}}
        await socket.send(json.dumps({"id": "a", "type": "subscribe", "payload": payload}))
        while (message := json.loads(await socket.recv()))["type"] != "complete":
            yield message["payload"]["data"]["sagaEvents"]


async def by_curl(front: Proxy, correlation_id: str) -> Events:
    """By Server-Sent Events over HTTP/2, which httpx speaks only with another library."""
    program = shutil.which("curl")
    require("PROXIES", None if program else "curl is not installed; run: apt-get install curl")
    body = json.dumps({"query": EVENTS, "variables": {"id": correlation_id}})
    command = ["curl", "--no-buffer", "--silent", "--show-error", "--fail", "--compressed", "--http2"]
    command += [
        "--cacert",
        str(front.authority),
        "--max-time",
        str(SECONDS_MAX),
        "--write-out",
        "\nHTTP/%{http_version}",
    ]
    command += ["-H", f"accept: {SSE}", "-H", "content-type: application/json", "-d", body, f"{front.address}/graphql"]
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert running.stdout is not None
        out = running.stdout
        lines = (line.decode().rstrip("\n") async for line in out)
        async for event in _events_of(lines):
            yield event
        assert (await out.read()).strip() == b"HTTP/2"
        assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


TRANSPORTS: Final[dict[str, Callable[[Proxy, str], Events]]] = {
    "sse": by_sse,
    "multipart": by_multipart,
    "socket": by_socket,
}


def _subscription(correlation_id: str, accept: str) -> dict[str, Any]:
    body = {"query": EVENTS, "variables": {"id": correlation_id}}
    return {"method": "POST", "url": "/graphql", "json": body, "headers": {"accept": accept}}


def _assert_is_stream(response: httpx.Response, kind: str) -> None:
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    # httpx asks for gzip; compressing, a proxy would collect events.
    assert "content-encoding" not in response.headers


async def _events_of(lines: AsyncIterator[str]) -> Events:
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif name == "complete":
            return
        elif line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["data"]["sagaEvents"]
    raise AssertionError("the stream ended without `complete`")


async def followed(front: Proxy, transport: Callable[[Proxy, str], Events]) -> list[str]:
    """The types of a saga's events: the hold's while the stream is open, and after the payment the others.

    A proxy that holds events back leaves the payment waiting for them.
    """
    async with client(front) as http, asyncio.timeout(SECONDS_MAX):
        correlation_id, types = await hold(http), list[str]()
        async with aclosing(transport(front, correlation_id)) as events:
            async for event in events:
                types.append(event["type"])
                assert event["sequence"] == len(types)
                if event["type"] == "STEP_WAITING":
                    await pay(http, correlation_id)
    return types
