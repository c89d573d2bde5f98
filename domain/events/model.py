"""The values of the saga log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from domain.actors import Actor
from domain.facts import Facts

__all__ = ["EventType", "Failure", "SagaEvent"]


class EventType(StrEnum):
    """The type of an event."""

    SAGA_STARTED = "SAGA_STARTED"
    """Durably accepted."""
    STEP_STARTED = "STEP_STARTED"
    """An attempt of a step begins; durable before a call leaves."""
    STEP_COMPLETED = "STEP_COMPLETED"
    """The step took effect; its local effects commit with this event."""
    STEP_FAILED = "STEP_FAILED"
    """The step failed for good."""
    STEP_RETRYING = "STEP_RETRYING"
    """The attempt failed for a passing reason or its answer was lost; another follows."""
    STEP_SKIPPED = "STEP_SKIPPED"
    """Not needed for this saga, or given up by an operator."""
    STEP_WAITING = "STEP_WAITING"
    """The step waits for the customer, or for the provider's final answer; the facts say until when."""
    STEP_RESUMED = "STEP_RESUMED"
    """The answer has arrived, and the step continues; its attempts are counted anew."""
    HOLD_EXPIRED = "HOLD_EXPIRED"
    """The saga's seats were held for too long."""
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    """The saga was asked to stop and undo its steps."""
    COMPENSATION_STARTED = "COMPENSATION_STARTED"
    """An attempt to undo a step begins."""
    COMPENSATION_COMPLETED = "COMPENSATION_COMPLETED"
    """The step is undone."""
    COMPENSATION_RETRYING = "COMPENSATION_RETRYING"
    """The attempt to undo failed or its answer was lost; another follows."""
    COMPENSATION_SKIPPED = "COMPENSATION_SKIPPED"
    """An operator gave the compensation up, on the record."""
    COMPENSATION_WAITING = "COMPENSATION_WAITING"
    """The compensation waits for the provider's final answer."""
    SAGA_COMPLETED = "SAGA_COMPLETED"
    """Every step is done. Terminal."""
    SAGA_COMPENSATED = "SAGA_COMPENSATED"
    """Failed, and every effect is undone. Terminal."""
    SAGA_STUCK = "SAGA_STUCK"
    """An operation that must succeed keeps failing: it is still retried slowly, and an operator is needed."""
    SAGA_PARKED = "SAGA_PARKED"
    """This release cannot read or run the saga: it is left alone until an operator retries it."""
    SAGA_RESUMED = "SAGA_RESUMED"
    """A stuck or parked saga continues."""
    SAGA_ABANDONED = "SAGA_ABANDONED"
    """Ended by an operator with effects left behind, on the record. Terminal."""

    @property
    def is_terminal(self) -> bool:
        """Whether no event can follow this one."""
        return self in _TERMINAL

    @property
    def is_rest(self) -> bool:
        """Whether nothing may follow for a while: the saga has ended, or waits for its customer."""
        return self in _TERMINAL or self is EventType.STEP_WAITING


_TERMINAL = frozenset({EventType.SAGA_COMPLETED, EventType.SAGA_COMPENSATED, EventType.SAGA_ABANDONED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: a stable, machine-readable `code`, a `message` for a person, and the step."""

    code: str
    message: str
    step: str | None = None


class SagaEvent(msgspec.Struct, frozen=True):
    """One entry of a saga's log. `sequence` is 1, 2, 3, ... within the saga; `at` in microseconds since the epoch.

    `message` is for a person; no code reads it back. `facts` are the same as data; None if the type says everything,
    and in events older than the facts. `actor`: who asked for the event's change; None if nobody did.
    """

    saga_id: str
    correlation_id: str
    sequence: int
    type: EventType
    step: str | None
    compensation: str | None
    attempt: int | None
    message: str
    failure: Failure | None
    at: int
    actor: Actor | None = None
    facts: Facts | None = None
