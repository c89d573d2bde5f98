"""GraphiQL at /graphql: its examples, completion, subscriptions."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("graphiql")
async def test_graphiql(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
