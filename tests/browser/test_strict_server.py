"""The test console before a server that injects no faults, and takes one mutation at a time from a caller."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """One mutation, and the next in three seconds."""
    return {"simulation": "off", "mutations_per_minute_max": "20", "mutations_burst_max": "1"}


@stories("strict-server")
async def test_a_strict_server(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
