"""A job, what is known of it, and what its runs came to."""

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
    """What a run of a job came to."""

    OK = "OK"
    """It did its turn; where more is left, the next run goes on."""
    FAILED = "FAILED"
    """It ended with an error, or did all but what it names; the next run comes when it is due."""
    INTERRUPTED = "INTERRUPTED"
    """The process stopped before the run was done; the next run goes on."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something the scheduler does again and again, every `interval_seconds` unless an operator says otherwise.

    `pause_needs_reason`: whoever pauses it must say why.
    """

    id: str
    description: str
    interval_seconds: float
    pause_needs_reason: bool = False


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run. `started_at` in microseconds since the epoch; `affected` is what it released, took over, removed."""

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
    """A job as it stands: the operators' word where there is one, else its defaults.

    `runs` and `failures` count all runs there ever were on all replicas, also those whose
    records are gone. `run_requested_at` is set while a run that was asked for has not begun.
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
    """There is no job with this id."""

    job_id: str


@dataclass(frozen=True, slots=True)
class ReasonRequired:
    """This job is not paused without a reason."""

    job_id: str


@dataclass(frozen=True, slots=True)
class InvalidReason:
    """The reason cannot be kept; the message says why."""

    message: str


@dataclass(frozen=True, slots=True)
class IntervalOutOfRange:
    """An interval is `minimum` to `maximum` seconds."""

    minimum: int = INTERVAL_SECONDS_MIN
    maximum: int = INTERVAL_SECONDS_MAX
