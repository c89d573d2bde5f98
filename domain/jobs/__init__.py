"""The scheduler's memory: which jobs there are, what operators want of them, and what became of every run.

All of it is in the database, so an operator's word reaches every replica and a run is on the
record wherever it took place. Who ticks is not this package's business::

    operator ──pause, resume, interval, run──▶ job_controls ──read at every tick──▶ scheduler of each replica
                                               job_runs     ◀──────record────────────────┘

Saying the same thing twice changes nothing the second time. What changes something is put on the
record of operator actions in the same transaction.
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
