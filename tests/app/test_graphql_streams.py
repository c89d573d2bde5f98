"""Subscriptions over plain HTTP, Server-Sent Events and multipart, by a real server and a real client."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
import strawberry
from starlette.applications import Starlette
from starlette.routing import Route

from app.http.auth import JwtAuthenticator
from app.http.connections import TransportLimits
from app.http.streams import ResultStream, choose_framing
from app.http.subscribers import Subscriber, Subscribers
from app.observability.metrics import Transport
from schema.context import Viewer
from schema.execution import Executable, Execution
from tests.app.probe import ADMIN_TOKEN, Query, Witness, probing
from tests.support.serving import serving
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

SECRET = "a secret of at least thirty-two bytes"
SSE = "text/event-stream"
MULTIPART = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0", application/json'
COUNT = {"query": "subscription($to: Int!) { count(to: $to) }", "variables": {"to": 3}}
FOREVER = {"query": "subscription { forever }"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Client:
    def __init__(self, http: httpx.AsyncClient, witness: Witness, url: str) -> None:
        self.http = http
        self.witness = witness
        self.url = url

    async def post(self, body: Any, accept: str, **headers: str) -> httpx.Response:
        given = {"accept": accept, "content-type": "application/json", **headers}
        return await self.http.post("/graphql", json=body, headers=given)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served_client() -> AsyncIterator[Client]:
    async with probing() as (served, witness), httpx.AsyncClient(base_url=served.url, timeout=10) as http:
        yield Client(http, witness, served.url)


@pytest.fixture
def client(served_client: Client) -> Client:
    served_client.witness.forget()
    return served_client


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream: name and decoded data; comments are passed over."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            data = fields["data"]
            found.append((fields["event"], json.loads(data) if data else None))
    return found


def parts(text: str) -> list[Any]:
    """The decoded bodies of a multipart stream; fails where it is not closed."""
    assert text.endswith("\r\n--graphql--\r\n")
    opened = text.removesuffix("\r\n--graphql--\r\n").split("--graphql\r\n")[1:]
    return [json.loads(part.split("\r\n\r\n", 1)[1]) for part in opened]


def refusal_in(response: httpx.Response) -> str:
    """The message of a stream that has only a request error: no data, no path."""
    assert response.status_code == 200
    (kind, body), end = events(response.text)
    assert (kind, end) == ("next", ("complete", None))
    (error,) = body.pop("errors")
    assert body == {}
    assert "path" not in error
    return str(error["message"])


async def test_a_subscription_by_server_sent_events_is_one_event_a_result_and_an_end(client: Client) -> None:
    response = await client.post(COUNT, SSE)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{SSE}; charset=utf-8"
    assert "accept" in response.headers["vary"].lower()
    assert events(response.text) == [
        *(("next", {"data": {"count": number}}) for number in (1, 2, 3)),
        ("complete", None),
    ]


async def test_a_subscription_by_multipart_is_one_part_a_result_and_an_end(client: Client) -> None:
    response = await client.post(COUNT, MULTIPART)

    assert response.headers["content-type"] == "multipart/mixed; boundary=graphql; subscriptionSpec=1.0"
    assert parts(response.text) == [*({"payload": {"data": {"count": number}}} for number in (1, 2, 3)), {}]


async def test_a_browsers_event_source_subscribes_by_get(client: Client) -> None:
    parameters = {"query": "subscription { count(to: 1) }"}

    response = await client.http.get("/graphql", params=parameters, headers={"accept": SSE})

    assert events(response.text)[0] == ("next", {"data": {"count": 1}})


async def test_who_takes_events_alone_gets_a_query_that_way_too(client: Client) -> None:
    response = await client.post({"query": "{ hello }"}, SSE)

    assert [name for name, _ in events(response.text)] == ["next", "complete"]
    assert events(response.text)[0][1]["data"] == {"hello": "hello world"}


@pytest.mark.parametrize(
    "accept",
    [f"application/graphql-response+json, application/json, {SSE}, multipart/mixed", f"{SSE}, */*", MULTIPART],
)
async def test_json_wins_unless_the_operation_is_a_subscription(client: Client, accept: str) -> None:
    query = await client.post({"query": "{ hello }"}, accept)

    assert "json" in query.headers["content-type"]
    assert query.json()["data"] == {"hello": "hello world"}

    subscription = await client.post(COUNT, accept)
    assert "json" not in subscription.headers["content-type"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "multipart/mixed, */*", f"{SSE};q=0, */*"])
async def test_who_takes_no_stream_is_told_how_to_subscribe(client: Client, accept: str) -> None:
    response = await client.post(COUNT, accept)

    assert response.status_code == 400
    message = response.json()["errors"][0]["message"]
    assert "WebSocket" in message
    assert SSE in message


async def test_a_mutation_never_runs_by_get_over_a_stream(client: Client) -> None:
    query = 'mutation { start(correlationId: "a") }'

    response = await client.http.get("/graphql", params={"query": query}, headers={"accept": SSE})

    assert refusal_in(response) == "A mutation must not be sent by GET; use POST."
    assert client.witness.contexts[0].note.correlation_ids == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"query": "subscription {"}, {}),
        ({"query": "subscription { nothing }"}, {}),
        ({"query": "query ($to: Int!) { hello }", "variables": {"to": "x"}}, {}),
        ({"query": 1}, {}),
        (COUNT, {"authorization": "Bearer guessed"}),
        (COUNT, {"authorization": "Basic guessed"}),
    ],
)
async def test_a_client_that_reads_only_events_gets_a_refusal_as_an_event(
    client: Client, body: dict[str, Any], headers: dict[str, str]
) -> None:
    # It would take a 4xx for a failed connection, and try again for ever.
    refused = await client.post(body, "application/graphql-response+json", **headers)
    response = await client.post(body, SSE, **headers)

    assert 400 <= refused.status_code < 500
    assert refusal_in(response) == refused.json()["errors"][0]["message"]


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_proxies_must_not_compress_a_stream(client: Client, accept: str) -> None:
    response = await client.post(COUNT, accept)

    assert "no-transform" in response.headers["cache-control"]


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_client_that_goes_away_ends_its_generator(client: Client, accept: str) -> None:
    begun, ended = client.witness.begun, client.witness.ended
    async with httpx.AsyncClient(base_url=client.url, timeout=10) as leaving:
        async with leaving.stream("POST", "/graphql", json=FOREVER, headers={"accept": accept}) as response:
            async for chunk in response.aiter_text():
                if '"forever"' in chunk:
                    break
            assert (client.witness.begun, client.witness.ended) == (begun + 1, ended)

    await eventually(lambda: client.witness.ended == ended + 1, 2.0)


async def test_many_clients_that_go_away_leave_no_task_behind(client: Client) -> None:
    before, ended = len(asyncio.all_tasks()), client.witness.ended

    async def come_and_go() -> None:
        async with httpx.AsyncClient(base_url=client.url, timeout=10) as leaving:
            async with leaving.stream("POST", "/graphql", json=FOREVER, headers={"accept": SSE}) as response:
                await anext(response.aiter_text())

    await asyncio.gather(*(come_and_go() for _ in range(50)))

    await eventually(lambda: len(asyncio.all_tasks()) <= before + 1, 5.0)
    assert client.witness.ended <= ended + 50


@strawberry.type
class Slow:
    @strawberry.subscription
    async def slowly(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.35)
        yield 2


@pytest.mark.parametrize(("accept", "heartbeat"), [(SSE, ":\n\n"), (MULTIPART, "\r\n\r\n{}\r\n--graphql\r\n")])
async def test_silence_is_filled_with_heartbeats(accept: str, heartbeat: str) -> None:
    execution = Executable(strawberry.Schema(Query, subscription=Slow)).begin("subscription { slowly }")
    framing = choose_framing(accept)
    assert isinstance(execution, Execution)
    assert framing is not None
    subscribers = Subscribers(per_caller_max=None)
    subscriber = subscribers.enter(Viewer("anyone", is_operator=False), framing.transport)
    assert isinstance(subscriber, Subscriber)
    stream = ResultStream(
        execution,
        framing,
        subscribers=subscribers,
        subscriber=subscriber,
        limits=TransportLimits(heartbeat_seconds=0.1),
    )
    async with (
        serving(Starlette(routes=[Route("/", stream)])) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        text = (await http.get("/")).text

    between = text[text.index('"slowly":1') : text.index('"slowly":2')]
    assert between.count(heartbeat) >= 2


# ---------------------------------------------------------------------- how a stream ends before its end


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_stream_ends_with_its_token_and_says_so(accept: str) -> None:
    token = jwt.encode({"sub": "ada", "exp": time.time() + 1.2}, SECRET)
    headers = {"accept": accept, "authorization": f"Bearer {token}"}
    async with probing(authenticate=JwtAuthenticator(admin_token=None, secret=SECRET)) as (served, witness):
        async with httpx.AsyncClient(base_url=served.url, timeout=10) as http:
            text = (await http.post("/graphql", json=FOREVER, headers=headers)).text
        await eventually(lambda: witness.ended == 1)
    assert "The token has expired" in text
    if accept == SSE:
        # Whoever is told that it is complete does not come again, with a new token.
        assert "event: complete" not in text
    else:
        last = parts(text)[-1]
        assert last["payload"] is None
        assert last["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_caller_has_so_many_subscriptions_on_all_transports_together(accept: str) -> None:
    subscribers = Subscribers(per_caller_max=2)
    async with (
        probing(subscribers=subscribers) as (served, witness),
        httpx.AsyncClient(base_url=served.url, timeout=10) as http,
        open_socket(served) as socket,
    ):
        await socket.initialise()
        await socket.subscribe("a", FOREVER["query"])
        await socket.receive()
        async with http.stream("POST", "/graphql", json=FOREVER, headers={"accept": accept}):
            await eventually(lambda: witness.begun == 2)
            refused = await http.post("/graphql", json=FOREVER, headers={"accept": accept})
            refusal = events(refused.text)[0][1] if accept == SSE else refused.json()
            assert refusal["errors"][0]["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": 2}
            await socket.subscribe("b", FOREVER["query"])
            answer = await socket.receive()
            assert (answer["id"], answer["type"]) == ("b", "error")
            assert answer["payload"][0]["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": 2}
            # Queries are none, however they are answered.
            query = await http.post("/graphql", json={"query": "{ hello }"}, headers={"accept": accept})
            assert "hello world" in query.text
            operator = {"accept": accept, "authorization": f"Bearer {ADMIN_TOKEN}"}
            async with http.stream("POST", "/graphql", json=FOREVER, headers=operator) as exempt:
                assert exempt.status_code == 200
        # Whoever has ended one may begin another.
        await eventually(lambda: witness.ended == 2)
        await socket.subscribe("c", FOREVER["query"])
        assert (await socket.receive())["type"] == "next"


class Heard:
    """Hears of streams, as the metrics do."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()
        self.seconds: list[float] = []

    def stream_opened(self, transport: Transport) -> None:
        self.open[transport] += 1

    def stream_closed(self, transport: Transport) -> None:
        self.open[transport] -= 1

    def event_delivered(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize(("accept", "transport"), [(SSE, "sse"), (MULTIPART, "multipart")])
async def test_open_streams_are_counted_by_transport(accept: str, transport: Transport) -> None:
    heard = Heard()
    async with (
        probing(subscribers=Subscribers(per_caller_max=None, observer=heard)) as (served, _),
        httpx.AsyncClient(base_url=served.url, timeout=10) as http,
    ):
        async with http.stream("POST", "/graphql", json=FOREVER, headers={"accept": accept}):
            await eventually(lambda: heard.open[transport] == 1)
        await eventually(lambda: heard.open[transport] == 0)


async def test_a_browsers_event_source_goes_on_from_the_last_id_that_it_saw() -> None:
    async with probing() as (served, witness), httpx.AsyncClient(base_url=served.url, timeout=10) as http:
        for given, understood in (("7", 7), ("", 0), ("-1", 0), ("abc", 0), ("9" * 30, 0)):
            headers = {"accept": SSE, "last-event-id": given}
            await http.get("/graphql", params={"query": "subscription { count(to: 1) }"}, headers=headers)
            assert witness.contexts[-1].resume_after == understood


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_stream_that_goes_on_answers_at_once_and_one_that_is_over_says_so(client: Client, accept: str) -> None:
    # A browser's EventSource reconnects after each end, until the answer is 204.
    resumed = {"accept": accept, "last-event-id": "7"}
    async with client.http.stream("POST", "/graphql", json=FOREVER, headers=resumed) as going_on:
        assert going_on.status_code == 200

    over = await client.http.post("/graphql", json={"query": "subscription { count(to: 0) }"}, headers=resumed)
    anew = await client.http.post(
        "/graphql", json={"query": "subscription { count(to: 0) }"}, headers={"accept": accept}
    )

    assert (over.status_code, over.content) == (204, b"")
    assert anew.status_code == 200
