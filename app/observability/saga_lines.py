"""The log lines of the engine's telemetry: one line for each event, and one for the saga's queue after it.

The state of a saga's queue is derived from its events only; the log never reads the database. A
saga that another process started is known from the first of its events that this process sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from app.observability.lines import Line, Marker, SubjectNames
from domain.clock import to_datetime
from domain.events import EventType, SagaEvent
from domain.facts import BookingFacts, SeatFacts
from domain.outcome import NotSent, Refused, Succeeded
from domain.saga import CallFinished, Committed, SagaDefinition, StartsCommitted

__all__ = ["SAGAS_REMEMBERED_MAX", "SagaLines"]

SAGAS_REMEMBERED_MAX: Final = 50_000
_STATUS: Final = {
    EventType.SAGA_COMPLETED: "COMPLETED",
    EventType.SAGA_COMPENSATED: "COMPENSATED",
    EventType.SAGA_ABANDONED: "ABANDONED",
}
#: The marker of each event, the words for its step or compensation if the message does not say them, and the level.
_MANNERS: Final[dict[EventType, tuple[Marker, str, str]]] = {
    EventType.SAGA_STARTED: (Marker.SAGA, "", "info"),
    EventType.STEP_STARTED: (Marker.SAGA_STEP, "", "info"),
    EventType.STEP_COMPLETED: (Marker.SAGA_STEP, "completed", "info"),
    EventType.STEP_FAILED: (Marker.SAGA_STEP, "failed", "warning"),
    EventType.STEP_RETRYING: (Marker.SAGA_STEP, "will be retried", "warning"),
    EventType.STEP_SKIPPED: (Marker.SAGA_STEP, "", "info"),
    EventType.STEP_WAITING: (Marker.SAGA_STEP, "", "info"),
    EventType.STEP_RESUMED: (Marker.SAGA_STEP, "", "info"),
    EventType.HOLD_EXPIRED: (Marker.SAGA, "", "warning"),
    EventType.CANCEL_REQUESTED: (Marker.SAGA, "", "info"),
    EventType.COMPENSATION_STARTED: (Marker.COMPENSATION, "", "info"),
    EventType.COMPENSATION_COMPLETED: (Marker.COMPENSATION, "completed", "info"),
    EventType.COMPENSATION_RETRYING: (Marker.COMPENSATION, "will be retried", "warning"),
    EventType.COMPENSATION_SKIPPED: (Marker.COMPENSATION, "", "warning"),
    EventType.COMPENSATION_WAITING: (Marker.COMPENSATION, "", "info"),
    EventType.SAGA_COMPLETED: (Marker.SAGA, "", "info"),
    EventType.SAGA_COMPENSATED: (Marker.SAGA, "", "warning"),
    EventType.SAGA_STUCK: (Marker.SAGA, "", "error"),
    EventType.SAGA_PARKED: (Marker.SAGA, "", "error"),
    EventType.SAGA_RESUMED: (Marker.SAGA, "", "info"),
    EventType.SAGA_ABANDONED: (Marker.SAGA, "", "error"),
}
#: For an event type that only a newer release knows.
_PLAIN: Final = (Marker.SAGA, "", "info")


@dataclass(slots=True)
class _Track:
    """The state of one saga, from the events that this process has seen."""

    subject: str | None = None
    definition: SagaDefinition | None = None
    started_at: int | None = None
    pending: list[str] = field(default_factory=list)
    executing: str | None = None
    completed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    compensations: list[str] = field(default_factory=list)
    compensating: str | None = None
    compensated: list[str] = field(default_factory=list)
    began: dict[str, int] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    undone: dict[str, dict[str, Any]] = field(default_factory=dict)
    seats: list[str] = field(default_factory=list)
    reference: str | None = None


class SagaLines:
    """Turns signals into lines, and finished sagas into booking lines. Used by one thread.

    `with_fields`: for machines, lines also have fields for the facts that the message says in words.
    """

    def __init__(self, *, with_fields: bool, names: SubjectNames) -> None:
        self._with_fields = with_fields
        self._names = names
        self._tracks: dict[str, _Track] = {}

    def know(self, signal: StartsCommitted) -> None:
        """Remember the owners and steps of started sagas, for all their lines."""
        for saga in signal.sagas:
            track = self._track(saga.correlation_id)
            track.subject = self._names(saga.subject)
            track.definition = saga.definition

    def of_events(self, signal: Committed) -> tuple[list[Line], list[dict[str, Any]]]:
        """The lines of committed events, and one record for each saga that they end."""
        lines: list[Line] = []
        bookings: list[dict[str, Any]] = []
        touched: dict[str, SagaEvent] = {}
        for event in signal.events:
            track = self._follow(event)
            lines.append(_line(event, track.subject, with_fields=self._with_fields))
            touched[event.correlation_id] = event
            if event.type in _STATUS:
                bookings.append(_booking(event, track))
        for correlation_id, last in touched.items():
            lines.append(_queue_line(last, self._tracks[correlation_id], with_fields=self._with_fields))
            if last.type in _STATUS:
                del self._tracks[correlation_id]
        return lines, bookings

    def of_call(self, signal: CallFinished) -> Line:
        """The line of a call to a gateway."""
        match signal.outcome:
            case Succeeded() as done:
                level, word = "info", f"succeeded{f' ({done.sentence})' if done.sentence else ''}"
            case Refused(code, message):
                level, word = "warning", f"was refused: {code} {message}"
            case NotSent(code, message):
                level, word = "warning", f"was not sent: {code} {message}"
            case unknown:
                level, word = "warning", f"has no known outcome: {unknown.code} {unknown.message}"
        track = self._tracks.get(signal.correlation_id)
        undoes = track is not None and track.compensating == signal.operation
        owned = {"subject": track.subject} if track is not None and track.subject is not None else {}
        return Line(
            signal.at,
            Marker.COMPENSATION if undoes else Marker.SAGA_STEP,
            level,
            signal.correlation_id,
            f"call of {signal.operation} {word}",
            {
                "event": "CALL_FINISHED",
                "compensation" if undoes else "step": signal.operation,
                "attempt": signal.attempt,
                "duration_ms": round(signal.seconds * 1_000, 1),
                **owned,
            },
        )

    def _track(self, correlation_id: str) -> _Track:
        track = self._tracks.get(correlation_id)
        if track is None:
            if len(self._tracks) >= SAGAS_REMEMBERED_MAX:
                del self._tracks[next(iter(self._tracks))]
            track = self._tracks[correlation_id] = _Track()
        return track

    def _follow(self, event: SagaEvent) -> _Track:
        track = self._track(event.correlation_id)
        step, undo, at = event.step or "", event.compensation or "", event.at
        match event.type:
            case EventType.SAGA_STARTED:
                track.started_at = at
                if track.definition is not None:
                    track.pending = [item.name for item in track.definition.steps]
            case EventType.STEP_STARTED | EventType.STEP_WAITING:
                _leave(track.pending, step)
                track.executing = step
                track.began.setdefault(step, at)
            case EventType.STEP_COMPLETED:
                _leave(track.pending, step)
                track.executing = None
                track.completed.append(step)
                track.steps[step] = _account(event, track.began.get(step, at))
                track.compensations[:0] = _undo_of(track.definition, step)
                match event.facts:
                    case SeatFacts() as seats if seats.status == "HELD":
                        track.seats = seats.numbers
                    case BookingFacts() as booking:
                        track.reference = booking.reference
            case EventType.STEP_SKIPPED:
                _leave(track.pending, step)
                track.executing = None
                track.steps[step] = _account(event, track.began.get(step, at))
            case EventType.STEP_FAILED:
                track.pending.clear()
                track.executing = None
                track.failed.append(step)
                track.steps[step] = _account(event, track.began.get(step, at))
            case EventType.COMPENSATION_STARTED:
                track.pending.clear()
                track.executing = None
                _leave(track.compensations, undo)
                track.compensating = undo
                track.began.setdefault(undo, at)
            case EventType.COMPENSATION_COMPLETED | EventType.COMPENSATION_SKIPPED:
                _leave(track.compensations, undo)
                track.compensating = None
                track.undone[undo] = _account(event, track.began.get(undo, at))
                if event.type is EventType.COMPENSATION_COMPLETED:
                    track.compensated.append(undo)
            case EventType.SAGA_COMPLETED:
                # After the pivot nothing is compensated.
                track.compensations.clear()
        return track


def _leave(names: list[str], name: str) -> None:
    if name in names:
        names.remove(name)


def _undo_of(definition: SagaDefinition | None, step: str) -> list[str]:
    """The compensation of `step`, if it has one and the definition is known."""
    steps = definition.steps if definition is not None else ()
    return [item.compensation.name for item in steps if item.name == step and item.compensation is not None]


def _account(event: SagaEvent, began: int) -> dict[str, Any]:
    return {"event": event.type, "duration_ms": (event.at - began) / 1_000, "summary": event.message}


def _line(event: SagaEvent, subject: str | None, *, with_fields: bool) -> Line:
    marker, verb, level = _MANNERS.get(event.type, _PLAIN)
    name = event.compensation or event.step
    message = event.message
    if verb and name:
        message = f"{name} {verb}: {message}"
    failure = event.failure
    if failure is not None:
        message = f"{message} ({failure.code})"
    fields: dict[str, Any] = {}
    if event.attempt is not None and event.attempt > 1:
        fields["attempt"] = event.attempt
    if with_fields:
        fields |= {
            "event": event.type,
            "sequence": event.sequence,
            "step": event.step,
            "compensation": event.compensation,
        }
        fields["failure"] = failure
        fields["facts"] = event.facts
    if subject is not None:
        fields["subject"] = subject
    return Line(event.at, marker, level, event.correlation_id, message, fields)


def _queue_line(event: SagaEvent, track: _Track, *, with_fields: bool) -> Line:
    words = [
        f"{name} {', '.join(names)}"
        for name, names in (
            ("pending", track.pending),
            ("completed", track.completed),
            ("failed", track.failed),
            ("compensations", track.compensations),
            ("compensated", track.compensated),
        )
        if names
    ]
    if track.executing or track.compensating:
        words.insert(0, f"executing {track.executing}" if track.executing else f"compensating {track.compensating}")
    fields: dict[str, Any] = {} if track.subject is None else {"subject": track.subject}
    if with_fields:
        fields["queue"] = {
            "pending": track.pending.copy(),
            "executing": track.executing,
            "completed": track.completed.copy(),
            "failed": track.failed.copy(),
            "compensations": track.compensations.copy(),
            "compensating": track.compensating,
            "compensated": track.compensated.copy(),
        }
    return Line(event.at, Marker.QUEUE, "info", event.correlation_id, " | ".join(words) or "empty", fields)


def _booking(event: SagaEvent, track: _Track) -> dict[str, Any]:
    return {
        "correlation_id": event.correlation_id,
        "definition": track.definition.name if track.definition is not None else None,
        "status": _STATUS[event.type],
        "reference": track.reference,
        "seats": track.seats,
        "started_at": to_datetime(track.started_at) if track.started_at is not None else None,
        "finished_at": to_datetime(event.at),
        "duration_ms": (event.at - track.started_at) / 1_000 if track.started_at is not None else None,
        "steps": track.steps,
        "compensations": track.undone,
        "failure": event.failure,
        "subject": track.subject,
    }
