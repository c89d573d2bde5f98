"""A customer's day in each Python family: search, hold, pay, follow, lose the network, come back, cancel.

    python -m clients.day FAMILY URL TOKEN

Prints one line of JSON for each act, and exits 0 if everything was seen. The network is the program's own: a relay
between it and the server, whose connections are reset in the middle.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Final

import httpx
from seatsaga_client import AsyncClient, BookFlight, Client

from clients import gql_client

__all__ = ["FAMILIES", "day"]

FLIGHTS: Final = """{ flights(first: 100) { edges { node { id fares { cabinClass seatsAvailable } } } } }"""
SECONDS_MAX: Final = 60
#: Follows a saga: the URL of the server, the token, the correlation ID.
Follow = Callable[[str, str, str], AsyncIterator[Mapping[str, Any]]]


async def blocking(url: str, token: str, correlation_id: str) -> AsyncGenerator[Mapping[str, Any], None]:
    with Client(url, token) as client:
        events = client.follow(correlation_id)
        while (event := await asyncio.to_thread(next, events, None)) is not None:
            yield event


async def asynchronous(url: str, token: str, correlation_id: str) -> AsyncGenerator[Mapping[str, Any], None]:
    async with AsyncClient(url, token) as client:
        async for event in client.follow(correlation_id):
            yield event


def gql_websocket(url: str, token: str, correlation_id: str) -> AsyncIterator[Mapping[str, Any]]:
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    return gql_client.follow(lambda: gql_client.over_websocket(address, token), correlation_id)


def gql_multipart(url: str, token: str, correlation_id: str) -> AsyncIterator[Mapping[str, Any]]:
    return gql_client.follow(lambda: gql_client.over_http(f"{url}/graphql", token), correlation_id)


FAMILIES: Final[Mapping[str, Follow]] = {
    "seatsaga-client": blocking,
    "seatsaga-client-asyncio": asynchronous,
    "gql-websocket": gql_websocket,
    "gql-multipart": gql_multipart,
}


async def day(family: str, url: str, token: str) -> None:
    """Live it. Raises AssertionError for what was not as it should be."""
    follow, relay = FAMILIES[family], _Relay(url)
    async with relay, AsyncClient(url, token) as client:
        edges = (await client.execute(FLIGHTS))["flights"]["edges"]
        flight = edges[-1]["node"]["id"]
        tell("search", flights=len(edges))

        held = await client.wait((await client.hold(journey(flight)))["correlationId"])
        assert held["status"] == "WAITING", held
        tell("hold", seats=[each["seat"]["number"] for each in held["reservations"]])

        seen: list[Mapping[str, Any]] = []
        async for event in follow(relay.url, token, held["correlationId"]):
            seen.append(event)
            if event["type"] == "STEP_WAITING" and not relay.resets:
                tell("follow", until=event["sequence"])
                relay.reset()
                await client.pay(held["correlationId"])
                tell("pay")
        assert relay.resets > 0
        assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1)), seen
        assert seen[-1]["type"] == "SAGA_COMPLETED", seen[-1]
        tell("lose and come back", connections=relay.resets, events=len(seen))
        booking = (await client.saga(held["correlationId"]))["booking"]
        assert booking is not None
        tell("booked", reference=booking["reference"])

        regretted = await client.hold(journey(flight))
        await client.cancel(regretted["correlationId"], "The customer stays at home.")
        ended = [event["type"] async for event in follow(relay.url, token, regretted["correlationId"])][-1]
        assert ended == "SAGA_COMPENSATED", ended
        tell("cancel", ended=ended)


def journey(flight: str) -> BookFlight:
    return {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
    }


def tell(act: str, **facts: Any) -> None:
    print(json.dumps({"act": act, **facts}), flush=True)


class _Relay:
    """The network between this program and the server."""

    def __init__(self, url: str) -> None:
        self._far = httpx.URL(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self.resets = 0
        self.url = ""

    async def __aenter__(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        # A proxy may want its own name, and serve beneath a path.
        self.url = f"http://{self._far.host if self._far.host == 'localhost' else '127.0.0.1'}:{port}{self._far.path}"
        self.url = self.url.rstrip("/")

    async def __aexit__(self, *ended: object) -> None:
        self._server.close()
        self.reset()

    def reset(self) -> None:
        writers, self._writers = self._writers, set()
        for writer in writers:
            writer.transport.abort()
        self.resets += len(writers) // 2

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._far.host, self._far.port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._writers -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(day(*sys.argv[1:4]), SECONDS_MAX))
