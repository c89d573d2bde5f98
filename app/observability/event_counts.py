"""Counts the events of sagas, and measures the duration of steps from them.

Counting costs one addition per event. The counts of steps are computed only when metrics are collected.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from domain.events import EventType, SagaEvent
from domain.saga import SagaDefinition

__all__ = ["STEPS_TIMED_MAX", "EventCounts", "StepTimer"]

_FAMILIES: Final[dict[str, tuple[str, list[str]]]] = {
    "seatsaga_saga_events": ("Events of sagas, by type.", ["type"]),
    "seatsaga_step_attempts": ("Attempts of steps that began.", ["step"]),
    "seatsaga_step_retries": ("Failed attempts of steps that will be retried.", ["step"]),
    "seatsaga_compensation_attempts": ("Attempts of compensations that began.", ["compensation"]),
    "seatsaga_compensation_retries": (
        "Failed attempts of compensations that will be retried.",
        ["compensation"],
    ),
    "seatsaga_compensations": ("Compensations that are over.", ["compensation", "outcome"]),
    "seatsaga_sagas_stuck": ("Sagas that got stuck, by the step that they are stuck at.", ["step"]),
}
_OF_STEPS: Final = (EventType.STEP_STARTED, EventType.STEP_RETRYING, EventType.SAGA_STUCK)
_OF_COMPENSATIONS: Final = (
    EventType.COMPENSATION_STARTED,
    EventType.COMPENSATION_RETRYING,
    EventType.COMPENSATION_COMPLETED,
    EventType.COMPENSATION_SKIPPED,
)
#: The type, step and compensation of an event.
_Place = tuple[EventType, str | None, str | None]
#: Beyond this number the oldest running step is forgotten: another replica may have taken its saga over.
STEPS_TIMED_MAX: Final = 50_000
_OUTCOMES: Final = {
    EventType.STEP_COMPLETED: "completed",
    EventType.STEP_FAILED: "failed",
    EventType.STEP_SKIPPED: "skipped",
}


class EventCounts(Collector):
    """Counts the saga events that this process has committed.

    `definitions`: their steps and compensations start at 0, so that the first event shows as an
    increase.
    """

    def __init__(self, definitions: Iterable[SagaDefinition] = ()) -> None:
        self._counts: defaultdict[_Place, int] = defaultdict(int)
        for kind in EventType:
            if kind not in _OF_STEPS and kind not in _OF_COMPENSATIONS:
                self._counts[kind, None, None] = 0
        for definition in definitions:
            for step in definition.steps:
                self._counts |= dict.fromkeys(((kind, step.name, None) for kind in _OF_STEPS), 0)
                if step.compensation is not None:
                    undo = step.compensation.name
                    self._counts |= dict.fromkeys(((kind, step.name, undo) for kind in _OF_COMPENSATIONS), 0)

    def add(self, events: Iterable[SagaEvent]) -> None:
        """Count committed events. Must be fast: it runs for hundreds of events per batch, on the event loop."""
        counts = self._counts
        for event in events:
            counts[event.type, event.step, event.compensation] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The families of _FAMILIES."""
        totals: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in _FAMILIES}
        for (kind, step, undo), number in self._counts.items():
            for name, labels in _told_by(kind, step or "", undo or ""):
                totals[name][labels] += number
        for name, (description, label_names) in _FAMILIES.items():
            family = CounterMetricFamily(name, description, labels=label_names)
            for values, number in totals[name].items():
                family.add_metric(values, number)
            yield family


def _told_by(kind: EventType, step: str, undo: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The metric families, with their labels, that count such an event."""
    yield "seatsaga_saga_events", (kind.value,)
    match kind:
        case EventType.STEP_STARTED:
            yield "seatsaga_step_attempts", (step,)
        case EventType.STEP_RETRYING:
            yield "seatsaga_step_retries", (step,)
        case EventType.COMPENSATION_STARTED:
            yield "seatsaga_compensation_attempts", (undo,)
        case EventType.COMPENSATION_RETRYING:
            yield "seatsaga_compensation_retries", (undo,)
        case EventType.COMPENSATION_COMPLETED:
            yield "seatsaga_compensations", (undo, "completed")
        case EventType.COMPENSATION_SKIPPED:
            yield "seatsaga_compensations", (undo, "skipped")
        case EventType.SAGA_STUCK:
            yield "seatsaga_sagas_stuck", (step,)
            # This event replaces RETRYING: this attempt, too, will be retried.
            yield ("seatsaga_compensation_retries", (undo,)) if undo else ("seatsaga_step_retries", (step,))


class StepTimer:
    """`seatsaga_step_duration_seconds`, for steps whose start and end this process has committed."""

    def __init__(self, registry: CollectorRegistry, buckets_seconds: tuple[float, ...]) -> None:
        self._seconds = Histogram(
            "seatsaga_step_duration_seconds",
            "From the first attempt of a step to its end, waits included.",
            ["step", "outcome"],
            buckets=buckets_seconds,
            registry=registry,
        )
        self._began: dict[str, tuple[str | None, int]] = {}
        self._observe: dict[tuple[str | None, EventType], Callable[[float], None]] = {}

    def begin_at_0(self, definitions: Sequence[SagaDefinition]) -> None:
        """Show the steps of these definitions before the first one has ended."""
        for step in {step.name for definition in definitions for step in definition.steps}:
            for outcome in _OUTCOMES.values():
                self._seconds.labels(step, outcome)

    def follow(self, events: Iterable[SagaEvent]) -> None:
        """Take committed events, in the order of their commits."""
        for event in events:
            kind = event.type
            if kind is EventType.STEP_STARTED:
                self._begin(event)
            elif kind in _OUTCOMES:
                self._end(event)
            elif kind.is_terminal:
                self._began.pop(event.saga_id, None)

    def _begin(self, event: SagaEvent) -> None:
        step, _ = self._began.get(event.saga_id, (None, 0))
        if step == event.step:
            return
        if len(self._began) >= STEPS_TIMED_MAX:
            del self._began[next(iter(self._began))]
        self._began[event.saga_id] = (event.step, event.at)

    def _end(self, event: SagaEvent) -> None:
        step, began_at = self._began.pop(event.saga_id, (None, 0))
        if step is None or step != event.step:
            return
        observe = self._observe.get((step, event.type))
        if observe is None:
            observe = self._seconds.labels(step, _OUTCOMES[event.type]).observe
            self._observe[step, event.type] = observe
        observe((event.at - began_at) / 1_000_000)
