"""Gauges of what needs an operator: incidents, and sagas that were given up and are not settled, with their money.

A read of its own: with very many stuck sagas it takes longer than the other gauges, which must not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection

from app.observability.kept import Kept
from domain import incidents
from domain.incidents import Incident, Unsettled
from domain.money import CURRENCY_DEFAULT, Money
from domain.storage import Database

__all__ = ["IncidentGauges", "Troubles", "read_troubles"]

FRESH_SECONDS: Final = 5.0
READ_SECONDS_MAX: Final = 5.0
_logger = logging.getLogger("seatsaga.metrics")


@dataclass(frozen=True, slots=True)
class Troubles:
    """What needs an operator at one moment."""

    incidents: list[Incident]
    unsettled: Unsettled


async def read_troubles(database: Database) -> Troubles:
    """Read all of it: two statements over the sagas that need an operator."""

    async def work(connection: AsyncConnection) -> Troubles:
        at = await database.clock.now(connection)
        return Troubles(await incidents.incidents(connection, at=at), await incidents.unsettled(connection))

    return await database.read(work)


class IncidentGauges(Collector):
    """The gauges of the last Troubles; none if they could not be read."""

    def __init__(self, read: Callable[[], Awaitable[Troubles]]) -> None:
        self._read = read
        self._troubles: Troubles | None = None
        self._kept = Kept(self._renew, fresh_seconds=FRESH_SECONDS)

    async def refresh(self) -> None:
        """Read again, unless the last read is fresh. Never raises."""
        await self._kept.refresh()

    async def _renew(self) -> None:
        self._troubles = None
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                self._troubles = await self._read()
        except Exception as error:
            _logger.warning("The incidents could not be read for /metrics: %s.", type(error).__name__)

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        if self._troubles is None:
            return
        found, unsettled = self._troubles.incidents, self._troubles.unsettled
        yield GaugeMetricFamily("seatsaga_incidents", "Causes and places at which sagas are stuck.", value=len(found))
        yield _money(
            "seatsaga_incidents_money",
            "Money at stake in sagas that are stuck or parked, in the currency's major unit.",
            (money for incident in found for money in incident.money),
        )
        yield GaugeMetricFamily(
            "seatsaga_sagas_unsettled",
            "Sagas that ended ABANDONED and that nobody has settled.",
            value=unsettled.sagas,
        )
        yield _money(
            "seatsaga_unsettled_money", "Money at stake in them, in the currency's major unit.", unsettled.money
        )


def _money(name: str, description: str, amounts: Iterable[Money]) -> Metric:
    sums = Counter({CURRENCY_DEFAULT: 0})
    for money in amounts:
        sums[money.currency] += money.minor
    family = GaugeMetricFamily(name, description, labels=["currency"])
    for currency, minor in sorted(sums.items()):
        family.add_metric([currency], float(Money(minor, currency).amount))
    return family
