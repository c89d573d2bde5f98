"""The console before a server with tokens: what customers see, and operators with some of the scopes."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Tokens that the stories sign themselves."""
    return {"auth": "jwt", "jwt_secret": "the-secret-of-the-stories-about-customers", "simulation": "on"}


@stories("customers")
async def test_customers(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
