"""The values of jobs and of their runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "INTERVAL_SECONDS_MAX",
    "INTERVAL_SECONDS_MIN",
    "IntervalOutOfRange",
    "InvalidReason",
    "Job",
    "JobRun",
    "JobView",
    "ReasonRequired",
    "RunOutcome",
    "UnknownJob",
]

INTERVAL_SECONDS_MIN: Final = 1
INTERVAL_SECONDS_MAX: Final = 86_400


class RunOutcome(StrEnum):
    """The result of a run of a job."""

    OK = "OK"
    """The run finished; if work is left, the next run continues."""
    FAILED = "FAILED"
    """It ended with an error, or did everything except the rows that it names; the next run comes when it is due."""
    INTERRUPTED = "INTERRUPTED"
    """The process stopped before the run ended; the next run continues."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task that the scheduler repeats, every `interval_seconds` unless an operator has set another interval.

    `pause_needs_reason`: pausing it needs a reason.
    """

    id: str
    description: str
    interval_seconds: float
    pause_needs_reason: bool = False


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run. `started_at` in microseconds since the epoch; `affected`: what it released, took over, ...

    For `reconcile-payments`, the payments that it looked at.
    """

    id: str
    job_id: str
    started_at: int
    duration_ms: int
    outcome: RunOutcome
    affected: int
    error: str | None
    replica: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands: the operators' settings, or its defaults.

    `runs` and `failures` count all runs ever on all replicas, also those whose records are gone.
    `run_requested_at` is set while a requested run has not begun.
    """

    id: str
    description: str
    interval_seconds: float
    paused: bool
    paused_at: int | None
    paused_by: str | None
    run_requested_at: int | None
    runs: int
    failures: int
    last_run: JobRun | None


@dataclass(frozen=True, slots=True)
class UnknownJob:
    """There is no job with this ID."""

    job_id: str


@dataclass(frozen=True, slots=True)
class ReasonRequired:
    """This job can only be paused with a reason."""

    job_id: str


@dataclass(frozen=True, slots=True)
class InvalidReason:
    """The reason is not valid; the message says why."""

    message: str


@dataclass(frozen=True, slots=True)
class IntervalOutOfRange:
    """The interval is not between `minimum` and `maximum` seconds."""

    minimum: int = INTERVAL_SECONDS_MIN
    maximum: int = INTERVAL_SECONDS_MAX
