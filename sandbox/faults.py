"""The faults that the sandbox can be told to produce."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fault", "FaultKind", "Faults"]


class FaultKind(StrEnum):
    """The kind of a fault."""

    LATENCY = "LATENCY"
    """The answer is right but late."""
    SERVER_ERROR = "SERVER_ERROR"
    """A 500 without effect, stored under its key and repeated for it."""
    TIMEOUT_BEFORE_EFFECT = "TIMEOUT_BEFORE_EFFECT"
    """The request is lost before it arrives."""
    TIMEOUT_AFTER_EFFECT = "TIMEOUT_AFTER_EFFECT"
    """The answer is lost after the effect."""
    LATE_EFFECT = "LATE_EFFECT"
    """The caller gets a timeout. The effect comes `seconds` later, or when the gateway closes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at `operation` (authorize, capture, void, refund, read), for one reference or any; and how often."""

    operation: str
    kind: FaultKind
    times: int = 1
    reference: str | None = None
    seconds: float = 0.05


class Faults:
    """The pending faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Add `fault` after the earlier ones."""
        self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        """Forget the faults that have not happened yet."""
        self._waiting.clear()

    def take(self, operation: str, reference: str) -> Fault | None:
        """The fault that applies now, if any; uses it up once."""
        for index, (fault, left) in enumerate(self._waiting):
            if fault.operation == operation and fault.reference in (None, reference):
                if left > 1:
                    self._waiting[index] = (fault, left - 1)
                else:
                    del self._waiting[index]
                return fault
        return None
