"""The machine word for word: what each verb writes to the log, to the step and to the saga."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from domain.actors import Actor, ActorRole
from domain.clock import SECOND
from domain.events import EventType, Failure, SagaEvent
from domain.facts import WaitFacts
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import (
    Batch,
    Compensation,
    Local,
    RetryPolicy,
    SagaDefinition,
    SagaStatus,
    SettleVerdict,
    Simulation,
    Step,
    StepStatus,
)
from domain.saga.definition import COMPENSATION_POLICY, STEP_POLICY, Member
from domain.saga.machine import Run, StepChange
from domain.saga.states import Direction, Phase

FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD
GRACE = Actor(ActorRole.OPERATOR, "grace")
NO = Refused("NO", "No.", facts=WaitFacts(99))
NOT_NOW = Refused("NOT_NOW", "Not now.", passing=True)
NEW_KEY = Refused("NEW_KEY", "Not under this key.", passing=True, key_spent=True)
LOST = Unknown("LOST", "The answer was lost.")
DONE = Succeeded()


class Card(msgspec.Struct):
    """What only going forward needs."""

    number: str | None = "4242"


async def _settle(batch: Batch[Card]) -> Sequence[SettleVerdict]:
    raise AssertionError("no step is run here")


def _forget(card: Card) -> None:
    card.number = None


LOCAL = Local(_settle)
POLICY = RetryPolicy(refusals_max=3, floor_seconds=1, cap_seconds=8, budget_seconds=30, stuck_seconds=60)
TRIP = SagaDefinition(
    "TRIP",
    1,
    Card,
    (
        Step("HOLD", LOCAL, Compensation("UNHOLD", LOCAL, POLICY), POLICY),
        Step("PRICE", LOCAL, None, POLICY),
        Step("PAY", LOCAL, Compensation("REFUND", LOCAL, POLICY), POLICY),
        Step("BOOK", LOCAL, Compensation("UNBOOK", LOCAL, POLICY), POLICY, pins=True),
        Step("MAIL", LOCAL, None, POLICY),
    ),
    pivot="BOOK",
    forget=_forget,
    expired=Refused("HOLD_EXPIRED", "The seats were held for too long."),
)


def run_at(at: int, **values: Any) -> Run:
    """A saga that has just begun, seen at this moment (microseconds)."""
    given = {"due_at": at, "at": at, "draw": lambda: 1.0, **values}
    return Run(TRIP, Card(), "saga", "correlation", started_at=0, **given)


def running(at: int, position: int, **values: Any) -> Run:
    """A saga that stands before this step, with what the steps before it did."""
    done = sum(1 << number for number in range(position))
    return run_at(at, status=SagaStatus.RUNNING, position=position, **{"effects": done, **values})


def undoing(at: int, position: int, **values: Any) -> Run:
    """A saga that undoes, and stands before this step's compensation."""
    effects = sum(1 << number for number in range(position + 1) if TRIP.steps[number].compensation)
    given = {"status": SagaStatus.COMPENSATING, "direction": BACKWARD, "effects": effects, **values}
    return run_at(at, position=position, **given)


def event(sequence: int, type_: EventType, step: str | None, message: str, at: int, **values: Any) -> SagaEvent:
    nothing = {"compensation": None, "attempt": None, "failure": None}
    return SagaEvent("saga", "correlation", sequence, type_, step, message=message, at=at, **{**nothing, **values})


def last(run: Run) -> SagaEvent:
    return run.events[-1]


def attempt(run: Run, outcome: Succeeded | Refused | Unknown, *, proven: bool = True) -> None:
    run.start_attempt()
    run.complete(outcome) if isinstance(outcome, Succeeded) else run.fall_short(outcome, proven=proven)


# ---------------------------------------------------------------------- forward


def test_an_attempt_that_begins_is_told_with_its_number() -> None:
    run = run_at(7)
    run.start_attempt()
    assert (run.status, run.attempt, run.attempted_since, run.touched) == (SagaStatus.RUNNING, 1, 7, True)
    assert run.events == [event(2, EventType.STEP_STARTED, "HOLD", "HOLD started.", 7, attempt=1)]
    assert run.changes == {(0, FORWARD): StepChange(StepStatus.EXECUTING, 1, started_at=7)}
    again = running(9, 2, attempt=1, attempted_since=4, sequence=8, attempt_by=GRACE)
    again.start_attempt()
    assert (again.attempt, again.attempted_since, again.attempt_by) == (2, 4, GRACE)
    said = "PAY started, attempt 2."
    assert again.events == [event(9, EventType.STEP_STARTED, "PAY", said, 9, attempt=2, actor=GRACE)]


def test_a_step_that_is_done_is_told_with_its_facts_and_the_next_stands_fresh() -> None:
    run = run_at(7)
    run.start_attempt()
    run.round, run.uncertain, run.outcome, run.at = 3, True, DONE, 9
    run.complete(Succeeded("Held 2A.", facts=None))
    assert last(run) == event(3, EventType.STEP_COMPLETED, "HOLD", "Held 2A.", 9, attempt=1)
    done = StepChange(StepStatus.COMPLETED, 1, started_at=7, finished_at=9, summary="Held 2A.")
    assert run.changes[0, FORWARD] == done
    stands: tuple[Any, ...] = (run.position, run.attempt, run.round, run.uncertain, run.attempted_since)
    assert (*stands, run.outcome, run.due_at) == (1, 0, 1, False, None, None, 9)
    assert (run.effects, run.phase, run.pinned_at) == (0b1, Phase.READY, None)
    run.start_attempt()
    run.complete(Succeeded(facts=WaitFacts(5)))
    assert last(run) == event(5, EventType.STEP_COMPLETED, "PRICE", "Done.", 9, attempt=1, facts=WaitFacts(5))
    assert run.changes[1, FORWARD].summary is None
    assert run.effects == 0b11


def test_a_call_may_have_its_effect_from_when_it_may_leave() -> None:
    run = running(7, 2)
    run.start_attempt()
    run.touched = False
    run.start_call()
    assert (run.phase, run.due_at, run.effects, run.touched) == (Phase.CALLING, None, 0b111, True)
    back = undoing(7, 2)
    back.start_attempt()
    back.effects = 0
    back.start_call()
    assert (back.phase, back.effects) == (Phase.CALLING, 0)


def test_a_call_that_is_made_again_has_no_outcome_of_the_first() -> None:
    run = running(7, 2)
    run.start_attempt()
    run.start_call()
    run.phase, run.outcome = Phase.READY, DONE
    run.call_again()
    after: tuple[Any, ...] = (run.phase, run.outcome, run.attempt)
    assert after == (Phase.CALLING, None, 1)


def test_the_pivot_pins_where_nothing_has_pinned_before() -> None:
    run = running(7, 3)
    attempt(run, DONE)
    assert run.pinned_at == 7
    pinned = running(7, 3, pinned_at=5)
    attempt(pinned, DONE)
    assert pinned.pinned_at == 5
    before = running(7, 2)
    attempt(before, DONE)
    assert before.pinned_at is None
    before.pin()
    assert before.pinned_at == 7


def test_the_last_step_ends_the_saga_and_forgets_what_only_going_forward_needs() -> None:
    run = running(7, 4)
    attempt(run, DONE)
    assert (run.status, run.finished_at, run.due_at) == (SagaStatus.COMPLETED, 7, None)
    assert last(run) == event(4, EventType.SAGA_COMPLETED, None, "Every step is done.", 7)
    assert run.context == Card(None)


# ---------------------------------------------------------------------- an attempt that falls short


def test_a_passing_refusal_is_tried_again_after_a_wait_that_is_told() -> None:
    run = running(7, 2, attempt=1, attempted_since=7)
    run.start_attempt()
    run.outcome = LOST
    run.fall_short(NOT_NOW, proven=True)
    failure, until = Failure("NOT_NOW", "Not now.", "PAY"), 7 + 4 * SECOND
    assert last(run) == event(
        3, EventType.STEP_RETRYING, "PAY", "Not now.", 7, attempt=2, failure=failure, facts=WaitFacts(until)
    )
    waits = StepChange(StepStatus.RETRYING, 2, next_attempt_at=until, started_at=7, failure=failure)
    assert run.changes[2, FORWARD] == waits
    after: tuple[Any, ...] = (run.due_at, run.phase, run.outcome, run.status)
    assert after == (until, Phase.READY, None, SagaStatus.RUNNING)
    assert (run.wait_us, run.is_ready) == (4 * SECOND, False)
    run.at = until
    assert run.is_ready


@pytest.mark.parametrize("outcome", [NOT_NOW, LOST])
def test_a_step_is_given_up_at_the_end_of_its_budget_and_after_no_number_of_attempts(
    outcome: Refused | Unknown,
) -> None:
    for tried, since, status in (
        (0, None, SagaStatus.RUNNING),
        (100, 0, SagaStatus.RUNNING),
        (1, -30 * SECOND + 1, SagaStatus.RUNNING),
        (1, -30 * SECOND, SagaStatus.COMPENSATING),
    ):
        run = running(0, 2, attempt=tried, attempted_since=since)
        attempt(run, outcome)
        assert run.status is status, (tried, since)


@pytest.mark.parametrize(
    ("position", "deadline_at", "pinned_at", "status"),
    [
        (2, None, None, SagaStatus.RUNNING),
        # A step needs its budget of 30 s before the deadline. A pin outlives the deadline by one.
        (2, 30 * SECOND, None, SagaStatus.RUNNING),
        (2, 30 * SECOND - 1, None, SagaStatus.COMPENSATING),
        (3, -30 * SECOND + 1, -90 * SECOND, SagaStatus.RUNNING),
        (3, -30 * SECOND, -90 * SECOND, SagaStatus.COMPENSATING),
    ],
)
def test_an_interrupted_call_is_made_again_though_its_budget_passed_while_no_process_ran(
    position: int, deadline_at: int | None, pinned_at: int | None, status: SagaStatus
) -> None:
    since = -90 * SECOND
    run = running(0, position, attempt=1, attempted_since=since, deadline_at=deadline_at, pinned_at=pinned_at)
    run.fall_short(LOST, proven=False, is_interrupted=True)
    assert run.status is status
    if status is SagaStatus.RUNNING:
        assert (last(run).type, run.attempt, run.pinned_at) == (EventType.STEP_RETRYING, 1, pinned_at)
        # Once only: the budget decides about the next attempt.
        run.at = 1 * SECOND
        attempt(run, LOST, proven=False)
        assert run.status is SagaStatus.COMPENSATING


def test_an_interrupted_compensation_is_not_stuck_before_it_was_tried_again() -> None:
    run = undoing(0, 2, attempt=1, attempted_since=-90 * SECOND)
    run.fall_short(LOST, proven=False, is_interrupted=True)
    statuses = [run.status]
    run.at = 1 * SECOND
    attempt(run, LOST, proven=False)
    assert [*statuses, run.status] == [SagaStatus.COMPENSATING, SagaStatus.STUCK]


def test_a_step_that_fails_for_good_is_told_with_what_is_known_and_what_was_done_waits_to_be_undone() -> None:
    run = running(7, 2, pinned_at=5)
    run.start_attempt()
    run.round, run.uncertain = 2, False
    run.fall_short(NO, proven=True)
    failure = Failure("NO", "No.", "PAY")
    assert last(run) == event(
        3, EventType.STEP_FAILED, "PAY", "No.", 7, attempt=1, failure=failure, facts=WaitFacts(99)
    )
    assert run.changes == {
        (2, FORWARD): StepChange(StepStatus.FAILED, 1, started_at=7, finished_at=7, failure=failure),
        (0, BACKWARD): StepChange(StepStatus.PENDING, 0),
    }
    assert (run.status, run.direction, run.position) == (SagaStatus.COMPENSATING, BACKWARD, 0)
    # PRICE has nothing to undo it.
    assert (run.effects, run.failure, run.pinned_at, run.context) == (0b1, failure, None, Card(None))
    assert (run.attempt, run.round, run.attempted_since, run.due_at) == (0, 1, None, 7)


def test_only_what_has_an_effect_and_an_undo_waits_to_be_undone() -> None:
    run = running(7, 3, effects=0b111)
    run.cancel()
    assert run.changes == {
        (0, BACKWARD): StepChange(StepStatus.PENDING, 0),
        (2, BACKWARD): StepChange(StepStatus.PENDING, 0),
    }
    assert (run.effects, run.position) == (0b101, 2)


def test_what_nothing_has_an_effect_of_is_over_at_once() -> None:
    run = run_at(7)
    attempt(run, NO)
    failure = Failure("NO", "No.", "HOLD")
    assert last(run) == event(4, EventType.SAGA_COMPENSATED, None, "Nothing was left to undo.", 7, failure=failure)
    assert (run.status, run.finished_at, run.due_at) == (SagaStatus.COMPENSATED, 7, None)


@pytest.mark.parametrize(
    ("outcome", "proven", "uncertain", "after"),
    [
        # (round, uncertain, whether the step's effect stays to be undone)
        (NOT_NOW, True, False, (1, False, False)),
        (NOT_NOW, True, True, (1, True, True)),
        (NOT_NOW, False, False, (1, True, True)),
        (LOST, True, False, (1, True, True)),
        (NEW_KEY, True, True, (2, False, False)),
        (NEW_KEY, False, False, (1, True, True)),
    ],
)
def test_an_attempt_proves_what_it_proves(
    outcome: Refused | Unknown, proven: bool, uncertain: bool, after: tuple[int, bool, bool]
) -> None:
    run = running(7, 2, uncertain=uncertain)
    run.start_attempt()
    run.start_call()
    run.fall_short(outcome, proven=proven)
    assert (run.round, run.uncertain, bool(run.effects >> 2 & 1)) == after
    assert run.effects & 0b11 == 0b11


def test_a_refused_undo_leaves_its_effect_to_be_undone() -> None:
    run = undoing(7, 2)
    run.start_attempt()
    run.fall_short(NEW_KEY, proven=True)
    assert (run.effects, run.round) == (0b101, 2)


def test_trying_again_is_no_use_once_the_hold_has_lapsed_but_for_what_is_pinned() -> None:
    for values, expires in (
        ({"deadline_at": 7}, True),
        ({"deadline_at": 8}, False),
        ({"hold_expired_at": 3}, True),
        ({"deadline_at": 7, "pinned_at": 5}, False),
        ({"hold_expired_at": 3, "pinned_at": 5}, False),
        ({}, False),
    ):
        run = running(7, 2, **values)
        attempt(run, NOT_NOW)
        assert (run.failure is not None and run.failure.code == "HOLD_EXPIRED") == expires, values


# ---------------------------------------------------------------------- turning round


def test_an_expiry_is_told_once_and_has_its_failure() -> None:
    run = running(7, 2)
    run.expire()
    failure = Failure("HOLD_EXPIRED", "The seats were held for too long.", "PAY")
    assert run.events == [event(2, EventType.HOLD_EXPIRED, "PAY", failure.message, 7, failure=failure)]
    assert (run.failure, run.hold_expired_at, run.status) == (failure, 7, SagaStatus.COMPENSATING)
    known = running(7, 2, hold_expired_at=5, attempt=1)
    known.expire()
    assert [each.type for each in known.events] == [EventType.STEP_FAILED]
    assert known.hold_expired_at == 5


def test_a_cancel_fails_a_step_that_was_tried_and_no_other() -> None:
    run = running(7, 2)
    run.cancel()
    failure = Failure("CANCELLED", "Cancelled on request.", "PAY")
    assert (run.events, run.failure, run.touched) == ([], failure, True)
    tried = running(7, 2, attempt=1)
    tried.cancel()
    assert last(tried) == event(2, EventType.STEP_FAILED, "PAY", "Cancelled on request.", 7, attempt=1, failure=failure)


def test_a_compensation_is_told_with_its_step_and_the_next_is_that_of_the_last_effect() -> None:
    failure = Failure("NO", "No.", "BOOK")
    run = undoing(7, 2, failure=failure)
    run.start_attempt()
    undoes = {"compensation": "REFUND", "attempt": 1}
    assert last(run) == event(2, EventType.COMPENSATION_STARTED, "PAY", "REFUND started.", 7, **undoes)
    run.complete(Succeeded("Refunded.", facts=None))
    assert last(run) == event(3, EventType.COMPENSATION_COMPLETED, "PAY", "Refunded.", 7, **undoes)
    assert (run.position, run.effects, run.status) == (0, 0b1, SagaStatus.COMPENSATING)
    attempt(run, Succeeded(facts=WaitFacts(3)))
    assert run.events[-2] == event(
        5, EventType.COMPENSATION_COMPLETED, "HOLD", "Done.", 7, compensation="UNHOLD", attempt=1, facts=WaitFacts(3)
    )
    assert last(run) == event(6, EventType.SAGA_COMPENSATED, None, "Every effect is undone.", 7, failure=failure)
    assert run.finished_at == 7


def test_a_compensation_is_tried_again_until_it_is_stuck_and_then_slowly() -> None:
    run = undoing(0, 2)
    failure = Failure("NO", "No.", "PAY")
    undoes = {"compensation": "REFUND", "failure": failure}
    for number, wait in ((1, 2), (2, 4)):
        attempt(run, NO)
        assert last(run) == event(
            1 + 2 * number,
            EventType.COMPENSATION_RETRYING,
            "PAY",
            "No.",
            0,
            attempt=number,
            facts=WaitFacts(wait * SECOND),
            **undoes,
        )
    assert not run.got_stuck
    attempt(run, NO)
    slow = WaitFacts(60 * SECOND)
    said = "REFUND keeps failing: No."
    assert last(run) == event(7, EventType.SAGA_STUCK, "PAY", said, 0, attempt=3, facts=slow, **undoes)
    assert (run.status, run.due_at, run.got_stuck) == (SagaStatus.STUCK, 60 * SECOND, True)
    stuck = StepChange(StepStatus.STUCK, 3, next_attempt_at=60 * SECOND, started_at=0, failure=failure)
    assert run.changes[2, BACKWARD] == stuck
    run.got_stuck = False
    attempt(run, NO)
    assert last(run) == event(9, EventType.COMPENSATION_RETRYING, "PAY", "No.", 0, attempt=4, facts=slow, **undoes)
    assert (run.status, run.got_stuck) == (SagaStatus.STUCK, False)
    attempt(run, DONE)
    assert run.events[-2] == event(11, EventType.SAGA_RESUMED, "PAY", "REFUND goes on.", 0, compensation="REFUND")
    assert run.status is SagaStatus.COMPENSATING


def test_a_step_after_the_pivot_is_never_given_up_nor_one_before_it_stuck() -> None:
    run = running(0, 4, attempt=2, pinned_at=0)
    attempt(run, NO)
    assert (run.status, last(run).type, last(run).message) == (
        SagaStatus.STUCK,
        EventType.SAGA_STUCK,
        "MAIL keeps failing: No.",
    )
    spent = running(0, 4, attempt=0, attempted_since=-30 * SECOND, pinned_at=0)
    attempt(spent, LOST)
    assert spent.status is SagaStatus.STUCK
    pivot = running(0, 3, attempt=2, pinned_at=0)
    attempt(pivot, NO)
    assert pivot.status is SagaStatus.COMPENSATING


# ---------------------------------------------------------------------- skipped, given up, retried


def test_a_step_that_is_not_needed_leaves_no_effect() -> None:
    run = running(7, 2, effects=0b111)
    run.skip("not needed")
    assert last(run) == event(2, EventType.STEP_SKIPPED, "PAY", "PAY skipped: not needed", 7)
    assert run.changes == {(2, FORWARD): StepChange(StepStatus.SKIPPED, 0, finished_at=7, summary="not needed")}
    assert (run.effects, run.position, run.given_up) == (0b11, 3, False)


@pytest.mark.parametrize(
    ("values", "said", "message"),
    [
        (
            {"direction": FORWARD, "position": 4},
            event(3, EventType.STEP_SKIPPED, "MAIL", "MAIL skipped: left", 7, attempt=3, actor=GRACE),
            "Ended with steps given up by an operator.",
        ),
        (
            {"direction": BACKWARD, "position": 0, "effects": 0b1},
            event(
                3,
                EventType.COMPENSATION_SKIPPED,
                "HOLD",
                "UNHOLD skipped: left",
                7,
                attempt=3,
                actor=GRACE,
                compensation="UNHOLD",
            ),
            "Ended with effects left behind by an operator's word.",
        ),
    ],
    ids=["forward", "backward"],
)
def test_what_is_given_up_names_the_operator_and_the_saga_ends_abandoned(
    values: dict[str, Any], said: SagaEvent, message: str
) -> None:
    run = run_at(7, status=SagaStatus.STUCK, attempt=3, skip_by=GRACE, **values)
    run.skip("left", given_up=True)
    resumed, skipped, ended = run.events
    assert (resumed.type, resumed.actor) == (EventType.SAGA_RESUMED, GRACE)
    assert skipped == said
    assert ended == event(4, EventType.SAGA_ABANDONED, None, message, 7)
    assert (run.status, run.given_up) == (SagaStatus.ABANDONED, True)


def test_what_is_skipped_for_want_of_need_names_nobody_and_what_was_given_up_stays_so() -> None:
    run = running(7, 2, skip_by=GRACE, given_up=True)
    run.skip("not needed")
    assert last(run).actor is None
    assert run.given_up


def test_a_retry_of_a_stuck_saga_tries_at_once_and_resumes_it_in_the_operators_name_if_that_succeeds() -> None:
    run = undoing(7, 2, attempt=3, due_at=99, attempted_since=2, retry_requested_at=6, retry_by=GRACE)
    run.status, run.simulation = SagaStatus.STUCK, Simulation(fail_compensation_at=("REFUND", "UNHOLD"))
    run.retry_now()
    assert (run.events, run.status) == ([], SagaStatus.STUCK)
    assert (run.due_at, run.attempted_since, run.retry_requested_at, run.attempt_by) == (7, 2, None, GRACE)
    assert run.simulation == Simulation(fail_compensation_at=("UNHOLD",))
    attempt(run, DONE)
    assert [(each.type, each.actor) for each in run.events] == [
        (EventType.COMPENSATION_STARTED, GRACE),
        (EventType.SAGA_RESUMED, GRACE),
        (EventType.COMPENSATION_COMPLETED, None),
    ]
    assert (run.status, run.attempt_by, run.is_asked) == (SagaStatus.COMPENSATING, None, False)


def test_an_operators_tries_spend_neither_attempts_nor_budget_nor_announce_anything() -> None:
    # All of its budget of 30 s is spent.
    run = running(40 * SECOND, 2, attempt=1, attempted_since=0, due_at=99 * SECOND)
    for _ in range(4):
        run.retry_now()
        attempt(run, LOST, proven=False)
        assert (run.status, run.attempt, run.attempted_since) == (SagaStatus.RUNNING, 1, 0)
        assert (last(run).type, last(run).attempt) == (EventType.STEP_RETRYING, None)
        assert run.due_at == 42 * SECOND
    attempt(run, LOST, proven=False)
    assert run.status is SagaStatus.COMPENSATING
    stuck = undoing(7, 2, status=SagaStatus.STUCK, attempt=3, attempted_since=0)
    for _ in range(4):
        stuck.retry_now()
        attempt(stuck, NO)
        assert (stuck.status, stuck.attempt, stuck.got_stuck) == (SagaStatus.STUCK, 3, False)
        assert stuck.due_at == 7 + 60 * SECOND


def test_a_stuck_saga_is_tried_after_waits_that_double_from_a_minute_to_a_quarter_of_an_hour() -> None:
    run = undoing(0, 2, attempt=2)
    waits = []
    for _ in range(8):
        attempt(run, NO)
        assert run.due_at is not None
        waits.append((run.due_at - run.at) // SECOND)
        run.at = run.due_at
        assert run.is_ready
    assert waits == [60, 60, 120, 240, 480, 900, 900, 900]
    assert [each.type for each in run.events].count(EventType.SAGA_STUCK) == 1


def test_what_gets_stuck_after_hours_is_tried_after_a_minute_first() -> None:
    run = undoing(3_600 * SECOND, 2, attempt=9, attempted_since=0)
    attempt(run, LOST, proven=False)
    assert run.due_at is not None
    assert (run.status, run.due_at - run.at) == (SagaStatus.STUCK, 60 * SECOND)


def test_what_must_succeed_has_hours_if_its_failure_may_pass() -> None:
    run = undoing(0, 2)
    run.definition = replace(TRIP, steps=tuple(_patient(step) for step in TRIP.steps))
    while run.at < 4 * 3_600 * SECOND:
        assert run.status is SagaStatus.COMPENSATING
        attempt(run, LOST, proven=False)
        assert run.due_at is not None
        run.at = run.due_at
    attempt(run, LOST, proven=False)
    assert run.status is SagaStatus.STUCK


def _patient(step: Step) -> Step:
    """The same step, undone with the usual policy."""
    return replace(step, compensation=step.compensation and replace(step.compensation, policy=COMPENSATION_POLICY))


def test_a_step_after_the_pivot_is_as_patient_as_a_compensation_unless_it_says_otherwise() -> None:
    steps = tuple(Step(name, LOCAL) for name in ("BEFORE", "PIVOT", "AFTER"))
    trip = SagaDefinition("PATIENT", 1, Card, (*steps, Step("HASTY", LOCAL, None, POLICY)), pivot="PIVOT")
    policies = [trip.operation(position, FORWARD)[2] for position in range(4)]
    assert policies == [STEP_POLICY, STEP_POLICY, COMPENSATION_POLICY, POLICY]


def test_a_retry_between_attempts_names_the_operator_at_the_next_and_only_where_there_was_one() -> None:
    run = running(7, 2, attempt=1, due_at=99, attempted_since=2, retry_requested_at=6, retry_by=GRACE)
    run.retry_now()
    assert (run.due_at, run.attempted_since, run.events, run.touched) == (7, 2, [], True)
    run.start_attempt()
    assert last(run).actor == GRACE
    fresh = running(7, 2, due_at=99, retry_by=GRACE)
    fresh.retry_now()
    assert (fresh.due_at, fresh.attempt_by) == (7, None)


def test_a_retry_while_a_call_is_out_is_forgotten_and_changes_nothing_else() -> None:
    run = running(7, 2, attempt=1, due_at=None, phase=Phase.CALLING, retry_requested_at=6, attempted_since=2)
    run.retry_now()
    assert (run.retry_requested_at, run.due_at, run.attempted_since, run.touched) == (None, None, 2, True)


@pytest.mark.parametrize(("phase", "due_at"), [(Phase.READY, 7), (Phase.CALLING, None)])
def test_a_parked_saga_that_is_looked_at_again_says_who_asked(phase: Phase, due_at: int | None) -> None:
    run = running(7, 2, attempt=1, attempted_since=2, due_at=99, phase=phase, retry_by=GRACE)
    run.status, run.parked_from = SagaStatus.PARKED, SagaStatus.RUNNING
    run.look_again()
    assert run.events == [event(2, EventType.SAGA_RESUMED, None, "The saga is no longer parked.", 7, actor=GRACE)]
    assert (run.status, run.due_at, run.attempted_since) == (SagaStatus.RUNNING, due_at, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [(SagaStatus.PENDING, SagaStatus.RUNNING), (SagaStatus.RUNNING, SagaStatus.RUNNING), (SagaStatus.STUCK,) * 2],
)
def test_a_parked_saga_stands_where_it_stood_but_for_one_that_had_not_begun(
    before: SagaStatus, after: SagaStatus
) -> None:
    run = running(7, 2)
    run.status, run.parked_from = SagaStatus.PARKED, before
    run.look_again()
    assert run.status is after


def test_a_stuck_step_after_the_pivot_runs_again_once_it_is_resumed() -> None:
    run = running(7, 4, attempt=3)
    run.status = SagaStatus.STUCK
    run.retry_now()
    attempt(run, DONE)
    assert run.events[-3].type is EventType.SAGA_RESUMED
    assert run.status is SagaStatus.COMPLETED


@pytest.mark.parametrize("since", [None, 8])
def test_a_budget_begins_where_it_has_not_begun_or_the_clock_was_set_back(since: int | None) -> None:
    run = running(7, 2, attempt=1)
    run.attempted_since = since
    run.fall_short(NOT_NOW, proven=True)
    assert (run.attempted_since, run.status) == (7, SagaStatus.RUNNING)


# ---------------------------------------------------------------------- what stands next


def test_a_saga_is_ready_where_it_is_due_and_nobody_else_has_it() -> None:
    run = running(7, 2)
    assert run.is_ready
    for values in ({"phase": Phase.CALLING}, {"due_at": None}, {"status": SagaStatus.COMPLETED}, {"busy": True}):
        assert not replace(run, **values).is_ready
    run.come_back()
    assert run.busy


def test_what_is_due_later_than_it_can_be_is_due_now() -> None:
    assert running(7, 2, due_at=8).wait_us == 0
    assert running(7, 2, due_at=5).wait_us == 0
    # A release without pauses rests before a step.
    slow = Simulation(delay_ms=250)
    assert running(7, 2, simulation=slow, due_at=7 + 250_000).wait_us == 250_000
    assert running(7, 2, simulation=slow, due_at=8 + 250_000).wait_us == 0


def test_only_what_comes_after_the_pivot_is_past_it() -> None:
    assert [running(7, position).is_past_pivot for position in range(5)] == [False] * 4 + [True]
    assert not undoing(7, 3).is_past_pivot


def test_a_member_tells_a_step_of_its_saga_as_it_stands() -> None:
    run = running(7, 2, attempt=1, round=2, pinned_at=5, outcome=DONE)
    found = run.member(next_attempt=True)
    assert found == Member("saga", "correlation", run.context, 2, 2, "PAY", DONE, pinned=True)
    assert found.context is run.context
    run.pinned_at = None
    assert run.member(next_attempt=False) == Member("saga", "correlation", run.context, 1, 2, "PAY", DONE)
    assert undoing(7, 2).member(next_attempt=True).operation == "REFUND"
