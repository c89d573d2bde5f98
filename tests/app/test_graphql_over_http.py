"""GraphQL over HTTP as the specification wants it, by a real server and a real client."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.limit_settings import MEBIBYTE
from tests.app.probe import ADMIN_TOKEN, Witness, probing
from tests.support.asking import bearer_of

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HELLO = {"query": "{ hello }"}


class Client:
    def __init__(self, http: httpx.AsyncClient, witness: Witness) -> None:
        self.http = http
        self.witness = witness

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.http.post("/graphql", content=content, headers=given)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served_client() -> AsyncIterator[Client]:
    async with probing() as (served, witness), httpx.AsyncClient(base_url=served.url) as http:
        yield Client(http, witness)


@pytest.fixture
def client(served_client: Client) -> Client:
    served_client.witness.forget()
    return served_client


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (JSON, JSON),
        ("*/*", JSON),
        ("", JSON),
        ("application/*", JSON),
        (f"{JSON};q=0.5, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_JSON}, {JSON};q=0.9, text/event-stream", GRAPHQL_JSON),
        (f"{JSON}, text/event-stream", JSON),
        (f"{GRAPHQL_JSON};q=0.2, */*;q=0.8", JSON),
    ],
)
async def test_the_media_type_is_the_one_that_is_wanted_most(client: Client, accept: str, media_type: str) -> None:
    response = await client.post(HELLO, accept=accept)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert "accept" in response.headers["vary"].lower()
    assert response.json()["data"] == {"hello": "hello world"}


async def test_a_list_of_media_types_may_come_in_several_lines(client: Client) -> None:
    headers = [("content-type", JSON), ("accept", "text/html"), ("accept", GRAPHQL_JSON)]
    response = await client.http.post("/graphql", content=json.dumps(HELLO), headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(GRAPHQL_JSON)


async def test_who_accepts_nothing_that_is_spoken_here_is_told_so(client: Client) -> None:
    response = await client.post(HELLO, accept="image/png")

    assert response.status_code == 406
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_another_method_is_answered_with_those_that_are_allowed(client: Client, method: str) -> None:
    response = await client.http.request(method, "/graphql")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
async def test_a_compressed_body_is_not_read(client: Client, encoding: str) -> None:
    body = gzip.compress(b'{"query": "{ hello }"}')
    headers = {"content-type": JSON, "content-encoding": encoding}

    response = await client.http.post("/graphql", content=body, headers=headers)

    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "identity"
    assert "uncompressed" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", f"{JSON}; charset=latin-1"]
)
async def test_a_body_that_is_not_json_in_utf8_is_unsupported(client: Client, content_type: str) -> None:
    response = await client.post(HELLO, content_type=content_type)

    assert response.status_code == 415
    assert "errors" in response.json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{ "not json',
        b'{"query": "\xff"}',
        b"[" * 50_000,
        b"[]",
        b'"text"',
        b"{}",
        json.dumps([HELLO]).encode(),
        json.dumps({"query": 1}).encode(),
        json.dumps({"query": ""}).encode(),
        json.dumps({**HELLO, "variables": []}).encode(),
        json.dumps({**HELLO, "variables": "{}"}).encode(),
        json.dumps({**HELLO, "operationName": 0}).encode(),
        json.dumps({**HELLO, "extensions": [1]}).encode(),
    ],
)
async def test_a_request_that_is_not_well_formed_is_a_400_with_a_json_body(client: Client, body: bytes) -> None:
    response = await client.post(body, accept=JSON)

    assert response.status_code == 400
    assert list(response.json()) == ["errors"]
    assert client.witness.contexts == []


@pytest.mark.parametrize("parameter", ["variables", "operationName", "extensions"])
async def test_a_parameter_may_be_null(client: Client, parameter: str) -> None:
    response = await client.post({**HELLO, parameter: None})

    assert response.json()["data"] == {"hello": "hello world"}


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = await client.post({**HELLO, "extensions": {"padding": "x" * MEBIBYTE}})

    assert response.status_code == 413


@pytest.mark.parametrize(
    "request_",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query ($name: String!) { hello(name: $name) }", "variables": {"name": None}},
        {"query": "query A { hello }", "operationName": "B"},
    ],
    ids=["syntax", "validation", "coercion", "operation"],
)
async def test_a_request_error_has_no_data_and_is_a_400_where_the_media_type_is_graphqls(
    client: Client, request_: dict[str, Any]
) -> None:
    modern = await client.post(request_, accept=GRAPHQL_JSON)
    legacy = await client.post(request_, accept=JSON)

    assert (modern.status_code, legacy.status_code) == (400, 200)
    assert list(modern.json()) == list(legacy.json()) == ["errors"]


async def test_a_field_error_leaves_the_rest_of_the_data(client: Client) -> None:
    response = await client.post({"query": "{ hello broken }"}, accept=GRAPHQL_JSON)

    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello world", "broken": None}
    assert response.json()["errors"][0]["path"] == ["broken"]


async def test_a_query_may_be_asked_by_get(client: Client) -> None:
    parameters = {
        "query": "query Q($name: String!) { hello(name: $name) }",
        "variables": json.dumps({"name": "Ada 🏃"}),
        "operationName": "Q",
        "extensions": "{}",
    }

    response = await client.http.get("/graphql", params=parameters)

    assert response.json()["data"] == {"hello": "hello Ada 🏃"}


async def test_variables_in_the_url_must_be_json(client: Client) -> None:
    response = await client.http.get("/graphql", params={"query": "{ hello }", "variables": "{"})

    assert response.status_code == 400


async def test_a_mutation_never_runs_by_get(client: Client) -> None:
    query = 'mutation { start(correlationId: "a") }'

    response = await client.http.get("/graphql", params={"query": query}, headers={"accept": GRAPHQL_JSON})

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert client.witness.contexts[0].note.correlation_ids == []


async def test_a_subscription_over_plain_http_is_refused(client: Client) -> None:
    response = await client.post({"query": "subscription { count(to: 1) }"})

    assert response.status_code == 400
    assert "WebSocket" in response.json()["errors"][0]["message"]


async def test_a_browser_gets_a_page_that_may_run_nothing_but_itself(client: Client) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

    response = await client.http.get("/graphql", headers={"accept": accept})

    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert "http" not in response.text.split("<script>")[0]


async def test_a_post_never_gets_the_page(client: Client) -> None:
    response = await client.post(HELLO, accept="text/html, */*;q=0.1")

    assert response.headers["content-type"].startswith(JSON)


async def test_the_admin_token_makes_an_operator_and_a_wrong_one_nobody(client: Client) -> None:
    me = {"query": "{ me }"}

    anonymous = await client.post(me)
    operator = await client.post(me, authorization=f"Bearer {ADMIN_TOKEN}")
    wrong = await client.post(me, authorization="Bearer guessed")
    basic = await client.post(me, authorization="Basic abc")

    assert anonymous.json()["data"]["me"] == "anonymous False"
    assert operator.json()["data"]["me"] == f"{bearer_of(ADMIN_TOKEN)} True"
    assert (wrong.status_code, basic.status_code) == (401, 401)
    assert wrong.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert basic.headers["www-authenticate"] == "Bearer"
    assert wrong.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_request_id_is_returned_and_is_not_the_correlation_id(client: Client) -> None:
    mutation = {"query": 'mutation Start { start(correlationId: "abc") }', "operationName": "Start"}

    given = await client.post(mutation, x_request_id="from-the-proxy")
    garbled = await client.post(HELLO, x_request_id="a b\tc")

    assert given.headers["x-request-id"] == "from-the-proxy"
    assert len(garbled.headers["x-request-id"]) == 36
    heard = client.witness.heard[0]
    assert (heard.request_id, heard.operation, heard.correlation_ids) == ("from-the-proxy", "Start", ("abc",))


@pytest.mark.parametrize("name", ["two words", "a\nb", "1st", "x" * 201, "é", "a-b"])
async def test_an_operation_name_that_is_none_is_refused_and_not_logged(client: Client, name: str) -> None:
    response = await client.post({**HELLO, "operationName": name})

    assert response.status_code == 400
    assert "must be a name" in response.json()["errors"][0]["message"]
    assert client.witness.heard[0].operation is None


async def test_a_path_makes_no_line_of_its_own_in_the_log(client: Client) -> None:
    await client.http.get("/graphql%0a2026-11-24T18:09:25Z%20[SAGA]%20forged" + "x" * 500)

    heard = client.witness.heard[0].path
    assert heard.startswith("/graphql\\n2026")
    assert len(heard) < 250
