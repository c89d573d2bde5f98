"""An operator's pause is stored, is on the record, and reaches the guard of every replica."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.clock import ManualClock
from domain.gate import Entry, Lane
from domain.guard import Guard, GuardLimits, GuardWatch, InvalidReason, Pause, ProviderControls
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.outcome import Succeeded
from domain.storage import Database
from tests.support.asking import operator
from tests.support.waiting import eventually

PROVIDER = "stripe"


def asked(reason: str | None = "Their status page says so.", name: str = "ada") -> Asked:
    return replace(operator(name), reason=reason)


@pytest.fixture
def controls(database: Database) -> ProviderControls:
    return ProviderControls(database, PROVIDER)


async def recorded(database: Database) -> list[OperatorAction]:
    return await database.read(lambda connection: page_actions(connection, ActionQuery(), after=None, limit=10))


async def stored(database: Database, provider: str = PROVIDER) -> Pause | None:
    return await database.read(ProviderControls(database, provider).pause_of)


async def test_a_provider_that_nobody_spoke_of_is_not_paused(database: Database, controls: ProviderControls) -> None:
    assert await stored(database) is None


async def test_a_pause_is_stored_for_this_provider_and_recorded(database: Database, controls: ProviderControls) -> None:
    pause = await controls.pause(asked())
    assert isinstance(pause, Pause)
    assert (pause.by, pause.reason) == ("ada", "Their status page says so.")
    assert await stored(database) == pause
    assert await stored(database, "sandbox") is None
    (action,) = await recorded(database)
    assert (action.kind, action.by.subject, action.reason, action.at) == (
        "PROVIDER_PAUSE",
        "ada",
        "Their status page says so.",
        pause.at,
    )
    assert (action.before, action.after) == ("stripe: on", "stripe: paused by ada")


async def test_a_second_pause_changes_nothing(
    database: Database, controls: ProviderControls, clock: ManualClock
) -> None:
    first = await controls.pause(asked())
    clock.advance(5)
    assert await controls.pause(asked("Another reason.", "grace")) == first
    assert len(await recorded(database)) == 1


async def test_resuming_forgets_the_pause_and_a_second_time_changes_nothing(
    database: Database, controls: ProviderControls
) -> None:
    await controls.pause(asked())
    for _ in range(2):
        assert await controls.resume(asked("They are back.", "grace")) is None
    assert await stored(database) is None
    assert [(action.kind, action.reason) for action in await recorded(database)] == [
        ("PROVIDER_RESUME", "They are back."),
        ("PROVIDER_PAUSE", "Their status page says so."),
    ]


@pytest.mark.parametrize("reason", [None, "", "  ", "two\nlines", "x" * 501])
async def test_without_a_valid_reason_nothing_is_done(
    database: Database, controls: ProviderControls, reason: str | None
) -> None:
    assert isinstance(await controls.pause(asked(reason)), InvalidReason)
    assert isinstance(await controls.resume(asked(reason)), InvalidReason)
    assert await stored(database) is None
    assert await recorded(database) == []


# ---------------------------------------------------------------------- the watch


async def _two(connection: AsyncConnection) -> int:
    return 2


@asynccontextmanager
async def watched(database: Database, calls_max: int = 4) -> AsyncIterator[Guard]:
    """The guard of one of two replicas."""
    guard = Guard(PROVIDER, GuardLimits(calls_max))
    watch = GuardWatch(database, guard, ProviderControls(database, PROVIDER), _two)
    await watch.start()
    try:
        yield guard
    finally:
        await watch.stop()


async def test_a_pause_that_stands_is_obeyed_before_the_first_call(
    database: Database, controls: ProviderControls
) -> None:
    await controls.pause(asked())
    async with watched(database) as guard:
        assert guard.enter("saga", Lane.BEGIN) is Entry.SHUT
        assert guard.standing.reason == "Their status page says so."


async def test_a_pause_and_its_end_reach_a_guard_that_runs(database: Database, controls: ProviderControls) -> None:
    async with watched(database) as guard:
        await controls.pause(asked())
        await eventually(lambda: guard.standing.state.is_shut)
        given: list[str] = []
        guard.attach(given.append)
        assert guard.enter("saga", Lane.BEGIN) is Entry.SHUT
        await controls.resume(asked())
        await eventually(lambda: given == ["saga"])
        assert guard.enter("saga", Lane.BEGIN) is Entry.PERMIT


async def test_the_limit_is_shared_with_the_replicas_that_live(database: Database) -> None:
    async with watched(database, calls_max=4) as guard:
        await eventually(lambda: guard.standing.places_max == 2)


async def test_a_saga_in_line_gets_the_place_of_a_call_that_ends_on_another_thread(database: Database) -> None:
    async with watched(database, calls_max=2) as guard:
        given: list[str] = []
        guard.attach(given.append)
        assert guard.enter("first", Lane.BEGIN) is Entry.PERMIT
        assert guard.enter("second", Lane.BEGIN) is Entry.LINE

        async def settle(connection: AsyncConnection) -> None:
            guard.leave("first", Succeeded())

        await database.write(settle)
        await eventually(lambda: given == ["second"])
