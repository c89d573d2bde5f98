"""Every transport, through every proxy, with the files of docs/proxies."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Final

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from app.http.negotiation import GRAPHQL_JSON
from tests.proxies.asking import (
    FLIGHTS,
    PROTOCOL,
    SHOP,
    TRANSPORTS,
    by_curl,
    by_socket,
    by_sse,
    client,
    followed,
    hold,
)
from tests.proxies.conftest import SOCKETS_MAX
from tests.support.children import Child
from tests.support.proxies import Kind, Proxy, proxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEBIBYTE: Final = 1_048_576


async def test_queries_and_mutations_by_post(front: Proxy) -> None:
    async with client(front) as http:
        assert await hold(http)


async def test_queries_by_get(front: Proxy) -> None:
    async with client(front) as http:
        answer = await http.get("/graphql", params={"query": FLIGHTS}, headers={"accept": GRAPHQL_JSON})
        assert len(answer.json()["data"]["flights"]["edges"]) == 30
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_events_arrive_one_by_one(front: Proxy, transport: str) -> None:
    types = await followed(front, TRANSPORTS[transport])
    assert (types[0], types[-1]) == ("SAGA_STARTED", "SAGA_COMPLETED")


async def test_every_stream_is_complete(front: Proxy) -> None:
    """A proxy may cut a few of many: when it loses a race between the request's end and the answer's begin."""
    for _ in range(10):
        assert (await followed(front, by_sse))[-1] == "SAGA_COMPLETED"


async def test_sockets_over_tls(secure: Proxy) -> None:
    assert (await followed(secure, by_socket))[-1] == "SAGA_COMPLETED"


async def test_events_over_http2(secure: Proxy) -> None:
    assert (await followed(secure, by_curl))[-1] == "SAGA_COMPLETED"


async def test_plain_http_leads_to_tls(secure: Proxy) -> None:
    async with httpx.AsyncClient() as http:
        moved = await http.post(f"{secure.plain_url}/graphql?a=b", json={})
    assert moved.status_code == 308
    assert moved.headers["location"].endswith("/graphql?a=b")
    async with client(secure) as http:
        assert (await http.get("/healthz")).headers["strict-transport-security"] == "max-age=31536000"


async def test_answers_are_compressed(front: Proxy) -> None:
    async with client(front) as http:
        answer = await http.post("/graphql", json={"query": FLIGHTS}, headers={"accept": GRAPHQL_JSON})
        assert answer.headers["content-encoding"] == "gzip"
        page = await http.get("/graphql", headers={"accept": "text/html"})
        assert page.headers["content-encoding"] == "gzip"


async def test_pages_of_the_same_origin_may_open_sockets(front: Proxy) -> None:
    url = f"{front.url.replace('http', 'ws', 1)}/graphql"
    for origin in (front.url, SHOP):
        async with connect(url, subprotocols=[PROTOCOL], origin=Origin(origin)):
            pass
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, subprotocols=[PROTOCOL], origin=Origin("https://evil.example")):
            pass
    assert refused.value.response.status_code == 403


async def test_sockets_may_be_compressed(front: Proxy) -> None:
    """The extension is for both ends; a proxy passes the offer and the answer on."""
    async with connect(f"{front.url.replace('http', 'ws', 1)}/graphql", subprotocols=[PROTOCOL]) as socket:
        assert socket.response is not None
        assert "permessage-deflate" in socket.response.headers["sec-websocket-extensions"]


async def test_other_origins_ask_first(front: Proxy) -> None:
    preflight = {
        "origin": SHOP,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    async with client(front) as http:
        allowed = await http.options("/graphql", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == SHOP
        answer = await http.post("/graphql", json={"query": "{ __typename }"}, headers={"origin": SHOP})
        assert answer.headers["access-control-allow-origin"] == SHOP


async def test_the_servers_log_has_the_clients_address(front: Proxy, server: Child) -> None:
    """And not the one that the client writes."""
    lies = {"x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1", "x-real-ip": "192.0.2.1"}
    async with client(front, "127.0.0.2") as http:
        answer = await http.post("/graphql", json={"query": "{ __typename }"}, headers=lies)
    request_id = answer.headers["x-request-id"]

    def remote() -> str:
        lines = [json.loads(line) for line in server.output.read_text().splitlines() if request_id in line]
        assert len(lines) == 1
        found: str = lines[0]["remote"]
        return found

    assert await eventually(remote) == "127.0.0.2"
    assert await eventually(lambda: request_id in front.log)


async def test_limits_by_address_are_the_clients(front: Proxy) -> None:
    """Not of all clients of the proxy together."""
    async with AsyncExitStack() as open_sockets:

        async def closed(address: str) -> bool:
            socket = await open_sockets.enter_async_context(
                connect(
                    f"{front.url.replace('http', 'ws', 1)}/graphql",
                    subprotocols=[PROTOCOL],
                    local_addr=(address, 0),
                )
            )
            await socket.send('{"type": "connection_init"}')
            try:
                assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            except ConnectionClosed:
                return True
            return False

        assert [await closed("127.0.0.3") for _ in range(SOCKETS_MAX)] == [False] * SOCKETS_MAX
        assert await closed("127.0.0.3")
        assert not await closed("127.0.0.4")


@pytest.mark.parametrize("mebibytes", [1.5, 3.0])
async def test_a_body_that_is_too_large_is_refused_readably(front: Proxy, mebibytes: float) -> None:
    """Whoever refuses it: the server, or a proxy with a limit of its own."""
    body = {"query": "{ __typename }", "variables": {"x": "y" * int(mebibytes * MEBIBYTE)}}
    async with client(front) as http:
        answer = await http.post("/graphql", json=body)
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_everything_beneath_a_path(kind: Kind, server: Child) -> None:
    """And nothing beside it."""
    with proxy(kind, [server.port], base_path="/seats") as front:
        for transport in (by_sse, by_socket):
            assert (await followed(front, transport))[-1] == "SAGA_COMPLETED"
        async with client(front) as http:
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            page = await http.get("/graphql", headers={"accept": "text/html"})
            assert page.headers["content-type"].startswith("text/html")
        async with httpx.AsyncClient(base_url=front.url) as outside:
            answer = await outside.get("/healthz")
            assert (answer.status_code, "status" in answer.text) != (200, True)


# ---------------------------------------------------------------------- what the server gets


async def _mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the head of the request."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(head), head))
    await writer.drain()
    writer.close()


async def test_what_a_client_claims_about_its_origin_is_not_passed_on(kind: Kind) -> None:
    names = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port")
    lies = dict.fromkeys((*names, "x-forwarded-prefix", "x-real-ip"), "192.0.2.1")
    mirror = await asyncio.start_server(_mirror, "127.0.0.1", 0)
    port = mirror.sockets[0].getsockname()[1]
    async with mirror:
        with proxy(kind, [port], tls=True) as front:
            async with client(front, "127.0.0.2") as http:
                # HAProxy and Caddy ask first whether the server is ready.
                answer = await eventually(lambda: _served(http, lies))
    passed = [line.lower().partition(": ")[::2] for line in answer.splitlines()[1:] if "forwarded" in line.lower()]
    assert dict(passed) | {"x-forwarded-port": str(front.port)} == {
        "x-forwarded-for": "127.0.0.2",
        "x-forwarded-proto": "https",
        "x-forwarded-host": f"localhost:{front.port}",
        "x-forwarded-port": str(front.port),
    }
    assert len(passed) == len(dict(passed))
    assert f"host: localhost:{front.port}" in answer.lower()
    assert "192.0.2.1" not in answer


async def _served(http: httpx.AsyncClient, headers: dict[str, str]) -> str:
    answer = await http.get("/", headers=headers)
    return answer.text if answer.status_code == 200 else ""
