"""One real server for each module, and where Chromium is missing the reason."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.chromium import missing
from tests.browser.stage import Stage


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Of the stage's server; a module may have its own."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> AsyncIterator[Stage]:
    """A server with the demo timetable, and a browser for each story. Where CI asks for it, never passed over."""
    reason = missing()
    if reason is not None:
        if os.environ.get("SEATSAGA_TEST_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    stage = Stage(tmp_path_factory.mktemp("stage"), **settings)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.close()
