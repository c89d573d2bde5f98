"""SIGTERM under load, with streams open on every transport: they end properly, the process soon, no saga is harmed."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from seatsaga_client import ApiError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.client import Client
from tests.app.probe import probing
from tests.app.test_slow_readers import FLOOD, deaf
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.raw import handshake, masked, streaming
from tests.support.waiting import eventually

EXIT_SECONDS_MAX: Final = 5.0
STREAMS: Final = 20
BUYERS: Final = 16
SSE: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
EVENTS: Final = "subscription($id: UUID!) { sagaEvents(correlationId: $id) { sequence type } }"
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { id } errors { __typename } } }"


def order(flight_id: str, correlation_id: str, **simulate: Any) -> dict[str, Any]:
    return {
        "correlationId": correlation_id,
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "simulate": simulate,
    }


class Load:
    """Buyers who book one after another until the server is gone, each with a client of its own."""

    def __init__(self, child: Child, flight_ids: list[str]) -> None:
        self._child = child
        self._flight_ids = flight_ids
        self.accepted: list[str] = []
        self.asked: list[str] = []

    async def buy(self, buyer: int) -> None:
        """Until nobody answers."""
        async with Client(self._child.url) as client:
            while True:
                correlation_id = str(uuid.uuid4())
                self.asked.append(correlation_id)
                flight_id = self._flight_ids[len(self.asked) % len(self._flight_ids)]
                try:
                    answer = await client.query(BOOK, input=order(flight_id, correlation_id))
                except ApiError:
                    return
                assert answer["bookFlight"]["errors"] == []
                self.accepted.append(correlation_id)


async def by_socket(child: Child, correlation_id: str, begun: asyncio.Semaphore) -> int | None:
    """The code that a socket with a subscription is closed with."""
    url = f"ws://127.0.0.1:{child.port}/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        payload = {"query": EVENTS, "variables": {"id": correlation_id}}
        await socket.send(json.dumps({"id": "a", "type": "subscribe", "payload": payload}))
        with suppress(ConnectionClosed):
            while True:
                message = json.loads(await socket.recv())
                assert message["type"] == "next", message
                begun.release()
        return socket.close_code


async def by_stream(child: Child, correlation_id: str, accept: str, begun: asyncio.Semaphore) -> str:
    """All that a stream said; one that is cut off is an error of the client's."""
    text = ""
    body = {"query": EVENTS, "variables": {"id": correlation_id}}
    async with httpx.AsyncClient(base_url=child.url, timeout=20) as http:
        async with http.stream("POST", "/graphql", json=body, headers={"accept": accept}) as response:
            async for chunk in response.aiter_text():
                text += chunk
                if "sequence" in chunk:
                    begun.release()
    return text


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    async with serving_child(tmp_path, environment(tmp_path)) as child:
        yield child


async def test_sigterm_under_load_ends_every_stream_and_harms_no_saga(child: Child, tmp_path: Path) -> None:
    env, slow, begun = environment(tmp_path), str(uuid.uuid4()), asyncio.Semaphore(0)
    async with Client(child.url) as client:
        edges = (await client.query("{ flights(first: 50) { edges { node { id } } } }"))["flights"]["edges"]
        flight_ids = [edge["node"]["id"] for edge in edges]
        await client.query(BOOK, input=order(flight_ids[0], slow, delayMs=5000))
    load = Load(child, flight_ids)
    buying = [asyncio.create_task(load.buy(number)) for number in range(BUYERS)]
    sockets = [asyncio.create_task(by_socket(child, slow, begun)) for _ in range(STREAMS)]
    events = [asyncio.create_task(by_stream(child, slow, SSE, begun)) for _ in range(STREAMS)]
    parts = [asyncio.create_task(by_stream(child, slow, MULTIPART, begun)) for _ in range(STREAMS)]
    async with asyncio.timeout(20):
        for _ in range(3 * STREAMS):
            await begun.acquire()
        await eventually(lambda: len(load.accepted) >= 50, 20.0)

    began = time.monotonic()
    assert await asyncio.to_thread(child.terminate) == 0
    assert time.monotonic() - began < EXIT_SECONDS_MAX

    assert set(await asyncio.gather(*sockets)) == {1012}
    for text in await asyncio.gather(*events):
        assert "SAGA_STARTED" in text
        # Whoever is told that it is complete does not come again.
        assert "event: complete" not in text
    for text in await asyncio.gather(*parts):
        assert "SERVER_STOPPING" in text
        assert text.endswith("\r\n--graphql--\r\n")
    await asyncio.gather(*buying)

    async with serving_child(tmp_path, env) as again, Client(again.url) as client:
        for correlation_id in load.accepted:
            found = await client.query(
                "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) { status } }", id=correlation_id
            )
            assert found["saga"]["status"] == "COMPLETED"
        assert [event["type"] async for event in client.follow(slow)][-1] == "SAGA_COMPLETED"
    examined = await asyncio.to_thread(seatsaga, "doctor", env=env, folder=tmp_path)
    assert examined.returncode == 0, examined.stdout


async def test_clients_that_do_not_read_do_not_keep_the_server_from_ending() -> None:
    async with probing() as (served, witness):
        asked = masked({"id": "a", "type": "subscribe", "payload": {"query": FLOOD}})
        async with (
            deaf(served, handshake(), masked({"type": "connection_init"}), asked),
            deaf(served, streaming(FLOOD, SSE)),
            deaf(served, streaming(FLOOD, MULTIPART)),
        ):
            await eventually(lambda: witness.flooding == 3 and witness.flooded > 100)
            began = time.monotonic()
            served.server.should_exit = True
            await eventually(lambda: witness.flooding == 0 and not served.server.server_state.connections, 2.0)
            assert time.monotonic() - began < EXIT_SECONDS_MAX
