"""The gate before a provider: the port between the saga engine, whose calls pass it, and the guard that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Final, Protocol

from domain.outcome import Outcome

__all__ = ["Entry", "Gate", "Lane", "caller"]

#: The saga whose call the present task makes, so that a gate can count the requests that a call sends.
caller: Final[ContextVar[str | None]] = ContextVar("caller", default=None)


class Lane(Enum):
    """The kind of a call, in order of precedence."""

    # Counted by lane at each call: an enum's own hash is a Python function.
    __hash__ = object.__hash__

    UNDO = "undo"
    """It gives back what was taken, or completes what can no longer be undone."""
    CONFIRM = "confirm"
    """It completes a saga whose earlier steps are done."""
    BEGIN = "begin"
    """All others, looks too."""


class Entry(Enum):
    """The answer to a saga that wants to call."""

    PERMIT = "permit"
    """The call may leave; the saga has a place until it leaves."""
    LINE = "line"
    """The saga stands in line for a place."""
    SHUT = "shut"
    """The saga stands in line, and for now nothing passes."""


class Gate(Protocol):
    """Says which saga may call now. Sagas in line get their places later, in the gate's own order.

    `enter` and `leave` never block, await nothing, and may be called by any thread: on SQLite a turn runs on the
    connection's thread. Nothing may depend on the gate's memory: a saga whose place or line is lost asks again.
    """

    def enter(self, saga_id: str, lane: Lane) -> Entry:
        """Ask for a place. A saga that has one keeps it; it stands in line once, in the lane that it named last."""

    def leave(self, saga_id: str, outcome: Outcome | None) -> None:
        """The saga's call is over with `outcome`; None: it does not use its place, or its place in line.

        Has no effect for a saga that the gate does not know.
        """

    def attach(self, on_place: Callable[[str], None]) -> None:
        """Call `on_place(saga_id)` on the event loop for each saga in line that gets a place: it then enters again."""
