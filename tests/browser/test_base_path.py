"""The console and GraphiQL beneath a base path, from the build that serves at the root."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"base_path": "/seats"}


@stories("base-path")
async def test_beneath_a_path(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
