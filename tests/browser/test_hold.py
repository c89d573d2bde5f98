"""Held seats in the test console: each way in which a hold can end."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("hold")
async def test_a_hold(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
