"""An entry of the record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.actors import Actor

__all__ = ["OperatorAction", "OperatorActionKind"]


class OperatorActionKind(StrEnum):
    """What an operator did."""

    RETRY_SAGA = "RETRY_SAGA"
    """Had the next attempt of a saga begin now."""
    SKIP_STEP = "SKIP_STEP"
    """Gave up what a saga was stuck at."""
    CANCEL_SAGA = "CANCEL_SAGA"
    """Had a saga stop and undo what it did."""
    JOB_RUN = "JOB_RUN"
    """Had a job run now."""
    JOB_PAUSE = "JOB_PAUSE"
    """Let no run of a job begin."""
    JOB_RESUME = "JOB_RESUME"
    """Let a job run again."""
    JOB_INTERVAL = "JOB_INTERVAL"
    """Changed how often a job runs."""


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One entry. `at` in microseconds by the database's clock; `before` and `after` are one line each.

    `kind` is text, as a newer release that runs beside this one may have written one of its own.
    """

    id: str
    at: int
    by: Actor
    kind: str
    reason: str | None
    saga_id: str | None
    job_id: str | None
    request_id: str | None
    before: str | None
    after: str | None
