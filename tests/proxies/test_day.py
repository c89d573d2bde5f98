"""A frontend's day behind nginx: search, hold, pay, follow, lose the network, come back, cancel, in each family.

The JavaScript days lose the network by themselves (clients/src/network.ts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.clients.javascript import JavaScript, missing
from tests.clients.tokens import SECRET, customer, token
from tests.proxies.conftest import serving_flights
from tests.support.children import Child
from tests.support.proxies import Proxy, proxy
from tests.support.required import require

_SOURCES: Final = Path(__file__).parents[2] / "clients" / "src"
#: Programs that spend a day each.
DAYS: Final = sorted(file.stem for file in _SOURCES.glob("day-*.ts") if file.stem != "day-operations") or [
    "apollo-multipart",
    "apollo-split",
    "fetch",
    "graphql-sse",
    "graphql-ws",
    "relay",
    "urql-sse",
    "urql-websocket",
]

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


@pytest.mark.parametrize("day", DAYS)
async def test_the_day_of_a_javascript_library(javascript: JavaScript, nginx: Proxy, day: str) -> None:
    javascript.run(day, url=nginx.url, token=token(customer()))
