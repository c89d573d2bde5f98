"""One saga's state machine: pure, in memory, for the length of one transaction.

A `Run` is made from the saga's locked row and dropped when the transaction ends, so no state
outlives a rollback. Its methods are the things that can happen to a saga. Each changes the row,
notes the change of `saga_steps`, and appends the event; the event's number follows the sequence of
the locked row. `status` changes only along SAGA_TRANSITIONS.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final

import msgspec

from domain.actors import Actor
from domain.clock import SECOND
from domain.events import EventType, Failure, SagaEvent
from domain.facts import Facts, WaitFacts
from domain.gate import Lane
from domain.outcome import Answer, NotSent, Refused, Succeeded, Unknown
from domain.saga.definition import (
    Member,
    Operation,
    Remote,
    RetryPolicy,
    SagaDefinition,
    Simulation,
    Step,
    Wait,
    Waiting,
)
from domain.saga.states import SAGA_TRANSITIONS, Direction, Phase, SagaStatus, StepStatus, WaitEnd

__all__ = ["AFTER_SECONDS_MAX", "LINE_SECONDS_MAX", "Footing", "Run", "StepChange"]

#: A saga in line for a place looks at itself again after this time at most; the place itself wakes it at once.
LINE_SECONDS_MAX: Final = 30.0
#: The longest time for which a provider that turned a call away is left alone by its own word.
AFTER_SECONDS_MAX: Final = 300.0


@dataclass(frozen=True, slots=True)
class Footing:
    """What a saga stood on before its call: it stands there again if the call does not leave."""

    effects: int
    pinned_at: int | None
    attempted_since: int | None
    is_asked: bool = False
    asked_by: Actor | None = None
    """Whether an operator has asked for this attempt, and who: it does not count."""


@dataclass(slots=True)
class StepChange:
    """The new values of one operation's half of a `saga_steps` row. `started_at` only fills an empty one."""

    status: StepStatus
    attempt: int
    next_attempt_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    summary: str | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class Run:
    """A saga within a turn. Its fields are the columns of `sagas`; their defaults are those of a new saga.

    The fields from `id` to `finished_at` are unconverted columns: `store` reads and writes them directly. A new column
    of this kind needs a line here, a line in `tables`, and a migration.
    """

    definition: SagaDefinition
    context: msgspec.Struct
    id: str
    correlation_id: str
    started_at: int
    due_at: int | None
    epoch: int = 1
    sequence: int = 1
    position: int = 0
    attempt: int = 0
    round: int = 1
    attempted_since: int | None = None
    effects: int = 0
    deadline_at: int | None = None
    pinned_at: int | None = None
    cancel_requested_at: int | None = None
    hold_expired_at: int | None = None
    retry_requested_at: int | None = None
    skip_step: str | None = None
    skip_reason: str | None = None
    finished_at: int | None = None
    status: SagaStatus = SagaStatus.PENDING
    direction: Direction = Direction.FORWARD
    phase: Phase = Phase.READY
    uncertain: bool = False
    given_up: bool = False
    simulation: Simulation | None = None
    failure: Failure | None = None
    parked_from: SagaStatus | None = None
    """While PARKED: its status before. Nothing waits for the answer of a call that was out then."""
    wait: Wait | None = None
    word: str | None = None
    """The word that is to end the wait; None if there is none, or if the word only asks for a look."""
    word_at: int | None = None
    word_fingerprint: str | None = None
    unsent_since: int | None = None
    """Since when no call of the present operation has left, though tries were made; its budget stands still."""
    stuck_since: int | None = None
    """When it got STUCK since its last progress, also while it is PARKED; a retry that fails again does not move it."""
    wait_changed: bool = False
    """Whether the wait, the word, `unsent_since` or `stuck_since` must be written; most turns have none."""
    wait_ends: tuple[tuple[str, WaitEnd], ...] = ()
    """The waits that ended in this turn, and by what."""
    at: int = 0
    outcome: Answer | None = None
    busy: bool = False
    events: list[SagaEvent] = field(default_factory=list)
    changes: dict[tuple[int, Direction], StepChange] = field(default_factory=dict)
    touched: bool = False
    """Whether the saga's row must be written; a saga without changes is not written."""
    retry_by: Actor | None = None
    skip_by: Actor | None = None
    """The actors of the retry and the skip that stand on the row, from the record of operator actions."""
    is_asked: bool = False
    attempt_by: Actor | None = None
    """Whether an operator has made the next, or the present, attempt begin at once, and who."""
    draw: Callable[[], float] = random.random
    """A random number from 0 to 1, for the jitter of waits."""
    got_stuck: bool = False
    """Whether it became STUCK in this turn; a slow retry that fails again does not count."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of the fields that are unconverted columns, in the order of a run's arguments."""
        names = [each.name for each in fields(cls)]
        return tuple(names[names.index("id") : names.index("finished_at") + 1])

    # ------------------------------------------------------------------ what stands next

    @property
    def step(self) -> Step:
        """The step at the present position."""
        return self.definition.steps[self.position]

    @property
    def operation(self) -> tuple[str, Operation, RetryPolicy]:
        """Name, operation and policy of the saga's present step or compensation."""
        return self.definition.operation(self.position, self.direction)

    @property
    def is_ready(self) -> bool:
        """Whether the next attempt may begin in this turn."""
        return (
            self.phase is Phase.READY
            and not self.busy
            and not self.status.is_terminal
            and self.due_at is not None
            and self.wait_us == 0
        )

    @property
    def wait_us(self) -> int:
        """How long the saga still waits, in microseconds; never longer than its wait was set to.

        A later due time was written before the clock was set back, and counts as due now.
        """
        wait = 0 if self.due_at is None else max(0, self.due_at - self.at)
        return wait if wait <= self._wait_us_max else 0

    @property
    def _wait_us_max(self) -> int:
        """The length of the present wait at its beginning, or more if it may stand in line."""
        return max(self._rest_us_max, round(LINE_SECONDS_MAX * SECOND) if self._is_gated else 0)

    @property
    def _is_gated(self) -> bool:
        operation = self.operation[1]
        return isinstance(operation, Remote) and operation.gate is not None

    @property
    def _rest_us_max(self) -> int:
        policy = self.operation[2]
        if self.wait is not None:
            # What was said is obeyed at once, or once more after a fault.
            heard = self.word_at is not None
            return round(policy.cap_seconds * SECOND) if heard else self.wait.until - self.wait.since
        if self.status is SagaStatus.STUCK:
            return round(policy.stuck_seconds_max * SECOND)
        if self.unsent_since is not None:
            return round((policy.cap_seconds + AFTER_SECONDS_MAX) * SECOND)
        if self.attempt and not self.is_pausing:
            return round(policy.backoff_seconds(self.attempt) * SECOND)
        # A release without pauses rests before a step.
        return self.simulation.delay_ms * 1_000 if self.simulation is not None else 0

    @property
    def is_past_pivot(self) -> bool:
        """Whether the saga only goes forward from here."""
        return self.direction is Direction.FORWARD and self.position > self.definition.pivot_index

    def member(self, *, next_attempt: bool) -> Member[Any]:
        """This saga as a step's functions see it, with a context of its own to change."""
        name = self.operation[0]
        attempt = self.attempt + 1 if next_attempt and not self.is_pausing else self.attempt
        word = None
        if self.wait is not None:
            if self.is_looking:
                attempt = self.attempt
            else:
                word = self.word
                attempt = self._attempts_before_word + 1
        return Member(
            self.id,
            self.correlation_id,
            self.context,
            attempt,
            self.round,
            name,
            self.outcome,
            pinned=self.pinned_at is not None,
            wait=self.wait,
            word=word,
            deadline_at=self.deadline_at,
        )

    # ------------------------------------------------------------------ waits

    @property
    def is_looking(self) -> bool:
        """Whether the next, or the present, call only looks whether the wait is over."""
        return self.wait is not None and (self.word is None or self.phase is Phase.CALLING)

    @property
    def is_wait_over(self) -> bool:
        """Whether the wait's deadline has passed without a word."""
        return self.wait is not None and self.word is None and self.wait.until <= self.at

    def begin_wait(self, verdict: Waiting) -> None:
        """Wait for a word, or until the deadline. A look that finds nothing new only sets the next look."""
        look_at = verdict.until if verdict.look_at is None else verdict.look_at
        has_looked = self.is_looking
        self._end_look()
        self._end_pause()
        if self.wait is not None and has_looked:
            if self.wait.wants == verdict.wants:
                self._look_again_at(look_at)
                return
            self._end_wait(WaitEnd.LOOK)
        elif self.wait is not None:
            # The word was no answer; the attempt that it began has not left.
            self._end_wait(WaitEnd.WORD)
        if self.status is SagaStatus.PENDING:
            self._become(SagaStatus.RUNNING)
        self._resume_if_stuck()
        if not self.must_succeed and self.status is not SagaStatus.WAITING:
            self._become(SagaStatus.WAITING)
        if verdict.round_spent:
            self._spend_key()
            if self._is_forward and not verdict.keeps_effect:
                self.effects &= ~(1 << self.position)
        self.wait = Wait(verdict.wants, self.at, verdict.until)
        self.word = self.word_at = self.unsent_since = None
        if self.word_fingerprint is not None and self.word_fingerprint.startswith(f"{verdict.wants}:"):
            # It is asked for anew: the same word is tried again. Words for other waits are still recognised.
            self.word_fingerprint = None
        self.wait_changed = True
        self.attempted_since = None
        self._look_again_at(look_at)
        failed = verdict.failure
        failure = Failure(failed.code, failed.message, self.step.name) if failed is not None else None
        summary = verdict.summary
        self._change(StepChange(StepStatus.WAITING, self.attempt, started_at=self.at, summary=summary, failure=failure))
        self._emit(
            EventType.STEP_WAITING if self._is_forward else EventType.COMPENSATION_WAITING,
            summary or f"{self.operation[0]} waits for {verdict.wants}.",
            attempt=self.attempt or None,
            failure=failure,
            facts=WaitFacts(verdict.until),
        )

    def start_look(self) -> None:
        """Let a call leave that only looks: no attempt and no event; what it answers is settled like any answer."""
        self.touched = True
        self.phase = Phase.CALLING
        self.due_at = None
        if self.word_at is not None:
            # It asks for this look.
            self.word_at = None
            self.wait_changed = True

    def look_later(self) -> None:
        """The look came to nothing, or the word could not be obeyed: wait on, as long again as until now."""
        policy = self.operation[2]
        has_looked = self.is_looking
        self._end_look()
        assert self.wait is not None
        waited = min(max(self.at - self.wait.since, policy.floor_seconds * SECOND), policy.cap_seconds * SECOND)
        if has_looked:
            self._look_again_at(self.at + round(waited))
        else:
            self.due_at = self.at + round(waited)

    def _end_look(self) -> None:
        """No call is out any more. Without one, this was the look that somebody may have asked for."""
        if self.phase is Phase.READY and self.word is None and self.word_at is not None:
            self.word_at = None
            self.wait_changed = True
        self.phase = Phase.READY
        self.outcome = None
        self.touched = True

    def _look_again_at(self, look_at: int) -> None:
        """Wait until then, or the deadline; not at all if a word came while the step looked."""
        assert self.wait is not None
        soonest = self.at + round(self.operation[2].floor_seconds * SECOND)
        self.due_at = self.at if self.word_at is not None else min(max(look_at, soonest), self.wait.until)

    def _end_wait(self, by: WaitEnd) -> None:
        """Forget the wait and its word, but not what the word was like."""
        assert self.wait is not None
        self.wait_ends += ((self.wait.wants, by),)
        self.wait = self.word = self.word_at = None
        self.wait_changed = True

    def _go_on(self, by: Actor | None = None) -> None:
        """Resume a saga that is stuck or waits, as what ends that has come."""
        if self.wait is not None:
            looked = self.is_looking
            self._end_wait(WaitEnd.LOOK if looked else WaitEnd.WORD)
            if looked and self._is_forward:
                self._emit(EventType.STEP_RESUMED, f"{self.operation[0]} goes on.")
            if self.status is SagaStatus.WAITING:
                self._become(SagaStatus.RUNNING)
        self._resume_if_stuck(by)

    @property
    def _attempts_before_word(self) -> int:
        """A step's attempts are counted anew after each wait; a compensation has no event that says so."""
        return 0 if self._is_forward else self.attempt

    # ------------------------------------------------------------------ the line for a place

    @property
    def lane(self) -> Lane:
        """The precedence of the next call."""
        if self.is_looking:
            return Lane.BEGIN
        if self.must_succeed:
            return Lane.UNDO
        return Lane.CONFIRM if self.step.pins else Lane.BEGIN

    def stand_in_line(self) -> bool:
        """There is no place for the call now: begin nothing, and look again after a while if no place comes before.

        Signals and the deadline are obeyed as ever; the budget stands still. False: the deadline has passed, and the
        saga turns round.
        """
        self.touched = True
        if self.wait is None and self._is_time_up:
            self.expire()
            return False
        if self.wait is None and self.attempt and self.unsent_since is None:
            self.unsent_since = self.at
            self.wait_changed = True
        # Sagas that came together do not look together.
        seconds = LINE_SECONDS_MAX * (1 + self.draw()) / 2
        due_at = self._sooner(self.at + round(seconds * SECOND))
        self.due_at = due_at if self.wait is None or self.word is not None else min(due_at, self.wait.until)
        return True

    def take_place(self) -> None:
        """The place that it stood in line for has come."""
        if self.due_at is not None:
            self.due_at = min(self.due_at, self.at)

    def leave_line(self) -> None:
        """Nobody knows any more whether it stands in line: it waits only if it waits for something else too."""
        if self._is_gated and self.due_at is not None and self.wait is None:
            self.due_at = min(self.due_at, self.at + self._rest_us_max)

    @property
    def _turns_round_at(self) -> int | None:
        """When tries that do not leave end: a step needs its budget before the deadline; a pin outlives it by one."""
        if self.must_succeed or self.deadline_at is None:
            return None
        budget_us = round(self.operation[2].budget_seconds * SECOND)
        if self.pinned_at is not None:
            return self.deadline_at + budget_us
        # The pin itself compares the hold with the clock.
        return self.deadline_at if self.step.pins else self.deadline_at - budget_us + 1

    @property
    def _is_time_up(self) -> bool:
        turns_round_at = self._turns_round_at
        return self._is_out_of_time or (turns_round_at is not None and turns_round_at <= self.at)

    def _sooner(self, due_at: int) -> int:
        """Then, but no later than the saga must turn round."""
        turns_round_at = self._turns_round_at
        return due_at if turns_round_at is None else max(self.at + 1, min(due_at, turns_round_at))

    # ------------------------------------------------------------------ attempts

    def start_attempt(self) -> None:
        """Begin an attempt: write STARTED, its number and its key's round, in the transaction before any call.

        An attempt that pauses has begun already: its work begins.
        """
        if self.is_pausing:
            self._end_pause()
        else:
            self._tell_of_attempt()
        self._begin_budget()

    def _tell_of_attempt(self) -> None:
        if self.status is SagaStatus.PENDING:
            self._become(SagaStatus.RUNNING)
        if self.wait is not None:
            self.attempt = self._attempts_before_word
            self._go_on()
        self.attempt += 1
        name = self.operation[0]
        self._change(StepChange(StepStatus.EXECUTING, self.attempt, started_at=self.at))
        kind = EventType.STEP_STARTED if self._is_forward else EventType.COMPENSATION_STARTED
        suffix = f", attempt {self.attempt}" if self.attempt > 1 else ""
        self._emit(kind, f"{name} started{suffix}.", attempt=self.attempt, actor=self.attempt_by)

    @property
    def is_pausing(self) -> bool:
        """Whether the present attempt has begun, and its work has not."""
        return self.simulation is not None and self.simulation.pausing

    @property
    def is_to_pause(self) -> bool:
        """Whether the next attempt begins with a pause, as the simulation asks for one in each operation's first."""
        return (
            self.simulation is not None
            and self.simulation.delay_ms > 0
            and not (self.simulation.pausing or self.attempt)
            and self.wait is None
            and self.unsent_since is None
            and self.status is not SagaStatus.STUCK
        )

    def start_pause(self) -> None:
        """Begin the attempt and pause before its work, so that people can watch. Signals and the deadline end it."""
        assert self.simulation is not None
        self._tell_of_attempt()
        self.simulation = msgspec.structs.replace(self.simulation, pausing=True)
        self.due_at = self._sooner(self.at + self.simulation.delay_ms * 1_000)

    def _end_pause(self) -> None:
        if self.simulation is not None and self.simulation.pausing:
            self.simulation = msgspec.structs.replace(self.simulation, pausing=False)
            self.touched = True

    def _begin_budget(self) -> None:
        """Count the budget from the first attempt; the time in which no call left does not count."""
        if self.attempted_since is None:
            self.attempted_since = self.at
        elif self.unsent_since is not None:
            self.attempted_since += max(0, self.at - max(self.unsent_since, self.attempted_since))

    @property
    def footing(self) -> Footing:
        """What the saga stands on now, before its call."""
        return Footing(self.effects, self.pinned_at, self.attempted_since, self.is_asked, self.attempt_by)

    def start_call(self) -> None:
        """Let the call leave once this commits; from then on it may have had its effect."""
        self.touched = True
        self.phase = Phase.CALLING
        self.due_at = None
        if self._is_forward:
            self.effects |= 1 << self.position

    def pin(self) -> None:
        """Pin: from this commit on, neither cancel nor expiry decides; only the provider's answer does."""
        self.pinned_at = self.at

    def complete(self, outcome: Succeeded) -> None:
        """The operation took effect."""
        summary = outcome.sentence
        message = summary or "Done."
        self._go_on(self.attempt_by)
        self._change(StepChange(StepStatus.COMPLETED, self.attempt, finished_at=self.at, summary=summary))
        if self._is_forward:
            self.effects |= 1 << self.position
            self._emit(EventType.STEP_COMPLETED, message, attempt=self.attempt or None, facts=outcome.facts)
            if self.position == self.definition.pivot_index:
                self.pinned_at = self.pinned_at or self.at
        else:
            self.effects &= ~(1 << self.position)
            self._emit(EventType.COMPENSATION_COMPLETED, message, attempt=self.attempt, facts=outcome.facts)
        self._advance()

    def skip(self, summary: str, *, given_up: bool = False) -> None:
        """Skip the operation: it is not needed, or an operator gives it up (`given_up`) and its effect stays."""
        name = self.operation[0]
        by = self.skip_by if given_up else None
        self._go_on(by)
        self.given_up = self.given_up or given_up
        self._change(StepChange(StepStatus.SKIPPED, self.attempt, finished_at=self.at, summary=summary))
        kind = EventType.STEP_SKIPPED if self._is_forward else EventType.COMPENSATION_SKIPPED
        self._emit(kind, f"{name} skipped: {summary}", attempt=self.attempt or None, actor=by)
        self.effects &= ~(1 << self.position)
        self._advance()

    def fall_short(self, outcome: Refused | Unknown, *, proven: bool, is_fault: bool = False) -> None:
        """End an attempt without success: try again, give up, or become STUCK.

        `proven`: this attempt had no effect. If the answer of an earlier attempt under the same key was
        lost, that one may still have had its effect; then the possible effect is still to be undone. An operator's try
        does not count: its number is given back, and it ends no budget. `is_fault`: it is a fault of ours, which will
        not pass by itself.
        """
        _, _, policy = self.operation
        failure = Failure(outcome.code, outcome.message, self.step.name)
        if self.wait is not None:
            self._settle_look(outcome, failure, policy)
            return
        self.phase = Phase.READY
        self.outcome = None
        self._has_left()
        self._weigh(outcome, proven=proven)
        counts = self._count_attempt()
        is_final = isinstance(outcome, Refused) and not outcome.passing
        # What is refused for good together with its key would be asked for anew: that waits for the slow retry.
        is_over = isinstance(outcome, Refused) and is_final and outcome.key_spent
        is_hopeless = is_over or ((is_final or is_fault) and self.attempt >= policy.refusals_max)
        is_spent = counts and (is_hopeless or self._budget_is_spent(policy))
        if self.must_succeed:
            if self.status is SagaStatus.STUCK or is_spent:
                self._stick(failure, policy, counts=counts)
            else:
                self._retry(failure, policy, counts=counts)
        elif isinstance(outcome, Refused) and is_final:
            self.fail(failure, outcome.facts)
        elif self._is_out_of_time:
            self.expire()
        elif is_spent:
            self.fail(failure)
        else:
            self._retry(failure, policy, counts=counts)

    def not_sent(self, outcome: NotSent, before: Footing) -> None:
        """End an attempt whose call did not leave: it does not count, and the saga stands as `before` it.

        Only the deadline ends such tries; what must succeed becomes STUCK once nothing has left for its budget, so that
        an operator hears of it. A pin goes if this attempt has set it; one that an earlier attempt has set, as its
        answer was lost, stays until the deadline. A look that was not sent changes nothing.
        """
        if self.wait is not None:
            self.look_later()
            return
        self.attempt -= 1
        self._end_asked()
        self.phase = Phase.READY
        self.effects, self.pinned_at, self.attempted_since = before.effects, before.pinned_at, before.attempted_since
        if self.unsent_since is None:
            self.unsent_since = self.at
            self.wait_changed = True
        failure = Failure(outcome.code, outcome.message, self.step.name)
        if self._is_time_up:
            self.expire()
            return
        _, _, policy = self.operation
        unsent_seconds = (self.at - self.unsent_since) / SECOND
        if self.must_succeed and self.status is not SagaStatus.STUCK and unsent_seconds >= policy.budget_seconds:
            self._stick(failure, policy)
            return
        wait_seconds = policy.jittered_seconds(unsent_seconds, self.draw())
        if outcome.after_seconds is not None:
            wait_seconds += min(max(outcome.after_seconds, 0), AFTER_SECONDS_MAX)
        if self.status is SagaStatus.STUCK:
            wait_seconds = min(max(wait_seconds, self._stuck_seconds(policy)), policy.stuck_seconds_max)
        self._retry_at(self._sooner(self.at + round(wait_seconds * SECOND)), failure)

    def call_again(self) -> None:
        """Call once more in the same attempt, as a result is now durable."""
        self._has_left()
        self.outcome = None
        self.start_call()

    def come_back(self) -> None:
        """Look at the saga again soon: rows were locked by another transaction, and nothing has happened."""
        self.busy = True

    def _settle_look(self, outcome: Refused | Unknown, failure: Failure, policy: RetryPolicy) -> None:
        """End the wait if the answer is final. A lost or passing answer of a look changes nothing."""
        if isinstance(outcome, Unknown) or outcome.passing:
            self.look_later()
            return
        self.phase = Phase.READY
        self.outcome = None
        if self.must_succeed:
            self._go_on()
            if outcome.key_spent:
                self._spend_key()
            self._stick(failure, policy)
        else:
            self.fail(failure, outcome.facts, ends_wait=WaitEnd.LOOK)

    def fail(self, failure: Failure, facts: Facts | None = None, *, ends_wait: WaitEnd | None = None) -> None:
        """Fail the present step for good: stop, and undo the completed steps, last first."""
        has_begun = self.attempt > 0 or self.unsent_since is not None or self.wait is not None
        if self.wait is not None:
            assert ends_wait is not None
            self._end_wait(ends_wait)
        if has_begun:
            attempt = self.attempt or None
            self._change(StepChange(StepStatus.FAILED, self.attempt, finished_at=self.at, failure=failure))
            self._emit(EventType.STEP_FAILED, failure.message, attempt=attempt, failure=failure, facts=facts)
        self.failure = failure
        self._compensate()

    def expire(self) -> None:
        """Turn round: the deadline has passed, or will pass before the next step can finish."""
        expired = self.definition.expired
        failure = Failure(expired.code, expired.message, self.step.name)
        if self.hold_expired_at is None:
            self.hold_expired_at = self.at
            self._emit(EventType.HOLD_EXPIRED, failure.message, failure=failure)
        self.fail(failure, ends_wait=WaitEnd.DEADLINE)

    def overrun_wait(self) -> None:
        """Become STUCK: what must succeed had no final answer before the deadline of its wait."""
        failure = Failure("NO_FINAL_ANSWER", "No final answer came in time.", self.step.name)
        self._end_wait(WaitEnd.DEADLINE)
        self._stick(failure, self.operation[2])

    def cancel(self) -> None:
        """Turn round: a cancel was requested, and the pivot has not decided yet."""
        self.fail(Failure("CANCELLED", "Cancelled on request.", self.step.name), ends_wait=WaitEnd.CANCEL)

    # ------------------------------------------------------------------ signals

    def lift_simulation(self) -> None:
        """End the injected failure of the present operation, on an operator's retry."""
        if self.simulation is not None:
            self.simulation = self.simulation.lifted(self.operation[0])

    def look_again(self) -> None:
        """Resume a parked saga where it stood, on an operator's retry: this release can read it."""
        assert self.parked_from is not None
        self._become(SagaStatus.RUNNING if self.parked_from is SagaStatus.PENDING else self.parked_from)
        self.attempted_since = None
        self.due_at = self.at if self.phase is Phase.READY else None
        self._emit(EventType.SAGA_RESUMED, "The saga is no longer parked.", step=None, actor=self.retry_by)

    def retry_now(self) -> None:
        """Make the next attempt due now, on an operator's request."""
        self.touched = True
        self.retry_requested_at = None
        if self.phase is Phase.CALLING or self.status.is_terminal or self.is_pausing:
            return
        self.lift_simulation()
        if self.attempt or self.unsent_since is not None:
            self.is_asked = True
            self.attempt_by = self.retry_by
        self.due_at = self.at

    # ------------------------------------------------------------------ within

    def _weigh(self, outcome: Refused | Unknown, *, proven: bool) -> None:
        """What the attempt proves about effects, and whether its idempotency key can be used again."""
        if isinstance(outcome, Unknown) or not proven:
            self.uncertain = True
            return
        if outcome.key_spent:
            self._spend_key()
        if self._is_forward and not self.uncertain and not outcome.keeps_effect:
            self.effects &= ~(1 << self.position)

    def _has_left(self) -> None:
        """A call has left, or the operation is over."""
        if self.unsent_since is not None:
            self.unsent_since = None
            self.wait_changed = True

    def _spend_key(self) -> None:
        """No request under the key had an effect, and none will have one: the next attempt has a new round."""
        self.round += 1
        self.uncertain = False

    @property
    def _is_forward(self) -> bool:
        return self.direction is Direction.FORWARD

    @property
    def must_succeed(self) -> bool:
        """Whether the operation is never given up: a compensation, or a step after the pivot."""
        return not self._is_forward or self.is_past_pivot

    @property
    def _is_out_of_time(self) -> bool:
        """Whether another try is useless, as the deadline has passed. The pin outlives the deadline."""
        if self.must_succeed or self.pinned_at is not None:
            return False
        return self.hold_expired_at is not None or (self.deadline_at is not None and self.deadline_at <= self.at)

    def _budget_is_spent(self, policy: RetryPolicy) -> bool:
        if self.attempted_since is None or self.attempted_since > self.at:
            # The clock was set back since: the budget begins again, or it would last until the clock has caught up.
            self.attempted_since = self.at
        return self.at - self.attempted_since >= policy.budget_seconds * SECOND

    def _count_attempt(self) -> bool:
        """Whether the attempt that has failed counts; else give its number back."""
        counts = not self.is_asked or self.attempt == 1
        if not counts:
            self.attempt -= 1
        self._end_asked()
        return counts

    def _end_asked(self) -> None:
        self.is_asked = False
        self.attempt_by = None

    def _retry(self, failure: Failure, policy: RetryPolicy, *, counts: bool) -> None:
        wait_seconds = policy.jittered_seconds(policy.backoff_seconds(self.attempt), self.draw())
        attempt = self.attempt if counts else None
        self._retry_at(self.at + round(wait_seconds * SECOND), failure, attempt=attempt)

    def _retry_at(self, due_at: int, failure: Failure, *, attempt: int | None = None) -> None:
        """Try again then, after this `attempt`; None: after a try that does not count."""
        self.due_at = due_at
        status = StepStatus.STUCK if self.status is SagaStatus.STUCK else StepStatus.RETRYING
        self._change(StepChange(status, self.attempt, next_attempt_at=due_at, failure=failure))
        self._emit(self._retrying, failure.message, attempt=attempt, failure=failure, facts=WaitFacts(due_at))

    @property
    def _retrying(self) -> EventType:
        return EventType.STEP_RETRYING if self._is_forward else EventType.COMPENSATION_RETRYING

    def _stick(self, failure: Failure, policy: RetryPolicy, *, counts: bool = True) -> None:
        """Become STUCK, which is announced once, or stay so."""
        is_new = self.status is not SagaStatus.STUCK
        if is_new:
            # The waits between retries double from here on.
            self.attempted_since = self.at
        if is_new or self.stuck_since is None:
            # A release before this column may have let it get stuck.
            self.stuck_since = self.at
            self.wait_changed = True
        due_at = self.at + round(self._stuck_seconds(policy) * SECOND)
        if not is_new:
            self._retry_at(due_at, failure, attempt=self.attempt if counts else None)
            return
        self.due_at = due_at
        self._become(SagaStatus.STUCK)
        self.got_stuck = True
        self._change(StepChange(StepStatus.STUCK, self.attempt, next_attempt_at=due_at, failure=failure))
        message = f"{self.operation[0]} keeps failing: {failure.message}"
        attempt = self.attempt or None
        self._emit(EventType.SAGA_STUCK, message, attempt=attempt, failure=failure, facts=WaitFacts(due_at))

    def _stuck_seconds(self, policy: RetryPolicy) -> float:
        """As long again as it is stuck already, within bounds: so the waits double."""
        if self.attempted_since is None or self.attempted_since > self.at:
            self.attempted_since = self.at
        stuck_seconds = (self.at - self.attempted_since) / SECOND
        return min(max(stuck_seconds, policy.stuck_seconds), policy.stuck_seconds_max)

    def _resume_if_stuck(self, by: Actor | None = None) -> None:
        if self.status is SagaStatus.STUCK:
            self._become(SagaStatus.RUNNING if self._is_forward else SagaStatus.COMPENSATING)
            self.stuck_since = None
            self.wait_changed = True
            self._emit(EventType.SAGA_RESUMED, f"{self.operation[0]} goes on.", actor=by)

    def _advance(self) -> None:
        """Move to the next operation, or end."""
        self._reset_operation()
        if self._is_forward:
            if self.position + 1 == len(self.definition.steps):
                return self._finish(
                    SagaStatus.ABANDONED if self.given_up else SagaStatus.COMPLETED,
                    "Ended with steps given up by an operator." if self.given_up else "Every step is done.",
                )
            self.position += 1
        else:
            if not self.effects:
                return self._finish(
                    SagaStatus.ABANDONED if self.given_up else SagaStatus.COMPENSATED,
                    "Ended with effects left behind by an operator's word."
                    if self.given_up
                    else "Every effect is undone.",
                )
            self.position = self.effects.bit_length() - 1
        return None

    def _compensate(self) -> None:
        """Turn round. A pin is cleared in this same transaction."""
        self._reset_operation()
        self._become(SagaStatus.COMPENSATING)
        self.direction = Direction.BACKWARD
        self.pinned_at = None
        self._forget()
        self.effects &= self.definition.undoable
        for position in range(self.effects.bit_length()):
            if self.effects >> position & 1:
                self.changes[position, Direction.BACKWARD] = StepChange(StepStatus.PENDING, 0)
        if not self.effects:
            return self._finish(SagaStatus.COMPENSATED, "Nothing was left to undo.")
        self.position = self.effects.bit_length() - 1
        return None

    def _reset_operation(self) -> None:
        self._has_left()
        self._end_asked()
        self._end_pause()
        self.attempt = 0
        self.round = 1
        self.uncertain = False
        self.attempted_since = None
        self.outcome = None
        self.phase = Phase.READY
        self.due_at = self.at

    def _finish(self, status: SagaStatus, message: str) -> None:
        self._become(status)
        self.due_at = None
        self.finished_at = self.at
        self._forget()
        kind = {
            SagaStatus.COMPLETED: EventType.SAGA_COMPLETED,
            SagaStatus.COMPENSATED: EventType.SAGA_COMPENSATED,
            SagaStatus.ABANDONED: EventType.SAGA_ABANDONED,
        }[status]
        self._emit(kind, message, failure=self.failure, step=None)

    def _forget(self) -> None:
        if self.definition.forget is not None:
            self.definition.forget(self.context)

    def _become(self, status: SagaStatus) -> None:
        if status not in SAGA_TRANSITIONS[self.status]:
            raise AssertionError(f"saga {self.correlation_id}: {self.status} does not lead to {status}")
        self.touched = True
        self.status = status

    def _change(self, change: StepChange) -> None:
        self.touched = True
        key = (self.position, self.direction)
        earlier = self.changes.get(key)
        if earlier is not None and change.started_at is None:
            change.started_at = earlier.started_at
        self.changes[key] = change

    def _emit(
        self,
        kind: EventType,
        message: str,
        *,
        attempt: int | None = None,
        failure: Failure | None = None,
        step: str | None = "",
        actor: Actor | None = None,
        facts: Facts | None = None,
    ) -> None:
        self.touched = True
        self.sequence += 1
        of_step = self.step.name if step == "" else step
        compensation = None
        if of_step is not None and not self._is_forward and self.step.compensation is not None:
            compensation = self.step.compensation.name
        self.events.append(
            SagaEvent(
                self.id,
                self.correlation_id,
                self.sequence,
                kind,
                of_step,
                compensation,
                attempt,
                message,
                failure,
                self.at,
                actor,
                facts,
            )
        )
