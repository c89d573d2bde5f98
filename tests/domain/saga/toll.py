"""A gate for tests: so many places, a line in order of the lanes, and a bar that shuts it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from domain.gate import Entry, Lane
from domain.outcome import Outcome

__all__ = ["Toll"]


class Toll:
    """Counts who stands where. `open` and `shut` are called on the event loop."""

    def __init__(self, places: int = 1_000, *, is_shut: bool = False) -> None:
        self.places = places
        self.is_shut = is_shut
        self.line: dict[str, Lane] = {}
        self.passing: dict[str, Lane] = {}
        self.entries: list[tuple[str, Lane, Entry]] = []
        self.left: list[tuple[str, Outcome | None]] = []
        self.most = 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._on_place: Callable[[str], None] = lambda saga_id: None

    def enter(self, saga_id: str, lane: Lane) -> Entry:
        with self._lock:
            self.threads.add(threading.current_thread().name)
            if saga_id in self.passing:
                entry = Entry.PERMIT
            elif self.is_shut or len(self.passing) >= self.places:
                self.line[saga_id] = lane
                entry = Entry.SHUT if self.is_shut else Entry.LINE
            else:
                self._pass(saga_id, lane)
                entry = Entry.PERMIT
            self.entries.append((saga_id, lane, entry))
            return entry

    def leave(self, saga_id: str, outcome: Outcome | None) -> None:
        with self._lock:
            if saga_id in self.passing or saga_id in self.line:
                self.left.append((saga_id, outcome))
            self.passing.pop(saga_id, None)
            self.line.pop(saga_id, None)
        self._loop.call_soon_threadsafe(self._let_in)

    def attach(self, on_place: Callable[[str], None]) -> None:
        self._on_place = on_place

    def open(self) -> None:
        """Let those in line in."""
        self.is_shut = False
        self._let_in()

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a place, or stands in line."""
        return not self.passing and not self.line

    def _pass(self, saga_id: str, lane: Lane) -> None:
        self.line.pop(saga_id, None)
        self.passing[saga_id] = lane
        self.most = max(self.most, len(self.passing))

    def _let_in(self) -> None:
        given = []
        with self._lock:
            order = sorted(self.line.items(), key=lambda item: list(Lane).index(item[1]))
            for saga_id, lane in order:
                if self.is_shut or len(self.passing) >= self.places:
                    break
                self._pass(saga_id, lane)
                given.append(saga_id)
        for saga_id in given:
            self._on_place(saga_id)
