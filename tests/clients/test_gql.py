"""Python's gql as docs/clients.md shows it, against a real server: what clients/src/story.ts asks of the others."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from gql.transport.async_transport import AsyncTransport

from clients import gql_client
from tests.clients.tokens import customer, token
from tests.support.children import Child
from tests.support.network import Network, network_to

FLIGHTS = "{ flights(first: 100) { edges { node { id } } } }"
NOWHERE = "RmxpZ2h0OjA"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Shop:
    """A customer at the far end of a network that can be cut."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._url = f"http://127.0.0.1:{network.port}/graphql"
        self._token = token(customer())

    def http(self) -> AsyncTransport:
        return gql_client.over_http(self._url, self._token)

    def websocket(self) -> AsyncTransport:
        return gql_client.over_websocket(self._url.replace("http:", "ws:"), self._token)

    async def flight(self) -> str:
        """A late one, that does not depart while the test runs."""
        found = await gql_client.ask(self.http(), FLIGHTS)
        identifier: str = found["flights"]["edges"][-1]["node"]["id"]
        return identifier

    async def book(self, flight: str, **more: Any) -> dict[str, Any]:
        passengers = [{"givenName": "Ada", "familyName": "Lovelace"}]
        wanted = {"segments": [{"flightId": flight}], "passengers": passengers, **more}
        payload: dict[str, Any] = (await gql_client.ask(self.http(), gql_client.BOOK_FLIGHT, input=wanted))[
            "bookFlight"
        ]
        return payload


@pytest_asyncio.fixture(loop_scope="module")
async def shop(server: Child) -> AsyncIterator[Shop]:
    async with network_to(server.port) as network:
        yield Shop(network)


async def test_a_booking_sent_twice_is_one_saga_and_all_sagas_are_read_page_by_page(shop: Shop) -> None:
    flight = await shop.flight()
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for correlation_id in [*ids, *ids]:
        booked = await shop.book(flight, correlationId=correlation_id)
        assert (booked["errors"], booked["saga"]["correlationId"]) == ([], correlation_id)

    read = [saga["correlationId"] async for saga in gql_client.sagas(shop.http(), first=2)]

    assert read == ids[::-1]


@pytest.mark.parametrize("way", ["websocket", "http"])
async def test_a_subscription_goes_on_over_a_lost_connection(shop: Shop, way: str) -> None:
    correlation_id = str(uuid.uuid4())
    await shop.book(await shop.flight(), correlationId=correlation_id, simulate={"delayMs": 400})
    connect = {"websocket": shop.websocket, "http": shop.http}[way]

    events = []
    async for event in gql_client.follow(connect, correlation_id):
        events.append(event)
        if len(events) == 3:
            assert shop.network.cut() > 0

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "SAGA_COMPLETED"


async def test_what_the_customer_can_mend_is_told_by_type(shop: Shop) -> None:
    (nowhere,) = (await shop.book(NOWHERE))["errors"]
    (dearer,) = (await shop.book(await shop.flight(), expectedTotal={"amount": "1.00", "currency": "USD"}))["errors"]

    assert (nowhere["__typename"], dearer["__typename"]) == ("FlightNotFoundError", "PriceChangedError")
    assert gql_client.advice(nowhere) == "Choose another flight."
    assert gql_client.advice(dearer).startswith("It costs ")
