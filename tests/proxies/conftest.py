"""One real server for each module, and before it nginx, HAProxy and Caddy with the shipped files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from tests.proxies.asking import SHOP
from tests.support.children import Child, environment, fill, serving_child
from tests.support.proxies import KINDS, Kind, Proxy, proxy

#: Of one address, on the server of these tests.
SOCKETS_MAX = 8


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """Serves the demo timetable, and believes the proxies of this machine."""
    folder = tmp_path_factory.mktemp("proxied")
    env = environment(
        folder,
        forwarded_allow_ips="127.0.0.1",
        allowed_origins=SHOP,
        sockets_per_caller_max=str(SOCKETS_MAX),
        log_format="json",
        # Everything is also served without it.
        base_path="/seats",
    )
    fill(env, folder)
    async with serving_child(folder, env) as child:
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
