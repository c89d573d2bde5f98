"""What operators do with the console: the list of sagas, one saga, the scheduler, the overview."""

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@stories("sagas")
async def test_the_list_of_sagas(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("saga")
async def test_one_saga(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("scheduler")
async def test_the_scheduler(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("overview")
async def test_the_overview(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@stories("incidents")
async def test_incidents(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
