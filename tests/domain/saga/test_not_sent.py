"""A call that did not leave is no attempt: it spends nothing but the hold's time, and leaves no doubt."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from sqlalchemy import select

from domain.clock import SECOND
from domain.events import EventType, Failure
from domain.facts import WaitFacts
from domain.outcome import NotSent, Refused, Succeeded, Unknown
from domain.saga import SagaEngine, SagaStatus, StepStatus
from domain.saga.machine import AFTER_SECONDS_MAX, Run, StepChange
from domain.saga.states import Direction, Phase
from domain.saga.tables import sagas
from tests.domain.saga.test_machine import GRACE, LOST, NOT_NOW, run_at, running, undoing
from tests.domain.saga.till import HOLDER, Till, begin, till_engine, waits
from tests.domain.saga.toy import Provider, Toys, calling, ended, history, reached, start, view
from tests.support.waiting import eventually

AWAY = NotSent("PROVIDER_UNREACHABLE", "Connection refused.")
FAILURE = Failure("PROVIDER_UNREACHABLE", "Connection refused.", "PAY")


def try_to_call(run: Run, outcome: NotSent = AWAY, *, pins: bool = False) -> None:
    """An attempt whose call does not leave."""
    before = run.footing
    run.start_attempt()
    if pins:
        run.pin()
    run.start_call()
    run.not_sent(outcome, before)


# ---------------------------------------------------------------------- the machine


def test_a_try_that_was_not_sent_gives_everything_back_and_says_so_without_a_number() -> None:
    run = running(7, 2, draw=lambda: 1.0)
    try_to_call(run)
    until = 7 + 2 * SECOND
    assert (run.attempt, run.attempted_since, run.effects, run.phase) == (0, None, 0b11, Phase.READY)
    assert (run.status, run.due_at, run.unsent_since, run.wait_changed) == (SagaStatus.RUNNING, until, 7, True)
    told = run.events[-1]
    assert (told.type, told.attempt, told.failure) == (EventType.STEP_RETRYING, None, FAILURE)
    assert (told.message, told.facts) == ("Connection refused.", WaitFacts(until))
    waits = StepChange(StepStatus.RETRYING, 0, next_attempt_at=until, started_at=7, failure=FAILURE)
    assert run.changes[2, Direction.FORWARD] == waits


def test_an_earlier_attempt_and_its_doubt_stay_as_they_were() -> None:
    run = running(7, 2)
    run.start_attempt()
    run.start_call()
    run.fall_short(LOST, proven=False)
    run.at = run.due_at or 0
    since = run.attempted_since
    try_to_call(run)
    assert (run.attempt, run.attempted_since, run.uncertain, run.round) == (1, since, True, 1)
    assert run.effects == 0b111


def test_what_a_refusal_kept_alive_is_still_undone_though_the_next_try_was_not_sent() -> None:
    run = running(7, 2)
    run.start_attempt()
    run.start_call()
    run.fall_short(Refused("NO", "No.", passing=True, keeps_effect=True), proven=True)
    try_to_call(run)
    assert (run.uncertain, run.effects) == (False, 0b111)


def test_a_second_call_of_an_attempt_that_is_not_sent_leaves_what_the_first_did() -> None:
    run = running(7, 2)
    run.start_attempt()
    run.start_call()
    run.call_again()
    run.not_sent(AWAY, run.footing)
    assert (run.attempt, run.effects) == (0, 0b111)


def test_the_waits_grow_with_the_time_since_nothing_left_up_to_the_cap() -> None:
    run = running(0, 2, draw=lambda: 1.0)
    seconds = []
    for _ in range(7):
        try_to_call(run)
        assert run.due_at is not None
        seconds.append((run.due_at - run.at) / SECOND)
        run.at = run.due_at
    # The policy's floor is 1 s, its cap 8 s.
    assert seconds == [2, 2, 4, 8, 8, 8, 8]
    shortest = running(0, 2, draw=lambda: 0.0)
    try_to_call(shortest)
    assert shortest.due_at == SECOND


@pytest.mark.parametrize(("asked", "obeyed"), [(20.0, 20.0), (-5.0, 0.0), (86_400.0, AFTER_SECONDS_MAX)])
def test_a_provider_that_says_when_to_come_back_is_obeyed_within_bounds(asked: float, obeyed: float) -> None:
    run = running(7, 2, draw=lambda: 0.0)
    try_to_call(run, NotSent("PROVIDER_BUSY", "429.", after_seconds=asked))
    assert run.due_at == 7 + round((obeyed + 1) * SECOND)
    # Not taken for a due time from before the clock was set back.
    assert run.wait_us == round((obeyed + 1) * SECOND)
    assert not run.is_ready


def test_time_in_which_nothing_left_spends_no_budget() -> None:
    # The budget is 30 s; the first attempt has spent 10 s of it.
    run = running(0, 2)
    run.start_attempt()
    run.start_call()
    run.at = 10 * SECOND
    run.fall_short(NOT_NOW, proven=True)
    for at in (20, 500, 1_000):
        run.at = at * SECOND
        try_to_call(run)
        assert run.status is SagaStatus.RUNNING
    run.at = 2_000 * SECOND
    run.start_attempt()
    run.start_call()
    run.at = 2_009 * SECOND
    run.fall_short(NOT_NOW, proven=True)
    assert (run.status, run.unsent_since) == (SagaStatus.RUNNING, None)
    assert run.attempted_since == 1_980 * SECOND
    fresh = running(0, 2)
    try_to_call(fresh)
    fresh.at = 3_600 * SECOND
    fresh.start_attempt()
    assert fresh.attempted_since == 3_600 * SECOND


def test_a_pin_goes_with_the_try_that_set_it_and_only_with_that() -> None:
    run = running(7, 3, deadline_at=100)
    try_to_call(run, pins=True)
    assert run.pinned_at is None
    pinned = running(7, 3, deadline_at=100, pinned_at=5, uncertain=True, attempt=1, effects=0b1111)
    try_to_call(pinned)
    assert (pinned.pinned_at, pinned.status) == (5, SagaStatus.RUNNING)


def test_the_deadline_ends_such_tries_also_of_what_an_earlier_attempt_has_pinned() -> None:
    run = running(7, 2, deadline_at=7)
    try_to_call(run)
    assert run.failure is not None
    assert (run.status, run.failure.code) == (SagaStatus.COMPENSATING, "HOLD_EXPIRED")
    assert run.changes[2, Direction.FORWARD].status is StepStatus.FAILED
    assert (run.effects, run.unsent_since, run.wait_changed) == (0b1, None, True)
    assert running(7, 2, deadline_at=7 + 30 * SECOND)._turns_round_at == 8
    # A pin outlives the hold by the step's budget, which is 30 s.
    pinned = running(7, 3, deadline_at=7, pinned_at=5, uncertain=True, attempt=1, effects=0b1111)
    try_to_call(pinned)
    assert pinned.status is SagaStatus.RUNNING
    pinned.at = 7 + 30 * SECOND
    try_to_call(pinned)
    assert pinned.failure is not None
    assert (pinned.status, pinned.pinned_at, pinned.failure.code) == (SagaStatus.COMPENSATING, None, "HOLD_EXPIRED")
    # It may have taken effect before, so it is undone first.
    assert pinned.position == 3


def test_what_must_succeed_is_stuck_once_nothing_was_sent_for_its_budget() -> None:
    run = undoing(7, 2)
    budget_us = round(run.operation[2].budget_seconds * SECOND)
    for at in range(7, 7 + budget_us, budget_us // 7):
        run.at = at
        try_to_call(run)
        assert (run.status, run.effects) == (SagaStatus.COMPENSATING, 0b101)
    run.at = 7 + budget_us
    try_to_call(run)
    assert (run.status, run.effects, run.got_stuck) == (SagaStatus.STUCK, 0b101, True)
    assert (run.events[-1].type, run.events[-1].attempt) == (EventType.SAGA_STUCK, None)


def test_what_is_stuck_stays_so_and_is_not_announced_again_as_nothing_is_sent() -> None:
    stuck = undoing(7, 2, status=SagaStatus.STUCK, attempt=3)
    try_to_call(stuck)
    assert (stuck.status, stuck.attempt, stuck.got_stuck) == (SagaStatus.STUCK, 3, False)
    assert stuck.changes[2, Direction.BACKWARD].status is StepStatus.STUCK
    assert stuck.due_at is not None
    assert stuck.due_at >= 7 + 60 * SECOND


def test_an_operator_may_have_it_tried_now_and_is_named() -> None:
    run = running(7, 2)
    try_to_call(run)
    run.retry_by = GRACE
    run.retry_now()
    assert run.due_at == 7
    run.start_attempt()
    assert (run.events[-1].actor, run.events[-1].attempt) == (GRACE, 1)


def test_what_an_operator_asked_for_and_was_not_sent_leaves_the_next_try_an_ordinary_one() -> None:
    run = running(7, 2, attempt=1, attempted_since=7, retry_by=GRACE)
    run.retry_now()
    try_to_call(run)
    assert (run.attempt, run.is_asked, run.attempt_by) == (1, False, None)
    run.start_attempt()
    run.fall_short(LOST, proven=False)
    assert run.attempt == 2


def test_a_saga_that_fails_after_such_tries_has_a_failed_step() -> None:
    run = running(7, 2)
    try_to_call(run)
    run.cancel()
    assert run.changes[2, Direction.FORWARD].status is StepStatus.FAILED
    fresh = run_at(7)
    fresh.cancel()
    assert fresh.changes == {}


# ---------------------------------------------------------------------- the engine, on both databases


async def row_of(engine: SagaEngine, saga_id: str, *columns: str) -> tuple[Any, ...]:
    async with engine.database.reading() as connection:
        statement = select(*(sagas.c[name] for name in columns)).where(sagas.c.id == saga_id)
        return tuple((await connection.execute(statement)).one())


async def test_a_booking_outlasts_a_provider_that_cannot_be_reached(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.answers["PAY"] = deque([AWAY] * 10)
    provider.answers["CONFIRM"] = deque([AWAY] * 10)
    started = await start(engine, toys.definition)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPLETED
    assert [step.attempt for step in saga.steps] == [1, 1, 1, 1]
    assert len(provider.calls) == 22
    assert len(provider.applied) == 2
    assert len(set(provider.keys("PAY"))) == 1
    assert await row_of(engine, started.saga_id, "awaits", "awaited_since", "awaited_until") == (None, None, None)


async def test_that_nothing_was_sent_is_durable(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    provider.answers["PAY"] = deque([NotSent("PROVIDER_BUSY", "429.", after_seconds=60)])
    started = await start(engine, toys.definition)

    async def given_back() -> bool:
        saga = await view(engine, started)
        return (saga.steps[1].status, saga.steps[1].attempt) == (StepStatus.RETRYING, 0)

    await eventually(given_back)
    attempt, effects, since, awaits = await row_of(
        engine, started.saga_id, "attempt", "effects", "awaited_since", "awaits"
    )
    assert (attempt, effects, awaits) == (0, 0b1, None)
    assert since is not None
    # A cancel is obeyed at once, and nothing of PAY is undone, as nothing was sent.
    await engine.cancel(started.correlation_id)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.steps[1].status is StepStatus.FAILED
    assert provider.keys("UNPAY") == []


async def test_a_lost_answer_before_it_is_still_undone(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    away = NotSent("PROVIDER_BUSY", "429.", after_seconds=60)
    provider.answers["PAY"] = deque([Unknown("LOST", "Lost."), away])
    started = await start(engine, toys.definition)
    await eventually(lambda: len(provider.keys("PAY")) == 2)
    await engine.cancel(started.correlation_id)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert len(provider.keys("UNPAY")) == 1


async def test_an_operators_retry_calls_at_once_what_was_not_sent(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.answers["PAY"] = deque([NotSent("PROVIDER_BUSY", "429.", after_seconds=60)])
    started = await start(engine, toys.definition)

    async def waits_again() -> bool:
        return (await view(engine, started)).steps[1].status is StepStatus.RETRYING

    await eventually(waits_again)
    await engine.retry(started.correlation_id)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_compensation_goes_on_until_it_is_sent(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    provider.answers["UNPAY"] = deque([AWAY] * 10)
    await engine.cancel(started.correlation_id)
    gate.set()
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    log = await history(engine, started)
    assert EventType.SAGA_STUCK not in {event.type for event in log}
    numbers = [event.attempt for event in log if event.type is EventType.COMPENSATION_STARTED and event.step == "PAY"]
    assert numbers == [1] * 11


async def test_a_look_that_is_not_sent_changes_nothing(toy_database: Any) -> None:
    provider = Provider()
    till = Till(provider, look_seconds=0.02)
    provider.answers["PAY"] = deque([Unknown("HOLDER", "The bank asks the card's holder.")])
    provider.answers["LOOK"] = deque([AWAY, AWAY, Succeeded("confirmed")])
    async with till_engine(toy_database, till) as engine:
        started = await begin(engine, till, card="4242")
        await waits(engine, started, HOLDER)
        saga = await reached(engine, started, "COMPLETED")
        assert saga.steps[1].attempt == 1
        log = await history(engine, started)
        assert EventType.STEP_RETRYING not in {event.type for event in log}
    assert till.looks == 3
