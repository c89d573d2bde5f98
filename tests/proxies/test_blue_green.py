"""Two servers behind each proxy: one is replaced by the other while clients ask, and no request fails."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import httpx
import pytest
import pytest_asyncio

from tests.app.whole import fill
from tests.proxies.asking import BOOK, FLIGHTS, ask, client, order
from tests.support.children import Child, environment, serving_child
from tests.support.databases import Pool, as_text
from tests.support.proxies import KINDS, Kind, Proxy, proxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: HAProxy and Caddy ask every second whether a server is ready.
DRAIN_SECONDS: Final = 3
Colour = Literal["blue", "green"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(postgres_pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[Colour, Child]]:
    """Two servers of one database."""
    url = await postgres_pool.take()
    await fill(as_text(url))
    folder = tmp_path_factory.mktemp("colours")
    env = environment(
        folder,
        as_text(url),
        forwarded_allow_ips="127.0.0.1",
        drain_seconds=str(DRAIN_SECONDS),
        admin_token="the token of operators",
    )
    async with serving_child(folder, env) as blue, serving_child(folder, env) as green:
        yield {"blue": blue, "green": green}
    await postgres_pool.give_back(url)


class Load:
    """Clients that ask one thing after another through one proxy each, and what they were answered."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []

    async def read(self, front: Proxy, http: httpx.AsyncClient) -> None:
        while True:
            await self._note(f"{front.kind} reads", ask(http, FLIGHTS))

    async def book(self, front: Proxy, http: httpx.AsyncClient) -> None:
        flights = (await ask(http, FLIGHTS))["flights"]["edges"]
        while True:
            for flight in flights:
                await self._note(f"{front.kind} books", ask(http, BOOK, input=order(flight["node"]["id"])))

    async def _note(self, who: str, asking: Awaitable[object]) -> None:
        try:
            await asking
            self.answered[who] += 1
        except (httpx.HTTPError, AssertionError) as error:
            self.failed.append(f"{who}: {error!r}")

    async def goes_on(self, answers: int = 10) -> None:
        """Return once each client has been answered so often from now on."""
        before = self.answered.copy()
        everybody = [f"{kind} {does}" for kind in KINDS for does in ("reads", "books")]
        await eventually(lambda: all(self.answered[who] >= before[who] + answers for who in everybody), 30)


@asynccontextmanager
async def load(fronts: dict[Kind, Proxy], **headers: str) -> AsyncIterator[Load]:
    """Clients of all these proxies, until the block ends."""
    found, tasks = Load(), list[asyncio.Task[None]]()
    clients = [(front, client(front)) for front in fronts.values() for _ in range(2)]
    for (front, http), does in zip(clients, (found.read, found.book) * len(fronts), strict=True):
        http.headers.update(headers)
        tasks.append(asyncio.create_task(does(front, http)))
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, http in clients:
            await http.aclose()


def fronts_of(*servers: Child) -> dict[Kind, Proxy]:
    """Every proxy before these servers."""
    return {kind: proxy(kind, [server.port for server in servers]) for kind in KINDS}


@pytest.fixture
def closing() -> Iterator[list[Proxy]]:
    """Proxies that end with the test."""
    proxies: list[Proxy] = []
    yield proxies
    for front in proxies:
        front.close()


def served_by(server: Child) -> int:
    """How many operations a server has answered."""
    return server.output.read_text().count("POST /graphql")


async def test_green_replaces_blue_by_a_reload(servers: dict[Colour, Child], closing: list[Proxy]) -> None:
    """A client that keeps its connection to the proxy may have to open another: these open one a request."""
    fronts = fronts_of(servers["blue"])
    closing += fronts.values()
    async with load(fronts, connection="close") as clients:
        await clients.goes_on()
        for front in fronts.values():
            front.reload([servers["green"].port])
        await clients.goes_on(20)
        before = served_by(servers["blue"])
        await clients.goes_on()
        assert served_by(servers["blue"]) == before
    assert clients.failed == []


async def test_no_request_fails_while_a_server_drains(servers: dict[Colour, Child], closing: list[Proxy]) -> None:
    fronts = fronts_of(servers["blue"], servers["green"])
    closing += fronts.values()
    async with load(fronts) as clients:
        await clients.goes_on()
        servers["blue"].process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(servers["blue"].process.wait, 30) == 0
        await clients.goes_on()
    assert clients.failed == []
