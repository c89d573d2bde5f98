"""The saga's row, and how a turn moves it: `domain.saga.machine` without its events, as values.

The shape is RESERVE (local), AUTHORIZE (remote), CONFIRM (remote, pins, the pivot), each with a
compensation. Left out are budgets in seconds (attempts alone give up here) and an operator's
skip. How long a backoff takes is left open: a turn may find it over at any time.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from domain.saga import SAGA_TRANSITIONS, Direction, Phase, SagaStatus
from tests.model.flaws import Flaw

__all__ = ["ATTEMPTS_MAX", "HOLD_TICKS", "STEP_BUDGET_TICKS", "WAIT_TICKS", "Footing", "Outcome", "Row", "Step"]

ATTEMPTS_MAX: Final = 2
HOLD_TICKS: Final = 2
"""The hold lapses at this instant: the clock begins with it, as nothing else is judged by time."""
STEP_BUDGET_TICKS: Final = 2
"""What a step is given; begun later than at the first instant, it might outlast the hold."""
WAIT_TICKS: Final = 1
"""The deadline of the wait for a card: no step that began then could end within the hold."""


class Step(IntEnum):
    """A step by its position."""

    RESERVE = 0
    AUTHORIZE = 1
    CONFIRM = 2


class Outcome(StrEnum):
    """What an attempt came to."""

    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    """Proven without effect, and for good."""
    KEY_SPENT = "KEY_SPENT"
    """A passing refusal, proven for everything ever sent under the key: the next attempt needs a new round."""
    UNKNOWN = "UNKNOWN"
    """The answer was lost, or its caller."""
    NOT_SENT = "NOT_SENT"
    """The request did not leave, nor did any other of its call that could have an effect: this is no attempt."""


class Footing(NamedTuple):
    """What a saga stood on before its call (`machine.Footing`)."""

    attempt: int
    effects: int
    pinned_at: int | None


class Row(NamedTuple):
    """The columns of `sagas` that decide. `effects` has bit i set where step i may have had one."""

    status: SagaStatus = SagaStatus.PENDING
    direction: Direction = Direction.FORWARD
    phase: Phase = Phase.READY
    position: int = Step.RESERVE
    attempt: int = 0
    round: int = 1
    uncertain: bool = False
    effects: int = 0
    pinned_at: int | None = None
    cancel_requested: bool = False
    hold_expired: bool = False
    retry_requested: bool = False
    word: int = 0
    """The card that was said and is not obeyed yet; 0 if there is none."""
    card: int = 0
    """The card that is tried."""
    is_due: bool = True
    """Whether the row itself says when to look at the saga again; only a flawed protocol leaves that to memory."""
    owner: str | None = None
    """None where it is a process that has ended: its lease lapses for good."""
    epoch: int = 1

    @property
    def is_forward(self) -> bool:
        """Whether the saga still goes from step to step."""
        return self.direction is Direction.FORWARD

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to the saga any more."""
        return self.status in _TERMINAL

    @property
    def operation(self) -> str:
        """What the saga stands before, for a person."""
        name = _NAMES[self.position]
        return name if self.is_forward else f"the undoing of {name}"

    # ------------------------------------------------------------------ attempts

    def start_attempt(self) -> Row:
        """An attempt begins. Numbers beyond the last that decides are all the same."""
        row = self.become(SagaStatus.RUNNING) if self.status is SagaStatus.PENDING else self
        if row.status is SagaStatus.WAITING:
            row = row.become(SagaStatus.RUNNING)._replace(attempt=0, card=row.word, word=0)
        return row._replace(attempt=min(row.attempt + 1, ATTEMPTS_MAX + 1))

    def start_call(self) -> Row:
        """The call may leave once this commits; from here on it may have had its effect."""
        effects = self.effects | self._bit if self.is_forward else self.effects
        return self._replace(phase=Phase.CALLING, effects=effects)

    def complete(self, now: int) -> Row:
        """The operation took effect: stand before what comes next, or end."""
        row = self.resume_if_stuck()
        if not row.is_forward:
            return row._replace(effects=row.effects & ~row._bit)._go_back_or_end()
        row = row._replace(effects=row.effects | row._bit)
        if row.position == Step.CONFIRM:
            pinned_at = now if row.pinned_at is None else row.pinned_at
            return row._replace(pinned_at=pinned_at)._reset().become(SagaStatus.COMPLETED)
        return row._replace(position=row.position + 1)._reset()

    def fall_short(self, outcome: Outcome, now: int, *, proven: bool, flaw: Flaw | None = None) -> Row:
        """The attempt did not succeed: try again, turn round, or get stuck."""
        row = self._replace(phase=Phase.READY)._weigh(outcome, proven=proven, flaw=flaw)
        spent = row.attempt >= ATTEMPTS_MAX
        if not row.is_forward:
            return row.become(SagaStatus.STUCK) if spent and row.status is not SagaStatus.STUCK else row
        if outcome is Outcome.REFUSED:
            return row.turn_round(flaw)
        if row.pinned_at is None and (row.hold_expired or now >= HOLD_TICKS):
            return row._replace(hold_expired=True).turn_round(flaw)
        return row.turn_round(flaw) if spent else row

    @property
    def footing(self) -> Footing:
        """What the saga stands on now, before its call. After a wait, attempts are counted anew."""
        attempt = 0 if self.status is SagaStatus.WAITING else self.attempt
        return Footing(attempt, self.effects, self.pinned_at)

    def not_sent(self, before: Footing, now: int, *, pin_is_late: bool = False, flaw: Flaw | None = None) -> Row:
        """The call did not leave: stand as `before` it, or turn round as the time is up.

        `pin_is_late`: the time is up even for what an earlier attempt has pinned.
        """
        row = self._replace(phase=Phase.READY, attempt=before.attempt, effects=before.effects)
        if flaw is Flaw.UNSENT_COUNTS:
            row = row._replace(attempt=self.attempt)
            if row.attempt >= ATTEMPTS_MAX and row.status is not SagaStatus.STUCK:
                return row.turn_round(flaw) if row.is_forward else row.become(SagaStatus.STUCK)
        if flaw is Flaw.UNSENT_CLEARS_DOUBT:
            row = row._replace(effects=row.effects & ~row._bit)
        if flaw is not Flaw.UNSENT_KEEPS_PIN:
            row = row._replace(pinned_at=before.pinned_at)
        if not row.is_forward or flaw is Flaw.UNSENT_FOR_EVER:
            return row
        if row.pinned_at is not None:
            is_up = pin_is_late
        else:
            latest = HOLD_TICKS if row.position == Step.CONFIRM else HOLD_TICKS - STEP_BUDGET_TICKS + 1
            is_up = row.hold_expired or now >= latest
        return row._replace(hold_expired=True).turn_round(flaw) if is_up else row

    def begin_wait(self, *, round_spent: bool) -> Row:
        """Wait for a card; `round_spent`: the one before is proven without effect."""
        row = self.become(SagaStatus.WAITING)._replace(phase=Phase.READY, word=0, card=0)
        if round_spent:
            row = row._replace(round=row.round + 1, uncertain=False, effects=row.effects & ~row._bit)
        return row

    def turn_round(self, flaw: Flaw | None = None) -> Row:
        """Undo what was done, last first. The pin, if any, is cleared in the same transaction."""
        effects = self.effects
        if flaw is Flaw.UNKNOWN_IS_FAILED:
            effects &= ~self._bit
        row = self.become(SagaStatus.COMPENSATING)
        row = row._replace(direction=Direction.BACKWARD, pinned_at=None, effects=effects, word=0)
        return row._go_back_or_end()

    def resume_if_stuck(self) -> Row:
        """A stuck saga that goes on is what it was before."""
        if self.status is not SagaStatus.STUCK:
            return self
        return self.become(SagaStatus.RUNNING if self.is_forward else SagaStatus.COMPENSATING)

    def become(self, status: SagaStatus) -> Row:
        """Change the status, along the product's own table."""
        assert status in SAGA_TRANSITIONS[self.status], f"{self.status} does not lead to {status}"
        return self._replace(status=status)

    # ------------------------------------------------------------------ within

    @property
    def _bit(self) -> int:
        return 1 << self.position

    def _weigh(self, outcome: Outcome, *, proven: bool, flaw: Flaw | None) -> Row:
        """What the attempt proves about effects, and whether its idempotency key can be used again."""
        row = self
        if outcome is Outcome.UNKNOWN and flaw is Flaw.ROUND_RAISED_UNPROVEN:
            row, outcome, proven = row._replace(round=row.round + 1, uncertain=False), Outcome.REFUSED, True
        if outcome is Outcome.UNKNOWN or not proven:
            return row._replace(uncertain=True)
        if outcome is Outcome.KEY_SPENT and flaw is not Flaw.ROUND_NEVER_RAISED:
            row = row._replace(round=row.round + 1, uncertain=False)
        if row.is_forward and not row.uncertain:
            row = row._replace(effects=row.effects & ~row._bit)
        return row

    def _go_back_or_end(self) -> Row:
        row = self._reset()
        if not row.effects:
            return row.become(SagaStatus.COMPENSATED)
        return row._replace(position=row.effects.bit_length() - 1)

    def _reset(self) -> Row:
        return self._replace(phase=Phase.READY, attempt=0, round=1, uncertain=False)


_TERMINAL: Final = frozenset(status for status in SagaStatus if status.is_terminal)
_NAMES: Final = tuple(step.name for step in Step)
