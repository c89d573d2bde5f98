"""A saga within one transaction: its row, and the three ways to change it.

Everything that the machine does to a saga ends in `become` (its status), `change` (a half of a `saga_steps` row) or
`emit` (an event, whose number follows the sequence of the locked row).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import msgspec

from domain.actors import Actor
from domain.events import EventType, Failure, SagaEvent
from domain.facts import Facts
from domain.outcome import Answer
from domain.saga.definition import Operation, RetryPolicy, SagaDefinition, Simulation, Step, Wait
from domain.saga.states import SAGA_TRANSITIONS, Direction, Phase, SagaStatus, StepStatus, WaitEnd

__all__ = ["Row", "StepChange"]


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
class Row:
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

    @property
    def step(self) -> Step:
        """The step at the present position."""
        return self.definition.steps[self.position]

    @property
    def operation(self) -> tuple[str, Operation, RetryPolicy]:
        """Name, operation and policy of the saga's present step or compensation."""
        return self.definition.operation(self.position, self.direction)

    @property
    def is_forward(self) -> bool:
        """Whether the present operation is a step, and not a compensation."""
        return self.direction is Direction.FORWARD

    @property
    def is_past_pivot(self) -> bool:
        """Whether the saga only goes forward from here."""
        return self.direction is Direction.FORWARD and self.position > self.definition.pivot_index

    @property
    def must_succeed(self) -> bool:
        """Whether the operation is never given up: a compensation, or a step after the pivot."""
        return not self.is_forward or self.is_past_pivot

    @property
    def is_pausing(self) -> bool:
        """Whether the present attempt has begun, and its work has not."""
        return self.simulation is not None and self.simulation.pausing

    @property
    def is_looking(self) -> bool:
        """Whether the next, or the present, call only looks whether the wait is over."""
        return self.wait is not None and (self.word is None or self.phase is Phase.CALLING)

    def become(self, status: SagaStatus) -> None:
        """Change the status, along SAGA_TRANSITIONS only."""
        if status not in SAGA_TRANSITIONS[self.status]:
            raise AssertionError(f"saga {self.correlation_id}: {self.status} does not lead to {status}")
        self.touched = True
        self.status = status

    def change(self, change: StepChange) -> None:
        """Note the new values of the present operation; those of an earlier change in this turn are replaced."""
        self.touched = True
        key = (self.position, self.direction)
        earlier = self.changes.get(key)
        if earlier is not None and change.started_at is None:
            change.started_at = earlier.started_at
        self.changes[key] = change

    def emit(
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
        """Append an event; `step`: the present one, if none is given."""
        self.touched = True
        self.sequence += 1
        of_step = self.step.name if step == "" else step
        compensation = None
        if of_step is not None and not self.is_forward and self.step.compensation is not None:
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
