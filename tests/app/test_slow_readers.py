"""A client that does not read is let go, told where to go on from; its buffer is bounded, and the others do not notice.

A real TCP connection whose client reads nothing: what is written fills the kernel's buffers, then the server's.
"""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from app.http.connections import LINGER_SECONDS, TransportLimits
from app.http.subscribers import Subscribers
from tests.app.probe import Witness, probing
from tests.support.raw import frames_of, handshake, masked, streaming
from tests.support.serving import Served
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

LIMITS: Final = TransportLimits(stall_seconds=0.5)
FLOOD: Final = "subscription { flood { sequence filling } }"
SSE: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
#: What the kernel and the server's transport may hold of it, generously.
BUFFERED_BYTES_MAX: Final = 16 * 1024 * 1024


@asynccontextmanager
async def deaf(served: Served, opening: bytes, *asked: bytes) -> AsyncIterator[sockets.socket]:
    """A connection that sends `opening` and, once that is answered, what is `asked`, and reads nothing by itself."""
    loop = asyncio.get_running_loop()
    with sockets.socket() as client:
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", served.port))
        await loop.sock_sendall(client, opening)
        if asked:
            assert b"101" in await loop.sock_recv(client, 4096)
            await loop.sock_sendall(client, b"".join(asked))
        yield client


async def read_on(client: sockets.socket) -> bytes:
    """Everything until the server ends it."""
    loop, found = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(10):
        while chunk := await loop.sock_recv(client, 1 << 20):
            found += chunk
    return bytes(found)


async def let_go(witness: Witness) -> None:
    await eventually(lambda: witness.flooding == 0 and witness.flooded > 0, 5.0)


async def test_a_socket_that_is_not_read_gets_slow_consumer_for_each_operation_and_1013() -> None:
    async with probing(limits=LIMITS) as (served, witness):
        asked = [masked({"id": name, "type": "subscribe", "payload": {"query": FLOOD}}) for name in ("a", "b")]
        async with deaf(served, handshake(), masked({"type": "connection_init"}), *asked) as client:
            await let_go(witness)
            assert witness.flooded * 8 * 1024 < BUFFERED_BYTES_MAX
            said = frames_of(await read_on(client))

    *messages, (opcode, close) = said
    assert (opcode, int.from_bytes(close[:2], "big")) == (8, 1013)
    assert close[2:].startswith(b"SLOW_CONSUMER")
    decoded = [json.loads(payload) for _, payload in messages]
    for name in ("a", "b"):
        own = [message for message in decoded if message.get("id") == name]
        (last,) = own.pop()["payload"]
        sequences = [message["payload"]["data"]["flood"]["sequence"] for message in own]
        # Everything up to where it is to go on from has arrived, and nothing beyond.
        assert sequences == list(range(1, len(own) + 1))
        assert last["extensions"] == {"code": "SLOW_CONSUMER", "resumeAfter": len(own)}


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_stream_that_is_not_read_ends_with_slow_consumer(accept: str) -> None:
    async with probing(limits=LIMITS) as (served, witness):
        async with deaf(served, streaming(FLOOD, accept)) as client:
            await let_go(witness)
            assert witness.flooded * 8 * 1024 < BUFFERED_BYTES_MAX
            text = (await read_on(client)).decode()

    assert text.count('"sequence":') == witness.flooded
    _, _, last = text.partition('"errors"')
    assert "SLOW_CONSUMER" in last
    assert f'"resumeAfter":{witness.flooded}' in last
    # The end is whole: the stream's own, and HTTP's.
    assert ("event: complete" if accept == SSE else "\r\n--graphql--\r\n") in last
    assert text.endswith("0\r\n\r\n")


async def test_the_others_do_not_notice() -> None:
    async with probing(limits=LIMITS) as (served, witness), open_socket(served) as socket:
        await socket.initialise()
        async with deaf(served, streaming(FLOOD, SSE)), deaf(served, streaming(FLOOD, MULTIPART)):
            for number in range(20):
                await socket.subscribe(str(number), "subscription { count(to: 3) }")
                kinds = [(await socket.receive())["type"] for _ in range(4)]
                assert kinds == ["next", "next", "next", "complete"]
            await let_go(witness)
            await socket.subscribe("after", "{ hello }")
            assert (await socket.receive())["type"] == "next"


async def test_who_reads_slowly_but_reads_is_not_let_go() -> None:
    async with probing(limits=LIMITS) as (served, witness), open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("a", FLOOD)
        for number in range(1, 400):
            assert (await socket.receive())["payload"]["data"]["flood"]["sequence"] == number
        await socket.send(id="a", type="complete")
        await let_go(witness)


async def test_a_client_that_was_let_go_leaves_its_place_to_another() -> None:
    subscribers = Subscribers(per_caller_max=1)
    async with probing(limits=LIMITS, subscribers=subscribers) as (served, witness):
        async with deaf(served, streaming(FLOOD, SSE)):
            await let_go(witness)
        async with open_socket(served) as socket:
            await socket.initialise()
            await socket.subscribe("a", "subscription { count(to: 1) }")
            assert (await socket.receive())["type"] == "next"


async def test_who_never_reads_is_cut_off_in_the_end() -> None:
    async with probing(limits=LIMITS) as (served, witness):
        asked = masked({"id": "a", "type": "subscribe", "payload": {"query": FLOOD}})
        async with (
            deaf(served, handshake(), masked({"type": "connection_init"}), asked),
            deaf(served, streaming(FLOOD, SSE)),
            deaf(served, streaming(FLOOD, MULTIPART)),
        ):
            await let_go(witness)
            assert len(served.server.server_state.connections) == 3
            await eventually(lambda: not served.server.server_state.connections, LINGER_SECONDS + 3)
