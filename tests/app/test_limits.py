"""Every limit, by a server that has them all low: what just meets it is served, one more is told the limit."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.limit_settings import LimitSettings
from tests.support.children import Child, environment, fill, serving_child
from tests.support.waiting import eventually

SECRET: Final = "a secret of thirty-two characters or more"
LIMITS: Final = {
    "document_depth_max": 7,
    "document_aliases_max": 3,
    "document_tokens_max": 90,
    "document_characters_max": 2_000,
    "variables_values_max": 40,
    "document_cost_max": 740,
    "page_rows_max": 5,
    "body_bytes_max": 4_096,
    "frame_bytes_max": 4_096,
    "requests_active_max": 8,
    "socket_init_seconds": 0.5,
    "socket_init_bytes_max": 1_100,
    "socket_idle_seconds": 5,
    "sockets_per_caller_max": 4,
    "connections_idle_max": 30,
    "socket_operations_max": 2,
    "mutations_per_minute_max": 1,
    "mutations_burst_max": 3,
    "holds_per_caller_max": 2,
    "sagas_active_max": 3,
}
GRAPHQL_JSON: Final = "application/graphql-response+json"
EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = 'multipart/mixed;subscriptionSpec="1.0"'
BOOK: Final = """mutation($i: BookFlightInput!) { bookFlight(input: $i) {
  saga { correlationId } errors { __typename ... on UserError { path } ... on TooManyHoldsError { limit } } } }"""
CANCEL: Final = f'cancelSaga(input: {{correlationId: "{uuid.uuid4()}"}}) {{ errors {{ __typename }} }}'
CANCEL_THIS: Final = "mutation($id: UUID!) { cancelSaga(input: {correlationId: $id}) { errors { __typename } } }"
WATCH: Final = "subscription($id: ID!) { seatChanges(flightId: $id) { number } }"
ENDED: Final = "query($id: UUID!) { saga(correlationId: $id) { status } }"


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """One server for all of these tests: each has a caller of its own."""
    folder = tmp_path_factory.mktemp("limits")
    limits = {name: str(value) for name, value in LIMITS.items()}
    env = environment(folder, auth="jwt", jwt_secret=SECRET, simulation="on", **limits)
    fill(env, folder)
    with asyncio.Runner() as runner:
        serving = serving_child(folder, env)
        yield runner.run(serving.__aenter__())
        runner.run(serving.__aexit__(None, None, None))


@dataclass(frozen=True)
class Answer:
    """What came of one operation. `status` is HTTP's; None on a socket."""

    status: int | None
    data: dict[str, Any] | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    retry_after: str | None = None

    @property
    def good(self) -> dict[str, Any]:
        """The data of an answer without errors."""
        assert self.data is not None, self
        assert not self.errors, self
        return self.data

    @property
    def told(self) -> tuple[Any, ...]:
        """The code and the limit of its only error, and whether it says when to come back."""
        (error,) = self.errors
        told = error["extensions"]
        return told["code"], told.get("limit"), told.get("retryAfterSeconds", 0) >= 1


@dataclass
class Caller:
    """Somebody with a token, over one transport."""

    child: Child
    http: httpx.AsyncClient
    transport: str
    token: str

    async def ask(self, query: str, **variables: Any) -> Answer:
        """One operation, to its only answer."""
        payload = {"query": query, "variables": variables}
        if self.transport == "socket":
            return await self._ask_on_a_socket(payload)
        accept = {"http": GRAPHQL_JSON, "sse": EVENT_STREAM, "multipart": MULTIPART}[self.transport]
        return _answer(await self.http.post("/graphql", json=payload, headers=self.headers | {"Accept": accept}))

    @property
    def refused(self) -> int | None:
        """The status of a refused operation. A client that accepts only events gets it as an event."""
        return {"socket": None, "sse": 200}.get(self.transport, 400)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @asynccontextmanager
    async def socket(self, *, initialise: bool = True) -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{self.child.port}/graphql"
        protocols = [Subprotocol("graphql-transport-ws")]
        async with connect(url, subprotocols=protocols, additional_headers=self.headers, compression=None) as socket:
            if initialise:
                await socket.send('{"type":"connection_init"}')
                assert (await received(socket))["type"] == "connection_ack"
            yield socket

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """A stream that goes on."""
        payload = {"query": WATCH, "variables": {"id": await self.flight()}}
        headers = self.headers | {"Accept": EVENT_STREAM}
        async with self.http.stream("POST", "/graphql", json=payload, headers=headers):
            yield

    async def _ask_on_a_socket(self, payload: dict[str, Any]) -> Answer:
        async with self.socket() as socket:
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            frame = await received(socket)
            if frame["type"] == "error":
                return Answer(None, None, frame["payload"])
            return Answer(None, frame["payload"]["data"], frame["payload"].get("errors", []))

    async def flight(self) -> str:
        """A flight's id."""
        found = await replaced(self, "http").ask("{ flights(first: 1) { edges { node { id } } } }")
        flight_id: str = found.good["flights"]["edges"][0]["node"]["id"]
        return flight_id

    async def book(self, passengers: int = 1) -> Answer:
        """A booking that takes its time."""
        wish = {
            "correlationId": str(uuid.uuid4()),
            "segments": [{"flightId": await self.flight()}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}] * passengers,
            "simulate": {"delayMs": 5_000},
        }
        return await self.ask(BOOK, i=wish)


def replaced(caller: Caller, transport: str, **claims: Any) -> Caller:
    """The same caller over another transport, or, with claims, somebody else."""
    return Caller(caller.child, caller.http, transport, token(**claims) if claims else caller.token)


def token(**claims: Any) -> str:
    return jwt.encode({"sub": str(uuid.uuid4()), "exp": time.time() + 600, **claims}, SECRET, algorithm="HS256")


async def received(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        frame: dict[str, Any] = json.loads(await socket.recv())
        return frame


def _answer(response: httpx.Response) -> Answer:
    if response.headers["content-type"].startswith(EVENT_STREAM):
        body = json.loads(response.text.partition("data: ")[2].partition("\n")[0])
    elif response.headers["content-type"].startswith("multipart/mixed"):
        body = json.loads(response.text.partition("\r\n\r\n")[2].partition("\r\n--graphql")[0])["payload"]
    else:
        body = response.json()
    retry_after = response.headers.get("retry-after")
    return Answer(response.status_code, body.get("data"), body.get("errors", []), retry_after)


@pytest.fixture
async def http(child: Child) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=child.url, timeout=20) as http:
        yield http


@pytest.fixture(params=["http", "sse", "multipart", "socket"])
def caller(request: pytest.FixtureRequest, child: Child, http: httpx.AsyncClient) -> Caller:
    """Somebody new, over each transport."""
    return Caller(child, http, request.param, token())


@pytest.fixture
def over_http(child: Child, http: httpx.AsyncClient) -> Caller:
    """Somebody new."""
    return Caller(child, http, "http", token())


# ---------------------------------------------------------------------- documents, over every transport


def levels(number: int) -> str:
    fields = ["saga", "booking"] * number
    opened = "".join(f"{name} {{ " for name in fields[1:number])
    return f'{{ saga(correlationId: "{uuid.uuid4()}") {{ {opened} id {"}" * (number - 1)} }} }}'


def aliases(number: int) -> str:
    return "{" + " ".join(f"a{n}: __typename" for n in range(number)) + "}"


def tokens(number: int) -> str:
    return "{" + " __typename" * (number - 2) + "}"


def characters(number: int) -> str:
    return "{ __typename }".ljust(number)


def points(number: int) -> str:
    """162 seats and their flight are 700, with the operation and what is loaded; each name of a type is one more."""
    return '{ flight(id: "a") { seats { number status } } ' + " __typename" * (number - 700) + "}"


def rows(number: int) -> str:
    return f"{{ flights(first: {number}) {{ edges {{ cursor }} }} }}"


DOCUMENTS: Final[dict[str, Callable[[int], str]]] = {
    "document_depth_max": levels,
    "document_aliases_max": aliases,
    "document_tokens_max": tokens,
    "document_characters_max": characters,
    "document_cost_max": points,
    "page_rows_max": rows,
}


@pytest.mark.parametrize("limit", DOCUMENTS)
async def test_a_document_may_just_meet_its_limits(caller: Caller, limit: str) -> None:
    ask, most = DOCUMENTS[limit], LIMITS[limit]

    assert (await caller.ask(ask(int(most)))).good is not None
    refused = await caller.ask(ask(int(most) + 1))

    code = "BAD_USER_INPUT" if limit == "page_rows_max" else "LIMIT_EXCEEDED"
    assert refused.told == (code, most, False)
    # Whether a page is too long is found by who reads it: the rest of the answer would stand beside it.
    executed = limit == "page_rows_max"
    assert refused.status in (caller.refused, 200 if executed else caller.refused)


async def test_variables_may_just_meet_their_limit(caller: Caller) -> None:
    most = int(LIMITS["variables_values_max"])
    ask = "query($of: [SagaStatus!]) { sagas(filter: {status: $of}) { pageInfo { hasNextPage } } }"

    assert (await caller.ask(ask, of=["RUNNING"] * (most - 1))).good is not None
    refused = await caller.ask(ask, of=["RUNNING"] * most)

    assert refused.told == ("LIMIT_EXCEEDED", most, False)
    assert refused.status == caller.refused


# ---------------------------------------------------------------------- mutations of a caller, over every transport


async def test_a_caller_sends_so_many_mutations_and_is_told_when_to_send_the_next(caller: Caller) -> None:
    for _ in range(int(LIMITS["mutations_burst_max"])):
        assert (await caller.ask(f"mutation {{ {CANCEL} }}")).good
    refused = await caller.ask(f"mutation {{ {CANCEL} }}")

    assert refused.told == ("LIMIT_EXCEEDED", LIMITS["mutations_per_minute_max"], True)
    if caller.transport != "socket":
        assert refused.status == 429
        assert refused.retry_after == str(refused.errors[0]["extensions"]["retryAfterSeconds"])
    assert (await caller.ask("{ __typename }")).good, "queries are not counted"
    for transport in ("http", "sse", "multipart", "socket"):
        answer = await replaced(caller, transport).ask(f"mutation {{ {CANCEL} }}")
        assert answer.told[0] == "LIMIT_EXCEEDED", "it is the caller who is counted"
    assert (await replaced(caller, "http", role="operator").ask(f"mutation {{ {CANCEL} }}")).good


async def test_every_mutation_of_an_operation_counts(caller: Caller) -> None:
    three = " ".join(f"a{n}: {CANCEL}" for n in range(3))

    refused = await caller.ask(f"mutation {{ {CANCEL} {three} }}")
    assert refused.told == ("LIMIT_EXCEEDED", LIMITS["mutations_burst_max"], False)
    assert refused.status == caller.refused

    assert (await caller.ask(f"mutation {{ {three} }}")).good
    assert (await caller.ask(f"mutation {{ {CANCEL} }}")).told[0] == "LIMIT_EXCEEDED"


async def test_in_plain_json_the_answer_is_a_200_that_says_when_to_come_back(over_http: Caller) -> None:
    headers = over_http.headers | {"Accept": "application/json"}
    body = {"query": f"mutation {{ a: {CANCEL} b: {CANCEL} c: {CANCEL} }}"}
    assert _answer(await over_http.http.post("/graphql", json=body, headers=headers)).good

    refused = _answer(await over_http.http.post("/graphql", json=body, headers=headers))

    assert (refused.status, refused.told) == (200, ("LIMIT_EXCEEDED", 1, True))
    assert refused.retry_after is not None


# ---------------------------------------------------------------------- sizes


def padded(size: int, **frame: Any) -> str:
    """A request of so many bytes."""
    payload = {"query": "{ __typename }", "extensions": {"padding": ""}}
    empty = json.dumps(frame | {"payload": payload}) if frame else json.dumps(payload)
    return empty.replace('"padding": ""', f'"padding": "{"x" * (size - len(empty))}"')


async def test_a_body_may_just_meet_its_limit(over_http: Caller) -> None:
    most = int(LIMITS["body_bytes_max"])
    headers = over_http.headers | {"Content-Type": "application/json"}

    met = await over_http.http.post("/graphql", content=padded(most), headers=headers)
    assert len(met.request.content) == most
    assert _answer(met).good
    refused = _answer(await over_http.http.post("/graphql", content=padded(most + 1), headers=headers))
    assert (refused.status, refused.told) == (413, ("LIMIT_EXCEEDED", most, False))


async def test_a_sender_of_far_too_much_reads_the_refusal(over_http: Caller) -> None:
    """Closing the connection while the body still comes would reset it, and the answer would be lost."""
    headers = over_http.headers | {"Content-Type": "application/json"}
    body = padded(8 * 1_048_576)
    for _ in range(3):
        assert _answer(await over_http.http.post("/graphql", content=body, headers=headers)).status == 413


async def test_a_frame_may_just_meet_its_limit(over_http: Caller) -> None:
    most = int(LIMITS["frame_bytes_max"])
    async with over_http.socket() as socket:
        await socket.send(padded(most, id="1", type="subscribe"))
        assert (await received(socket))["type"] == "next"
        assert (await received(socket))["type"] == "complete"
        with suppress(ConnectionClosed):
            await socket.send(padded(most + 1, id="1", type="subscribe"))
            await received(socket)
        assert socket.close_code == 1009


# ---------------------------------------------------------------------- sockets


async def test_a_socket_must_be_initialised_in_time(over_http: Caller) -> None:
    async with over_http.socket(initialise=False) as socket:
        with pytest.raises(ConnectionClosed):
            await received(socket)
        assert socket.close_code == 4408


async def test_a_socket_has_so_many_operations(over_http: Caller) -> None:
    most = int(LIMITS["socket_operations_max"])
    payload = {"query": WATCH, "variables": {"id": await over_http.flight()}}
    async with over_http.socket() as socket:
        for number in range(most):
            await socket.send(json.dumps({"id": f"{number}", "type": "subscribe", "payload": payload}))
            assert (await received(socket))["type"] == "next"
        await socket.send(json.dumps({"id": "more", "type": "subscribe", "payload": payload}))
        frame = await received(socket)
        assert (frame["id"], frame["type"]) == ("more", "error")
        assert Answer(None, None, frame["payload"]).told == ("LIMIT_EXCEEDED", most, False)

        await socket.send(json.dumps({"id": "0", "type": "complete"}))
        await socket.send(json.dumps({"id": "more", "type": "subscribe", "payload": payload}))
        assert (await received(socket))["type"] == "next"


# ---------------------------------------------------------------------- what is held, what is in flight


async def undo(caller: Caller, *answers: Answer) -> None:
    """Cancel what was begun, and wait until it is over."""
    operator = replaced(caller, "http", role="operator")
    for answer in answers:
        correlation_id = answer.good["bookFlight"]["saga"]["correlationId"]
        assert (await operator.ask(CANCEL_THIS, id=correlation_id)).good["cancelSaga"]["errors"] == []

        async def is_over(correlation_id: str = correlation_id) -> bool:
            return bool((await operator.ask(ENDED, id=correlation_id)).good["saga"]["status"] == "COMPENSATED")

        await eventually(is_over)


async def test_a_caller_holds_so_many_seats_of_a_flight(over_http: Caller) -> None:
    begun = await over_http.book(passengers=int(LIMITS["holds_per_caller_max"]))
    refused = await over_http.book()

    assert refused.good["bookFlight"] == {
        "saga": None,
        "errors": [
            {"__typename": "TooManyHoldsError", "path": ["segments", "0"], "limit": LIMITS["holds_per_caller_max"]}
        ],
    }
    await undo(over_http, begun)
    await undo(over_http, await over_http.book())


async def test_so_many_sagas_are_in_flight(over_http: Caller) -> None:
    operator = replaced(over_http, "http", role="operator")
    begun = [await operator.book() for _ in range(int(LIMITS["sagas_active_max"]))]
    assert all(answer.good["bookFlight"]["saga"] for answer in begun)
    refused = await operator.book()

    assert refused.told == ("LIMIT_EXCEEDED", LIMITS["sagas_active_max"], True)
    assert (refused.status, refused.data) == (200, {"bookFlight": None})
    assert refused.errors[0]["path"] == ["bookFlight"]
    await undo(over_http, *begun)

    async def room_again() -> Answer:
        answer = await operator.book()
        assert answer.errors == []
        return answer

    await undo(over_http, await eventually(room_again))


async def test_so_many_requests_and_sockets_are_served_at_once_and_health_and_operators_always(
    over_http: Caller,
) -> None:
    most = int(LIMITS["requests_active_max"])
    operator = replaced(over_http, "http", role="operator")

    refused_too_soon = 0

    async def is_served() -> bool:
        nonlocal refused_too_soon
        is_served = (await over_http.ask("{ __typename }")).status == 200
        # The place of a stream that has just been closed may not be free yet.
        refused_too_soon += not is_served
        return is_served

    async with AsyncExitStack() as stack:
        callers = [replaced(over_http, "http", sub=f"caller {number}") for number in range(most)]
        sockets = [await stack.enter_async_context(caller.socket()) for caller in callers[: most - 1]]
        with pytest.raises(ConnectionClosed) as closed:
            await stack.enter_async_context(callers[-1].socket())
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason[:14]) == (1013, "LIMIT_EXCEEDED")
        assert await is_served(), "sockets do not have all places"

        async with over_http.stream():
            refused = await over_http.ask("{ __typename }")
            assert (refused.status, refused.told) == (503, ("LIMIT_EXCEEDED", most, True))
            assert refused.retry_after is not None
            assert (await operator.ask("{ __typename }")).status == 200
            async with operator.socket() as socket:
                await socket.send('{"type":"ping"}')
                assert (await received(socket))["type"] == "pong"
            # Metrics want an operator's token, which is no matter of load.
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 401)):
                assert (await over_http.http.get(path)).status_code == status

        await eventually(is_served)
        # What was there all the while did not notice.
        for socket in sockets:
            await socket.send('{"type":"ping"}')
            assert (await received(socket))["type"] == "pong"
        text = (await over_http.http.get("/metrics", headers=operator.headers)).text
        assert f"seatsaga_requests_refused_total {2.0 + refused_too_soon}" in text
    await eventually(is_served)


async def test_a_caller_has_so_many_sockets(over_http: Caller) -> None:
    most = int(LIMITS["sockets_per_caller_max"])

    async def may_open() -> bool:
        with suppress(ConnectionClosed):
            async with over_http.socket():
                return True
        return False

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(over_http.socket()) for _ in range(most)]
        with pytest.raises(ConnectionClosed) as closed:
            await stack.enter_async_context(over_http.socket())
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        assert closed.value.rcvd.reason == (
            f"LIMIT_EXCEEDED: one caller may have {most} sockets; close one, or try again later"
        )
        for other in (replaced(over_http, "http", sub="another"), replaced(over_http, "http", role="operator")):
            await stack.enter_async_context(other.socket())
        await sockets[0].close()
        assert await eventually(may_open)
    operator = replaced(over_http, "http", sub="an operator", role="operator")
    async with AsyncExitStack() as stack:
        for _ in range(most + 1):
            await stack.enter_async_context(operator.socket())


async def test_a_message_before_the_acknowledgement_may_just_meet_its_limit(over_http: Caller) -> None:
    most = int(LIMITS["socket_init_bytes_max"])
    for size, code in ((most, None), (most + 1, 1009)):
        async with over_http.socket(initialise=False) as socket:
            await socket.send(padded(size, type="connection_init"))
            with suppress(ConnectionClosed):
                assert (await received(socket))["type"] == "connection_ack"
            assert socket.close_code == code


async def test_a_socket_without_an_operation_is_closed_in_time(over_http: Caller) -> None:
    payload = {"query": WATCH, "variables": {"id": await over_http.flight()}}
    async with over_http.socket() as idle, over_http.socket() as busy, over_http.socket() as done:
        for socket in (busy, done):
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            assert (await received(socket))["type"] == "next"
        await done.send('{"id":"1","type":"complete"}')
        # That it can ping does not mean that it is needed.
        with suppress(ConnectionClosed):
            while True:
                await idle.send('{"type":"ping"}')
                assert (await received(idle))["type"] == "pong"
                await asyncio.sleep(0.1)
        assert (idle.close_code, idle.close_reason) == (
            1000,
            f"No operation for {LIMITS['socket_idle_seconds']} s; connect again when there is one",
        )
        with pytest.raises(ConnectionClosed):
            await received(done)
        assert done.close_code == 1000
        await busy.send('{"type":"ping"}')
        assert (await received(busy))["type"] == "pong"


async def test_connections_without_a_request_make_way_for_others(over_http: Caller) -> None:
    most = int(LIMITS["connections_idle_max"])
    silent = [await asyncio.open_connection("127.0.0.1", over_http.child.port) for _ in range(3 * most)]
    async with httpx.AsyncClient(base_url=over_http.child.url) as newcomer:
        assert (await newcomer.get("/healthz")).status_code == 200
    for reader, _ in silent[:most]:
        async with asyncio.timeout(20):
            assert await reader.read() == b""
    for _, writer in silent:
        writer.close()


TESTED_ABOVE: Final = {
    *DOCUMENTS,
    "variables_values_max",
    "mutations_per_minute_max",
    "mutations_burst_max",
    "body_bytes_max",
    "frame_bytes_max",
    "socket_init_seconds",
    "socket_init_bytes_max",
    "socket_idle_seconds",
    "sockets_per_caller_max",
    "connections_idle_max",
    "socket_operations_max",
    "holds_per_caller_max",
    "sagas_active_max",
    "requests_active_max",
}
TESTED_ELSEWHERE: Final = {
    "sockets_opening_max",
    "answer_bytes_max",
    "cost_per_minute_max",
    "subscriptions_per_caller_max",
    "cabin_percent_per_caller_max",
    "seats_per_caller_max",
    "cancelled_seats_minutes",
    "failures_per_caller_max",
    "failure_wait_seconds_max",
    "provider_calls_max",
    "provider_calls_per_second",
    "guest_lookups_per_minute_max",
}


def test_no_limit_is_left_out() -> None:
    assert set(LimitSettings.model_fields) == TESTED_ABOVE | TESTED_ELSEWHERE
    assert set(LIMITS) == TESTED_ABOVE
