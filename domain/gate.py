"""The words that the engine and the guard of a provider share: a call's lane, and the answer at the gate."""

from __future__ import annotations

from enum import Enum

__all__ = ["Entry", "Lane"]


class Lane(Enum):
    """The kind of a call, in order of precedence."""

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
