"""saga(waitSeconds:) answers at the end of a saga: for clients that do not subscribe."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import pytest

from domain.saga import Simulation, engine
from tests.domain.bookings.world import World
from tests.schema.api import OTHER, OWNER, Api
from tests.support.statements import reads, statements

SAGA: Final = "query($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) { status } }"
NOBODYS: Final = "00000000-0000-4000-8000-000000000000"
LONG: Final = 20


async def status(api: Api, correlation_id: str, seconds: int, viewer: Any = OWNER) -> str | None:
    found = (await api.read(SAGA, viewer, id=correlation_id, seconds=seconds))["saga"]
    return None if found is None else found["status"]


async def test_it_answers_once_the_saga_is_over(api: Api, world: World) -> None:
    saga = await world.book(Simulation(delay_ms=20))

    async with asyncio.timeout(LONG / 2):
        assert await status(api, saga.correlation_id, LONG) == "COMPLETED"


async def test_a_compensated_saga_is_over_too(api: Api, world: World) -> None:
    saga = await world.book(Simulation(fail_at=("CONFIRM_BOOKING",), delay_ms=20))

    async with asyncio.timeout(LONG / 2):
        assert await status(api, saga.correlation_id, LONG) == "COMPENSATED"


async def test_many_may_wait_for_one_and_leave_nothing_behind(api: Api, world: World) -> None:
    saga = await world.book(Simulation(delay_ms=50))

    found = await asyncio.gather(*(status(api, saga.correlation_id, LONG) for _ in range(20)))

    assert set(found) == {"COMPLETED"}
    assert world.engine.feed._ends == {}


async def test_a_saga_that_was_begun_here_is_read_once_at_its_end(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOOKUP_SECONDS", LONG)
    saga = await world.book(Simulation(delay_ms=20))

    with statements(reads(world.engine.database), of=r"WHERE sagas\.correlation_id (IN|= ANY)") as read:
        assert await status(api, saga.correlation_id, LONG) == "COMPLETED"
        assert len(read) == 1
        assert await status(api, saga.correlation_id, LONG) == "COMPLETED"
    assert len(read) == 2
    assert world.engine.feed._going == {}


async def test_an_end_of_which_no_hint_comes_is_found_all_the_same(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.engine.feed, "publish", lambda events: None)
    saga = await world.book(Simulation(delay_ms=10))

    async with asyncio.timeout(LONG / 2):
        assert await status(api, saga.correlation_id, LONG) == "COMPLETED"


async def test_it_answers_as_the_saga_stands_where_it_is_not_over_in_time(api: Api, world: World) -> None:
    saga = await world.book(Simulation(delay_ms=5_000))

    assert await status(api, saga.correlation_id, 1) in ("PENDING", "RUNNING")
    assert await status(api, saga.correlation_id, 0) in ("PENDING", "RUNNING")


async def test_anothers_saga_and_none_at_all_are_answered_at_once_alike(api: Api, world: World) -> None:
    saga = await world.book(Simulation(delay_ms=2_000))
    began = time.monotonic()

    assert await status(api, saga.correlation_id, LONG, OTHER) is None
    assert await status(api, NOBODYS, LONG) is None
    assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("seconds", [-1, 31])
async def test_it_waits_for_a_bounded_time_only(api: Api, seconds: int) -> None:
    assert (await api.ask(SAGA, id=NOBODYS, seconds=seconds)).code == "BAD_USER_INPUT"
