"""Counts the events of sagas, and takes the time of steps by them.

Counting is one addition an event; what that says of steps is worked out only when it is asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
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
    "seatsaga_step_retries": ("Attempts of steps that fell short and are to be repeated.", ["step"]),
    "seatsaga_compensation_attempts": ("Attempts to undo steps that began.", ["compensation"]),
    "seatsaga_compensation_retries": (
        "Attempts to undo steps that fell short and are to be repeated.",
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
#: An event's type, step and compensation.
_Place = tuple[EventType, str | None, str | None]
#: Beyond it the step that began first is forgotten: its saga may have gone to another replica, and not come back.
STEPS_TIMED_MAX: Final = 50_000
_OUTCOMES: Final = {
    EventType.STEP_COMPLETED: "completed",
    EventType.STEP_FAILED: "failed",
    EventType.STEP_SKIPPED: "skipped",
}


class EventCounts(Collector):
    """How often what happened to sagas, by what this process has committed.

    `definitions`: whose steps and compensations stand at 0 from the start, so that the first time
    is seen as an increase.
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
        """Count committed events: hundreds a turn, where every microsecond is a saga's."""
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
    """What such an event counts for: families, and their labels."""
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
            # Said instead of RETRYING: this attempt, too, is to be repeated.
            yield ("seatsaga_compensation_retries", (undo,)) if undo else ("seatsaga_step_retries", (step,))


class StepTimer:
    """`seatsaga_step_duration_seconds`, of the steps whose beginning and end this process has committed."""

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

    def follow(self, events: Iterable[SagaEvent]) -> None:
        """Committed events, in the order in which they were committed."""
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
