"""The operators' settings for the scheduler's jobs, and the results of runs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, Text, text

from domain.jobs.model import RunOutcome
from domain.storage import Id, Micros, metadata

__all__ = ["job_controls", "job_runs"]

_OUTCOMES: Final = ", ".join(f"'{outcome.value}'" for outcome in RunOutcome)

job_controls = Table(
    "job_controls",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("paused_at", Micros),
    Column("paused_by", Text),
    Column("interval_seconds", Integer),
    Column("run_requested_at", Micros),
    Column("runs", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("updated_at", Micros, nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("affected", Integer, nullable=False),
    Column("error", Text),
    Column("replica", Text, nullable=False),
    CheckConstraint(f"outcome IN ({_OUTCOMES})", name="outcome"),
    Index("ix_job_runs_job_id_id", "job_id", "id"),
)
