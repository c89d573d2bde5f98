"""One real server for each module, and where Chromium is missing the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import missing
from tests.browser.stage import Stage
from tests.support.required import require


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Of the stage's server; a module may have its own."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> AsyncIterator[Stage]:
    """A server with the demo timetable, and a browser for each story. Where CI asks for it, never passed over."""
    require("BROWSER", missing())
    stage = Stage(tmp_path_factory.mktemp("stage"), settings)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.close()
