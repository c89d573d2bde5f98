"""Takes the time of steps by their events: from the first attempt of a step to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from domain.events import EventType, SagaEvent

__all__ = ["STEPS_TIMED_MAX", "StepTimer"]

#: Beyond it the step that began first is forgotten: its saga may have gone to another replica, and not come back.
STEPS_TIMED_MAX: Final = 50_000
_OUTCOMES: Final = {
    EventType.STEP_COMPLETED: "completed",
    EventType.STEP_FAILED: "failed",
    EventType.STEP_SKIPPED: "skipped",
}


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
