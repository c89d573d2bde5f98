"""The saga as a line: what its stations and rails say."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("line")
async def test_the_line(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
