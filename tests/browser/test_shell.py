"""What stands around every view of the console."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("shell")
async def test_the_shell(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("routes")
async def test_every_view(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
