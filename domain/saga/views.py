"""A saga as its readers see it: complete, as of one moment."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from domain.events import Failure
from domain.saga.states import SagaStatus, StepStatus

__all__ = ["Awaiting", "SagaView", "StepQueue", "StepView", "UndoView"]


class UndoView(msgspec.Struct, frozen=True):
    """The state of a step's compensation. Times in microseconds since the epoch."""

    name: str
    status: StepStatus
    attempt: int
    next_attempt_at: int | None
    started_at: int | None
    finished_at: int | None
    summary: str | None
    failure: Failure | None


class StepView(msgspec.Struct, frozen=True):
    """A step's action and its compensation. `undo` is None until the step is to be undone."""

    saga_id: str
    index: int
    name: str
    status: StepStatus
    attempt: int
    next_attempt_at: int | None
    started_at: int | None
    finished_at: int | None
    summary: str | None
    failure: Failure | None
    compensation: str | None
    undo: UndoView | None


@dataclass(frozen=True, slots=True)
class StepQueue:
    """The names of operations that wait, run, are done and failed, and of those to be undone, last in, first out."""

    pending: tuple[str, ...]
    executing: str | None
    completed: tuple[str, ...]
    failed: tuple[str, ...]
    compensations: tuple[str, ...]
    compensating: str | None
    compensated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Awaiting:
    """What a WAITING saga waits for, from `since` to `until` (microseconds), and why the last try failed, if any did.

    `step` is the name of the step that waits.
    """

    wants: str
    since: int
    until: int
    step: str
    failure: Failure | None


class SagaView(msgspec.Struct, frozen=True):
    """A saga with its steps and its newest event's `sequence`, read in one transaction.

    `context` is the definition's struct as JSON text; `subject` started it.
    """

    id: str
    correlation_id: str
    definition: str
    version: int
    subject: str
    status: SagaStatus
    context: str
    failure: Failure | None
    sequence: int
    started_at: int
    finished_at: int | None
    steps: tuple[StepView, ...]
    parked: Failure | None = None
    """Why it is PARKED, if it is."""
    awaiting: Awaiting | None = None
    """What it waits for, if it is WAITING. A saga is RUNNING if a word, cancel or expiry is still to be obeyed."""
    stuck_since: int | None = None
    """When it got stuck since its last progress, if it is STUCK."""
    is_settled: bool = False
    """Whether it is ABANDONED and an operator has recorded how that was settled."""

    @property
    def queue(self) -> StepQueue:
        """The saga's queue as it stands.

        To be undone are the compensations already decided on, or, while the saga goes forward, those of
        the completed steps; in the order in which they will run.
        """
        forward = self.failure is None and self.status in _FORWARD
        undoing = not forward
        executing = next((s.name for s in self.steps if s.status in _UNDER_WAY and not self.status.is_terminal), None)
        backwards = self.steps[::-1]
        undos = [step.undo for step in backwards if step.undo is not None]
        if any(step.undo for step in self.steps):
            to_come = tuple(undo.name for undo in undos if undo.status is StepStatus.PENDING)
        elif forward:
            to_come = tuple(
                step.compensation for step in backwards if step.compensation and step.status is StepStatus.COMPLETED
            )
        else:
            to_come = ()
        running = next((undo.name for undo in undos if undo.status in _UNDER_WAY), None)
        return StepQueue(
            pending=tuple(s.name for s in self.steps if s.status is StepStatus.PENDING) if not self._is_over else (),
            executing=executing,
            completed=tuple(s.name for s in self.steps if s.status is StepStatus.COMPLETED),
            failed=tuple(s.name for s in self.steps if s.status is StepStatus.FAILED),
            compensations=to_come,
            compensating=running if undoing else None,
            compensated=tuple(undo.name for undo in undos if undo.status is StepStatus.COMPLETED),
        )

    @property
    def _is_over(self) -> bool:
        """Whether the steps that have not begun never will."""
        return self.failure is not None or self.status.is_terminal


_FORWARD = frozenset({SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.WAITING, SagaStatus.PARKED})
_UNDER_WAY = frozenset({StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.WAITING, StepStatus.STUCK})
