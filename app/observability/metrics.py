"""The Prometheus metrics of the domain's signals and of the transports. Served at /metrics.

`event_counts` counts the events of sagas, `standing` reads gauges from the database; this module has
the other metrics. docs/operations.md lists all of them. Counters and histograms cover this process
only and start at 0 with it; gauges of the database are the same on every replica.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
from domain.bulk import BulkActionEnded, BulkActionKind, BulkActionStatus, BulkTurnTaken
from domain.clock import CLOCKS, ClockStepped
from domain.jobs import JobRun, RunOutcome
from domain.outcome import NotSent, Refused, Succeeded
from domain.payments import PaymentChanged, PaymentStatus
from domain.saga import (
    CallFinished,
    Committed,
    SagaDefinition,
    SagaEnd,
    SagaStatus,
    StartsCommitted,
    StartsRefused,
    TurnCommitted,
    WaitEnd,
    WordJudged,
    WordSaid,
    WordStands,
)

__all__ = ["SECONDS", "TRANSPORTS", "Metrics", "SinkCounts", "Transport"]

#: The transport of a subscription.
Transport = Literal["websocket", "sse", "multipart"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("websocket", "sse", "multipart")
#: Upper bounds for durations that are usually milliseconds and at most a minute.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Upper bounds for a whole saga. It lasts as long as its hold at most, plus its compensation.
_SAGA_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
#: Any other answer to a word is a refusal.
_ANSWERS: Final = {WordSaid: "accepted", WordStands: "repeated"}
_OUTCOMES: Final = {Succeeded: "succeeded", Refused: "refused", NotSent: "not_sent"}
_COMMITS: Final = ("start", "turn")
_Family = GaugeMetricFamily | CounterMetricFamily
# The creation time of a series is not useful here, and doubles the text.
disable_created_metrics()
#: The sink label of lines dropped before rendering: every sink lacks them.
ALL = "all"


class Metrics:
    """The metrics of one replica. The series of `definitions` and `job_ids` start at 0."""

    content_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, definitions: Sequence[SagaDefinition] = (), job_ids: Sequence[str] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        self._events = EventCounts(definitions)
        registry.register(self._events)
        self._steps = StepTimer(registry, SECONDS)
        counter, histogram = partial(Counter, registry=registry), partial(Histogram, registry=registry)
        self._started = counter("seatsaga_sagas_started", "Sagas started.", ["definition"])
        self._finished = counter("seatsaga_sagas_finished", "Sagas that ended.", ["definition", "status"])
        self._saga_seconds = histogram(
            "seatsaga_saga_duration_seconds",
            "From the start of a saga to its end.",
            ["definition", "status"],
            buckets=_SAGA_SECONDS,
        )
        self._refused = counter("seatsaga_starts_refused", "Starts refused because too many sagas were in flight.")
        self._waits_ended = counter("seatsaga_waits_ended", "Waits of steps that ended, by what ended them.", ["by"])
        self._words = counter("seatsaga_words", "Words for waiting sagas, by what became of them.", ["answer"])
        self._payments_changed = counter(
            "seatsaga_payments_changed",
            "Payments that changed at the provider without us, by what it shows now.",
            ["status"],
        )
        self._calls = histogram(
            "seatsaga_call_duration_seconds",
            "Calls to the payment provider.",
            ["operation", "outcome"],
            buckets=SECONDS,
        )
        self._commit_sagas = histogram("seatsaga_commit_sagas", "Sagas in one commit.", ["kind"], buckets=_SIZES)
        self._commit_seconds = histogram(
            "seatsaga_commit_duration_seconds",
            "Transactions of sagas, from begin to commit.",
            ["kind"],
            buckets=SECONDS,
        )
        self._holds_expired = counter("seatsaga_holds_expired", "Seats released because their hold had lapsed.")
        self._job_runs = counter("seatsaga_job_runs", "Runs of jobs.", ["job_id", "outcome"])
        self._job_affected = counter(
            "seatsaga_job_affected", "Items that jobs released, took over or removed.", ["job_id"]
        )
        self._job_seconds = histogram(
            "seatsaga_job_run_duration_seconds", "Duration of job runs.", ["job_id"], buckets=SECONDS
        )
        self._bulk_sagas = counter("seatsaga_bulk_sagas", "Sagas that bulk actions handled.", ["kind", "outcome"])
        self._bulk_ended = counter("seatsaga_bulk_actions_ended", "Bulk actions that ended.", ["kind", "status"])
        self._clock_steps = counter(
            "seatsaga_clock_steps", "How often a clock was set by more than a second.", ["clock"]
        )
        self._subscriptions = Gauge(
            "seatsaga_subscriptions_open", "Open subscriptions.", ["transport"], registry=registry
        )
        self._event_lag = histogram(
            "seatsaga_event_lag_seconds",
            "From the commit of a saga's event to its delivery to a subscriber.",
            buckets=SECONDS,
        )
        self._readings = _Readings()
        registry.register(self._readings)
        self._begin_at_0(definitions, job_ids)
        Info("seatsaga_build", "The running version.", registry=registry).info({"version": version("seatsaga")})
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format, in UTF-8."""
        return generate_latest(self.registry)

    # ------------------------------------------------------------------ signals

    def hear(self, signal: object) -> None:
        """A telemetry handler."""
        match signal:
            case Committed(events):
                self._events.add(events)
                self._steps.follow(events)
            case TurnCommitted(sagas, seconds, ended, waits):
                self._committed("turn", sagas, seconds)
                for end in ended:
                    self._ended(end)
                for wait in waits:
                    self._waits_ended.labels(wait.by.value.lower()).inc()
            case StartsCommitted(sagas, seconds, ended):
                self._committed("start", len(sagas), seconds)
                for end in ended:
                    self._ended(end)
                for saga in sagas:
                    self._started.labels(saga.definition.name).inc()
            case StartsRefused(sagas):
                self._refused.inc(sagas)
            case WordJudged(is_look=False, answer=answer):
                self._words.labels(_ANSWERS.get(type(answer), "refused")).inc()
            case CallFinished(_, _, operation, _, outcome, seconds):
                self._calls.labels(operation, _OUTCOMES.get(type(outcome), "unknown")).observe(seconds)
            case PaymentChanged(_, after):
                self._payments_changed.labels(after.value).inc()
            case HoldsExpired(reservations):
                self._holds_expired.inc(reservations)
            case JobRun():
                self._ran(signal)
            case BulkTurnTaken(kind, done, passed_over):
                self._bulk_sagas.labels(kind, "done").inc(done)
                self._bulk_sagas.labels(kind, "passed_over").inc(passed_over)
            case BulkActionEnded(action):
                self._bulk_ended.labels(action.kind, action.status.value).inc()
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

    # ------------------------------------------------------------------ measurements of transports

    def stream_opened(self, transport: Transport) -> None:
        """A subscription has begun. `stream_closed` must be called when it ends, for any reason."""
        self._subscriptions.labels(transport).inc()

    def stream_closed(self, transport: Transport) -> None:
        """A subscription has ended."""
        self._subscriptions.labels(transport).dec()

    def event_delivered(self, seconds: float) -> None:
        """An event of a saga was handed to a client, `seconds` after its commit.

        The time of the commit is the database's. As the two clocks may differ, a negative value counts
        as zero.
        """
        self._event_lag.observe(max(0.0, seconds))

    # ------------------------------------------------------------------ values of other parts

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge; `read` returns its value at each scrape."""
        self._readings.add(GaugeMetricFamily, name, description, read)

    def counter(self, name: str, description: str, read: Callable[[], float]) -> None:
        """As `gauge`, for a value that only rises; the name is without `_total`."""
        self._readings.add(CounterMetricFamily, name, description, read)

    def collect_from(self, collector: Collector) -> None:
        """Add the metrics of `collector`."""
        self.registry.register(collector)

    def _begin_at_0(self, definitions: Sequence[SagaDefinition], job_ids: Sequence[str]) -> None:
        self._steps.begin_at_0(definitions)
        for operation in {name for definition in definitions for name in definition.remote}:
            for outcome in (*_OUTCOMES.values(), "unknown"):
                self._calls.labels(operation, outcome)
        for kind in _COMMITS:
            self._commit_sagas.labels(kind)
            self._commit_seconds.labels(kind)
        for name in dict.fromkeys(definition.name for definition in definitions):
            self._started.labels(name)
            for status in SagaStatus:
                if status.is_terminal:
                    self._finished.labels(name, status.value)
                    self._saga_seconds.labels(name, status.value)
        for by in WaitEnd:
            self._waits_ended.labels(by.value.lower())
        for answer in (*_ANSWERS.values(), "refused"):
            self._words.labels(answer)
        for paid in PaymentStatus:
            if paid.is_taken:
                self._payments_changed.labels(paid.value)
        for job_id in job_ids:
            self._job_affected.labels(job_id)
            self._job_seconds.labels(job_id)
            for outcome in RunOutcome:
                self._job_runs.labels(job_id, outcome.value.lower())
        for kind in BulkActionKind:
            for outcome in ("done", "passed_over"):
                self._bulk_sagas.labels(kind.value, outcome)
            for ended in BulkActionStatus:
                if ended.is_over:
                    self._bulk_ended.labels(kind.value, ended.value)
        for clock in CLOCKS:
            self._clock_steps.labels(clock)
        for transport in TRANSPORTS:
            self._subscriptions.labels(transport)


class _Readings(Collector):
    """Single values that other parts keep."""

    def __init__(self) -> None:
        self._kept: list[tuple[type[_Family], str, str, Callable[[], float]]] = []

    def add(self, family: type[_Family], name: str, description: str, read: Callable[[], float]) -> None:
        """Call `read` at each collection."""
        self._kept.append((family, name, description, read))

    def collect(self) -> Iterator[Metric]:
        """Each value as it is now."""
        for family, name, description, read in self._kept:
            yield family(name, description, value=read())


class SinkCounts(Collector):
    """The lines that `logs` dropped, and whether each of its sinks can be written."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def collect(self) -> Iterator[Metric]:
        """Both families, by sink."""
        dropped = CounterMetricFamily(
            "seatsaga_log_lines_dropped", "Log lines dropped, by the sink that lacks them.", labels=["sink"]
        )
        written = GaugeMetricFamily("seatsaga_log_sink_ok", "1 while log lines reach this sink.", labels=["sink"])
        dropped.add_metric([ALL], self._logs.lines_dropped)
        for sink in self._logs.sinks:
            dropped.add_metric([sink.name], sink.lines_lost)
            written.add_metric([sink.name], sink.is_written)
        yield dropped
        yield written
