"""One real server for each module, and before it nginx, HAProxy and Caddy with the shipped files."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from domain import flights, seats
from domain.clock import wall_now
from domain.storage import Database
from tests.domain.bookings.world import departures
from tests.proxies.asking import SHOP
from tests.support.children import Child, environment, serving_child
from tests.support.proxies import KINDS, Kind, Proxy, proxy

#: Of one address, on the server of these tests.
SOCKETS_MAX = 8
FLIGHTS = 30


@asynccontextmanager
async def serving_flights(template: Path, folder: Path, **settings: str) -> AsyncIterator[Child]:
    """A server with these settings and flights enough for a long answer. `template`: a migrated, empty SQLite file."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    database = Database(f"sqlite+aiosqlite:///{shutil.copy(template, data / 'seatsaga.db')}")
    timetable = [
        replace(flight, number=f"T{number}{flight.number[1:]}")
        for number in range(FLIGHTS // 3)
        for flight in departures(wall_now())
    ]
    await flights.load(database, timetable, add_seats=seats.add_seats)
    await database.close()
    async with serving_child(folder, environment(folder, **settings)) as child:
        yield child


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """Believes the proxies of this machine, and limits each caller's sockets."""
    async with serving_flights(
        sqlite_template,
        tmp_path_factory.mktemp("proxied"),
        forwarded_allow_ips="127.0.0.1",
        allowed_origins=SHOP,
        sockets_per_caller_max=str(SOCKETS_MAX),
        log_format="json",
        websocket_compression="on",
        # Everything is also served without it.
        base_path="/seats",
    ) as child:
        yield child


@pytest.fixture(scope="module")
def proxies(server: Child) -> Iterator[dict[tuple[Kind, bool], Proxy]]:
    """Every proxy before the server, without TLS and with."""
    with ExitStack() as stack:
        yield {
            (kind, tls): stack.enter_context(proxy(kind, [server.port], tls=tls))
            for kind in KINDS
            for tls in (False, True)
        }


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each proxy in turn: a cell of the table in docs/proxies.md."""
    found: Kind = request.param
    return found


@pytest.fixture
def front(proxies: dict[tuple[Kind, bool], Proxy], kind: Kind) -> Proxy:
    """The proxy, as clients without TLS reach it."""
    return proxies[kind, False]


@pytest.fixture
def secure(proxies: dict[tuple[Kind, bool], Proxy], kind: Kind) -> Proxy:
    """The proxy, with TLS."""
    return proxies[kind, True]
