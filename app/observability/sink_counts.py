"""How the log's places fare, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.observability.logging import Logs

__all__ = ["SinkCounts"]

#: Of lines that were left out before they were rendered, and so in every place.
ALL = "all"


class SinkCounts(Collector):
    """Lines that were left out, and whether each place is written, as `logs` know it."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def collect(self) -> Iterator[Metric]:
        """Both families, by sink."""
        dropped = CounterMetricFamily(
            "seatsaga_log_lines_dropped", "Log lines left out, by the place that lacks them.", labels=["sink"]
        )
        written = GaugeMetricFamily("seatsaga_log_sink_ok", "1 while log lines reach this place.", labels=["sink"])
        dropped.add_metric([ALL], self._logs.lines_dropped)
        for sink in self._logs.sinks:
            dropped.add_metric([sink.name], sink.lines_lost)
            written.add_metric([sink.name], sink.is_written)
        yield dropped
        yield written
