"""The test console: what is asked for, its saga as it goes, and what comes of it."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("test-console")
async def test_the_test_console(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("demo")
async def test_the_demonstration(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
