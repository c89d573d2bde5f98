"""What the sandbox is told to do wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "FaultKind", "Faults"]


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "LATENCY"
    """The answer is right, and late."""
    SERVER_ERROR = "SERVER_ERROR"
    """A 500 without effect, stored under its key and repeated for it."""
    TIMEOUT_BEFORE_EFFECT = "TIMEOUT_BEFORE_EFFECT"
    """The request is lost on the way there."""
    TIMEOUT_AFTER_EFFECT = "TIMEOUT_AFTER_EFFECT"
    """The answer is lost on the way back."""
    LATE_EFFECT = "LATE_EFFECT"
    """The caller is told of a timeout, and the effect comes only then."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at `operation` (authorize, capture, void, refund, read), for one reference or any, so many times."""

    operation: str
    kind: FaultKind
    times: int = 1
    reference: str | None = None
    seconds: float = 0.05


class Faults:
    """The faults to come, in the order in which they were added."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Let `fault` happen, after those that were added before it."""
        self._waiting.append((fault, fault.times))

    def take(self, operation: str, reference: str) -> Fault | None:
        """The fault that is to happen now, if any; it is then spent once."""
        for index, (fault, left) in enumerate(self._waiting):
            if fault.operation == operation and fault.reference in (None, reference):
                if left > 1:
                    self._waiting[index] = (fault, left - 1)
                else:
                    del self._waiting[index]
                return fault
        return None
