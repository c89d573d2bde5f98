"""Readiness checks of this replica, and warnings for operators.

Each check tests the real thing: it reads a row from the database and the schema's revision, and
checks when the runner and the scheduler last made progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app import migrations
from app.migrations import SchemaState
from app.scheduler import EXPIRY_JOB, Scheduler
from domain.jobs import Jobs, RunOutcome
from domain.saga import SagaEngine, parked_count
from domain.storage import Database, trouble_of

__all__ = ["Check", "Readiness", "ReadinessReport", "readiness_of"]

CHECK_SECONDS_MAX: Final = 2.0

#: Returns None if all is well, else one sentence that says what is wrong.
Check = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """The result of each check and each warning: None if all is well, else what is wrong."""

    checks: Mapping[str, str | None]
    warnings: Mapping[str, str | None]
    is_stopping: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether every check passes and the process is not stopping. Warnings leave the replica in service."""
        return not self.is_stopping and not any(self.checks.values())

    @property
    def status(self) -> str:
        """The status in one word."""
        return "ready" if self.is_ready else "stopping" if self.is_stopping else "unready"


class Readiness:
    """Runs all checks and warnings concurrently. A check that raises or takes too long has failed."""

    def __init__(self, checks: Mapping[str, Check], warnings: Mapping[str, Check]) -> None:
        self._checks = checks
        self._warnings = warnings
        #: The process is stopping, so it should get no more requests, even if all checks pass.
        self.is_stopping = False

    async def examine(self) -> ReadinessReport:
        """The report as of now. Never raises, and answers within two seconds."""
        checks, warnings = await asyncio.gather(self.check(), _ask(self._warnings))
        return ReadinessReport(checks, warnings, self.is_stopping)

    async def check(self) -> Mapping[str, str | None]:
        """The result of each check as of now; otherwise as `examine`."""
        return await _ask(self._checks)


def readiness_of(
    database: Database, engine: SagaEngine, scheduler: Scheduler, jobs: Jobs, *, besides: Mapping[str, Check]
) -> Readiness:
    """The checks that a useful replica must pass, and its warnings, including those of `besides`."""

    async def check_database() -> str | None:
        if database.damage is not None:
            return database.damage
        try:
            await database.ping()
        except Exception as error:
            trouble = trouble_of(error)
            if trouble is None and database.damage is None:
                raise
            return database.damage or trouble
        return None if database.trouble is None else f"it takes no writes: {database.trouble}"

    async def check_schema() -> str | None:
        standing = await migrations.standing_within(database)
        if standing.state.is_served:
            return None
        at = f"the schema is at revision {standing.revision or 'none'}"
        if standing.state is SchemaState.ENDED:
            return f"{at}, which this version, at {migrations.head()}, may not serve: replace it by a newer one"
        return f"{at}, and this version needs {migrations.head()}"

    async def check_runner() -> str | None:
        return engine.runner.standstill

    async def check_scheduler() -> str | None:
        return scheduler.standstill

    async def warn_of_paused_expiry() -> str | None:
        paused = [view for view in await jobs.all() if view.id == EXPIRY_JOB and view.paused]
        return f"{EXPIRY_JOB} is paused by {paused[0].paused_by}: lapsed holds keep their seats" if paused else None

    async def warn_of_parked() -> str | None:
        number = await database.read(parked_count)
        if engine.runner.put_off:
            return f"{engine.runner.put_off} sagas can neither be run nor parked: the log says why"
        if not number:
            return None
        return f"{number} {'saga is' if number == 1 else 'sagas are'} parked: no release here can read or run them"

    async def warn_of_failed_jobs() -> str | None:
        failed = [view.id for view in await jobs.all() if view.last_run and view.last_run.outcome is RunOutcome.FAILED]
        return f"the last run failed of {', '.join(failed)}: /admin/scheduler says why" if failed else None

    async def warn_of_no_hints() -> str | None:
        if engine.notifier is None or engine.notifier.is_listening:
            return None
        return "no hints from other replicas: what they do is seen up to a second later"

    return Readiness(
        {"database": check_database, "schema": check_schema, "runner": check_runner, "scheduler": check_scheduler},
        {
            "expiry": warn_of_paused_expiry,
            "parked": warn_of_parked,
            "jobs": warn_of_failed_jobs,
            "hints": warn_of_no_hints,
            **besides,
        },
    )


async def _ask(checks: Mapping[str, Check]) -> dict[str, str | None]:
    answers = await asyncio.gather(*(_bounded(check) for check in checks.values()))
    return dict(zip(checks, answers, strict=True))


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS_MAX:g} s"
    except Exception as error:
        return f"failed: {type(error).__name__}"
