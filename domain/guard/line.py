"""The sagas that stand in line for a place: a line for each lane, first come, first served."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from domain.gate import Lane

__all__ = ["PASSED_OVER_MAX", "Line"]

#: A lane in which somebody waits is passed over by higher ones this often; then its first gets the next place.
PASSED_OVER_MAX: Final = 8


class Line:
    """Sagas by lane. The highest lane goes first, but no lane is passed over more than PASSED_OVER_MAX times.

    A saga stands in line once. Memory: one entry a saga.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, OrderedDict[str, None]] = {lane: OrderedDict() for lane in Lane}
        self._lane_of: dict[str, Lane] = {}
        self._passed_over = dict.fromkeys(Lane, 0)

    def __len__(self) -> int:
        return len(self._lane_of)

    def waiting(self, lane: Lane) -> int:
        """How many stand in this lane."""
        return len(self._lanes[lane])

    def put(self, saga_id: str, lane: Lane) -> None:
        """Let the saga stand in this lane. It keeps its place in the lane, and loses that in another."""
        before = self._lane_of.get(saga_id)
        if before is lane:
            return
        if before is not None:
            del self._lanes[before][saga_id]
        self._lanes[lane][saga_id] = None
        self._lane_of[saga_id] = lane

    def remove(self, saga_id: str) -> bool:
        """Take the saga out of the line; returns whether it stood there."""
        lane = self._lane_of.pop(saga_id, None)
        if lane is None:
            return False
        del self._lanes[lane][saga_id]
        return True

    def next_lane(self) -> Lane | None:
        """The lane whose first is next; None if nobody waits."""
        waiting = [lane for lane in Lane if self._lanes[lane]]
        overdue = [lane for lane in waiting if self._passed_over[lane] >= PASSED_OVER_MAX]
        return next(iter(overdue or waiting), None)

    def take(self, lane: Lane) -> str:
        """Take the first of this lane out of the line."""
        saga_id, _ = self._lanes[lane].popitem(last=False)
        del self._lane_of[saga_id]
        self._passed_over[lane] = 0
        for other in Lane:
            if other is not lane:
                self._passed_over[other] = self._passed_over[other] + 1 if self._lanes[other] else 0
        return saga_id
