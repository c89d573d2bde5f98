"""The way back: last in, first out; unknown undone first; never COMPENSATED while anything is left."""

from __future__ import annotations

import asyncio

import pytest

from domain.clock import ManualClock
from domain.events import EventType
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import (
    NothingToUndo,
    NotWaiting,
    PivotDecided,
    RetryRequested,
    SagaEngine,
    SagaStatus,
    Simulation,
    SkipRequested,
    StepStatus,
)
from tests.domain.saga.toy import Provider, Toys, calling, effects_of, ended, history, reached, start, view
from tests.support.waiting import eventually

UNDOS = ["RELEASE", "UNPAY", "REVERSE"]


@pytest.mark.parametrize(("step", "undone"), [("RESERVE", 0), ("PAY", 1), ("AWARD", 2), ("CONFIRM", 3)])
async def test_a_failure_undoes_what_was_done_last_first(
    engine: SagaEngine, toys: Toys, provider: Provider, step: str, undone: int
) -> None:
    started = await start(engine, toys.definition, Simulation(fail_at=(step,)))
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert (saga.failure.code, saga.failure.step) == ("SIMULATED", step)
    log = await history(engine, started)
    assert [e.compensation for e in log if e.type is EventType.COMPENSATION_COMPLETED] == UNDOS[:undone][::-1]
    assert saga.queue.compensated == tuple(UNDOS[:undone][::-1])
    assert saga.queue.failed == (step,)
    assert await effects_of(engine.database, started.saga_id) == set()
    assert step not in {called for called, _ in provider.calls}


async def test_a_refused_call_leaves_nothing_of_its_own_to_undo(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", Refused("DECLINED", "no"))
    saga = await ended(engine, await start(engine, toys.definition))
    assert saga.queue.compensated == ("RELEASE",)
    assert provider.keys("UNPAY") == []


async def test_an_unknown_step_that_is_given_up_is_itself_undone_first(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", *[Unknown("TIMEOUT", "no answer")] * 100)
    started = await start(engine, toys.hasty)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == ("UNPAY", "RELEASE")
    assert len(provider.keys("PAY")) > 1
    assert len(set(provider.keys("PAY"))) == 1


async def test_a_refusal_after_a_lost_answer_does_not_prove_that_the_first_had_no_effect(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", Unknown("TIMEOUT", "no answer"), Refused("DECLINED", "no"))
    saga = await ended(engine, await start(engine, toys.definition))
    assert saga.queue.compensated == ("UNPAY", "RELEASE")


async def test_a_settle_that_is_refused_after_its_call_took_effect_is_undone(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    started = await start(engine, toys.definition, refuse=("CONFIRM",))
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == ("UNCONFIRM", "REVERSE", "UNPAY", "RELEASE")


async def test_a_settle_that_keeps_failing_is_given_up_and_undone(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    started = await start(engine, toys.hasty, break_at=("CONFIRM",))
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == ("UNCONFIRM", "REVERSE", "UNPAY", "RELEASE")
    assert len(set(provider.keys("CONFIRM"))) == 1


async def test_compensations_are_retried_until_they_succeed(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    provider.script("UNPAY", Unknown("TIMEOUT", "?"), Refused("LATER", "later", passing=True), Succeeded("undone"))
    started = await start(engine, toys.definition, Simulation(fail_at=("AWARD",)))
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    undo = saga.steps[1].undo
    assert undo is not None
    assert (undo.status, undo.attempt) == (StepStatus.COMPLETED, 3)


async def test_a_compensation_that_keeps_failing_is_stuck_and_an_operators_retry_frees_it(
    engine: SagaEngine, toys: Toys
) -> None:
    simulation = Simulation(fail_at=("AWARD",), fail_compensation_at=("UNPAY",))
    started = await start(engine, toys.definition, simulation)
    saga = await reached(engine, started, SagaStatus.STUCK)
    undo = saga.steps[1].undo
    assert undo is not None
    assert undo.status is StepStatus.STUCK
    assert undo.next_attempt_at is not None
    assert saga.queue.compensating == "UNPAY"
    assert saga.queue.compensations == ("RELEASE",)
    log = await history(engine, started)
    assert log[-1].type is EventType.SAGA_STUCK
    assert await effects_of(engine.database, started.saga_id) == {"RESERVE"}

    assert isinstance(await engine.retry(started.correlation_id), RetryRequested)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    types = [event.type for event in await history(engine, started)]
    assert EventType.SAGA_RESUMED in types[len(log) :]


async def test_a_skip_is_on_the_record_and_ends_abandoned(engine: SagaEngine, toys: Toys) -> None:
    simulation = Simulation(fail_at=("AWARD",), fail_compensation_at=("UNPAY",))
    started = await start(engine, toys.definition, simulation)
    await reached(engine, started, SagaStatus.STUCK)
    assert isinstance(await engine.skip(started.correlation_id, "RESERVE", "wrong step"), NotWaiting)
    assert isinstance(await engine.skip(started.correlation_id, "PAY", "refunded by hand"), SkipRequested)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.ABANDONED
    undo = saga.steps[1].undo
    assert undo is not None
    assert (undo.status, undo.summary) == (StepStatus.SKIPPED, "refunded by hand")
    assert saga.queue.compensated == ("RELEASE",)
    log = await history(engine, started)
    assert any(e.type is EventType.COMPENSATION_SKIPPED and "refunded by hand" in e.message for e in log)
    assert log[-1].type is EventType.SAGA_ABANDONED


async def test_a_slow_retry_frees_a_stuck_saga_without_an_operator(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    provider.script("UNPAY", *[Refused("NO", "no")] * 3)
    started = await start(engine, toys.definition, Simulation(fail_at=("AWARD",)))
    await reached(engine, started, SagaStatus.STUCK)
    # What is stuck takes no place among the sagas in flight.
    await eventually(lambda: engine.runner.active == 0)
    clock.advance(61)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED


async def test_a_step_after_the_pivot_goes_forward_or_is_stuck(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("REFUND", *[Refused("NO", "no")] * 3)
    started = await start(engine, toys.forward)
    saga = await reached(engine, started, SagaStatus.STUCK)
    assert saga.steps[1].status is StepStatus.STUCK
    assert isinstance(await engine.cancel(started.correlation_id), PivotDecided)
    await engine.retry(started.correlation_id)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_cancel_in_flight_lets_the_attempt_settle_and_then_undoes_it(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    await engine.cancel(started.correlation_id)
    assert (await history(engine, started))[-1].type is EventType.CANCEL_REQUESTED
    assert isinstance(await engine.cancel(started.correlation_id), NothingToUndo)
    assert (await view(engine, started)).status is SagaStatus.RUNNING
    gate.set()
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.steps[1].status is StepStatus.COMPLETED
    assert saga.queue.compensated == ("UNPAY", "RELEASE")
    assert saga.failure is not None
    assert saga.failure.code == "CANCELLED"


async def test_cancel_while_backing_off_is_seen_at_once(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    provider.script("PAY", Unknown("TIMEOUT", "?"))
    slow = Simulation(delay_ms=0)
    started = await start(engine, toys.definition, slow)
    await eventually(lambda: provider.keys("PAY"))
    await engine.cancel(started.correlation_id)
    saga = await ended(engine, started)
    if saga.status is SagaStatus.COMPENSATED:
        assert saga.queue.compensated[-2:] == ("UNPAY", "RELEASE")


async def test_cancel_before_the_first_step_leaves_nothing_to_undo(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition, Simulation(delay_ms=3_000))
    await engine.cancel(started.correlation_id)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == ()
    assert isinstance(await engine.cancel(started.correlation_id), NothingToUndo)


async def test_cancel_is_too_late_once_the_pivot_has_pinned_or_the_saga_is_completed(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate, started = await calling(engine, toys.definition, provider, "CONFIRM")
    assert isinstance(await engine.cancel(started.correlation_id), PivotDecided)
    gate.set()
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert isinstance(await engine.cancel(started.correlation_id), PivotDecided)


async def test_shutdown_lets_a_call_that_is_out_settle(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.05)
    gate.set()
    await closing
    saga = await view(engine, started)
    assert saga.steps[1].status is StepStatus.COMPLETED
    assert saga.status is SagaStatus.RUNNING
    assert provider.keys("CONFIRM") == []
