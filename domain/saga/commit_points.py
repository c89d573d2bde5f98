"""Moments at which a process may die without losing anything. They have names, so that tests can break at each."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

__all__ = ["Breaker", "CommitPoint", "CommitPoints"]


class CommitPoint(StrEnum):
    """A moment just before or after a commit, or just after an effect outside."""

    START_BEFORE_COMMIT = "START_BEFORE_COMMIT"
    """Sagas are written, with the effects, steps and events before their first calls, but not committed."""
    START_AFTER_COMMIT = "START_AFTER_COMMIT"
    """Sagas are durable; no feed was told, no call has left."""
    TURN_BEFORE_COMMIT = "TURN_BEFORE_COMMIT"
    """A turn's effects, steps and events are written but not committed."""
    TURN_AFTER_COMMIT = "TURN_AFTER_COMMIT"
    """A turn is durable; no feed was told, no call has left."""
    CALL_BEFORE_EFFECT = "CALL_BEFORE_EFFECT"
    """A call is about to leave."""
    CALL_AFTER_EFFECT = "CALL_AFTER_EFFECT"
    """A call was answered; no part of the answer is durable."""
    SIGNAL_BEFORE_COMMIT = "SIGNAL_BEFORE_COMMIT"
    """A signal (cancel, expiry, retry, skip, a word) is written but not committed."""
    SIGNAL_AFTER_COMMIT = "SIGNAL_AFTER_COMMIT"
    """A signal is durable; the saga's owner was not woken."""
    CLAIM_BEFORE_COMMIT = "CLAIM_BEFORE_COMMIT"
    """Sagas of a lapsed replica are claimed but not committed."""
    CLAIM_AFTER_COMMIT = "CLAIM_AFTER_COMMIT"
    """A takeover is durable; no turn has looked at its sagas yet."""
    PARK_BEFORE_COMMIT = "PARK_BEFORE_COMMIT"
    """A saga that cannot be read or run is parked but not committed."""
    PARK_AFTER_COMMIT = "PARK_AFTER_COMMIT"
    """A saga is parked; no feed was told."""


Breaker = Callable[[CommitPoint, tuple[str, ...]], None]


class CommitPoints:
    """Calls a test's `breaker` at every commit point, with the names of the current work; without one, does nothing.

    The second argument names the work being committed: `("RESERVE", "PAY", ...)`.
    """

    def __init__(self, breaker: Breaker | None = None) -> None:
        self.breaker = breaker

    def reach(self, point: CommitPoint, *details: str) -> None:
        """Report that `point` is reached. Raises, or never returns, if a test's breaker does."""
        if self.breaker is not None:
            self.breaker(point, details)
