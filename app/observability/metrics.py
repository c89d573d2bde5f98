"""Counts what the domain tells and the transports report, for Prometheus. Served at /metrics.

`event_counts` counts the events of sagas, `standing` shows what the database holds; here is the
rest. docs/operations.md has the table of all of them. Counters and histograms are of this
process alone and begin at 0 with it; gauges of the database are the same on every replica.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from app.observability.event_counts import EventCounts, StepTimer
from app.observability.logging import Logs
from domain.bookings import HoldsExpired
from domain.clock import CLOCKS, ClockStepped
from domain.jobs import JobRun, RunOutcome
from domain.outcome import Refused, Succeeded
from domain.saga import (
    CallFinished,
    Committed,
    SagaDefinition,
    SagaEnd,
    SagaStatus,
    StartsCommitted,
    StartsRefused,
    TurnCommitted,
)

__all__ = ["SECONDS", "TRANSPORTS", "Metrics", "SinkCounts", "Transport"]

#: How a subscription reaches its client.
Transport = Literal["websocket", "sse", "multipart"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "sse", "multipart")
#: Upper bounds of what takes milliseconds and may take a minute.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Of a whole saga, which lasts as long as its hold at most, but for what is undone after it.
_SAGA_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_Family = GaugeMetricFamily | CounterMetricFamily
# When a series was created says nothing here, and doubles the text.
disable_created_metrics()
#: Of lines that were left out before they were rendered, and so in every place.
ALL = "all"


class Metrics:
    """The metrics of one replica. `definitions` and `job_ids` are those whose series stand at 0 from the start."""

    content_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, definitions: Sequence[SagaDefinition] = (), job_ids: Sequence[str] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        self._events = EventCounts(definitions)
        registry.register(self._events)
        self._steps = StepTimer(registry, SECONDS)
        self._started = Counter("seatsaga_sagas_started", "Sagas that were begun.", ["definition"], registry=registry)
        self._finished = Counter(
            "seatsaga_sagas_finished", "Sagas that are over.", ["definition", "status"], registry=registry
        )
        self._saga_seconds = Histogram(
            "seatsaga_saga_duration_seconds",
            "From the start of a saga to its end.",
            ["definition", "status"],
            buckets=_SAGA_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "seatsaga_starts_refused", "Starts refused, as too many sagas were in flight.", registry=registry
        )
        self._calls = Histogram(
            "seatsaga_call_duration_seconds",
            "Calls to the payment provider.",
            ["operation", "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._commit_sagas = Histogram(
            "seatsaga_commit_sagas", "Sagas in one commit.", ["kind"], buckets=_SIZES, registry=registry
        )
        self._commit_seconds = Histogram(
            "seatsaga_commit_duration_seconds",
            "A transaction of sagas, from its beginning to its commit.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self._holds_expired = Counter(
            "seatsaga_holds_expired", "Seats that were released as their time was over.", registry=registry
        )
        self._job_runs = Counter("seatsaga_job_runs", "Runs of jobs.", ["job_id", "outcome"], registry=registry)
        self._job_affected = Counter(
            "seatsaga_job_affected", "What runs of jobs released, took over, removed.", ["job_id"], registry=registry
        )
        self._job_seconds = Histogram(
            "seatsaga_job_run_duration_seconds", "Runs of jobs.", ["job_id"], buckets=SECONDS, registry=registry
        )
        self._clock_steps = Counter(
            "seatsaga_clock_steps", "How often a clock was set by more than a second.", ["clock"], registry=registry
        )
        self._subscriptions = Gauge(
            "seatsaga_subscriptions_open", "Subscriptions that are followed.", ["transport"], registry=registry
        )
        self._event_lag = Histogram(
            "seatsaga_event_lag_seconds",
            "From the commit of a saga's event to its delivery to a subscriber.",
            buckets=SECONDS,
            registry=registry,
        )
        self._readings = _Readings()
        registry.register(self._readings)
        self._begin_at_0(definitions, job_ids)
        Info("seatsaga_build", "The version that runs.", registry=registry).info({"version": version("seatsaga")})
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format, in UTF-8."""
        return generate_latest(self.registry)

    # ------------------------------------------------------------------ what is heard

    def hear(self, signal: object) -> None:
        """A telemetry handler."""
        match signal:
            case Committed(events):
                self._events.add(events)
                self._steps.follow(events)
            case TurnCommitted(sagas, seconds, ended):
                self._committed("turn", sagas, seconds)
                for end in ended:
                    self._ended(end)
            case StartsCommitted(sagas, seconds):
                self._committed("start", len(sagas), seconds)
                for saga in sagas:
                    self._started.labels(saga.definition.name).inc()
            case StartsRefused(sagas):
                self._refused.inc(sagas)
            case CallFinished(_, _, operation, _, outcome, seconds):
                word = {Succeeded: "succeeded", Refused: "refused"}.get(type(outcome), "unknown")
                self._calls.labels(operation, word).observe(seconds)
            case HoldsExpired(reservations):
                self._holds_expired.inc(reservations)
            case JobRun():
                self._ran(signal)
            case ClockStepped(clock, _):
                self._clock_steps.labels(clock).inc()

    def _committed(self, kind: str, sagas: int, seconds: float) -> None:
        self._commit_sagas.labels(kind).observe(sagas)
        self._commit_seconds.labels(kind).observe(seconds)

    def _ended(self, end: SagaEnd) -> None:
        self._finished.labels(end.definition, end.status.value).inc()
        self._saga_seconds.labels(end.definition, end.status.value).observe(end.seconds)

    def _ran(self, run: JobRun) -> None:
        self._job_runs.labels(run.job_id, run.outcome.value.lower()).inc()
        self._job_affected.labels(run.job_id).inc(run.affected)
        self._job_seconds.labels(run.job_id).observe(run.duration_ms / 1_000)

    # ------------------------------------------------------------------ what is reported

    def stream_opened(self, transport: Transport) -> None:
        """A client has begun to follow a subscription; `stream_closed` must come, whichever way it ends."""
        self._subscriptions.labels(transport).inc()

    def stream_closed(self, transport: Transport) -> None:
        """A subscription that was opened is over."""
        self._subscriptions.labels(transport).dec()

    def event_delivered(self, seconds: float) -> None:
        """An event of a saga was handed to a client, so long after it was committed.

        The commit's time is the database's: where the two clocks differ, this may come out below
        zero, and counts as zero.
        """
        self._event_lag.observe(max(0.0, seconds))

    # ------------------------------------------------------------------ what is looked up

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show what `read` returns at the moment of asking."""
        self._readings.add(GaugeMetricFamily, name, description, read)

    def counter(self, name: str, description: str, read: Callable[[], float]) -> None:
        """As `gauge`, for what only rises; the name is without `_total`."""
        self._readings.add(CounterMetricFamily, name, description, read)

    def collect_from(self, collector: Collector) -> None:
        """Show what `collector` knows, too."""
        self.registry.register(collector)

    def _begin_at_0(self, definitions: Sequence[SagaDefinition], job_ids: Sequence[str]) -> None:
        for name in dict.fromkeys(definition.name for definition in definitions):
            self._started.labels(name)
            for status in SagaStatus:
                if status.is_terminal:
                    self._finished.labels(name, status.value)
        for job_id in job_ids:
            self._job_affected.labels(job_id)
            for outcome in RunOutcome:
                self._job_runs.labels(job_id, outcome.value.lower())
        for clock in CLOCKS:
            self._clock_steps.labels(clock)
        for transport in TRANSPORTS:
            self._subscriptions.labels(transport)


class _Readings(Collector):
    """Single values that somebody else keeps."""

    def __init__(self) -> None:
        self._kept: list[tuple[type[_Family], str, str, Callable[[], float]]] = []

    def add(self, family: type[_Family], name: str, description: str, read: Callable[[], float]) -> None:
        """Ask `read` at each collection."""
        self._kept.append((family, name, description, read))

    def collect(self) -> Iterator[Metric]:
        """Each value as it is now."""
        for family, name, description, read in self._kept:
            yield family(name, description, value=read())


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
