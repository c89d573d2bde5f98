"""Where a saga goes when an operation is over: on to the next one, round to undo, or to its end."""

from __future__ import annotations

import msgspec

from domain.actors import Actor
from domain.clock import SECOND
from domain.events import EventType, Failure
from domain.facts import WaitFacts
from domain.saga.definition import RetryPolicy
from domain.saga.machine.row import Row, StepChange
from domain.saga.states import Direction, Phase, SagaStatus, StepStatus

__all__ = ["Course"]


class Course(Row):
    """The ways from one operation to the next, and to STUCK and back."""

    __slots__ = ()

    def advance(self) -> None:
        """Move to the next operation, or end."""
        self._reset_operation()
        if self.is_forward:
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

    def compensate(self) -> None:
        """Turn round. A pin is cleared in this same transaction."""
        self._reset_operation()
        self.become(SagaStatus.COMPENSATING)
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

    def _finish(self, status: SagaStatus, message: str) -> None:
        self.become(status)
        self.due_at = None
        self.finished_at = self.at
        self._forget()
        kind = {
            SagaStatus.COMPLETED: EventType.SAGA_COMPLETED,
            SagaStatus.COMPENSATED: EventType.SAGA_COMPENSATED,
            SagaStatus.ABANDONED: EventType.SAGA_ABANDONED,
        }[status]
        self.emit(kind, message, failure=self.failure, step=None)

    def _forget(self) -> None:
        if self.definition.forget is not None:
            self.definition.forget(self.context)

    def _reset_operation(self) -> None:
        self.has_left()
        self.end_asked()
        self.end_pause()
        self.attempt = 0
        self.round = 1
        self.uncertain = False
        self.attempted_since = None
        self.outcome = None
        self.phase = Phase.READY
        self.due_at = self.at

    def has_left(self) -> None:
        """A call has left, or the operation is over."""
        if self.unsent_since is not None:
            self.unsent_since = None
            self.wait_changed = True

    def spend_key(self) -> None:
        """No request under the key had an effect, and none will have one: the next attempt has a new round."""
        self.round += 1
        self.uncertain = False

    def end_asked(self) -> None:
        """The attempt that an operator asked for is over."""
        self.is_asked = False
        self.attempt_by = None

    def end_pause(self) -> None:
        """The work of an attempt that paused begins, or never will."""
        if self.simulation is not None and self.simulation.pausing:
            self.simulation = msgspec.structs.replace(self.simulation, pausing=False)
            self.touched = True

    def retry(self, failure: Failure, policy: RetryPolicy, *, counts: bool) -> None:
        wait_seconds = policy.jittered_seconds(policy.backoff_seconds(self.attempt), self.draw())
        attempt = self.attempt if counts else None
        self.retry_at(self.at + round(wait_seconds * SECOND), failure, attempt=attempt)

    def retry_at(self, due_at: int, failure: Failure, *, attempt: int | None = None) -> None:
        """Try again then, after this `attempt`; None: after a try that does not count."""
        self.due_at = due_at
        status = StepStatus.STUCK if self.status is SagaStatus.STUCK else StepStatus.RETRYING
        self.change(StepChange(status, self.attempt, next_attempt_at=due_at, failure=failure))
        self.emit(self._retrying, failure.message, attempt=attempt, failure=failure, facts=WaitFacts(due_at))

    @property
    def _retrying(self) -> EventType:
        return EventType.STEP_RETRYING if self.is_forward else EventType.COMPENSATION_RETRYING

    def stick(self, failure: Failure, policy: RetryPolicy, *, counts: bool = True) -> None:
        """Become STUCK, which is announced once, or stay so."""
        is_new = self.status is not SagaStatus.STUCK
        if is_new:
            # The waits between retries double from here on.
            self.attempted_since = self.at
        if is_new or self.stuck_since is None:
            # A release before this column may have let it get stuck.
            self.stuck_since = self.at
            self.wait_changed = True
        due_at = self.at + round(self.stuck_seconds(policy) * SECOND)
        if not is_new:
            self.retry_at(due_at, failure, attempt=self.attempt if counts else None)
            return
        self.due_at = due_at
        self.become(SagaStatus.STUCK)
        self.got_stuck = True
        self.change(StepChange(StepStatus.STUCK, self.attempt, next_attempt_at=due_at, failure=failure))
        message = f"{self.operation[0]} keeps failing: {failure.message}"
        attempt = self.attempt or None
        self.emit(EventType.SAGA_STUCK, message, attempt=attempt, failure=failure, facts=WaitFacts(due_at))

    def stuck_seconds(self, policy: RetryPolicy) -> float:
        """As long again as it is stuck already, within bounds: so the waits double."""
        if self.attempted_since is None or self.attempted_since > self.at:
            self.attempted_since = self.at
        stuck_seconds = (self.at - self.attempted_since) / SECOND
        return min(max(stuck_seconds, policy.stuck_seconds), policy.stuck_seconds_max)

    def resume_if_stuck(self, by: Actor | None = None) -> None:
        if self.status is SagaStatus.STUCK:
            self.become(SagaStatus.RUNNING if self.is_forward else SagaStatus.COMPENSATING)
            self.stuck_since = None
            self.wait_changed = True
            self.emit(EventType.SAGA_RESUMED, f"{self.operation[0]} goes on.", actor=by)
