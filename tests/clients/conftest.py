"""One real server for each module, which asks for tokens; and the JavaScript clients, built."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.clients.javascript import JavaScript, missing
from tests.clients.tokens import SECRET
from tests.support.children import Child, environment, fill, serving_child
from tests.support.required import require


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """Serves the demo timetable under auth `jwt`, and lets bookings be slowed down."""
    folder = tmp_path_factory.mktemp("clients")
    env = environment(folder, auth="jwt", jwt_secret=SECRET, jwt_leeway_seconds="0", simulation="on")
    fill(env, folder)
    async with serving_child(folder, env) as child:
        yield child


@pytest.fixture(scope="module")
def javascript() -> JavaScript:
    """The clients of clients/src, generated and compiled. Where CI asks for them, they are never passed over."""
    require("CLIENTS", missing())
    return JavaScript.built()
