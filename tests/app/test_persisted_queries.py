"""Documents by hash, in every transport, by a real server: Apollo's protocol, and documentId of GraphQL over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from schema.persisted import PersistedDocuments
from tests.app.probe import probing
from tests.support.serving import Served
from tests.support.sockets import open_socket

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
HELLO: Final = "query Hello($name: String!) { hello(name: $name) }"
COUNT: Final = "subscription { count(to: 1) }"
NOT_FOUND: Final = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
NOT_SUPPORTED: Final = ("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
Send = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def without() -> AsyncIterator[Served]:
    async with probing() as (served, _):
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def automatic() -> AsyncIterator[Served]:
    async with probing(persisted=PersistedDocuments()) as (served, _):
        yield served


def by_hash(text: str, *, sends_text: bool = False, **more: Any) -> dict[str, Any]:
    """As Apollo's link asks: with the hash of the text, and the text itself where the server wants it."""
    persisted = {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}
    return ({"query": text} if sends_text else {}) | {"extensions": {"persistedQuery": persisted}} | more


def by_id(text: str, *, sends_text: bool = False, **more: Any) -> dict[str, Any]:
    """As GraphQL over HTTP asks for a persisted document."""
    document_id = f"sha256:{sha256(text.encode()).hexdigest()}"
    return ({"query": text} if sends_text else {}) | {"documentId": document_id} | more


async def over(transport: str, served: Served, body: dict[str, Any]) -> Any:
    """The first result or refusal of the operation, as this transport bears it."""
    if transport == "websocket":
        async with open_socket(served) as socket:
            await socket.initialise()
            await socket.send(id="a", type="subscribe", payload=body)
            frame = await socket.receive()
            return {"errors": frame["payload"]} if frame["type"] == "error" else frame["payload"]
    async with httpx.AsyncClient(base_url=served.url) as http:
        if transport == "get":
            given = {name: each if isinstance(each, str) else json.dumps(each) for name, each in body.items()}
            return (await http.get("/graphql", params=given, headers={"accept": JSON})).json()
        accept = {
            "post": JSON,
            "sse": "text/event-stream",
            "multipart": 'multipart/mixed;subscriptionSpec="1.0", application/json',
        }[transport]
        said = (await http.post("/graphql", json=body, headers={"accept": accept})).text
    if transport == "sse":
        return json.loads(said.partition("data: ")[2].partition("\n")[0])
    if said.startswith("--"):
        return json.loads(said.split("\r\n\r\n")[1].partition("\r\n")[0])["payload"]
    return json.loads(said)


def told(answer: dict[str, Any]) -> tuple[str, str]:
    """The one error's message and code; there is no data."""
    (error,) = answer["errors"]
    assert answer.get("data") is None
    return error["message"], error["extensions"]["code"]


ASKED: Final = [
    ("post", HELLO, {"data": {"hello": "hello Ada"}}),
    ("get", HELLO, {"data": {"hello": "hello Ada"}}),
    ("websocket", HELLO, {"data": {"hello": "hello Ada"}}),
    ("sse", HELLO, {"data": {"hello": "hello Ada"}}),
    ("websocket", COUNT, {"data": {"count": 1}}),
    ("sse", COUNT, {"data": {"count": 1}}),
    ("multipart", COUNT, {"data": {"count": 1}}),
]


@pytest.mark.parametrize("asking", [by_hash, by_id])
@pytest.mark.parametrize(("transport", "text", "answer"), ASKED)
async def test_a_miss_is_answered_so_that_the_text_is_sent_once_and_the_hash_from_then_on(
    automatic: Served, transport: str, text: str, answer: dict[str, Any], asking: Callable[..., dict[str, Any]]
) -> None:
    variables = {"variables": {"name": "Ada"}} if text is HELLO else {}
    missed = await over(transport, automatic, asking(text, **variables))
    taught = await over(transport, automatic, asking(text, sends_text=True, **variables))
    by_the_hash = await over(transport, automatic, asking(text, **variables))

    assert told(missed) == NOT_FOUND
    assert taught["data"] == by_the_hash["data"] == answer["data"]


@pytest.mark.parametrize("asking", [by_hash, by_id])
@pytest.mark.parametrize(("transport", "text"), [(transport, text) for transport, text, _ in ASKED])
async def test_without_the_setting_the_text_is_asked_for_and_the_hash_beside_it_ignored(
    without: Served, transport: str, text: str, asking: Callable[..., dict[str, Any]]
) -> None:
    variables = {"variables": {"name": "Ada"}} if text is HELLO else {}
    refused = await over(transport, without, asking(text, **variables))
    answered = await over(transport, without, asking(text, sends_text=True, **variables))
    again = await over(transport, without, asking(text, **variables))

    assert told(refused) == told(again) == NOT_SUPPORTED
    assert "errors" not in answered


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL_JSON, 400)])
async def test_a_miss_has_the_status_of_a_request_that_is_not_executed_and_is_not_cached(
    automatic: Served, without: Served, accept: str, status: int
) -> None:
    for served in (automatic, without):
        async with httpx.AsyncClient(base_url=served.url) as http:
            missed = await http.post("/graphql", json=by_hash("{ hello }"), headers={"accept": accept})
        assert missed.status_code == status
        assert missed.headers.get("cache-control", "no-store") == "no-store"


@pytest.mark.parametrize("text", ["{ hello", "{ nothing }", "query($a: Int!) { hello(name: $a) }", ""])
async def test_what_does_not_parse_or_validate_is_never_kept(automatic: Served, text: str) -> None:
    refused = await over("post", automatic, by_hash(text, sends_text=True))
    asked = await over("post", automatic, by_hash(text))

    assert "errors" in refused
    assert told(asked) == NOT_FOUND


async def test_a_text_with_another_hash_is_neither_run_nor_kept(automatic: Served) -> None:
    body = by_hash("{ hello }", sends_text=True) | {"query": '{ hello(name: "Eve") }'}
    _, code = told(await over("post", automatic, body))

    assert code == "BAD_USER_INPUT"
    assert told(await over("post", automatic, by_hash("{ hello }"))) == NOT_FOUND


@pytest.mark.parametrize(
    "body",
    [
        {"extensions": {"persistedQuery": 1}},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
        {"extensions": {"persistedQuery": {"version": 1}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": ["0"]}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 500}}},
        {"documentId": 1},
        {"documentId": ""},
        {"documentId": "sha256:é"},
        {"documentId": "0" * 500},
        {"documentId": "abc", "query": 1},
    ],
)
@pytest.mark.parametrize("transport", ["post", "websocket", "sse"])
async def test_a_malformed_id_is_bad_input(automatic: Served, transport: str, body: dict[str, Any]) -> None:
    _, code = told(await over(transport, automatic, body))

    assert code == "BAD_USER_INPUT"


async def test_a_mutation_by_its_hash_is_refused_by_get(automatic: Served) -> None:
    start = 'mutation { start(correlationId: "a") }'
    await over("post", automatic, by_hash(start, sends_text=True))
    async with httpx.AsyncClient(base_url=automatic.url) as http:
        params = {"documentId": by_id(start)["documentId"]}
        response = await http.get("/graphql", params=params)

    assert response.status_code == 405


async def test_another_replica_costs_one_more_round_trip_and_no_more(automatic: Served) -> None:
    async with probing(persisted=PersistedDocuments()) as (other, _):
        for served in (automatic, other):
            assert told(await over("post", served, by_hash("{ hello }"))) == NOT_FOUND
            assert "errors" not in await over("post", served, by_hash("{ hello }", sends_text=True))
        for served in (automatic, other) * 2:
            assert "errors" not in await over("post", served, by_hash("{ hello }"))


# ---------------------------------------------------------------------- the store


async def test_the_longest_unused_are_forgotten_beyond_the_count() -> None:
    store = PersistedDocuments(documents_max=2)
    for text in ("{ a }", "{ b }"):
        store.keep(text)
    assert store.text(None, sha256(b"{ a }").hexdigest()) == "{ a }"
    store.keep("{ c }")

    known = [
        text for text in ("{ a }", "{ b }", "{ c }") if store.text(None, sha256(text.encode()).hexdigest()) == text
    ]
    assert known == ["{ a }", "{ c }"]


async def test_the_store_never_has_more_than_its_bytes() -> None:
    store = PersistedDocuments(bytes_max=10)
    store.keep("{ é }")
    store.keep("{ é }")
    assert len(store) == 1
    store.keep("{ bbb }")
    assert len(store) == 1
    store.keep("{ " + "c" * 20 + " }")
    assert len(store) == 0
