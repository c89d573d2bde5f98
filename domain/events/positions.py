"""The position shown of each saga in a view of all sagas: pure, one object for each viewing.

A viewing begins with the sequence of every saga at that moment. From then on each event is shown
once, in its saga's order: if events are missing before it, they are read from the log first. A saga
that did not exist at the beginning is new, and is shown from its first event.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.events.model import SagaEvent
from domain.events.notifier import Hint

__all__ = ["Positions"]


class Positions:
    """The newest sequence shown of each saga, and the sagas that are known to be further ahead."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}
        self._behind: set[str] = set()
        self._early: dict[str, int] = {}
        self._begun = False

    def begin(self, standing: Mapping[str, int]) -> None:
        """Begin with each saga's sequence; hints from before count from here."""
        self._begun = True
        self._shown.update(standing)
        for saga_id, sequence in self._early.items():
            self._reached(saga_id, sequence)
        self._early.clear()

    def follows(self, event: SagaEvent) -> bool:
        """Whether `event`, just committed, is to be shown now; if so it counts as shown."""
        shown = self._shown.get(event.saga_id, 0)
        if self._begun and event.sequence == shown + 1:
            self._shown[event.saga_id] = event.sequence
            return True
        self._reached(event.saga_id, event.sequence)
        return False

    def reads(self, event: SagaEvent) -> bool:
        """Whether `event`, the log's next, is to be shown; missing events before it were removed."""
        if event.sequence <= self._shown.get(event.saga_id, 0):
            return False
        self._shown[event.saga_id] = event.sequence
        return True

    def heard(self, hint: Hint) -> None:
        """Another replica has committed events up to the hint's last."""
        if hint.last:
            self._reached(hint.saga_id, hint.last)

    def stand(self, standing: Mapping[str, int], known: frozenset[str]) -> None:
        """Apply a snapshot of sequences, taken when `known` were known; drop those missing in it: they have ended."""
        for saga_id, sequence in standing.items():
            self._reached(saga_id, sequence)
        for saga_id in known - standing.keys() - self._behind:
            self._shown.pop(saga_id, None)

    @property
    def known(self) -> frozenset[str]:
        """The sagas that were shown, or that existed at the beginning."""
        return frozenset(self._shown)

    @property
    def is_behind(self) -> bool:
        """Whether the log has events that are still to be shown."""
        return self._begun and bool(self._behind)

    def take_behind(self) -> dict[str, int]:
        """The sagas whose log is to be read, each above this sequence; they count as read."""
        afters = {saga_id: self._shown.get(saga_id, 0) for saga_id in self._behind}
        self._behind.clear()
        return afters

    def put_back(self, afters: Mapping[str, int]) -> None:
        """Reading these failed: they are to be read again."""
        self._behind.update(afters)

    def _reached(self, saga_id: str, sequence: int) -> None:
        if not self._begun:
            self._early[saga_id] = max(sequence, self._early.get(saga_id, 0))
        elif sequence > self._shown.get(saga_id, 0):
            self._behind.add(saga_id)
