"""Walks every state that a model can reach, breadth first, and says how it came to where a promise is broken.

A model is a start, a function from a state to the moves that are possible in it, and a function
that looks at a move and names the promise it breaks. Breadth first, so that the first broken
promise that is met has the shortest trace there is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["STATES_MAX", "Move", "TooManyStatesError", "Trace", "Walk", "walk"]

STATES_MAX: Final = 2_000_000

S = TypeVar("S", bound=Hashable)


class Move(NamedTuple, Generic[S]):
    """One thing that may happen next.

    `is_fair`: it happens by itself if one only waits. A fault, a wish of somebody, or a message
    that may never arrive is not: whether a saga can end must not depend on one.
    """

    line: str
    after: S
    is_fair: bool = True


@dataclass(frozen=True, slots=True)
class Trace(Generic[S]):
    """The shortest way from the start to a broken promise: what happened, line by line, and where that led."""

    lines: tuple[str, ...]
    broken: str
    last: S

    def __str__(self) -> str:
        numbered = (f"{number:3}. {line}" for number, line in enumerate(self.lines, 1))
        return "\n".join([*numbered, f"     -> {self.broken}", f"     {self.last}"])


@dataclass(frozen=True, slots=True)
class Walk(Generic[S]):
    """What was walked: `states` by the order in which they were met; `depth` is the longest shortest way to one.

    Without a `trace` the whole space was walked and no promise is broken in it.
    """

    states: tuple[S, ...]
    moves: int
    depth: int
    trace: Trace[S] | None


class TooManyStatesError(Exception):
    """More can be reached than was meant to be walked: the model is not as finite as was thought."""


def walk(
    start: S,
    moves: Callable[[S], Iterable[Move[S]]],
    broken: Callable[[S, S], str | None],
    *,
    ends: Callable[[S], bool],
    doomed: str | None,
    alike: Callable[[S], Hashable],
    states_max: int = STATES_MAX,
) -> Walk[S]:
    """Walk from `start` until a promise is broken, or to the end of what can be reached.

    `broken` is asked of every move, with the states before and after it. `alike` gives equal keys
    to states that differ in names alone: only the first of them is walked on from. Where `doomed`
    is given, the walk once done is gone through backwards: every state must have a way of fair
    moves to one that `ends`, else `doomed` is the promise that is broken. Raises TooManyStatesError.
    """
    states = [start]
    index = {alike(start): 0}
    parents: list[tuple[int, str]] = [(-1, "")]
    depths = [0]
    fair_from: list[list[int]] = [[]]
    waiting = deque([0])
    count = 0
    while waiting:
        here = waiting.popleft()
        before = states[here]
        for move in moves(before):
            count += 1
            key = alike(move.after)
            there = index.get(key)
            if there is None:
                there = index[key] = len(states)
                if there >= states_max:
                    raise TooManyStatesError(f"more than {states_max:,}")
                states.append(move.after)
                parents.append((here, move.line))
                depths.append(depths[here] + 1)
                fair_from.append([])
                waiting.append(there)
            if move.is_fair:
                fair_from[there].append(here)
            why = broken(before, move.after)
            if why is not None:
                lines = (*_lines(parents, here), move.line)
                return Walk(tuple(states), count, depths[here] + 1, Trace(lines, why, move.after))
    trace = None
    if doomed is not None:
        lost = _first_lost([number for number, state in enumerate(states) if ends(state)], fair_from)
        if lost is not None:
            trace = Trace(_lines(parents, lost), doomed, states[lost])
    return Walk(tuple(states), count, max(depths), trace)


def _lines(parents: list[tuple[int, str]], number: int) -> tuple[str, ...]:
    lines: list[str] = []
    while number > 0:
        number, line = parents[number]
        lines.append(line)
    return tuple(reversed(lines))


def _first_lost(ends: list[int], fair_from: list[list[int]]) -> int | None:
    """The first state met that no fair way leads from to an end; found by going back from the ends."""
    saved = [False] * len(fair_from)
    for number in ends:
        saved[number] = True
    waiting = deque(ends)
    while waiting:
        for number in fair_from[waiting.popleft()]:
            if not saved[number]:
                saved[number] = True
                waiting.append(number)
    return next((number for number, safe in enumerate(saved) if not safe), None)
