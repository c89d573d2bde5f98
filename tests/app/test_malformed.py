"""What is malformed, oversized or endless gets its documented answer and harms nobody else: on a real server.

A bystander subscribes before, and must still be served after each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.http.connections import HttpConnection, TransportLimits
from app.limit_settings import MEBIBYTE
from tests.app.probe import Witness, probing
from tests.support.serving import Served
from tests.support.sockets import Socket, open_socket
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD_BYTES_MAX: Final = HttpConnection.head_bytes_max
FOREVER: Final = "subscription { forever }"
LIMITS: Final = TransportLimits(init_seconds=1.0, operations_max=100)
ALIASES: Final = "{ " + " ".join(f"a{number}: hello" for number in range(10_000)) + " }"
FEWER_ALIASES: Final = "{ " + " ".join(f"a{number}: hello" for number in range(100)) + " }"
DEEP: Final = "{ " + "a { " * 50 + "b" + " }" * 50 + " }"
NESTED: Final = "[" * 100_000 + "]" * 100_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[tuple[Served, Witness]]:
    async with probing(limits=LIMITS) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def served(server: tuple[Served, Witness]) -> AsyncIterator[Served]:
    """The server, with a bystander on it that must be served throughout."""
    place, witness = server
    begun = witness.begun
    async with open_socket(place) as bystander:
        await bystander.initialise()
        await bystander.subscribe("watching", FOREVER)
        await bystander.receive()
        yield place
        await bystander.subscribe("still here", "{ hello }")
        assert (await bystander.receive())["payload"]["data"] == {"hello": "hello world"}
        assert (await bystander.receive())["type"] == "complete"
    assert witness.begun > begun
    await eventually(lambda: witness.begun == witness.ended, 5.0)


# ---------------------------------------------------------------------- HTTP

BODIES: Final[tuple[tuple[str, bytes, int, str], ...]] = (
    ("nothing", b"", 400, "BAD_USER_INPUT"),
    ("no JSON", b"{", 400, "BAD_USER_INPUT"),
    ("no UTF-8", b'{"query": "{ hello \xff }"}', 400, "BAD_USER_INPUT"),
    ("a list", b'[{"query": "{ hello }"}]', 400, "BAD_USER_INPUT"),
    ("null", b"null", 400, "BAD_USER_INPUT"),
    ("a number", b"1", 400, "BAD_USER_INPUT"),
    ("nested without end", NESTED.encode(), 400, "BAD_USER_INPUT"),
    (
        "variables nested without end",
        b'{"query": "{ hello }", "variables": {"a": %b}}' % NESTED.encode(),
        400,
        "BAD_USER_INPUT",
    ),
    ("2 MB", b'{"query": "' + b"#" * 2_000_000 + b'"}', 413, "LIMIT_EXCEEDED"),
    ("a syntax error", b'{"query": "{ hello"}', 400, "GRAPHQL_PARSE_FAILED"),
    ("an unknown field", b'{"query": "{ nothing }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
    ("10,000 aliases", json.dumps({"query": ALIASES}).encode(), 400, "LIMIT_EXCEEDED"),
    ("100 aliases", json.dumps({"query": FEWER_ALIASES}).encode(), 400, "LIMIT_EXCEEDED"),
    ("50 levels", json.dumps({"query": DEEP}).encode(), 400, "LIMIT_EXCEEDED"),
    ("a fragment in itself", b'{"query": "{ ...A } fragment A on Query { ...A }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
    ("a null character", b'{"query": "{ hello(name: \\"\\\\u0000\\") }"}', 400, "BAD_USER_INPUT"),
    ("half a character", b'{"query": "{ hello(name: \\"\\\\uD800\\") }"}', 400, "GRAPHQL_PARSE_FAILED"),
)


@pytest.mark.parametrize(("body", "status", "code"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
async def test_a_body_that_cannot_be_executed(served: Served, body: bytes, status: int, code: str) -> None:
    headers = {"content-type": "application/json", "accept": "application/graphql-response+json"}
    async with httpx.AsyncClient(base_url=served.url, timeout=10) as http:
        response = await http.post("/graphql", content=body, headers=headers)

    assert response.status_code == status
    assert "data" not in response.json()
    assert [error["extensions"]["code"] for error in response.json()["errors"]][:1] == [code]


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"GET /graphql HTTP/9.9\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * HttpConnection.head_bytes_max + b" HTTP/1.1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n"
        + b"".join(b"X-%d: y\r\n" % number for number in range(HttpConnection.head_bytes_max // 4)),
    ],
    ids=["no HTTP", "no such version", "no length", "a path without end", "headers without end"],
)
async def test_what_is_no_request_is_refused_and_the_connection_ends(served: Served, request_: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with suppress(ConnectionError):
        writer.write(request_)
        await writer.drain()
    answer = b""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            answer = await reader.read()
    # A client that is still sending may lose the answer to the reset.
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    writer.close()


async def test_a_body_that_ends_early_ends_nothing_else(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    await writer.drain()
    writer.close()


# ---------------------------------------------------------------------- WebSocket

FRAMES: Final[tuple[tuple[str, str | bytes, int], ...]] = (
    ("no JSON", "{", 4400),
    ("a list", "[]", 4400),
    ("null", "null", 4400),
    ("nested without end", NESTED, 4400),
    ("no type", "{}", 4400),
    ("an unknown type", '{"type": "launch"}', 4400),
    ("no id", '{"type": "subscribe", "payload": {"query": "{ hello }"}}', 4400),
    ("binary", b"\x00\x01", 4400),
    ("2 MB", '"' + "x" * 2 * MEBIBYTE + '"', 1009),
)


@pytest.mark.parametrize(("frame", "code"), [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES])
async def test_a_frame_that_is_none_closes_its_socket(served: Served, frame: str | bytes, code: int) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        with suppress(ConnectionClosed):
            await socket.connection.send(frame)
        assert await socket.closed() == code


async def test_text_that_is_no_utf_8_closes_its_socket(served: Served) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.connection.send(b"\xff\xfe", text=True)
        assert await socket.closed() == 1007


OPERATIONS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("no payload", None, "BAD_USER_INPUT"),
    ("a list", [], "BAD_USER_INPUT"),
    ("no query", {"variables": {}}, "BAD_USER_INPUT"),
    ("a syntax error", {"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    ("an unknown field", {"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
    ("no such operation", {"query": "{ hello }", "operationName": "Other"}, "BAD_USER_INPUT"),
    ("variables that do not fit", {"query": "query($n: String!) { hello(name: $n) }"}, "BAD_USER_INPUT"),
    ("10,000 aliases", {"query": ALIASES}, "LIMIT_EXCEEDED"),
    ("50 levels", {"query": DEEP}, "LIMIT_EXCEEDED"),
)


@pytest.mark.parametrize(("payload", "code"), [case[1:] for case in OPERATIONS], ids=[case[0] for case in OPERATIONS])
async def test_an_operation_that_cannot_run_ends_alone(served: Served, payload: Any, code: str) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("living", FOREVER)
        await socket.receive()
        await socket.send(id="dead", type="subscribe", payload=payload)
        refused = await socket.receive()
        assert (refused["id"], refused["type"]) == ("dead", "error")
        assert refused["payload"][0]["extensions"]["code"] == code
        await socket.subscribe("next", "{ hello }")
        assert (await socket.receive())["id"] == "next"


async def test_an_id_that_is_in_use_closes_the_socket(served: Served) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("a", FOREVER)
        await socket.subscribe("a", FOREVER)
        assert await socket.closed() == 4409


async def test_a_thousand_subscriptions_on_one_socket_are_a_hundred_and_refusals(served: Served) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        for number in range(1000):
            await socket.subscribe(str(number), FOREVER)
        answers = [await socket.receive() for _ in range(1000)]
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert len(refused) == 900
    assert {answer["payload"][0]["extensions"]["code"] for answer in refused} == {"LIMIT_EXCEEDED"}
    assert {answer["payload"][0]["extensions"]["limit"] for answer in refused} == {100}


async def test_who_never_initialises_is_let_go_however_often_it_pings(served: Served) -> None:
    async with open_socket(served) as socket:

        async def ping() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await socket.send(type="ping")
                    await socket.receive()

        async with asyncio.timeout(20):
            await ping()
        assert socket.connection.close_code == 4408


async def test_who_initialises_without_end_is_let_go(served: Served) -> None:
    async with open_socket(served) as socket:
        with suppress(ConnectionClosed):
            for _ in range(1000):
                await socket.send(type="connection_init")
        assert await socket.closed() == 4429


@pytest.mark.parametrize("payload", ["text", 1, [], {"token": 1}, {"authorization": []}])
async def test_an_init_that_makes_no_sense_closes_the_socket(served: Served, payload: Any) -> None:
    async with open_socket(served) as socket:
        await socket.send(type="connection_init", payload=payload)
        assert await socket.closed() in (4400, 4403)


@pytest.mark.parametrize("reason", ["nonsense", "graphql-ws"])
async def test_another_protocol_is_not_acceptable(served: Served, reason: str) -> None:
    url = f"{served.socket_url}/graphql"
    async with connect(url, subprotocols=[websockets.Subprotocol(reason)]) as connection:
        assert await Socket(connection).closed() == 4406
