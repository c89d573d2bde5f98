"""What a check has seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Observation", "State", "advice", "broken", "holds", "skipped"]


class State(StrEnum):
    """What came of a check."""

    #: As it should be.
    HOLDS = "holds"
    #: Clients fail, or are not told apart.
    BROKEN = "broken"
    #: Clients work; something would be better.
    ADVICE = "advice"
    #: Not checked; the detail says why.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of the check of this name; `detail` is what was seen, in one sentence."""

    check: str
    state: State
    detail: str = ""


def holds(check: str, detail: str = "") -> Observation:
    """As it should be."""
    return Observation(check, State.HOLDS, detail)


def broken(check: str, detail: str) -> Observation:
    """Not as it should be."""
    return Observation(check, State.BROKEN, detail)


def advice(check: str, detail: str) -> Observation:
    """It works, and could be better."""
    return Observation(check, State.ADVICE, detail)


def skipped(check: str, detail: str) -> Observation:
    """Not checked, and why."""
    return Observation(check, State.SKIPPED, detail)
