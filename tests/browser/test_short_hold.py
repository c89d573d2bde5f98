"""Held seats that nobody pays for in time."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Eight seconds, of which four are for the customer."""
    return {"hold_seconds": "8"}


@stories("short-hold")
async def test_a_short_hold(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
