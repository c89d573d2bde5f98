"""The states of a saga and of its steps, and the allowed transitions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["SAGA_TRANSITIONS", "STEP_TRANSITIONS", "Direction", "Phase", "SagaStatus", "StepStatus", "WaitEnd"]


class SagaStatus(StrEnum):
    """The state of a saga."""

    PENDING = "PENDING"
    """Durably accepted, no step begun."""
    RUNNING = "RUNNING"
    """Going forward."""
    WAITING = "WAITING"
    """The present step waits for the customer: a word ends the wait, and else its deadline undoes the saga."""
    COMPENSATING = "COMPENSATING"
    """Undoing the steps that had an effect, last first."""
    COMPLETED = "COMPLETED"
    """Every step done. Terminal."""
    COMPENSATED = "COMPENSATED"
    """Failed, and every effect undone. Terminal."""
    STUCK = "STUCK"
    """A compensation, or a step after the pivot, keeps failing: still retried slowly, an operator may retry or skip."""
    PARKED = "PARKED"
    """This release cannot read or run the saga: it has no owner until an operator retries it; all others continue."""
    ABANDONED = "ABANDONED"
    """Ended by an operator with effects left behind, on the record. Terminal."""

    @property
    def is_terminal(self) -> bool:
        """Whether the saga has ended for good."""
        return not SAGA_TRANSITIONS[self]

    @classmethod
    def read(cls, value: str) -> SagaStatus:
        """The status of this value; PARKED if only a newer release knows the value."""
        try:
            return cls(value)
        except ValueError:
            return cls.PARKED


class StepStatus(StrEnum):
    """The state of a step, or of its compensation."""

    PENDING = "PENDING"
    """Not begun."""
    EXECUTING = "EXECUTING"
    """An attempt is under way."""
    RETRYING = "RETRYING"
    """The last attempt failed for a passing reason, or its answer was lost; another attempt follows."""
    COMPLETED = "COMPLETED"
    """Done."""
    WAITING = "WAITING"
    """Waits for the customer, or for the provider's final answer. Waiting uses no attempt."""
    FAILED = "FAILED"
    """Failed for good; an effect that it may have had is undone first."""
    SKIPPED = "SKIPPED"
    """Not needed, or given up by an operator."""
    STUCK = "STUCK"
    """Keeps failing; waits for an operator or the next slow retry."""


class Direction(StrEnum):
    """The direction of a saga."""

    FORWARD = "FORWARD"
    """From step to step."""
    BACKWARD = "BACKWARD"
    """From compensation to compensation, last in, first out."""


class Phase(StrEnum):
    """The state of the present step's wait."""

    READY = "READY"
    """The step begins when it is due."""
    CALLING = "CALLING"
    """The step waits for the answer of a call that has left, or may have left: only the owner knows."""


class WaitEnd(StrEnum):
    """What ended a wait."""

    WORD = "WORD"
    """A word, which the owner has obeyed."""
    LOOK = "LOOK"
    """The step's own look: the provider had a final answer."""
    DEADLINE = "DEADLINE"
    """Its deadline, or that of the saga."""
    CANCEL = "CANCEL"
    """A cancel."""


SAGA_TRANSITIONS: Final[Mapping[SagaStatus, frozenset[SagaStatus]]] = {
    SagaStatus.PENDING: frozenset({SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.PARKED}),
    SagaStatus.RUNNING: frozenset(
        {
            SagaStatus.WAITING,
            SagaStatus.COMPLETED,
            SagaStatus.COMPENSATING,
            SagaStatus.STUCK,
            SagaStatus.PARKED,
            SagaStatus.ABANDONED,
        }
    ),
    SagaStatus.WAITING: frozenset({SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.PARKED}),
    SagaStatus.COMPENSATING: frozenset(
        {SagaStatus.COMPENSATED, SagaStatus.STUCK, SagaStatus.PARKED, SagaStatus.ABANDONED}
    ),
    SagaStatus.STUCK: frozenset({SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.PARKED}),
    SagaStatus.PARKED: frozenset({SagaStatus.RUNNING, SagaStatus.WAITING, SagaStatus.COMPENSATING, SagaStatus.STUCK}),
    SagaStatus.COMPLETED: frozenset(),
    SagaStatus.COMPENSATED: frozenset(),
    SagaStatus.ABANDONED: frozenset(),
}

STEP_TRANSITIONS: Final[Mapping[StepStatus, frozenset[StepStatus]]] = {
    StepStatus.PENDING: frozenset({StepStatus.EXECUTING, StepStatus.WAITING, StepStatus.SKIPPED}),
    StepStatus.EXECUTING: frozenset(
        {
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.RETRYING,
            StepStatus.WAITING,
            StepStatus.SKIPPED,
            StepStatus.STUCK,
        }
    ),
    StepStatus.RETRYING: frozenset({StepStatus.EXECUTING, StepStatus.WAITING, StepStatus.FAILED, StepStatus.SKIPPED}),
    StepStatus.WAITING: frozenset(
        {StepStatus.EXECUTING, StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.STUCK}
    ),
    StepStatus.STUCK: frozenset({StepStatus.EXECUTING, StepStatus.WAITING, StepStatus.SKIPPED}),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.SKIPPED: frozenset(),
}
