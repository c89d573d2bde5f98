"""A frontend's day behind nginx: search, hold, pay, follow, lose the network, come back, cancel, in each family.

The JavaScript days lose the network by themselves (clients/src/network.ts). In the Python days nginx itself is lost,
with all connections through it, and comes back.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from gql.transport.async_transport import AsyncTransport
from seatsaga_client import AsyncClient, BookFlight, Client, Timing

from clients import gql_client
from tests.clients.families import FAMILIES, Follower
from tests.clients.javascript import JavaScript, missing
from tests.clients.test_javascript import LIBRARIES
from tests.clients.tokens import SECRET, customer, token
from tests.proxies.conftest import serving_flights
from tests.support.children import Child
from tests.support.proxies import Proxy, proxy
from tests.support.required import require
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """A server that asks for tokens."""
    async with serving_flights(
        sqlite_template,
        tmp_path_factory.mktemp("day"),
        auth="jwt",
        jwt_secret=SECRET,
        jwt_leeway_seconds="0",
        simulation="on",
        forwarded_allow_ips="127.0.0.1",
    ) as child:
        yield child


@pytest.fixture(scope="module")
def javascript() -> JavaScript:
    """The clients of clients/src, generated and compiled."""
    require("CLIENTS", missing())
    return JavaScript.built()


@pytest.fixture(scope="module")
def nginx(server: Child) -> Iterator[Proxy]:
    """The server, as its users reach it."""
    with proxy("nginx", [server.port]) as front:
        yield front


@pytest.mark.parametrize("library", LIBRARIES)
async def test_the_day_of_a_javascript_library(javascript: JavaScript, nginx: Proxy, library: str) -> None:
    javascript.run(f"day-{library}", url=nginx.url, token=token(customer()))


# ---------------------------------------------------------------------- Python

FLIGHTS: Final = "{ flights(first: 100) { edges { node { id } } } }"
PAY: Final = "mutation($input: PayForHoldInput!) { payForHold(input: $input) { errors { __typename } } }"
CANCEL: Final = "mutation($input: CancelSagaInput!) { cancelSaga(input: $input) { errors { __typename } } }"
TIMING: Final = Timing(backoff_first=0.05, backoff_max=0.5)


def journey(flight: str) -> BookFlight:
    """A seat for one passenger."""
    return {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
    }


class Customer:
    """A customer who uses seatsaga_client, blocking or not."""

    def __init__(self, url: str, bearer: str, client: type[Client | AsyncClient]) -> None:
        self._client: Any = client(url, bearer, timing=TIMING)

    async def _do(self, name: str, *given: object) -> Any:
        method = getattr(self._client, name)
        if isinstance(self._client, AsyncClient):
            return await method(*given)
        return await asyncio.to_thread(method, *given)

    async def search(self) -> list[str]:
        edges = (await self._do("execute", FLIGHTS))["flights"]["edges"]
        return [edge["node"]["id"] for edge in edges]

    async def hold(self, booking: BookFlight) -> None:
        assert (await self._do("hold", booking))["correlationId"] == booking["correlationId"]

    async def pay(self, correlation_id: str) -> None:
        await self._do("pay", correlation_id, "pm_card_visa")

    async def cancel(self, correlation_id: str) -> None:
        await self._do("cancel", correlation_id)

    async def close(self) -> None:
        await self._do("aclose" if isinstance(self._client, AsyncClient) else "close")


class GqlCustomer:
    """A customer who uses gql; `connect` opens a connection for each operation."""

    def __init__(self, connect: Callable[[], AsyncTransport]) -> None:
        self._connect = connect

    async def _ask(self, document: str, **variables: object) -> Any:
        return await gql_client.ask(self._connect(), document, **variables)

    async def search(self) -> list[str]:
        edges = (await self._ask(FLIGHTS))["flights"]["edges"]
        return [edge["node"]["id"] for edge in edges]

    async def hold(self, booking: BookFlight) -> None:
        held = await self._ask(gql_client.BOOK_FLIGHT, input={**booking, "payLater": True})
        assert held["bookFlight"]["errors"] == []

    async def pay(self, correlation_id: str) -> None:
        payment = {"correlationId": correlation_id, "payment": {"token": "pm_card_visa"}}
        assert (await self._ask(PAY, input=payment))["payForHold"]["errors"] == []

    async def cancel(self, correlation_id: str) -> None:
        cancelled = await self._ask(CANCEL, input={"correlationId": correlation_id})
        assert cancelled["cancelSaga"]["errors"] == []

    async def close(self) -> None:
        """Nothing stays open."""


def customer_of(family: str, url: str, bearer: str) -> Customer | GqlCustomer:
    """A customer who uses this family."""
    match family:
        case "seatsaga-client":
            return Customer(url, bearer, Client)
        case "seatsaga-client, asyncio":
            return Customer(url, bearer, AsyncClient)
        case "gql, WebSocket":
            return GqlCustomer(lambda: gql_client.over_websocket(f"{url.replace('http', 'ws', 1)}/graphql", bearer))
        case "gql, multipart":
            return GqlCustomer(lambda: gql_client.over_http(f"{url}/graphql", bearer))
        case _:
            raise AssertionError(f"no customer uses {family}")


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_day_of_a_python_family(nginx: Proxy, family: str) -> None:
    bearer = token(customer())
    shopper = customer_of(family, nginx.url, bearer)

    def followed(correlation_id: str) -> Follower:
        return Follower(FAMILIES[family], nginx.url, lambda: bearer, correlation_id, timing=TIMING)

    async with asyncio.timeout(60):
        flight = (await shopper.search())[-1]
        booking, other = journey(flight), journey(flight)
        await shopper.hold(booking)
        follower = followed(booking["correlationId"])
        await follower.has("STEP_WAITING")

        nginx.stop()
        await eventually(lambda: follower.lost, 20)
        nginx.start()
        await shopper.pay(booking["correlationId"])
        await follower.task
        assert follower.sequences == list(range(1, len(follower.sequences) + 1))
        assert follower.events[-1]["type"] == "SAGA_COMPLETED"

        await shopper.hold(other)
        follower = followed(other["correlationId"])
        await follower.has("STEP_WAITING")
        await shopper.cancel(other["correlationId"])
        await follower.task
        assert follower.events[-1]["type"] == "SAGA_COMPENSATED"
        await shopper.close()
