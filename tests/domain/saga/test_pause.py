"""A simulated delay is a pause inside the step: it has begun, people watch it, and nothing of its work has."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from domain.events import EventType
from domain.outcome import NotSent, Refused
from domain.saga import (
    NotWaiting,
    SagaEngine,
    SagaStatus,
    SagaView,
    Simulation,
    Started,
    StepStatus,
    expire,
    lock_unpinned,
)
from domain.saga.machine import Run
from domain.saga.states import Direction, Phase
from domain.saga.tables import sagas
from domain.storage import Database
from tests.domain.saga.test_machine import DONE, LOST, NO, last, running, undoing
from tests.domain.saga.toy import Provider, Toys, ended, history, opened, start, view
from tests.support.asking import AN_OPERATOR
from tests.support.waiting import eventually

SLOW = Simulation(delay_ms=250)
#: Longer than any test waits: only a signal ends it.
ENDLESS = Simulation(delay_ms=3_600_000)


def paused(run: Run) -> Run:
    """The run, which pauses now."""
    assert run.is_to_pause
    run.start_pause()
    return run


# ---------------------------------------------------------------------- one saga in memory


def test_the_attempt_has_begun_and_pauses_as_long_as_asked_for_and_no_longer() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    assert (run.attempt, run.phase, run.due_at, run.wait_us) == (1, Phase.READY, 250_007, 250_000)
    assert (run.is_ready, run.is_to_pause) == (False, False)
    assert (last(run).type, last(run).attempt) == (EventType.STEP_STARTED, 1)
    assert run.changes[2, Direction.FORWARD].status is StepStatus.EXECUTING
    # No budget runs, nothing is pinned, and nothing can have an effect yet.
    assert (run.attempted_since, run.pinned_at, run.effects) == (None, None, 0b11)
    run.at -= 1
    assert run.wait_us == 0, "the clock was set back"


def test_the_work_begins_in_the_attempt_that_has_begun() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    run.at = 250_007
    assert run.is_ready
    assert run.member(next_attempt=True).attempt == 1
    run.start_attempt()
    assert (run.attempt, run.attempted_since, len(run.events)) == (1, 250_007, 1)
    assert run.simulation == SLOW
    assert run.member(next_attempt=False).attempt == 1
    run.fall_short(LOST, proven=False)
    run.start_attempt()
    assert (run.attempt, last(run).attempt, len(run.events)) == (2, 2, 3)


def test_each_operation_pauses_once() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    run.start_attempt()
    run.complete(DONE)
    assert run.is_to_pause
    retrying = running(7, 2, simulation=SLOW, attempt=1)
    assert not retrying.is_to_pause
    assert not running(7, 2).is_to_pause
    assert not running(7, 2, simulation=SLOW, unsent_since=6).is_to_pause
    assert not undoing(7, 2, simulation=SLOW, status=SagaStatus.STUCK).is_to_pause


def test_what_is_undone_pauses_too() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    run.start_attempt()
    run.fall_short(NO, proven=True)
    assert (run.status, run.is_ready) == (SagaStatus.COMPENSATING, True)
    paused(run)
    assert (last(run).type, last(run).compensation) == (EventType.COMPENSATION_STARTED, "UNHOLD")
    assert run.changes[0, Direction.BACKWARD].status is StepStatus.EXECUTING


def test_a_pause_ends_when_the_saga_must_turn_round() -> None:
    budget_us = 30_000_000
    run = paused(running(7, 2, simulation=ENDLESS, deadline_at=budget_us + 100))
    # The step needs its budget before the deadline.
    assert run.due_at == 101
    # The pin itself compares the hold with the clock.
    assert paused(running(7, 3, simulation=ENDLESS, deadline_at=100)).due_at == 100
    assert paused(undoing(7, 2, simulation=ENDLESS, deadline_at=100)).due_at == 7 + 3_600_000_000


def test_a_cancel_in_a_pause_fails_the_step_and_the_next_operation_pauses_anew() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    run.cancel()
    assert [event.type for event in run.events] == [EventType.STEP_STARTED, EventType.STEP_FAILED]
    assert (run.status, run.attempt, run.effects, run.position) == (SagaStatus.COMPENSATING, 0, 0b1, 0)
    assert run.simulation == SLOW
    assert run.is_to_pause


def test_a_call_that_is_not_sent_after_a_pause_is_no_attempt_and_pauses_no_more() -> None:
    run = paused(running(7, 2, simulation=SLOW))
    run.at = 250_007
    before = run.footing
    run.start_attempt()
    run.start_call()
    run.not_sent(NotSent("CIRCUIT_OPEN", "Away."), before)
    assert (run.attempt, run.effects, run.attempted_since) == (0, 0b11, None)
    assert not run.is_to_pause


def test_a_release_without_pauses_reads_the_row_and_tries_again() -> None:
    class Before(msgspec.Struct, omit_defaults=True, frozen=True):
        """The simulation of that release."""

        fail_at: tuple[str, ...] = ()
        fail_compensation_at: tuple[str, ...] = ()
        lose_answer_at: tuple[str, ...] = ()
        delay_ms: int = 0

    run = paused(running(7, 2, simulation=SLOW))
    assert msgspec.json.decode(msgspec.json.encode(run.simulation), type=Before) == Before(delay_ms=250)
    assert msgspec.json.encode(SLOW) == msgspec.json.encode(Before(delay_ms=250))


# ---------------------------------------------------------------------- as it is watched


def agree(saga: SagaView) -> None:
    """The saga's status, its steps' and its queue tell one thing."""
    under_way = [step.name for step in saga.steps if step.status is StepStatus.EXECUTING]
    undone = [step.undo.name for step in saga.steps if step.undo and step.undo.status is StepStatus.EXECUTING]
    match saga.status:
        case SagaStatus.PENDING:
            assert (saga.sequence, under_way, saga.queue.executing) == (1, [], None)
        case SagaStatus.RUNNING:
            assert (len(under_way), undone) == (1, [])
            assert (saga.queue.executing, saga.queue.compensating) == (under_way[0], None)
            assert under_way[0] not in saga.queue.pending
        case SagaStatus.COMPENSATING:
            assert (under_way, len(undone)) == ([], 1)
            assert saga.queue.compensating == undone[0]
            assert undone[0] not in saga.queue.compensations
        case _:
            assert (under_way, undone, saga.queue.executing, saga.queue.compensating) == ([], [], None, None)


@pytest.mark.parametrize("fail_at", [(), ("CONFIRM",)])
async def test_at_each_moment_status_step_and_queue_agree(
    engine: SagaEngine, toys: Toys, fail_at: tuple[str, ...]
) -> None:
    started = await start(engine, toys.definition, Simulation(fail_at=fail_at, delay_ms=60))
    seen = set()
    while True:
        saga = await view(engine, started)
        agree(saga)
        seen.add(saga.queue.executing or saga.queue.compensating)
        if saga.status.is_terminal:
            break
        await asyncio.sleep(0)
    done = {"RESERVE", "PAY", "AWARD", "CONFIRM"} | ({"REVERSE", "UNPAY", "RELEASE"} if fail_at else set())
    assert seen - {None} == done
    log = await history(engine, started)
    begun = {EventType.STEP_STARTED, EventType.COMPENSATION_STARTED}
    ends = {EventType.STEP_COMPLETED, EventType.STEP_FAILED, EventType.COMPENSATION_COMPLETED}
    pauses = [end.at - start_.at for start_, end in itertools.pairwise(log) if start_.type in begun]
    assert len(pauses) == sum(event.type in ends for event in log) == len(done)
    assert min(pauses) >= 60_000


async def endless(engine: SagaEngine, toys: Toys) -> Started:
    """A saga that pauses in its first step until something ends that."""
    begun = await start(engine, toys.definition, ENDLESS)

    async def pauses() -> bool:
        return (await view(engine, begun)).queue.executing == "RESERVE"

    await eventually(pauses)
    return begun


async def hurry(database: Database, started: Started) -> None:
    """Let the pause be over."""
    await database.write(
        lambda connection: connection.execute(
            update(sagas).where(sagas.c.id == started.saga_id).values(due_at=1, simulation=_hurried(ENDLESS))
        )
    )


def _hurried(simulation: Simulation) -> str:
    return msgspec.json.encode(msgspec.structs.replace(simulation, delay_ms=1, pausing=True)).decode()


async def kinds(engine: SagaEngine, started: Started) -> list[tuple[EventType, str | None]]:
    return [(event.type, event.step) for event in await history(engine, started)]


async def test_a_cancel_in_a_pause_is_obeyed_at_once(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    started = await endless(engine, toys)
    await engine.cancel(started.correlation_id)
    assert (await ended(engine, started)).status is SagaStatus.COMPENSATED
    assert await kinds(engine, started) == [
        (EventType.SAGA_STARTED, None),
        (EventType.STEP_STARTED, "RESERVE"),
        (EventType.CANCEL_REQUESTED, None),
        (EventType.STEP_FAILED, "RESERVE"),
        (EventType.SAGA_COMPENSATED, None),
    ]
    assert provider.calls == []


async def test_an_expiry_in_a_pause_is_obeyed_at_once(engine: SagaEngine, toys: Toys) -> None:
    started = await endless(engine, toys)

    async def sweep(connection: Any) -> None:
        rows = await lock_unpinned(connection, [started.saga_id])
        at = await engine.database.clock.now(connection)
        await expire(connection, rows, at, Refused("HOLD_EXPIRED", "Held for too long."))

    await engine.database.write(sweep)
    engine.runner.wake(started.saga_id)
    saga = await ended(engine, started)
    assert (saga.status, saga.failure.code if saga.failure else None) == (SagaStatus.COMPENSATED, "EXPIRED")


async def test_there_is_nothing_to_retry_in_a_pause(engine: SagaEngine, toys: Toys) -> None:
    started = await endless(engine, toys)
    answer = await engine.retry(started.correlation_id, AN_OPERATOR)
    assert answer == NotWaiting(started.saga_id, "The saga does not wait for another attempt.")

    # A release without pauses lets it be asked for: the pause goes on.
    async def ask(connection: Any) -> None:
        statement = update(sagas).where(sagas.c.id == started.saga_id)
        await connection.execute(statement.values(retry_requested_at=1))

    async def obeyed() -> bool:
        async with engine.database.reading() as connection:
            row = await connection.execute(sagas.select().where(sagas.c.id == started.saga_id))
            return row.one().retry_requested_at is None

    await engine.database.write(ask)
    engine.runner.wake(started.saga_id)
    await eventually(obeyed)
    assert (await view(engine, started)).queue.executing == "RESERVE"


async def test_a_process_that_ends_in_a_pause_leaves_it_to_the_next_which_begins_nothing_again(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    first = SagaEngine(toy_database, [toys.definition], poll_seconds=0.1)
    async with opened(first):
        started = await endless(first, toys)
    before = await history(first, started)
    second = SagaEngine(toy_database, [toys.definition], poll_seconds=0.1)
    async with opened(second):
        await eventually(lambda: second.runner.active)
        saga = await view(second, started)
        assert (saga.status, saga.queue.executing) == (SagaStatus.RUNNING, "RESERVE")
        await hurry(toy_database, started)
        assert (await ended(second, started)).status is SagaStatus.COMPLETED
        log = await history(second, started)
    assert log[: len(before)] == before
    begun = [(event.step, event.attempt) for event in log if event.type is EventType.STEP_STARTED]
    assert begun == [(step, 1) for step in ("RESERVE", "PAY", "AWARD", "CONFIRM")]
    assert [operation for operation, _ in provider.calls] == ["PAY", "CONFIRM"]


async def test_a_fault_that_is_asked_for_comes_after_the_pause(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition, Simulation(fail_at=("RESERVE",), delay_ms=30))
    saga = await ended(engine, started)
    log = await history(engine, started)
    assert [event.type for event in log[1:]] == [
        EventType.STEP_STARTED,
        EventType.STEP_FAILED,
        EventType.SAGA_COMPENSATED,
    ]
    assert log[2].at - log[1].at >= 30_000
    assert saga.failure is not None
