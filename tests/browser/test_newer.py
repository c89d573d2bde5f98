"""The console before a newer release, and a view of it that cannot be drawn."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("newer")
async def test_what_the_console_cannot_know(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
