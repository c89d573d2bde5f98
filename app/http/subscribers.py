"""Counts subscriptions by transport, limits them by caller, and measures the delay of events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from app.observability.metrics import Transport
from domain.clock import SECOND, wall_now
from schema.context import Scope, Viewer
from schema.execution import Rejected
from schema.frames import Frame

__all__ = ["StreamObserver", "Subscriber", "Subscribers"]


class StreamObserver(Protocol):
    """Receives the measurements of subscriptions; see `app.observability.metrics`."""

    def stream_opened(self, transport: Transport) -> None:
        """A subscription has begun."""
        ...

    def stream_closed(self, transport: Transport) -> None:
        """A subscription has ended, for whatever reason."""
        ...

    def event_delivered(self, seconds: float) -> None:
        """An event was handed to the connection, `seconds` after its commit."""
        ...


@dataclass(slots=True)
class Subscriber:
    """One running subscription. `since`: earlier events are history."""

    viewer: Viewer
    transport: Transport
    since: int
    sequence: int | None = None
    """The sequence of the newest event that was handed to the connection."""


class Subscribers:
    """The subscriptions of this process. One subject may have `per_caller_max` at once; None: no limit.

    Operators with sagas:read are exempt.
    """

    def __init__(self, *, per_caller_max: int | None, observer: StreamObserver | None = None) -> None:
        self._per_caller_max = per_caller_max
        self._observer = observer
        self._callers: Counter[str] = Counter()

    def enter(self, viewer: Viewer, transport: Transport) -> Subscriber | Rejected:
        """Add a subscription, or reject it. The caller must call `leave` for the Subscriber that it gets."""
        limit = None if viewer.may(Scope.SAGAS_READ) else self._per_caller_max
        if limit is not None and self._callers[viewer.subject] >= limit:
            message = f"At most {limit} subscriptions may run at once; end one first."
            return Rejected.beyond(message, limit=limit)
        self._callers[viewer.subject] += 1
        if self._observer is not None:
            self._observer.stream_opened(transport)
        return Subscriber(viewer, transport, wall_now())

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscription that has ended."""
        subject = subscriber.viewer.subject
        self._callers[subject] -= 1
        if not self._callers[subject]:
            del self._callers[subject]
        if self._observer is not None:
            self._observer.stream_closed(subscriber.transport)

    def delivered(self, subscriber: Subscriber, frame: Frame) -> None:
        """Record that the connection has taken `frame`."""
        subscriber.sequence = frame.sequence or subscriber.sequence
        if self._observer is not None and frame.at is not None and frame.at >= subscriber.since:
            self._observer.event_delivered((wall_now() - frame.at) / SECOND)
