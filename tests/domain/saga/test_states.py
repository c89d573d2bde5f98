"""The state machines of sagas and steps: their tables are complete, and the machine keeps to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.clock import SECOND
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import (
    SAGA_TRANSITIONS,
    STEP_TRANSITIONS,
    Batch,
    Compensation,
    Local,
    RetryPolicy,
    SagaDefinition,
    SagaStatus,
    SettleVerdict,
    Step,
    StepStatus,
    Waiting,
)
from domain.saga.machine import Run, StepChange
from domain.saga.states import Direction, Phase

S = TypeVar("S", bound=StrEnum)

SAGA_ENDS = {SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.ABANDONED}
STEP_ENDS = {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED}

# ---------------------------------------------------------------------- the tables

TABLES = pytest.mark.parametrize(
    ("states", "table", "first", "ends"),
    [
        pytest.param(SagaStatus, SAGA_TRANSITIONS, SagaStatus.PENDING, SAGA_ENDS, id="saga"),
        pytest.param(StepStatus, STEP_TRANSITIONS, StepStatus.PENDING, STEP_ENDS, id="step"),
    ],
)


def _reached(table: Mapping[S, frozenset[S]], first: S) -> set[S]:
    reached, frontier = {first}, [first]
    while frontier:
        fresh = table[frontier.pop()] - reached
        reached |= fresh
        frontier.extend(fresh)
    return reached


@TABLES
def test_the_table_names_every_state_and_leads_only_to_states(
    states: type[S], table: Mapping[S, frozenset[S]], first: S, ends: set[S]
) -> None:
    assert set(table) == set(states)
    assert frozenset[S]().union(*table.values()) <= set(states)


@TABLES
def test_every_state_is_reached_from_the_first_and_none_leads_back_to_it(
    states: type[S], table: Mapping[S, frozenset[S]], first: S, ends: set[S]
) -> None:
    assert _reached(table, first) == set(states)
    assert not any(first in after for after in table.values())


@TABLES
def test_the_ends_have_no_way_out_and_every_other_state_has_a_way_to_one(
    states: type[S], table: Mapping[S, frozenset[S]], first: S, ends: set[S]
) -> None:
    assert {state for state in states if not table[state]} == ends
    for state in states:
        assert _reached(table, state) & ends


@TABLES
def test_no_state_follows_itself(states: type[S], table: Mapping[S, frozenset[S]], first: S, ends: set[S]) -> None:
    assert not any(state in table[state] for state in states)


def test_a_saga_is_terminal_exactly_where_the_table_has_no_way_out() -> None:
    assert {status for status in SagaStatus if status.is_terminal} == SAGA_ENDS


def test_a_saga_that_undoes_never_goes_on_to_complete() -> None:
    assert SagaStatus.COMPLETED not in SAGA_TRANSITIONS[SagaStatus.COMPENSATING]
    assert SagaStatus.RUNNING not in SAGA_TRANSITIONS[SagaStatus.COMPENSATING]
    assert SagaStatus.COMPENSATED not in SAGA_TRANSITIONS[SagaStatus.RUNNING]
    assert SagaStatus.COMPENSATED not in SAGA_TRANSITIONS[SagaStatus.STUCK]


# ---------------------------------------------------------------------- the machine, verb by verb


async def _settle(batch: Batch[msgspec.Struct]) -> Sequence[SettleVerdict]:
    raise AssertionError("no step is run here")


class _Context(msgspec.Struct):
    """Nothing is shared."""


_LOCAL = Local(_settle)
_POLICY = RetryPolicy(refusals_max=2, floor_seconds=1, budget_seconds=30, stuck_seconds=60, stuck_seconds_max=60)
_TRIP = SagaDefinition(
    "TRIP",
    1,
    _Context,
    (
        Step("FIRST", _LOCAL, Compensation("UNDO_FIRST", _LOCAL, _POLICY), _POLICY),
        Step("SECOND", _LOCAL, Compensation("UNDO_SECOND", _LOCAL, _POLICY), _POLICY),
        Step("PLAIN", _LOCAL, None, _POLICY),
        Step("DECIDE", _LOCAL, Compensation("UNDO_DECIDE", _LOCAL, _POLICY), _POLICY, pins=True),
        Step("AFTER", _LOCAL, None, _POLICY),
    ),
    pivot="DECIDE",
)
_NO = Refused("NO", "No.")
_NOT_NOW = Refused("NOT_NOW", "Not now.", passing=True)
_NEW_KEY = Refused("NEW_KEY", "Not under this key.", passing=True, key_spent=True)
_LOST = Unknown("LOST", "The answer was lost.")


class _Watched(Run):
    """A run that notes every change of its status, and of its steps'."""

    saga_moves: list[tuple[SagaStatus, SagaStatus]]
    step_moves: list[tuple[StepStatus, StepStatus]]

    def become(self, status: SagaStatus) -> None:
        self.saga_moves.append((self.status, status))
        super().become(status)

    def change(self, change: StepChange) -> None:
        self.step_moves.append((self.step_status(self.position, self.direction), change.status))
        super().change(change)

    def step_status(self, position: int, direction: Direction) -> StepStatus:
        """Where a step, or its compensation, stands."""
        change = self.changes.get((position, direction))
        return change.status if change is not None else StepStatus.PENDING

    def attempt_fails(self, outcome: Refused | Unknown, *, proven: bool = True) -> None:
        """An attempt from its beginning to its end."""
        self.at = max(self.at, self.due_at or 0)
        self.start_attempt()
        self.fall_short(outcome, proven=proven)

    def attempt_succeeds(self) -> None:
        """An attempt from its beginning to its end."""
        self.at = max(self.at, self.due_at or 0)
        self.start_attempt()
        self.complete(Succeeded())

    def get_stuck(self) -> None:
        """Attempts until what must succeed has failed too often."""
        while self.status is not SagaStatus.STUCK:
            self.attempt_fails(_LOST, proven=False)

    def do_all(self, steps: int) -> None:
        """So many steps, or compensations, without any trouble."""
        for _ in range(steps):
            self.attempt_succeeds()


def _run(status: SagaStatus = SagaStatus.PENDING) -> _Watched:
    run = _Watched(_TRIP, _Context(), "id", "correlation-id", started_at=0, due_at=0, status=status)
    run.saga_moves, run.step_moves = [], []
    run.draw = lambda: 1.0
    return run


def _all_pairs(states: type[S]) -> set[tuple[S, S]]:
    return {(before, after) for before in states for after in states}


def _listed(table: Mapping[S, frozenset[S]]) -> set[tuple[S, S]]:
    return {(before, after) for before, successors in table.items() for after in successors}


@pytest.mark.parametrize(("before", "after"), sorted(_all_pairs(SagaStatus) - _listed(SAGA_TRANSITIONS)))
def test_a_change_that_is_not_listed_is_refused_and_changes_nothing(before: SagaStatus, after: SagaStatus) -> None:
    run = _run(before)
    with pytest.raises(AssertionError, match=f"{before} does not lead to {after}"):
        run.become(after)
    assert run.status is before
    assert not run.touched


@pytest.mark.parametrize("ended", sorted(SAGA_ENDS))
@pytest.mark.parametrize("verb", [Run.cancel, Run.expire])
def test_an_ended_saga_does_not_turn_round(ended: SagaStatus, verb: Callable[[Run], None]) -> None:
    run = _run(ended)
    with pytest.raises(AssertionError, match="does not lead to COMPENSATING"):
        verb(run)
    assert run.status is ended


@pytest.mark.parametrize("ended", sorted(SAGA_ENDS))
def test_an_operators_retry_leaves_an_ended_saga_as_it_is(ended: SagaStatus) -> None:
    run = _run(ended)
    run.due_at = None
    run.retry_now()
    assert (run.status, run.due_at, run.events) == (ended, None, [])


def _abandon_backward(run: _Watched) -> None:
    run.attempt_succeeds()
    run.cancel()
    run.get_stuck()
    run.skip("left", given_up=True)


def _wait_for(run: _Watched, wants: str = "CARD", **more: Any) -> None:
    run.begin_wait(Waiting(run.at + 900 * SECOND, wants, **more))


def _hear(run: _Watched) -> None:
    """Somebody has said a word; the owner's turn obeys it."""
    run.word, run.word_at, run.due_at = '"visa"', run.at, run.at
    run.start_attempt()


def _waited_and_done(run: _Watched) -> None:
    _wait_for(run)
    _hear(run)
    run.complete(Succeeded())


def _waited_until_cancelled(run: _Watched) -> None:
    _wait_for(run)
    run.cancel()


def _declined_twice(run: _Watched) -> None:
    run.start_attempt()
    _wait_for(run, round_spent=True)
    _hear(run)
    _wait_for(run, round_spent=True)


def _waited_and_looked(run: _Watched) -> None:
    _wait_for(run)
    run.complete(Succeeded())


def _waited_and_not_needed(run: _Watched) -> None:
    _wait_for(run)
    run.skip("not needed")


def _waited_after_an_attempt(run: _Watched) -> None:
    run.attempt_fails(_NOT_NOW)
    _wait_for(run)
    run.expire()


def _abandon_forward(run: _Watched) -> None:
    run.do_all(4)
    run.get_stuck()
    run.skip("left", given_up=True)


def _stuck_forward_then_retried(run: _Watched) -> None:
    run.do_all(4)
    run.get_stuck()
    run.retry_now()
    run.attempt_succeeds()


def _stuck_backward_then_done(run: _Watched) -> None:
    run.attempt_succeeds()
    run.cancel()
    run.get_stuck()
    run.attempt_succeeds()


_PARKABLE = (
    SagaStatus.PENDING,
    SagaStatus.RUNNING,
    SagaStatus.WAITING,
    SagaStatus.COMPENSATING,
    SagaStatus.STUCK,
)


def _look_again(before: SagaStatus) -> _Watched:
    """A saga that was parked when it had this status, and that can be read now."""
    run = _run(SagaStatus.PARKED)
    run.parked_from = before
    run.look_again()
    return run


SAGA_STORIES: Mapping[str, tuple[Callable[[_Watched], None], list[SagaStatus]]] = {
    "all is done": (lambda run: run.do_all(5), [SagaStatus.RUNNING, SagaStatus.COMPLETED]),
    "cancelled before it began": (lambda run: run.cancel(), [SagaStatus.COMPENSATING, SagaStatus.COMPENSATED]),
    "refused": (
        lambda run: run.attempt_fails(_NO),
        [SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.COMPENSATED],
    ),
    "a word ends its wait": (_waited_and_done, [SagaStatus.RUNNING, SagaStatus.WAITING, SagaStatus.RUNNING]),
    "cancelled while it waits": (
        _waited_until_cancelled,
        [SagaStatus.RUNNING, SagaStatus.WAITING, SagaStatus.COMPENSATING, SagaStatus.COMPENSATED],
    ),
    "stuck after the pivot, and retried": (
        _stuck_forward_then_retried,
        [SagaStatus.RUNNING, SagaStatus.STUCK, SagaStatus.RUNNING, SagaStatus.COMPLETED],
    ),
    "stuck after the pivot, and given up": (
        _abandon_forward,
        [SagaStatus.RUNNING, SagaStatus.STUCK, SagaStatus.RUNNING, SagaStatus.ABANDONED],
    ),
    "stuck while it undoes, and undone": (
        _stuck_backward_then_done,
        [
            SagaStatus.RUNNING,
            SagaStatus.COMPENSATING,
            SagaStatus.STUCK,
            SagaStatus.COMPENSATING,
            SagaStatus.COMPENSATED,
        ],
    ),
    "stuck while it undoes, and given up": (
        _abandon_backward,
        [SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.STUCK, SagaStatus.COMPENSATING, SagaStatus.ABANDONED],
    ),
}


@pytest.mark.parametrize("story", list(SAGA_STORIES))
def test_a_saga_goes_from_status_to_status_as_its_story_says(story: str) -> None:
    tell, expected = SAGA_STORIES[story]
    run = _run()
    tell(run)
    assert [after for _, after in run.saga_moves] == expected


@pytest.mark.parametrize("before", _PARKABLE)
def test_a_parked_saga_that_is_looked_at_again_stands_where_it_stood(before: SagaStatus) -> None:
    run = _look_again(before)
    after = SagaStatus.RUNNING if before is SagaStatus.PENDING else before
    assert run.saga_moves == [(SagaStatus.PARKED, after)]
    assert (run.position, run.attempt, run.due_at) == (0, 0, run.at)


def test_every_listed_change_of_a_saga_is_made_in_some_story() -> None:
    made: set[tuple[SagaStatus, SagaStatus]] = set()
    for before in _PARKABLE:
        made.update(_look_again(before).saga_moves)
        # By a statement, as what cannot be read is no run: tests/domain/saga/test_parking.py.
        made.add((before, SagaStatus.PARKED))
    for tell, _ in SAGA_STORIES.values():
        run = _run()
        tell(run)
        made.update(run.saga_moves)
    assert made == _listed(SAGA_TRANSITIONS)


def _retried_then_cancelled(run: _Watched) -> None:
    run.attempt_fails(_NOT_NOW)
    run.cancel()


def _retried_then_skipped(run: _Watched) -> None:
    run.attempt_fails(_NOT_NOW)
    run.skip("not needed")


def _lost_then_done(run: _Watched) -> None:
    run.attempt_fails(_LOST, proven=False)
    run.attempt_succeeds()


def _started_then_skipped(run: _Watched) -> None:
    run.start_attempt()
    run.skip("not needed")


def _overrun(run: _Watched) -> None:
    _wait_for(run, "REFUND")
    run.overrun_wait()


STEP_STORIES: Mapping[str, tuple[Callable[[_Watched], None], list[StepStatus]]] = {
    "done": (lambda run: run.attempt_succeeds(), [StepStatus.EXECUTING, StepStatus.COMPLETED]),
    "refused": (lambda run: run.attempt_fails(_NO), [StepStatus.EXECUTING, StepStatus.FAILED]),
    "not needed": (lambda run: run.skip("not needed"), [StepStatus.SKIPPED]),
    "found not to be needed": (_started_then_skipped, [StepStatus.EXECUTING, StepStatus.SKIPPED]),
    "tried again": (
        _lost_then_done,
        [StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.EXECUTING, StepStatus.COMPLETED],
    ),
    "cancelled between attempts": (
        _retried_then_cancelled,
        [StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.FAILED],
    ),
    "waited for": (_waited_and_done, [StepStatus.WAITING, StepStatus.EXECUTING, StepStatus.COMPLETED]),
    "declined twice": (
        _declined_twice,
        [StepStatus.EXECUTING, StepStatus.WAITING, StepStatus.EXECUTING, StepStatus.WAITING],
    ),
    "found to be done while it waits": (_waited_and_looked, [StepStatus.WAITING, StepStatus.COMPLETED]),
    "found not to be needed while it waits": (_waited_and_not_needed, [StepStatus.WAITING, StepStatus.SKIPPED]),
    "waited for too long": (
        _waited_after_an_attempt,
        [StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.WAITING, StepStatus.FAILED],
    ),
    "not needed any more": (_retried_then_skipped, [StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.SKIPPED]),
}
STUCK_STORIES: Mapping[str, tuple[Callable[[_Watched], None], list[StepStatus]]] = {
    "done in the end": (lambda run: run.attempt_succeeds(), [StepStatus.EXECUTING, StepStatus.COMPLETED]),
    "given up": (lambda run: run.skip("left", given_up=True), [StepStatus.SKIPPED]),
    "still without a final answer": (_overrun, [StepStatus.WAITING, StepStatus.STUCK]),
}


@pytest.mark.parametrize("story", list(STEP_STORIES))
def test_a_step_goes_from_status_to_status_as_its_story_says(story: str) -> None:
    tell, expected = STEP_STORIES[story]
    run = _run()
    tell(run)
    assert [after for _, after in run.step_moves] == expected


@pytest.mark.parametrize("story", list(STUCK_STORIES))
def test_a_stuck_step_goes_on_or_is_given_up(story: str) -> None:
    tell, expected = STUCK_STORIES[story]
    run = _run()
    run.do_all(4)
    run.get_stuck()
    assert run.step_moves[-1] == (StepStatus.EXECUTING, StepStatus.STUCK)
    known = len(run.step_moves)
    tell(run)
    assert [after for _, after in run.step_moves[known:]] == expected


def test_every_listed_change_of_a_step_is_made_in_some_story_and_no_other() -> None:
    made: set[tuple[StepStatus, StepStatus]] = set()
    for tell, _ in STEP_STORIES.values():
        run = _run()
        tell(run)
        made.update(run.step_moves)
    for tell, _ in STUCK_STORIES.values():
        run = _run()
        run.do_all(4)
        run.get_stuck()
        tell(run)
        made.update(run.step_moves)
    assert made == _listed(STEP_TRANSITIONS)


def test_what_was_done_is_undone_last_first_and_what_is_in_doubt_before_that() -> None:
    run = _run()
    run.do_all(3)
    run.start_attempt()
    run.start_call()
    run.fall_short(_LOST, proven=False)
    run.cancel()
    undone = []
    while not run.status.is_terminal:
        undone.append(run.operation[0])
        run.attempt_succeeds()
    assert undone == ["UNDO_DECIDE", "UNDO_SECOND", "UNDO_FIRST"]
    assert run.status is SagaStatus.COMPENSATED


# ---------------------------------------------------------------------- the machine, whatever happens


class _Life:
    """A saga to which anything happens that the engine lets happen where it stands; checked after each."""

    def __init__(self) -> None:
        self.run = _run()
        self.begun_undos: list[int] = []
        self.in_doubt: set[int] = set()
        """Forward steps of which an attempt's answer was lost, under the present key."""

    def happen(self, what: str) -> None:
        run = self.run
        if run.status.is_terminal:
            return
        match what:
            case "succeed" | "skip" | "refuse" | "not now" | "new key":
                if run.phase is Phase.READY:
                    self._begin()
                self._end(what)
            case "lose":
                if run.phase is Phase.READY:
                    self._call()
                self._end(what)
            case "call" if run.phase is Phase.READY:
                self._call()
            case "call" if run.phase is Phase.CALLING:
                if run.is_looking:
                    run.start_attempt()
                run.call_again()
            case "pause" | "ask again" if self._may_wait:
                spent = what == "ask again"
                if spent and not run.is_looking:
                    self.in_doubt.discard(run.position)
                run.begin_wait(Waiting(run.at + 900 * SECOND, "CARD", run.at + 5 * SECOND, round_spent=spent))
            case "hear" if run.wait is not None and run.word is None:
                run.word, run.word_at = '"visa"', run.at
                run.due_at = run.at if run.phase is Phase.READY else None
            case "cancel" | "expire" if self._may_turn_round:
                run.cancel() if what == "cancel" else run.expire()
            case "retry":
                run.retry_now()
            case "give up" if run.status is SagaStatus.STUCK and run.phase is Phase.READY:
                run.skip("left", given_up=True)
            case "wait":
                run.at += 31 * SECOND
            case _:
                pass
        self.check()

    def _begin(self) -> None:
        run = self.run
        assert run.due_at is not None
        run.at = max(run.at, run.due_at)
        if run.direction is Direction.BACKWARD and run.attempt == 0:
            self.begun_undos.append(run.position)
        run.start_attempt()

    def _call(self) -> None:
        run = self.run
        if run.is_looking:
            run.start_look()
            return
        self._begin()
        if run.direction is Direction.FORWARD and run.step.pins and run.pinned_at is None:
            run.pin()
        run.start_call()

    def _end(self, what: str) -> None:
        run = self.run
        # A look's answer proves nothing of what was sent before.
        position, forward = run.position, run.direction is Direction.FORWARD and not run.is_looking
        match what:
            case "succeed":
                run.complete(Succeeded())
            case "skip":
                # What skips has found that nothing was done, also under an earlier attempt's key.
                if run.direction is Direction.FORWARD:
                    self.in_doubt.discard(position)
                run.skip("not needed")
            case "lose":
                if forward:
                    self.in_doubt.add(position)
                run.fall_short(_LOST, proven=False)
            case _:
                if what == "new key" and forward:
                    self.in_doubt.discard(position)
                run.fall_short({"refuse": _NO, "not now": _NOT_NOW, "new key": _NEW_KEY}[what], proven=True)

    @property
    def _may_turn_round(self) -> bool:
        run = self.run
        return (
            run.phase is Phase.READY
            and run.direction is Direction.FORWARD
            and run.pinned_at is None
            and not run.is_past_pivot
        )

    @property
    def _may_wait(self) -> bool:
        run = self.run
        return run.direction is Direction.FORWARD and run.pinned_at is None and not run.must_succeed

    def check(self) -> None:
        run = self.run
        assert run.wait is not None or (run.word, run.word_at) == (None, None)
        assert (run.wait is not None) == (run.status is SagaStatus.WAITING)
        waits = run.step_status(run.position, run.direction) is StepStatus.WAITING
        assert waits == (run.wait is not None)
        assert set(run.saga_moves) <= _listed(SAGA_TRANSITIONS)
        # One wait may follow another.
        moves = {move for move in run.step_moves if move != (StepStatus.WAITING, StepStatus.WAITING)}
        assert moves <= _listed(STEP_TRANSITIONS)
        assert [event.sequence for event in run.events] == list(range(2, run.sequence + 1))
        ends = [event.type.is_terminal for event in run.events]
        assert not any(ends[:-1])
        assert (bool(ends) and ends[-1]) == run.status.is_terminal == (run.finished_at is not None)
        assert (run.due_at is None) == (run.status.is_terminal or run.phase is Phase.CALLING)
        assert self.begun_undos == sorted(set(self.begun_undos), reverse=True)
        match run.status:
            case SagaStatus.PENDING | SagaStatus.RUNNING | SagaStatus.WAITING | SagaStatus.COMPLETED:
                assert run.direction is Direction.FORWARD
            case SagaStatus.COMPENSATING | SagaStatus.COMPENSATED:
                assert run.direction is Direction.BACKWARD
                assert run.pinned_at is None
            case _:
                pass
        assert (run.status is SagaStatus.ABANDONED) == (run.status.is_terminal and run.given_up)
        if run.status is SagaStatus.COMPENSATED:
            self._check_that_nothing_is_left()

    def _check_that_nothing_is_left(self) -> None:
        run = self.run
        assert run.effects == 0
        for position, step in enumerate(_TRIP.steps):
            done = run.step_status(position, Direction.FORWARD) is StepStatus.COMPLETED
            if step.compensation is not None and (done or position in self.in_doubt):
                undone = run.step_status(position, Direction.BACKWARD)
                assert undone in (StepStatus.COMPLETED, StepStatus.SKIPPED), step.name


HAPPENINGS = (
    *("succeed", "skip", "refuse", "not now", "new key", "lose"),
    *("call", "cancel", "expire", "retry", "give up", "wait", "pause", "ask again", "hear"),
)
# Drawn more often, so that lives get far enough to be stuck or to be over.
COMMON = ("succeed", "succeed", "succeed", "lose", "lose", "not now")


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(HAPPENINGS + COMMON), max_size=40))
def test_whatever_happens_a_saga_changes_only_as_listed_and_leaves_nothing_undone(happenings: list[str]) -> None:
    life = _Life()
    for what in happenings:
        life.happen(what)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(HAPPENINGS + COMMON), max_size=30))
def test_from_wherever_it_is_a_saga_comes_to_an_end_once_all_goes_well(happenings: list[str]) -> None:
    life = _Life()
    for what in happenings:
        life.happen(what)
    for _ in range(len(_TRIP.steps)):
        life.happen("succeed")
    assert life.run.status.is_terminal


# ---------------------------------------------------------------------- a clock that is set back


def test_a_wait_is_over_at_once_where_it_would_be_longer_than_it_can_have_been() -> None:
    run = _run()
    run.attempt_fails(_LOST, proven=False)
    assert run.wait_us == 2 * SECOND
    run.at -= 1
    assert (run.wait_us, run.is_ready) == (0, True)
    run = _run()
    run.do_all(4)
    run.get_stuck()
    assert run.wait_us == 60 * SECOND
    run.at -= 1
    assert run.wait_us == 0


def test_a_budget_begins_anew_where_the_clock_was_set_back_behind_its_beginning() -> None:
    run = _run()
    run.at = 7_200 * SECOND
    run.start_attempt()
    run.at = 0
    run.fall_short(_NOT_NOW, proven=True)
    assert run.attempted_since == 0
    run.at = 30 * SECOND
    run.start_attempt()
    run.fall_short(_NOT_NOW, proven=True)
    assert run.status is SagaStatus.COMPENSATED
