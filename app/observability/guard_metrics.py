"""The metrics of the guard before the payment provider, and its lines in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.gate import Lane
from domain.guard import BreakerState, BreakerTurned, Guard, Result

__all__ = ["GuardCounts", "log_turns"]

_logger = logging.getLogger("seatsaga.guard")


class GuardCounts(Collector):
    """The state of one guard, and what it has let out. Read at each scrape; costs the calls nothing."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def collect(self) -> Iterator[Metric]:
        """All families, of this replica."""
        standing = self._guard.standing
        breaker = GaugeMetricFamily(
            "seatsaga_provider_breaker", "1 for the state of the breaker before the provider.", labels=["state"]
        )
        for state in BreakerState:
            breaker.add_metric([state.value], standing.state is state)
        yield breaker
        yield GaugeMetricFamily(
            "seatsaga_provider_calls_in_flight", "Calls that have a place at the provider.", value=standing.places
        )
        yield GaugeMetricFamily(
            "seatsaga_provider_calls_max", "This replica's share of the places.", value=standing.places_max
        )
        waiting = GaugeMetricFamily(
            "seatsaga_provider_calls_waiting", "Sagas in line for a place at the provider.", labels=["lane"]
        )
        for lane in Lane:
            waiting.add_metric([lane.value], standing.waiting[lane])
        yield waiting
        yield GaugeMetricFamily(
            "seatsaga_provider_requests_per_second_max",
            "Requests a second that this replica may send now; 0 if there is no limit.",
            value=standing.per_second or 0,
        )
        yield CounterMetricFamily(
            "seatsaga_provider_requests", "Requests sent to the provider.", value=self._guard.requests
        )
        calls = CounterMetricFamily(
            "seatsaga_provider_calls",
            "Calls that left their place, by lane and by what they say about the provider.",
            labels=["lane", "result"],
        )
        for (lane, result), number in list(self._guard.calls.items()):
            if result is not Result.UNUSED:
                calls.add_metric([lane.value, result.value.lower()], number)
        yield calls


def log_turns(signal: object) -> None:
    """A telemetry handler: one line for each turn of a breaker."""
    match signal:
        case BreakerTurned(provider, before, BreakerState.OPEN, reason, waiting):
            _logger.error(
                "The payment provider %s keeps failing, so no call is sent (was %s): %s",
                provider,
                before.value,
                reason,
                extra={"waiting": waiting},
            )
        case BreakerTurned(provider, _, BreakerState.PAUSED, reason, waiting):
            _logger.warning(
                "No call is sent to the payment provider %s, as an operator has paused it: %s",
                provider,
                reason,
                extra={"waiting": waiting},
            )
        case BreakerTurned(provider, _, BreakerState.HALF_OPEN, _, waiting):
            _logger.info("A few calls are sent to the payment provider %s.", provider, extra={"waiting": waiting})
        case BreakerTurned(provider, _, BreakerState.CLOSED, _, waiting):
            _logger.info("All calls are sent to the payment provider %s again.", provider, extra={"waiting": waiting})
