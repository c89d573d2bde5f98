"""The scheduler's stored state: the jobs, the operators' settings, and the result of every run.

All of it is in the database. So an operator's setting reaches every replica, and a run on any replica
is recorded. This package does not trigger runs::

    operator ──pause, resume, interval, run──▶ job_controls ──read at every tick──▶ scheduler of each replica
                                               job_runs     ◀──────record────────────────┘

A repeated request changes nothing. Each change is put into the record of operator actions in the same
transaction.
"""

from domain.jobs.model import (
    INTERVAL_SECONDS_MAX,
    INTERVAL_SECONDS_MIN,
    IntervalOutOfRange,
    InvalidReason,
    Job,
    JobRun,
    JobView,
    ReasonRequired,
    RunOutcome,
    UnknownJob,
)
from domain.jobs.service import RUNS_KEPT_DEFAULT, RUNS_PAGE_MAX, RUNS_PRUNED_MAX, Jobs

__all__ = [
    "INTERVAL_SECONDS_MAX",
    "INTERVAL_SECONDS_MIN",
    "RUNS_KEPT_DEFAULT",
    "RUNS_PAGE_MAX",
    "RUNS_PRUNED_MAX",
    "IntervalOutOfRange",
    "InvalidReason",
    "Job",
    "JobRun",
    "JobView",
    "Jobs",
    "ReasonRequired",
    "RunOutcome",
    "UnknownJob",
]
