"""Counts what the engine tells, for Prometheus. Served at /metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from domain.events import EventType, SagaEvent
from domain.outcome import Refused, Succeeded
from domain.saga import CallFinished, Committed, TurnCommitted

__all__ = ["Metrics"]

STEPS_TIMED_MAX: Final = 50_000
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one replica."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sagas = Counter(
            "seatsaga_saga_events", "What became of sagas, by event type.", ["type"], registry=self.registry
        )
        self._stuck = Counter(
            "seatsaga_sagas_stuck",
            "Sagas that got stuck and want an operator, by step.",
            ["step"],
            registry=self.registry,
        )
        self._steps = Histogram(
            "seatsaga_step_seconds",
            "From the first attempt of a step to its end.",
            ["step", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = Histogram(
            "seatsaga_call_seconds",
            "Calls to gateways, by operation and outcome.",
            ["operation", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._turn_sagas = Histogram(
            "seatsaga_turn_sagas", "Sagas in a turn of the runner.", buckets=_SIZES, registry=self.registry
        )
        self._turn_seconds = Histogram(
            "seatsaga_turn_seconds",
            "A turn of the runner, commit included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._counted = {kind: self._sagas.labels(kind.value) for kind in EventType if kind.value.startswith("SAGA_")}
        self._timers: dict[tuple[str, EventType], Callable[[float], None]] = {}
        self._began: dict[str, int] = {}

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show what `read` returns at the moment of asking."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def hear(self, signal: object) -> None:
        """A telemetry handler."""
        match signal:
            case Committed(events):
                for event in events:
                    self._count(event)
            case TurnCommitted(sagas, seconds):
                self._turn_sagas.observe(sagas)
                self._turn_seconds.observe(seconds)
            case CallFinished(_, _, operation, _, outcome, seconds):
                word = {Succeeded: "succeeded", Refused: "refused"}.get(type(outcome), "unknown")
                self._calls.labels(operation, word).observe(seconds)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _count(self, event: SagaEvent) -> None:
        kind = event.type
        if kind is EventType.STEP_STARTED:
            if len(self._began) < STEPS_TIMED_MAX:
                self._began.setdefault(event.saga_id, event.at)
        elif kind in _STEP_ENDS:
            began = self._began.pop(event.saga_id, None)
            if began is not None:
                self._timer(event.step or "", kind)((event.at - began) / 1_000_000)
        elif (counter := self._counted.get(kind)) is not None:
            counter.inc()
            if kind is EventType.SAGA_STUCK:
                self._stuck.labels(event.step or "").inc()
            if kind.is_terminal:
                self._began.pop(event.saga_id, None)

    def _timer(self, step: str, kind: EventType) -> Callable[[float], None]:
        timer = self._timers.get((step, kind))
        if timer is None:
            outcome = kind.value.removeprefix("STEP_").lower()
            timer = self._timers[step, kind] = self._steps.labels(step, outcome).observe
        return timer


_STEP_ENDS: Final = frozenset({EventType.STEP_COMPLETED, EventType.STEP_FAILED, EventType.STEP_SKIPPED})
