"""When the next call may leave: due times, the line for a place at a gate, and calls that did not leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.actors import Actor
from domain.clock import SECOND
from domain.events import Failure
from domain.gate import Lane
from domain.outcome import NotSent
from domain.saga.definition import Remote
from domain.saga.machine.waits import Waits
from domain.saga.states import Phase, SagaStatus

__all__ = ["AFTER_SECONDS_MAX", "LINE_SECONDS_MAX", "Footing", "Line"]

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


class Line(Waits):
    """How long a saga rests before its next call, and when it turns round because no call can leave."""

    __slots__ = ()

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
        if self.wait is None and self.is_time_up:
            self.expire()
            return False
        if self.wait is None and self.attempt and self.unsent_since is None:
            self.unsent_since = self.at
            self.wait_changed = True
        # Sagas that came together do not look together.
        seconds = LINE_SECONDS_MAX * (1 + self.draw()) / 2
        due_at = self.sooner(self.at + round(seconds * SECOND))
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
    def footing(self) -> Footing:
        """What the saga stands on now, before its call."""
        return Footing(self.effects, self.pinned_at, self.attempted_since, self.is_asked, self.attempt_by)

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
        self.end_asked()
        self.phase = Phase.READY
        self.effects, self.pinned_at, self.attempted_since = before.effects, before.pinned_at, before.attempted_since
        if self.unsent_since is None:
            self.unsent_since = self.at
            self.wait_changed = True
        failure = Failure(outcome.code, outcome.message, self.step.name)
        if self.is_time_up:
            self.expire()
            return
        _, _, policy = self.operation
        unsent_seconds = (self.at - self.unsent_since) / SECOND
        if self.must_succeed and self.status is not SagaStatus.STUCK and unsent_seconds >= policy.budget_seconds:
            self.stick(failure, policy)
            return
        wait_seconds = policy.jittered_seconds(unsent_seconds, self.draw())
        if outcome.after_seconds is not None:
            wait_seconds += min(max(outcome.after_seconds, 0), AFTER_SECONDS_MAX)
        if self.status is SagaStatus.STUCK:
            wait_seconds = min(max(wait_seconds, self.stuck_seconds(policy)), policy.stuck_seconds_max)
        self.retry_at(self.sooner(self.at + round(wait_seconds * SECOND)), failure)

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
    def is_time_up(self) -> bool:
        turns_round_at = self._turns_round_at
        return self.is_out_of_time or (turns_round_at is not None and turns_round_at <= self.at)

    @property
    def is_out_of_time(self) -> bool:
        """Whether another try is useless, as the deadline has passed. The pin outlives the deadline."""
        if self.must_succeed or self.pinned_at is not None:
            return False
        return self.hold_expired_at is not None or (self.deadline_at is not None and self.deadline_at <= self.at)

    def sooner(self, due_at: int) -> int:
        """Then, but no later than the saga must turn round."""
        turns_round_at = self._turns_round_at
        return due_at if turns_round_at is None else max(self.at + 1, min(due_at, turns_round_at))
