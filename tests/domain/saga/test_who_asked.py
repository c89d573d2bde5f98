"""Who asks for something is in the saga's history, and, where an operator does, on the record, or it is not done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, ActorRole, Asked
from domain.events import EventType
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.outcome import Unknown
from domain.saga import (
    CommitPoint,
    CommitPoints,
    NotWaiting,
    PivotDecided,
    RetryPolicy,
    RetryRequested,
    SagaEngine,
    SagaStatus,
    SagaView,
    Simulation,
    Started,
    signals,
)
from domain.storage import Database
from tests.domain.saga.toy import Provider, Toys, calling, ended, history, opened, reached, start, view
from tests.support.asking import A_CUSTOMER, operator
from tests.support.waiting import eventually

GRACE = operator("grace", request_id="request-7")
STUCK_UNDOING = Simulation(fail_at=("AWARD",), fail_compensation_at=("UNPAY",))


async def recorded(engine: SagaEngine, started: Started | None = None) -> list[OperatorAction]:
    """The entries about the saga, or all, oldest first."""
    async with engine.database.reading() as connection:
        query = ActionQuery(saga_id=started.saga_id if started else None)
        return (await page_actions(connection, query, after=None, limit=100))[::-1]


async def asked_for(engine: SagaEngine, started: Started) -> list[tuple[EventType, Actor]]:
    """The events that somebody asked for, with who."""
    return [(event.type, event.actor) for event in await history(engine, started) if event.actor is not None]


async def retries(engine: SagaEngine, started: Started, *asked: Asked | None) -> None:
    """Several ask for a retry, one after the other, before the saga's owner can look."""

    async def work(connection: AsyncConnection) -> None:
        at = await engine.database.clock.now(connection)
        for number, each in enumerate(asked):
            await signals.request_retry(
                connection,
                started.correlation_id,
                at + number,
                each,
                replica_id=engine.replica.id,
                known=engine.definitions,
            )

    await engine.database.write(work)


STARTED = (EventType.SAGA_STARTED, Actor(ActorRole.CUSTOMER, "someone"))


async def stuck(engine: SagaEngine, toys: Toys) -> Started:
    started = await start(engine, toys.definition, STUCK_UNDOING)
    await reached(engine, started, SagaStatus.STUCK)
    return started


async def test_a_saga_that_runs_by_itself_names_its_customer_alone(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition)
    await ended(engine, started)

    assert await asked_for(engine, started) == [STARTED]
    assert await recorded(engine) == []


async def test_a_retry_of_what_is_stuck_names_who_resumed_it(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)
    await engine.retry(started.correlation_id, GRACE)
    await ended(engine, started)

    resumed = [(EventType.COMPENSATION_STARTED, GRACE.by), (EventType.SAGA_RESUMED, GRACE.by)]
    assert await asked_for(engine, started) == [STARTED, *resumed]
    (entry,) = await recorded(engine, started)
    assert (entry.by, entry.kind, entry.reason, entry.request_id) == (GRACE.by, "RETRY_SAGA", None, "request-7")
    assert entry.saga_id == started.saga_id
    assert entry.before is not None
    assert entry.before.startswith("STUCK at UNPAY, attempt ")
    assert entry.after == f"{entry.before}; retry requested"


async def test_a_retry_of_what_backs_off_names_who_had_the_attempt_begin(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", Unknown("TIMEOUT", "no answer"))
    reserve, pay, *others = toys.definition.steps
    patient = replace(toys.definition, steps=(reserve, replace(pay, policy=RetryPolicy(floor_seconds=30)), *others))
    engine = SagaEngine(toy_database, [patient], poll_seconds=0.1)
    async with opened(engine):
        started = await start(engine, patient)

        async def backs_off() -> bool:
            return EventType.STEP_RETRYING in [event.type for event in await history(engine, started)]

        await eventually(backs_off)
        assert isinstance(await engine.retry(started.correlation_id, GRACE), RetryRequested)
        await ended(engine, started)

        assert await asked_for(engine, started) == [STARTED, (EventType.STEP_STARTED, GRACE.by)]
        assert [entry.before for entry in await recorded(engine, started)] == ["RUNNING at PAY, attempt 1"]


async def test_operators_retries_of_what_backs_off_spend_no_attempt(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", *[Unknown("TIMEOUT", "no answer")] * 5)
    reserve, pay, *others = toys.definition.steps
    patient = replace(toys.definition, steps=(reserve, replace(pay, policy=RetryPolicy(floor_seconds=30)), *others))
    engine = SagaEngine(toy_database, [patient], poll_seconds=0.1)
    async with opened(engine):
        started = await start(engine, patient)

        async def failed(times: int) -> bool:
            return [event.type for event in await history(engine, started)].count(EventType.STEP_RETRYING) == times

        for times in range(1, 5):
            await eventually(partial(failed, times))
            await engine.retry(started.correlation_id, GRACE)
        await eventually(partial(failed, 5))
        assert (await view(engine, started)).steps[1].attempt == 1
        assert len(provider.keys("PAY")) == 5
        await engine.retry(started.correlation_id, GRACE)
        saga = await ended(engine, started)
        assert (saga.status, saga.steps[1].attempt) == (SagaStatus.COMPLETED, 2)


async def test_a_skip_names_who_gave_it_up_and_why(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)
    await engine.skip(started.correlation_id, "PAY", "refunded by hand", GRACE)
    await ended(engine, started)

    assert await asked_for(engine, started) == [
        STARTED,
        (EventType.SAGA_RESUMED, GRACE.by),
        (EventType.COMPENSATION_SKIPPED, GRACE.by),
    ]
    (entry,) = await recorded(engine, started)
    assert (entry.kind, entry.reason) == ("SKIP_STEP", "refunded by hand")
    assert entry.after == f"{entry.before}; skip of PAY requested"


async def test_what_is_not_needed_was_skipped_by_nobody(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)
    await engine.skip(started.correlation_id, "PAY", "refunded by hand")
    await ended(engine, started)

    assert await asked_for(engine, started) == [STARTED]
    assert await recorded(engine) == []


async def test_of_two_who_ask_the_one_that_is_obeyed_is_named(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)
    await retries(engine, started, operator("ada"), GRACE)
    await ended(engine, started)

    resumed = [(EventType.COMPENSATION_STARTED, GRACE.by), (EventType.SAGA_RESUMED, GRACE.by)]
    assert await asked_for(engine, started) == [STARTED, *resumed]
    assert [entry.by.subject for entry in await recorded(engine, started)] == ["ada", "grace"]


async def test_a_retry_that_a_release_before_the_record_has_left_is_nobodys(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)
    await retries(engine, started, GRACE, None)
    await ended(engine, started)

    assert await asked_for(engine, started) == [STARTED]


@pytest.mark.parametrize(
    ("asked", "entries"), [(A_CUSTOMER, []), (GRACE, ["CANCEL_SAGA"])], ids=["customer", "operator"]
)
async def test_a_cancel_names_who_asked(
    engine: SagaEngine, toys: Toys, provider: Provider, asked: Any, entries: list[str]
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    await engine.cancel(started.correlation_id, asked)
    await engine.cancel(started.correlation_id, operator("late"))
    gate.set()
    await ended(engine, started)

    assert await asked_for(engine, started) == [STARTED, (EventType.CANCEL_REQUESTED, asked.by)]
    found = await recorded(engine, started)
    assert [entry.kind for entry in found] == entries
    for entry in found:
        assert entry.before == "RUNNING at PAY, attempt 1"
        assert entry.after == f"{entry.before}; cancel requested"


async def test_a_retry_of_what_is_parked_names_who_had_it_looked_at_again(engine: SagaEngine, toys: Toys) -> None:
    started = await stuck(engine, toys)

    async def set_context(context: str) -> str:
        async def work(connection: AsyncConnection) -> str:
            told = {"id": started.saga_id}
            kept = await connection.execute(text("SELECT context FROM sagas WHERE id = :id"), told)
            await connection.execute(text("UPDATE sagas SET context = :c WHERE id = :id"), {**told, "c": context})
            return str(kept.scalar_one())

        return await engine.database.write(work)

    kept = await set_context("{oops")
    await engine.retry(started.correlation_id, operator("ada"))
    await reached(engine, started, SagaStatus.PARKED)
    await set_context(kept)
    await engine.retry(started.correlation_id, GRACE)
    await ended(engine, started)

    assert (EventType.SAGA_RESUMED, GRACE.by) in await asked_for(engine, started)
    assert [entry.before for entry in await recorded(engine, started)][1] == "PARKED at UNPAY, attempt 3"


async def test_what_is_refused_leaves_no_entry(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition)
    await ended(engine, started)

    assert isinstance(await engine.cancel(started.correlation_id, GRACE), PivotDecided)
    assert isinstance(await engine.retry(started.correlation_id, GRACE), NotWaiting)
    assert isinstance(await engine.skip(started.correlation_id, "PAY", "why not", GRACE), NotWaiting)
    assert await recorded(engine) == []


ACTIONS: dict[str, Callable[[SagaEngine, str], Awaitable[object]]] = {
    "retry": lambda engine, saga: engine.retry(saga, GRACE),
    "skip": lambda engine, saga: engine.skip(saga, "PAY", "refunded by hand", GRACE),
}


def signals_of(row: Any) -> tuple[Any, ...]:
    return (row.retry_requested_at, row.skip_step, row.cancel_requested_at)


async def standing(engine: SagaEngine, saga: SagaView) -> tuple[Any, ...]:
    async with engine.database.reading() as connection:
        statement = text("SELECT retry_requested_at, skip_step, cancel_requested_at FROM sagas WHERE id = :id")
        return signals_of((await connection.execute(statement, {"id": saga.id})).one())


class BrokenOff(Exception):
    """The process ends here."""


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_that_is_not_committed_is_not_on_the_record(
    engine: SagaEngine, toys: Toys, points: CommitPoints, action: str
) -> None:
    started = await stuck(engine, toys)
    await engine.runner.stop()

    def end(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.SIGNAL_BEFORE_COMMIT:
            raise BrokenOff

    points.breaker = end
    with pytest.raises(BrokenOff):
        await ACTIONS[action](engine, started.correlation_id)

    assert await recorded(engine) == []
    assert await standing(engine, await view(engine, started)) == (None, None, None)


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_that_cannot_be_put_on_the_record_is_not_done(
    engine: SagaEngine, toys: Toys, action: str
) -> None:
    started = await stuck(engine, toys)
    await engine.runner.stop()
    rename = text("ALTER TABLE operator_actions RENAME TO elsewhere")
    await engine.database.write(lambda connection: connection.execute(rename))

    with pytest.raises(DBAPIError):
        await ACTIONS[action](engine, started.correlation_id)

    assert await standing(engine, await view(engine, started)) == (None, None, None)
