"""A guard with a clock that tests move, and the calls that it lets out."""

from __future__ import annotations

import itertools
from typing import Final

from domain.gate import Entry, Lane, caller
from domain.guard import BreakerTurned, Guard, GuardLimits
from domain.outcome import NotSent, Outcome, Succeeded
from domain.telemetry import Telemetry

__all__ = ["AWAY", "BUSY", "DONE", "Guarded"]

DONE: Final = Succeeded("done")
AWAY: Final = NotSent("PROVIDER_UNREACHABLE", "The provider cannot be reached.")
BUSY: Final = NotSent("PROVIDER_BUSY", "Too many requests.", after_seconds=2.0)


class Guarded:
    """A guard under test. `called`: all sagas whose call has left, in order; `out`: those whose call is out."""

    def __init__(self, limits: GuardLimits, *, replicas: int = 1) -> None:
        self.now = 1_000.0
        self.turns: list[BreakerTurned] = []
        self.called: list[str] = []
        self.out: dict[str, Lane] = {}
        #: The lanes of the sagas; one that is missing here is gone, and takes no place.
        self.lanes: dict[str, Lane] = {}
        #: When each request was made.
        self.requests: list[float] = []
        telemetry = Telemetry()
        telemetry.attach(lambda signal: self.turns.append(signal) if isinstance(signal, BreakerTurned) else None)
        self.guard = Guard(
            "test",
            limits,
            telemetry=telemetry,
            clock=lambda: self.now,
            random=lambda: 0.0,
        )
        self.guard.attach(self._on_place)
        self.set_replicas(replicas)
        self._names = (f"saga-{number}" for number in itertools.count(1))

    def enter(self, lane: Lane = Lane.BEGIN, *, saga: str | None = None) -> tuple[str, Entry]:
        """A saga asks; its call leaves if it may."""
        saga = saga or next(self._names)
        self.lanes[saga] = lane
        entry = self.guard.enter(saga, lane)
        if entry is Entry.PERMIT and saga not in self.out:
            self.called.append(saga)
            self.out[saga] = lane
        return saga, entry

    def enter_many(self, number: int, lane: Lane = Lane.BEGIN) -> list[str]:
        """So many sagas ask; returns them."""
        return [self.enter(lane)[0] for _ in range(number)]

    def answer(self, saga: str, outcome: Outcome | None = DONE, *, requests: int = 1) -> None:
        """The saga's call ends, after this many requests, which are made now."""
        del self.out[saga]
        before = caller.set(saga)
        for _ in range(requests):
            self.requests.append(self.now)
            self.guard.note_request()
        caller.reset(before)
        self.guard.leave(saga, outcome)

    def answer_all(self, outcome: Outcome | None = DONE, *, requests: int = 1) -> int:
        """All calls that are out now end; returns how many."""
        sagas = list(self.out)
        for saga in sagas:
            self.answer(saga, outcome, requests=requests)
        return len(sagas)

    def wait(self, seconds: float = 0.0) -> None:
        """Time passes; the guard looks as often as it wants to."""
        until = self.now + seconds
        while True:
            self.guard.look()
            pause = self.guard.pause_seconds()
            if self.now + pause > until or pause <= 0.0:
                if pause > 0.0 or self.now >= until:
                    break
                pause = 1e-6
            self.now += pause
        self.now = until
        self.guard.look()

    def set_replicas(self, number: int) -> None:
        """So many replicas live, and the guard has looked."""
        self.guard.set_replicas(number)
        self.guard.look()

    @property
    def state(self) -> str:
        return self.guard.standing.state.value

    @property
    def waiting(self) -> int:
        return sum(self.guard.standing.waiting.values())

    def _on_place(self, saga: str) -> None:
        if saga in self.lanes:
            self.enter(self.lanes[saga], saga=saga)
