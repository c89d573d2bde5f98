"""This replica's sagas at the gates: who has a place, and who stands in line for one.

::

    enter ─▶ PERMIT ─▶ take: the call leaves with its Place ─▶ its answer is settled: Place.leave
       │        └──▶ the turn has not used it: leave
       └──▶ LINE, SHUT ─▶ the gate gives a place: `is_in_line`, a turn enters again
                └──▶ the saga wants something else by now: leave

All of it is a hint: a saga whose standing is lost is due soon by its row, and enters again.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.gate import Entry, Gate, Lane
from domain.outcome import Outcome

__all__ = ["Place", "Places"]


@dataclass(slots=True)
class Place:
    """A place that a call leaves with. It is left once, also if the turn that settles the answer runs again.

    `heard`: what the provider has answered, if a simulation hides it from the saga. The gate hears that.
    """

    gate: Gate
    saga_id: str
    is_left: bool = False
    heard: Outcome | None = None

    def leave(self, outcome: Outcome | None) -> None:
        """The call is over."""
        if not self.is_left:
            self.is_left = True
            self.gate.leave(self.saga_id, self.heard or outcome)


class Places:
    """Each saga stands at one gate at most."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[Gate, Entry]] = {}

    def enter(self, saga_id: str, gate: Gate, lane: Lane) -> Entry:
        """Ask the gate for a place for the saga's next call."""
        before = self._standing.get(saga_id)
        if before is not None and before[0] is not gate:
            before[0].leave(saga_id, None)
        entry = gate.enter(saga_id, lane)
        self._standing[saga_id] = (gate, entry)
        return entry

    def standing(self, saga_id: str) -> Entry | None:
        """What the gate answered last, if no call has left since."""
        standing = self._standing.get(saga_id)
        return standing[1] if standing is not None else None

    def is_in_line(self, saga_id: str, gate: Gate) -> bool:
        """Whether the saga stands in line at this gate, as far as is known."""
        standing = self._standing.get(saga_id)
        return standing is not None and standing[0] is gate and standing[1] is not Entry.PERMIT

    def take(self, saga_id: str, gate: Gate, lane: Lane) -> Place:
        """The place for a call that is ordered. A call whose attempt has begun leaves also if there is none."""
        if self.standing(saga_id) is not Entry.PERMIT:
            self.enter(saga_id, gate, lane)
        return Place(gate, saga_id)

    def depart(self, saga_id: str) -> None:
        """The saga's call is durable and leaves with its place."""
        self._standing.pop(saga_id, None)

    def leave(self, saga_id: str) -> None:
        """The saga uses neither its place nor its place in line."""
        standing = self._standing.pop(saga_id, None)
        if standing is not None:
            standing[0].leave(saga_id, None)
