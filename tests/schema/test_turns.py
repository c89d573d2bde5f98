"""A long operation lets others run, gives the same answer as ever, and loads in the same batches."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

import pytest
import strawberry

from schema.documents import Limits
from schema.execution import Executable, Execution, Rejected
from schema.turns import TURN_SECONDS, Pace, Turns

pytestmark = pytest.mark.usefixtures("no_collections")

ITEMS: Final = 16_500
#: What a turn may take, and as much again for a machine that is slow or collects its garbage.
STRETCH_SECONDS_MAX: Final = 0.08


@strawberry.type
class Item:
    number: int

    @strawberry.field
    def doubled(self) -> int:
        return self.number * 2

    @strawberry.field
    async def later(self) -> int:
        await asyncio.sleep(0)
        return self.number

    @strawberry.field
    def odd(self) -> int:
        if self.number == 12:
            raise ValueError("no")
        return self.number


@strawberry.type
class Query:
    @strawberry.field
    def items(self, first: int = ITEMS) -> list[Item]:
        return [Item(number=number) for number in range(first)]


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def counted(self) -> AsyncGenerator[list[Item], None]:
        yield [Item(number=number) for number in range(162)]


ASKED: Final = Executable(strawberry.Schema(Query, subscription=Subscription), Limits(cost_max=10**9))


def begun(text: str, asked: Executable = ASKED) -> Execution:
    found = asked.begin(text)
    assert not isinstance(found, Rejected), found
    return found


async def longest_stretch(run: Any) -> float:
    """The most processor time for which nothing else was let run."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await run
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return longest


@pytest.mark.parametrize("fields", ["number doubled", "later", "number doubled later"])
async def test_16500_items_do_not_hold_the_loop(fields: str) -> None:
    found = [
        await longest_stretch(begun(f"{{ items(first: {ITEMS // 5}) {{ {fields} }} }}").result()) for _ in range(3)
    ]
    assert min(found) < STRETCH_SECONDS_MAX


async def test_ten_long_operations_together_do_not_hold_it_either() -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(begun("{ items(first: 500) { number later } }").result() for _ in range(10)))

    assert min([await longest_stretch(all_of_them()) for _ in range(3)]) < STRETCH_SECONDS_MAX


async def test_the_answer_is_whole_and_in_order() -> None:
    result = await begun("{ items(first: 1000) { number doubled later } }").result()
    assert result.errors is None
    assert result.data == {"items": [{"number": n, "doubled": 2 * n, "later": n} for n in range(1000)]}


async def test_an_error_in_a_long_list_is_told_with_its_place() -> None:
    result = await begun("{ items(first: 100) { odd later } }").result()
    assert result.data is None
    assert result.errors is not None
    (error,) = result.errors
    assert error.path == ["items", 12, "odd"]
    assert (error.extensions or {})["code"] == "INTERNAL"


async def test_whoever_leaves_in_the_middle_leaves_nothing_behind() -> None:
    task = asyncio.create_task(begun("{ items { number later } }").result())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = await begun("{ items(first: 20) { later } }").result()
    assert result.errors is None


async def test_a_frame_of_seats_is_written_at_a_stretch() -> None:
    frames = [frame async for frame in begun("subscription { counted { number } }").results()]
    assert len(json.loads(frames[0].body)["data"]["counted"]) == 162


async def test_those_who_wait_go_on_also_where_others_of_them_have_gone() -> None:
    turns = Turns.here()
    while not turns.are_used_up():
        pass
    waiting = [asyncio.create_task(turns.wait()) for _ in range(200)]
    await asyncio.sleep(0)
    for task in waiting[:150]:
        task.cancel()
    async with asyncio.timeout(20):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found[150:] == [None] * 50


async def test_what_is_loaded_waits_for_the_tasks_of_its_operation() -> None:
    pace, called = Pace(), asyncio.Event()
    turns = Turns.here()
    while not turns.are_used_up():
        pass
    task = asyncio.create_task(pace.keep())
    await asyncio.sleep(0)
    # The turn was over by then, unless the task still waits for the next one.
    pace.call_soon(called.set)
    await task
    async with asyncio.timeout(20):
        await called.wait()


# ---------------------------------------------------------------------- bytes


async def test_an_answer_may_just_meet_its_limit() -> None:
    text = "{ items(first: 100) { number } }"
    execution = begun(text)
    size = len(execution.encoded(await execution.result()))
    for limit in (size, size - 1):
        asked = Executable(strawberry.Schema(Query), Limits(answer_bytes_max=limit))
        execution = begun(text, asked)
        body = json.loads(execution.encoded(await execution.result()))
        if limit == size:
            assert "errors" not in body
            continue
        (error,) = body["errors"]
        assert body["data"] is None
        assert error["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": limit}
        assert body["extensions"] == {"cost": execution.cost}


def test_a_turn_is_shorter_than_anybody_may_have_to_wait() -> None:
    assert TURN_SECONDS < 0.02
