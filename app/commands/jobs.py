"""`seatsaga jobs`: shows and steers the scheduler's jobs through the database; no server needs to run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from app import migrations
from app.commands import ReasonOption, asked_here
from app.commands.terminal import Terminal
from app.running import run_command
from app.scheduler import known_jobs
from app.settings import load_settings
from domain.clock import to_datetime
from domain.errors import ConfigurationError
from domain.jobs import IntervalOutOfRange, InvalidReason, Jobs, JobView, ReasonRequired, UnknownJob
from domain.storage import Database

__all__ = ["commands"]

T = TypeVar("T")
commands = typer.Typer(add_completion=False, help="See and steer the scheduler's jobs.", no_args_is_help=True)
_out = Terminal()
_Id = Annotated[str, typer.Argument(help="The job's id; `seatsaga jobs list` shows them.")]


@commands.command("list")
def list_() -> None:
    """List every job, its interval, and the result of its last run."""
    table = Table("job", "every", "state", "last run", "outcome", "affected", "runs", "failures")
    for job in _with(lambda jobs: jobs.all()):
        last = job.last_run
        table.add_row(
            job.id,
            f"{job.interval_seconds:g} s",
            f"PAUSED by {job.paused_by}" if job.paused else "run requested" if job.run_requested_at else "on",
            _moment(last.started_at) if last else "",
            last.outcome.value if last else "",
            str(last.affected) if last else "",
            str(job.runs),
            str(job.failures),
        )
    _out.print(table)


@commands.command()
def run(job_id: _Id, reason: ReasonOption = None) -> None:
    """Request a run now: the next replica whose scheduler ticks does it."""
    _told(_with(lambda jobs: jobs.request_run(job_id, asked_here(reason))), "A run is requested.")


@commands.command()
def pause(job_id: _Id, reason: ReasonOption = None) -> None:
    """Pause the job on every replica until it is resumed. Pausing the expiry of holds needs a reason."""
    _told(_with(lambda jobs: jobs.pause(job_id, asked_here(reason))), "Paused on every replica.")


@commands.command()
def resume(job_id: _Id, reason: ReasonOption = None) -> None:
    """Let the job run again."""
    _told(_with(lambda jobs: jobs.resume(job_id, asked_here(reason))), "Resumed.")


@commands.command()
def interval(
    job_id: _Id,
    seconds: Annotated[int, typer.Argument(help="Whole seconds between two runs.")],
    reason: ReasonOption = None,
) -> None:
    """Change how often the job runs."""
    answer = _with(lambda jobs: jobs.set_interval(job_id, seconds, asked_here(reason)))
    if isinstance(answer, IntervalOutOfRange):
        raise ConfigurationError("the interval must be 1 to 86400 seconds.")
    _told(answer, f"Every {seconds} s from now on.")


@commands.command()
def runs(job_id: _Id, limit: Annotated[int, typer.Option(help="How many.", min=1, max=100)] = 20) -> None:
    """List the job's last runs, newest first."""
    found = _with(lambda jobs: jobs.runs(job_id, limit))
    if isinstance(found, UnknownJob):
        raise _unknown(found)
    table = Table("started", "took", "outcome", "affected", "error", "replica")
    for item in found:
        table.add_row(
            _moment(item.started_at),
            f"{item.duration_ms} ms",
            item.outcome.value,
            str(item.affected),
            item.error or "",
            item.replica,
        )
    _out.print(table)


def _with(ask: Callable[[Jobs], Awaitable[T]]) -> T:
    settings = load_settings()

    async def work() -> T:
        await migrations.require_current(settings.direct_url)
        database = Database(settings.direct_url)
        try:
            return await ask(Jobs(database, known_jobs(settings.expiry_interval_seconds)))
        finally:
            await database.close()

    return run_command(work())


def _told(answer: JobView | UnknownJob | ReasonRequired | InvalidReason, message: str) -> None:
    match answer:
        case JobView():
            _out.print(message)
        case UnknownJob():
            raise _unknown(answer)
        case ReasonRequired(job_id):
            raise ConfigurationError(f"pausing {job_id} needs a reason; add: --reason TEXT")
        case InvalidReason(fault):
            raise ConfigurationError(fault)


def _unknown(answer: UnknownJob) -> ConfigurationError:
    return ConfigurationError(f"there is no job {answer.job_id}; list the jobs with: seatsaga jobs list")


def _moment(at: int) -> str:
    return to_datetime(at).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
