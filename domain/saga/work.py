"""What goes into a turn, and what remains to do after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.events import SagaEvent
from domain.outcome import Outcome
from domain.saga.definition import Member, Remote, RetryPolicy
from domain.saga.machine import Footing
from domain.saga.places import Place
from domain.saga.states import Direction, SagaStatus, WaitEnd

__all__ = ["CallOrder", "Completion", "SagaEnd", "TurnResult", "WaitEnded", "Work"]


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a call, and the exact attempt that made the call."""

    epoch: int
    direction: Direction
    position: int
    attempt: int
    outcome: Outcome
    before: Footing | None = None
    """None only of a call that has left."""
    place: Place | None = None
    """At the gate, until the answer is settled."""


@dataclass(frozen=True, slots=True)
class Work:
    """A saga to look at, with its call's completion if there is one.

    `orphaned`: nothing in this process waits for an answer. If the saga's row says that a call is
    out, its caller is gone and the outcome is unknown. `has_place`: a gate has a place for it now.
    """

    saga_id: str
    completion: Completion | None = None
    orphaned: bool = False
    has_place: bool = False


@dataclass(frozen=True, slots=True)
class CallOrder:
    """A call that may leave now, as its intent is durable."""

    member: Member[Any]
    operation: Remote
    policy: RetryPolicy
    epoch: int
    direction: Direction
    position: int
    loses_answer: bool
    before: Footing
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class SagaEnd:
    """How a saga of `definition` ended, and how long after its start, by the database's clock."""

    definition: str
    status: SagaStatus
    seconds: float


@dataclass(frozen=True, slots=True)
class WaitEnded:
    """A saga of `definition` waits no more for `wants`; `by`: what ended the wait."""

    definition: str
    wants: str
    by: WaitEnd


@dataclass(slots=True)
class TurnResult:
    """What remains to do after a committed turn: tell the feeds, send the calls, and look again when due.

    `handled` are the turn's sagas; `due` maps saga IDs to microseconds from now; `unsettled` is
    work whose rows were locked by another transaction; `over` are sagas that ended, are parked,
    have another owner, or wait for a word: only their rows know when they are due. So do the rows of `in_line`, which
    stand in line for a place, and of `resting`, which are stuck or stand before a gate that is shut; these are not in
    flight. `absent`: those of `over` that have no row of ours, or none that is not over. `ended` describes
    the ended ones, `waits` the waits that ended. `put_off` is work whose failure cannot even be
    written: it is left alone for a while.
    """

    handled: set[str] = field(default_factory=set)

    events: list[SagaEvent] = field(default_factory=list)
    calls: list[CallOrder] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    unsettled: list[Work] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    in_line: set[str] = field(default_factory=set)
    resting: set[str] = field(default_factory=set)
    ended: list[SagaEnd] = field(default_factory=list)
    waits: list[WaitEnded] = field(default_factory=list)
    put_off: list[Work] = field(default_factory=list)
