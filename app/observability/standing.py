"""Gauges of the readiness checks and of live rows in the database.

A scrape costs a few small reads, independent of the length of the history and of the scrape rate.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection

from app.observability.kept import Kept
from app.readiness import Readiness
from domain import saga, seats
from domain.clock import SECOND
from domain.jobs import Jobs, JobView
from domain.money import CURRENCY_DEFAULT
from domain.reconciliation import Difference, OpenTotals, open_totals
from domain.saga import LiveSagas, SagaStatus
from domain.seats import HoldTotals
from domain.storage import Database

__all__ = ["LiveTotals", "StandingGauges", "read_standing"]

#: A scrape within this time gets the cached answer.
FRESH_SECONDS: Final = 1.0
READ_SECONDS_MAX: Final = 2.0
_LIVE: Final = tuple(status for status in SagaStatus if not status.is_terminal)
_logger = logging.getLogger("seatsaga.metrics")


@dataclass(frozen=True, slots=True)
class LiveTotals:
    """Live rows of all replicas at the moment `at`. `at`, and the last success by job, are in microseconds."""

    at: int
    sagas: Sequence[LiveSagas]
    holds: HoldTotals
    jobs: Sequence[JobView]
    successes: Mapping[str, int]
    findings: Sequence[OpenTotals] = ()


async def read_standing(database: Database, jobs: Jobs) -> LiveTotals:
    """Read all gauges: a few statements over indexes of live rows."""

    async def work(connection: AsyncConnection) -> tuple[int, list[LiveSagas], HoldTotals, list[OpenTotals]]:
        at = await database.clock.now(connection)
        holds = await seats.hold_totals(connection, at=at)
        return at, await saga.live(connection), holds, await open_totals(connection)

    at, sagas, holds, findings = await database.read(work)
    return LiveTotals(at, sagas, holds, await jobs.all(), await jobs.last_successes(), findings)


class StandingGauges(Collector):
    """The gauges of the checks and of the last LiveTotals; only the checks if the last read failed.

    `definitions`: names whose gauges are 0 if they have no live sagas.
    """

    def __init__(
        self, read: Callable[[], Awaitable[LiveTotals]], readiness: Readiness, *, definitions: Sequence[str] = ()
    ) -> None:
        self._read = read
        self._readiness = readiness
        self._definitions = definitions
        self._standing: LiveTotals | None = None
        self._checks: Mapping[str, str | None] = {}
        self._kept = Kept(self._renew, fresh_seconds=FRESH_SECONDS)

    async def refresh(self) -> None:
        """Read again, unless the last read is fresh. Concurrent calls share a read. Never raises."""
        await self._kept.refresh()

    async def _renew(self) -> None:
        self._standing, self._checks = await asyncio.gather(self._read_or_none(), self._readiness.check())

    async def _read_or_none(self) -> LiveTotals | None:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                return await self._read()
        except Exception as error:
            _logger.warning("The gauges of the database could not be read for /metrics: %s.", type(error).__name__)
            return None

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        checks = GaugeMetricFamily("seatsaga_check_ok", "1 while a check of /readyz passes.", labels=["check"])
        for check, trouble in self._checks.items():
            checks.add_metric([check], trouble is None)
        yield checks
        if self._standing is not None:
            yield from _of_sagas(self._standing, self._definitions)
            yield from _of_holds(self._standing.holds)
            yield from _of_jobs(self._standing)
            yield from _of_findings(self._standing.findings)


def _of_sagas(standing: LiveTotals, definitions: Sequence[str]) -> Iterator[Metric]:
    live = GaugeMetricFamily(
        "seatsaga_sagas_live", "Sagas that have not ended, on all replicas.", labels=["definition", "status"]
    )
    oldest = GaugeMetricFamily(
        "seatsaga_saga_oldest_age_seconds",
        "Age of the oldest saga that has not ended, on all replicas; 0 if there is none.",
        labels=["definition", "status"],
    )
    found = {(item.definition, item.status): item for item in standing.sagas}
    names = dict.fromkeys([*definitions, *(name for name, _ in found)])
    for name in names:
        for status in _LIVE:
            item = found.get((name, status))
            live.add_metric([name, status.value], item.sagas if item else 0)
            age = (standing.at - item.oldest_started_at) / SECOND if item else 0
            oldest.add_metric([name, status.value], max(0, age))
    yield live
    yield oldest


def _of_holds(holds: HoldTotals) -> Iterator[Metric]:
    yield GaugeMetricFamily("seatsaga_holds_live", "Held seats, on all replicas.", value=holds.held)
    yield GaugeMetricFamily(
        "seatsaga_holds_lapsed", "Held seats whose hold has lapsed and that are not released yet.", value=holds.lapsed
    )


def _of_jobs(standing: LiveTotals) -> Iterator[Metric]:
    # Not `job`: Prometheus adds a label of this name to every series.
    paused = GaugeMetricFamily("seatsaga_job_paused", "1 while an operator has paused the job.", labels=["job_id"])
    interval = GaugeMetricFamily("seatsaga_job_interval_seconds", "Interval of the job's runs.", labels=["job_id"])
    success = GaugeMetricFamily(
        "seatsaga_job_last_success_timestamp_seconds",
        "When the job last ran without an error, on any replica; absent until then.",
        labels=["job_id"],
    )
    for job in standing.jobs:
        paused.add_metric([job.id], job.paused)
        interval.add_metric([job.id], job.interval_seconds)
        if job.id in standing.successes:
            success.add_metric([job.id], standing.successes[job.id] / SECOND)
    yield paused
    yield interval
    yield success


def _of_findings(totals: Sequence[OpenTotals]) -> Iterator[Metric]:
    number = GaugeMetricFamily(
        "seatsaga_payment_findings_open",
        "Payments at which the provider's books and ours differ, by kind.",
        labels=["kind"],
    )
    at_stake = GaugeMetricFamily(
        "seatsaga_payment_findings_money",
        "Money at stake in open findings, in the currency's major unit.",
        labels=["kind", "currency"],
    )
    sums = {(item.kind, item.at_stake.currency): item for item in totals}
    for kind in Difference:
        number.add_metric([kind.value], sum(item.findings for item in totals if item.kind is kind))
        for currency in sorted({CURRENCY_DEFAULT, *(item.at_stake.currency for item in totals)}):
            item = sums.get((kind, currency))
            at_stake.add_metric([kind.value, currency], float(item.at_stake.amount) if item else 0)
    yield number
    yield at_stake
