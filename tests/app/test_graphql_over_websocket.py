"""graphql-transport-ws as the protocol wants it, by a real server and a real client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from typing import Any, TypeVarTuple

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.http.auth import Caller, JwtAuthenticator, OpenAuthenticator, Unauthenticated
from app.http.connections import TransportLimits
from schema.cost import OPERATION_POINTS, ROOT_POINTS
from tests.app.probe import ADMIN_TOKEN, Witness, probing
from tests.support.asking import bearer_of
from tests.support.serving import Served
from tests.support.sockets import Socket, open_socket
from tests.support.waiting import eventually

Ts = TypeVarTuple("Ts")
SECRET = "a secret of at least thirty-two bytes"
EARLY_SECONDS = 0.1
FOREVER = "subscription { forever }"


@pytest.fixture
async def probe() -> AsyncIterator[tuple[Served, Witness]]:
    async with probing(limits=TransportLimits(init_seconds=0.3, operations_max=2)) as served:
        yield served


@pytest.fixture
async def socket(probe: tuple[Served, Witness]) -> AsyncIterator[Socket]:
    async with open_socket(probe[0]) as opened:
        await opened.initialise()
        yield opened


async def test_a_subscription_sends_each_result_and_then_completes(socket: Socket) -> None:
    await socket.subscribe("a", "subscription C($to: Int!) { count(to: $to) }", variables={"to": 2}, operationName="C")

    assert await socket.receive() == {"id": "a", "type": "next", "payload": {"data": {"count": 1}}}
    assert await socket.receive() == {"id": "a", "type": "next", "payload": {"data": {"count": 2}}}
    assert await socket.receive() == {"id": "a", "type": "complete"}


async def test_queries_and_mutations_run_on_a_socket_too(socket: Socket) -> None:
    await socket.subscribe("a", "{ hello }")

    cost = OPERATION_POINTS + ROOT_POINTS + 1
    payload = {"data": {"hello": "hello world"}, "extensions": {"cost": cost}}
    assert await socket.receive() == {"id": "a", "type": "next", "payload": payload}
    assert await socket.receive() == {"id": "a", "type": "complete"}


async def test_an_id_may_be_used_again_once_it_is_complete(socket: Socket) -> None:
    for _ in range(3):
        await socket.subscribe("a", "{ hello }")
        assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]


@pytest.mark.parametrize("query", ["subscription {", "{ nothing }", 1, None])
async def test_an_operation_that_cannot_run_ends_alone(socket: Socket, query: Any) -> None:
    await socket.subscribe("living", FOREVER)
    await socket.receive()

    await socket.subscribe("dead", query)
    refused = await socket.receive()
    await socket.subscribe("next", "{ hello }")
    answered = await socket.receive()

    assert (refused["id"], refused["type"]) == ("dead", "error")
    assert refused["payload"][0]["message"]
    assert (answered["id"], answered["type"]) == ("next", "next")


async def test_a_generator_that_raises_is_told_as_an_error_of_its_own(socket: Socket) -> None:
    await socket.subscribe("a", "subscription { faulty }")

    assert (await socket.receive())["payload"] == {"data": {"faulty": 1}}
    assert (await socket.receive())["payload"]["errors"]
    assert (await socket.receive()) == {"id": "a", "type": "complete"}


async def test_each_operation_has_a_context_of_its_own(probe: tuple[Served, Witness], socket: Socket) -> None:
    for _ in range(2):
        await socket.subscribe("a", "{ hello }")
        await socket.receive()
        await socket.receive()

    first, second = probe[1].contexts
    assert first is not second


async def test_complete_ends_the_generator(probe: tuple[Served, Witness], socket: Socket) -> None:
    await socket.subscribe("a", FOREVER)
    await socket.receive()

    await socket.send(id="a", type="complete")

    await eventually(lambda: probe[1].ended == 1)
    await socket.subscribe("a", "{ hello }")
    assert (await socket.receive())["payload"]["data"] == {"hello": "hello world"}


async def test_a_client_that_goes_away_ends_its_generators(probe: tuple[Served, Witness]) -> None:
    async with open_socket(probe[0]) as socket:
        await socket.initialise()
        await socket.subscribe("a", FOREVER)
        await socket.subscribe("b", FOREVER)
        await socket.receive()
        await socket.receive()
        socket.connection.transport.abort()

        await eventually(lambda: probe[1].ended == 2)


async def test_a_server_that_goes_away_ends_its_generators_and_says_so() -> None:
    async with probing() as (served, witness), open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("a", FOREVER)
        await socket.receive()
        began = time.monotonic()
        served.server.should_exit = True

        assert await socket.closed() == 1012
        await eventually(lambda: witness.ended == 1)
        assert time.monotonic() - began < 5


async def test_ping_is_answered_with_its_payload_also_before_init(probe: tuple[Served, Witness]) -> None:
    async with open_socket(probe[0]) as socket:
        await socket.send(type="ping", payload={"n": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"n": 1}}
        await socket.initialise()
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_who_does_not_initialise_in_time_is_let_go(probe: tuple[Served, Witness]) -> None:
    async with open_socket(probe[0]) as socket:
        assert await socket.closed() == 4408


async def test_nobody_subscribes_before_the_acknowledgement(probe: tuple[Served, Witness]) -> None:
    async with open_socket(probe[0]) as socket:
        await socket.subscribe("a", "{ hello }")
        assert await socket.closed() == 4401


@pytest.mark.parametrize("kind", ["unheard-of", "next", "connection_ack", None])
async def test_an_unknown_frame_is_unknown_also_before_the_init(
    probe: tuple[Served, Witness], kind: str | None
) -> None:
    async with open_socket(probe[0]) as socket:
        await socket.send(type=kind)
        assert await socket.closed() == 4400


async def test_a_token_that_is_checked_slowly_is_no_late_init() -> None:
    class Slow(OpenAuthenticator):
        async def __call__(self, token: str | None) -> Caller | Unauthenticated:
            await asyncio.Event().wait()
            raise AssertionError

    async with (
        probing(authenticate=Slow(ADMIN_TOKEN), limits=TransportLimits(init_seconds=0.3)) as (served, _),
        open_socket(served) as socket,
    ):
        await socket.send(type="connection_init")
        # "Try again later": the client reconnects.
        assert await socket.closed() == 1013


async def test_a_second_init_closes_the_socket(socket: Socket) -> None:
    await socket.send(type="connection_init")
    assert await socket.closed() == 4429


async def test_an_id_in_use_closes_the_socket(socket: Socket) -> None:
    await socket.subscribe("a", FOREVER)
    await socket.receive()
    await socket.subscribe("a", FOREVER)
    assert await socket.closed() == 4409


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '"text"',
        "null",
        "{}",
        '{"type": "unheard-of"}',
        '{"type": "subscribe", "payload": {}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
        '{"type": "complete"}',
        '{"type": "complete", "id": null}',
        '{"type": "complete", "id": ["None"]}',
        '{"type": "ping", "payload": "text"}',
        '{"type": "pong", "payload": [1]}',
        b"{}",
    ],
)
async def test_a_frame_that_is_none_closes_the_socket(socket: Socket, frame: str | bytes) -> None:
    await socket.connection.send(frame)
    assert await socket.closed() == 4400


async def test_only_so_many_operations_run_on_one_socket(socket: Socket) -> None:
    for operation_id in ("a", "b"):
        await socket.subscribe(operation_id, FOREVER)
        await socket.receive()

    await socket.subscribe("c", FOREVER)

    refused = await socket.receive()
    assert (refused["id"], refused["type"]) == ("c", "error")
    assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("protocol", ["graphql-ws", "nonsense"])
async def test_another_subprotocol_is_not_acceptable(probe: tuple[Served, Witness], protocol: str) -> None:
    url = f"{probe[0].socket_url}/graphql"
    async with connect(url, additional_headers={"Sec-WebSocket-Protocol": protocol}) as connection:
        assert await Socket(connection).closed() == 4406


async def test_the_token_comes_with_the_init(probe: tuple[Served, Witness]) -> None:
    for payload in ({"Authorization": f"Bearer {ADMIN_TOKEN}"}, {"token": ADMIN_TOKEN}):
        async with open_socket(probe[0]) as socket:
            await socket.initialise(payload)
            await socket.subscribe("a", "{ me }")
            assert (await socket.receive())["payload"]["data"] == {"me": f"{bearer_of(ADMIN_TOKEN)} True"}

    async with open_socket(probe[0]) as socket:
        await socket.send(type="connection_init", payload={"token": "guessed"})
        assert await socket.closed() == 4403


async def test_a_page_from_elsewhere_opens_no_socket(probe: tuple[Served, Witness]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(probe[0], Origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403

    async with open_socket(probe[0], Origin=probe[0].url) as socket:
        await socket.initialise()


async def test_a_page_that_is_allowed_opens_one() -> None:
    async with probing(origins=("https://elsewhere.example",)) as (served, _):
        async with open_socket(served, Origin="https://elsewhere.example") as socket:
            await socket.initialise()


async def test_a_socket_ends_with_its_token() -> None:
    token = jwt.encode({"sub": "ada", "exp": time.time() + 1.2}, SECRET)
    async with probing(authenticate=JwtAuthenticator(admin_token=None, secret=SECRET)) as (served, witness):
        async with open_socket(served) as socket:
            await socket.initialise({"authorization": f"Bearer {token}"})
            await socket.subscribe("a", FOREVER)
            await socket.receive()
            assert await socket.closed() == 4403
            assert witness.ended == 1


class EarlyLoop(asyncio.SelectorEventLoop):
    """Its timers come early: uvloop's do so too, by up to half a millisecond."""

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when - EARLY_SECONDS, callback, *args, context=context)


def test_a_socket_that_ends_a_moment_before_its_token_is_told_that_the_token_has_expired() -> None:
    async def code() -> int:
        token = jwt.encode({"sub": "ada", "exp": time.time() + 1.2}, SECRET)
        async with (
            probing(authenticate=JwtAuthenticator(admin_token=None, secret=SECRET)) as (served, _),
            open_socket(served) as socket,
        ):
            await socket.initialise({"authorization": f"Bearer {token}"})
            return await socket.closed()

    with asyncio.Runner(loop_factory=EarlyLoop) as runner:
        assert runner.run(code()) == 4403


async def test_an_operation_on_a_socket_is_heard_with_its_correlation_ids(
    probe: tuple[Served, Witness], socket: Socket
) -> None:
    await socket.subscribe("a", 'mutation Start { start(correlationId: "abc") }', operationName="Start")
    await socket.receive()
    await socket.receive()

    heard = await eventually(lambda: probe[1].heard)
    assert (heard[0].method, heard[0].operation, heard[0].correlation_ids) == ("WS", "Start", ("abc",))
