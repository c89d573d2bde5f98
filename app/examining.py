"""The examination of a database by `doctor`, and by `restore` before it replaces the files."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from app import migrations
from app.scheduler import EXPIRY_JOB, known_jobs
from app.settings import Settings
from domain.audit import Examination, SweepSchedule, examine
from domain.jobs import Jobs
from domain.storage import Bounds, Database
from sandbox import books_beside
from sandbox.reading import reading

__all__ = ["examine_database"]

#: An aggregate over a large table takes longer than any statement of a request may.
_BOUNDS: Final = Bounds(2, statement_seconds=300.0, idle_transaction_seconds=None)


async def examine_database(settings: Settings, url: str) -> Examination:
    """Check every invariant of the database at `url`, and of the sandbox's books beside it. Raises SchemaError."""
    await migrations.require_current(url)
    async with AsyncExitStack() as stack:
        database = Database(url, bounds=_BOUNDS)
        stack.push_async_callback(database.close)
        books = None
        if settings.payments == "sandbox":
            books = await stack.enter_async_context(reading(books_beside(database.url)))
        return await examine(database, books=books, sweep=await _sweep(settings, database))


async def _sweep(settings: Settings, database: Database) -> SweepSchedule:
    """The schedule of the sweep of lapsed holds: as operators have set it, else as in the settings."""
    jobs = await Jobs(database, known_jobs(settings.expiry_interval_seconds)).all()
    job = next(job for job in jobs if job.id == EXPIRY_JOB)
    return SweepSchedule(job.interval_seconds, (job.paused_by or "somebody") if job.paused else None)
