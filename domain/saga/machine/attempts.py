"""Attempts: begin one, let its call leave, and settle what came of it; and the signals that make one begin."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.clock import SECOND
from domain.events import EventType, Failure
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga.definition import Member, RetryPolicy
from domain.saga.machine.line import Line
from domain.saga.machine.row import StepChange
from domain.saga.states import Phase, SagaStatus, StepStatus, WaitEnd

__all__ = ["Run"]


class Run(Line):
    """A saga within a turn: everything that can happen to it."""

    __slots__ = ()

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
                attempt = self.attempts_before_word + 1
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

    def start_attempt(self) -> None:
        """Begin an attempt: write STARTED, its number and its key's round, in the transaction before any call.

        An attempt that pauses has begun already: its work begins.
        """
        if self.is_pausing:
            self.end_pause()
        else:
            self._tell_of_attempt()
        self._begin_budget()

    def _tell_of_attempt(self) -> None:
        if self.status is SagaStatus.PENDING:
            self.become(SagaStatus.RUNNING)
        if self.wait is not None:
            self.attempt = self.attempts_before_word
            self.go_on()
        self.attempt += 1
        name = self.operation[0]
        self.change(StepChange(StepStatus.EXECUTING, self.attempt, started_at=self.at))
        kind = EventType.STEP_STARTED if self.is_forward else EventType.COMPENSATION_STARTED
        suffix = f", attempt {self.attempt}" if self.attempt > 1 else ""
        self.emit(kind, f"{name} started{suffix}.", attempt=self.attempt, actor=self.attempt_by)

    def _begin_budget(self) -> None:
        """Count the budget from the first attempt; the time in which no call left does not count."""
        if self.attempted_since is None:
            self.attempted_since = self.at
        elif self.unsent_since is not None:
            self.attempted_since += max(0, self.at - max(self.unsent_since, self.attempted_since))

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
        self.due_at = self.sooner(self.at + self.simulation.delay_ms * 1_000)

    def start_call(self) -> None:
        """Let the call leave once this commits; from then on it may have had its effect."""
        self.touched = True
        self.phase = Phase.CALLING
        self.due_at = None
        if self.is_forward:
            self.effects |= 1 << self.position

    def pin(self) -> None:
        """Pin: from this commit on, neither cancel nor expiry decides; only the provider's answer does."""
        self.pinned_at = self.at

    def complete(self, outcome: Succeeded) -> None:
        """The operation took effect."""
        summary = outcome.sentence
        message = summary or "Done."
        self.go_on(self.attempt_by)
        self.change(StepChange(StepStatus.COMPLETED, self.attempt, finished_at=self.at, summary=summary))
        if self.is_forward:
            self.effects |= 1 << self.position
            self.emit(EventType.STEP_COMPLETED, message, attempt=self.attempt or None, facts=outcome.facts)
            if self.position == self.definition.pivot_index:
                self.pinned_at = self.pinned_at or self.at
        else:
            self.effects &= ~(1 << self.position)
            self.emit(EventType.COMPENSATION_COMPLETED, message, attempt=self.attempt, facts=outcome.facts)
        self.advance()

    def skip(self, summary: str, *, given_up: bool = False) -> None:
        """Skip the operation: it is not needed, or an operator gives it up (`given_up`) and its effect stays."""
        name = self.operation[0]
        by = self.skip_by if given_up else None
        self.go_on(by)
        self.given_up = self.given_up or given_up
        self.change(StepChange(StepStatus.SKIPPED, self.attempt, finished_at=self.at, summary=summary))
        kind = EventType.STEP_SKIPPED if self.is_forward else EventType.COMPENSATION_SKIPPED
        self.emit(kind, f"{name} skipped: {summary}", attempt=self.attempt or None, actor=by)
        self.effects &= ~(1 << self.position)
        self.advance()

    def fall_short(
        self, outcome: Refused | Unknown, *, proven: bool, is_fault: bool = False, is_interrupted: bool = False
    ) -> None:
        """End an attempt without success: try again, give up, or become STUCK.

        `proven`: this attempt had no effect. If the answer of an earlier attempt under the same key was
        lost, that one may still have had its effect; then the possible effect is still to be undone. An operator's try
        does not count: its number is given back, and it ends no budget. `is_fault`: it is a fault of ours, which will
        not pass by itself. `is_interrupted`: its process has ended. The time until another one took the saga over may
        have used up the budget, so the call is made again, unless its time is up by the deadline too.
        """
        _, _, policy = self.operation
        failure = Failure(outcome.code, outcome.message, self.step.name)
        if self.wait is not None:
            self._settle_look(outcome, failure, policy)
            return
        self.phase = Phase.READY
        self.outcome = None
        self.has_left()
        self._weigh(outcome, proven=proven)
        counts = self._count_attempt()
        is_final = isinstance(outcome, Refused) and not outcome.passing
        # What is refused for good together with its key would be asked for anew: that waits for the slow retry.
        is_over = isinstance(outcome, Refused) and is_final and outcome.key_spent
        is_hopeless = is_over or ((is_final or is_fault) and self.attempt >= policy.refusals_max)
        is_out_of_budget = self._budget_is_spent(policy) and (self.is_time_up or not is_interrupted)
        is_spent = counts and (is_hopeless or is_out_of_budget)
        if self.must_succeed:
            if self.status is SagaStatus.STUCK or is_spent:
                self.stick(failure, policy, counts=counts)
            else:
                self.retry(failure, policy, counts=counts)
        elif isinstance(outcome, Refused) and is_final:
            self.fail(failure, outcome.facts)
        elif self.is_out_of_time:
            self.expire()
        elif is_spent:
            self.fail(failure)
        else:
            self.retry(failure, policy, counts=counts)

    def _settle_look(self, outcome: Refused | Unknown, failure: Failure, policy: RetryPolicy) -> None:
        """End the wait if the answer is final. A lost or passing answer of a look changes nothing."""
        if isinstance(outcome, Unknown) or outcome.passing:
            self.look_later()
            return
        self.phase = Phase.READY
        self.outcome = None
        if self.must_succeed:
            self.go_on()
            if outcome.key_spent:
                self.spend_key()
            self.stick(failure, policy)
        else:
            self.fail(failure, outcome.facts, ends_wait=WaitEnd.LOOK)

    def _weigh(self, outcome: Refused | Unknown, *, proven: bool) -> None:
        """What the attempt proves about effects, and whether its idempotency key can be used again."""
        if isinstance(outcome, Unknown) or not proven:
            self.uncertain = True
            return
        if outcome.key_spent:
            self.spend_key()
        if self.is_forward and not self.uncertain and not outcome.keeps_effect:
            self.effects &= ~(1 << self.position)

    def _count_attempt(self) -> bool:
        """Whether the attempt that has failed counts; else give its number back."""
        counts = not self.is_asked or self.attempt == 1
        if not counts:
            self.attempt -= 1
        self.end_asked()
        return counts

    def _budget_is_spent(self, policy: RetryPolicy) -> bool:
        if self.attempted_since is None or self.attempted_since > self.at:
            # The clock was set back since: the budget begins again, or it would last until the clock has caught up.
            self.attempted_since = self.at
        return self.at - self.attempted_since >= policy.budget_seconds * SECOND

    def call_again(self) -> None:
        """Call once more in the same attempt, as a result is now durable."""
        self.has_left()
        self.outcome = None
        self.start_call()

    def come_back(self) -> None:
        """Look at the saga again soon: rows were locked by another transaction, and nothing has happened."""
        self.busy = True

    def lift_simulation(self) -> None:
        """End the injected failure of the present operation, on an operator's retry."""
        if self.simulation is not None:
            self.simulation = self.simulation.lifted(self.operation[0])

    def look_again(self) -> None:
        """Resume a parked saga where it stood, on an operator's retry: this release can read it."""
        assert self.parked_from is not None
        self.become(SagaStatus.RUNNING if self.parked_from is SagaStatus.PENDING else self.parked_from)
        self.attempted_since = None
        self.due_at = self.at if self.phase is Phase.READY else None
        self.emit(EventType.SAGA_RESUMED, "The saga is no longer parked.", step=None, actor=self.retry_by)

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
