"""A saga that waits: it begins, is looked at, and ends by a word, a look, its deadline or a signal."""

from __future__ import annotations

from domain.actors import Actor
from domain.clock import SECOND
from domain.events import EventType, Failure
from domain.facts import Facts, WaitFacts
from domain.saga.definition import Wait, Waiting
from domain.saga.machine.course import Course
from domain.saga.machine.row import StepChange
from domain.saga.states import Phase, SagaStatus, StepStatus, WaitEnd

__all__ = ["Waits"]


class Waits(Course):
    """What begins and ends a wait. Giving up the present step for good also ends its wait."""

    __slots__ = ()

    @property
    def is_wait_over(self) -> bool:
        """Whether the wait's deadline has passed without a word."""
        return self.wait is not None and self.word is None and self.wait.until <= self.at

    def begin_wait(self, verdict: Waiting) -> None:
        """Wait for a word, or until the deadline. A look that finds nothing new only sets the next look."""
        look_at = verdict.until if verdict.look_at is None else verdict.look_at
        has_looked = self.is_looking
        self._end_look()
        self.end_pause()
        if self.wait is not None and has_looked:
            if self.wait.wants == verdict.wants:
                self._look_again_at(look_at)
                return
            self._end_wait(WaitEnd.LOOK)
        elif self.wait is not None:
            # The word was no answer; the attempt that it began has not left.
            self._end_wait(WaitEnd.WORD)
        if self.status is SagaStatus.PENDING:
            self.become(SagaStatus.RUNNING)
        self.resume_if_stuck()
        if not self.must_succeed and self.status is not SagaStatus.WAITING:
            self.become(SagaStatus.WAITING)
        if verdict.round_spent:
            self.spend_key()
            if self.is_forward and not verdict.keeps_effect:
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
        self.change(StepChange(StepStatus.WAITING, self.attempt, started_at=self.at, summary=summary, failure=failure))
        self.emit(
            EventType.STEP_WAITING if self.is_forward else EventType.COMPENSATION_WAITING,
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

    def go_on(self, by: Actor | None = None) -> None:
        """Resume a saga that is stuck or waits, as what ends that has come."""
        if self.wait is not None:
            looked = self.is_looking
            self._end_wait(WaitEnd.LOOK if looked else WaitEnd.WORD)
            if looked and self.is_forward:
                self.emit(EventType.STEP_RESUMED, f"{self.operation[0]} goes on.")
            if self.status is SagaStatus.WAITING:
                self.become(SagaStatus.RUNNING)
        self.resume_if_stuck(by)

    @property
    def attempts_before_word(self) -> int:
        """A step's attempts are counted anew after each wait; a compensation has no event that says so."""
        return 0 if self.is_forward else self.attempt

    def overrun_wait(self) -> None:
        """Become STUCK: what must succeed had no final answer before the deadline of its wait."""
        failure = Failure("NO_FINAL_ANSWER", "No final answer came in time.", self.step.name)
        self._end_wait(WaitEnd.DEADLINE)
        self.stick(failure, self.operation[2])

    def fail(self, failure: Failure, facts: Facts | None = None, *, ends_wait: WaitEnd | None = None) -> None:
        """Fail the present step for good: stop, and undo the completed steps, last first."""
        has_begun = self.attempt > 0 or self.unsent_since is not None or self.wait is not None
        if self.wait is not None:
            assert ends_wait is not None
            self._end_wait(ends_wait)
        if has_begun:
            attempt = self.attempt or None
            self.change(StepChange(StepStatus.FAILED, self.attempt, finished_at=self.at, failure=failure))
            self.emit(EventType.STEP_FAILED, failure.message, attempt=attempt, failure=failure, facts=facts)
        self.failure = failure
        self.compensate()

    def expire(self) -> None:
        """Turn round: the deadline has passed, or will pass before the next step can finish."""
        expired = self.definition.expired
        failure = Failure(expired.code, expired.message, self.step.name)
        if self.hold_expired_at is None:
            self.hold_expired_at = self.at
            self.emit(EventType.HOLD_EXPIRED, failure.message, failure=failure)
        self.fail(failure, ends_wait=WaitEnd.DEADLINE)

    def cancel(self) -> None:
        """Turn round: a cancel was requested, and the pivot has not decided yet."""
        self.fail(Failure("CANCELLED", "Cancelled on request.", self.step.name), ends_wait=WaitEnd.CANCEL)
