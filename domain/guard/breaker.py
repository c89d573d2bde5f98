"""The circuit breaker: whether calls are sent at all.

::

                    more than half of the last minute's calls fail: at least 5, of 3 sagas
    CLOSED ───────────────────────────────────────────────────────────────────────▶ OPEN ◀──┐
       ▲                                                                             │      │ more than half
       │ a wave of 16, or all that there are          1 s, then 2, 4, ... 60 s later │      │ of a wave fail
       └──────────────── HALF_OPEN: one probe, then waves of 2, 4, 8, 16 ◀───────────┘      │
                              └─────────────────────────────────────────────────────────────┘
    any ──an operator's pause──▶ PAUSED ──an operator's resume──▶ HALF_OPEN

One saga whose calls alone fail tells nothing of the provider: it neither opens the breaker, nor keeps it open.

A call fails if it got no answer, or could not be sent, or the provider answered with an error of its own. A
decline is an answer. "Too many requests" is no failure either: the rate obeys it (`rate`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Final

from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown

__all__ = ["PROVIDER_BUSY", "Breaker", "BreakerState", "Result", "result_of"]

#: The code of "too many requests".
PROVIDER_BUSY: Final = "PROVIDER_BUSY"
#: The code of an error that the provider answered, also where it is known by now that nothing was done.
PROVIDER_ERROR: Final = "PROVIDER_ERROR"
WINDOW_SECONDS: Final = 60.0
#: The newest calls of the window that are counted.
WINDOW_CALLS_MAX: Final = 1_000
FAILURES_MIN: Final = 5
FAILURES_SHARE: Final = 0.5
#: The failures of so many sagas at least are the provider's. Fewer may be those of their own payments.
FAILING_SAGAS_MIN: Final = 3
PROBE_SECONDS_MIN: Final = 1.0
PROBE_SECONDS_MAX: Final = 60.0
#: Replicas must not probe in step, so a wait is shorter by up to this share.
PROBE_JITTER: Final = 0.25
WAVE_CALLS_MAX: Final = 16


class BreakerState(StrEnum):
    """The state of the breaker."""

    CLOSED = "CLOSED"
    """Calls are sent."""
    OPEN = "OPEN"
    """The provider keeps failing: no call is sent."""
    HALF_OPEN = "HALF_OPEN"
    """A few calls are sent, and more while they succeed."""
    PAUSED = "PAUSED"
    """An operator paused it: no call is sent."""

    @property
    def is_shut(self) -> bool:
        """Whether no call is sent."""
        return self in (BreakerState.OPEN, BreakerState.PAUSED)


class Result(Enum):
    """What a call says about the provider."""

    # As of lanes.
    __hash__ = object.__hash__

    WELL = "WELL"
    """It answered."""
    FAILED = "FAILED"
    """It did not answer, could not be reached, or had an error of its own."""
    BUSY = "BUSY"
    """It takes no more for now."""
    UNUSED = "UNUSED"
    """No call was made."""


def result_of(outcome: Outcome | None) -> Result:
    """What this outcome says about the provider; None: no call was made."""
    match outcome:
        case Succeeded():
            return Result.WELL
        case None:
            return Result.UNUSED
        case NotSent(code) | Unknown(code):
            return Result.BUSY if code == PROVIDER_BUSY else Result.FAILED
        case Refused(code) if code == PROVIDER_ERROR:
            return Result.FAILED
        case _:
            return Result.WELL


class Breaker:
    """Counts results, opens and closes. Times are seconds of one monotonic clock, and are given.

    `random` gives numbers from 0 to 1.
    """

    def __init__(self, *, random: Callable[[], float]) -> None:
        self._random = random
        self._state = BreakerState.CLOSED
        self._is_paused = False
        #: When each call ended, and the saga whose call has failed.
        self._window: deque[tuple[float, str | None]] = deque(maxlen=WINDOW_CALLS_MAX)
        self._failures = 0
        #: How many failures of the window each saga has.
        self._failing: dict[str, int] = {}
        #: The saga whose call has opened it again.
        self._reopened_by: str | None = None
        self._opened = 0
        self._probe_at = 0.0
        self._begin_wave(1)

    @property
    def state(self) -> BreakerState:
        """The state as of the last `look`."""
        return BreakerState.PAUSED if self._is_paused else self._state

    @property
    def wave(self) -> int:
        """The number of the present wave; a call belongs to the wave in which it got its place."""
        return self._wave

    @property
    def room(self) -> int | None:
        """How many more calls this wave takes; None: any number."""
        return None if self._state is BreakerState.CLOSED else self._size - self._entered

    def look(self, now: float) -> None:
        """Begin to probe if it is time."""
        if self._state is BreakerState.OPEN and now >= self._probe_at:
            self._half_open()

    def seconds_until_probe(self, now: float) -> float | None:
        """How long until it probes; None unless OPEN."""
        return max(0.0, self._probe_at - now) if self.state is BreakerState.OPEN else None

    def enter(self) -> int:
        """A call gets a place; returns its wave."""
        self._entered += 1
        return self._wave

    @property
    def is_calm(self) -> bool:
        """Whether calls pass without a limit of its own."""
        return self._state is BreakerState.CLOSED and not self._is_paused

    def leave(self, saga_id: str, wave: int, result: Result, now: float, *, is_last: bool) -> None:
        """The saga's call of this wave has ended. `is_last`: nobody stands in line: the wave gets no more for now."""
        if result is Result.WELL or result is Result.FAILED:
            self._count(now, saga_id if result is Result.FAILED else None)
        if self._state is BreakerState.CLOSED:
            if self._fails:
                self._open(now)
        elif self._state is BreakerState.HALF_OPEN and wave == self._wave:
            if result is Result.FAILED and self._size == 1:
                # The probe of a saga that fails again and again is left to another.
                result = Result.UNUSED if saga_id == self._reopened_by else result
                self._reopened_by = saga_id
            self._judge_wave(result, now, is_last=is_last)

    @property
    def _fails(self) -> bool:
        return (
            self._failures >= FAILURES_MIN
            and self._failures > len(self._window) * FAILURES_SHARE
            and len(self._failing) >= FAILING_SAGAS_MIN
        )

    def pause(self) -> None:
        """An operator's word: send nothing."""
        self._is_paused = True

    def resume(self) -> None:
        """An operator's word: send again, a few at first."""
        if self._is_paused:
            self._is_paused = False
            self._half_open()

    def _judge_wave(self, result: Result, now: float, *, is_last: bool) -> None:
        if result is Result.UNUSED:
            self._entered -= 1
            return
        self._ended += 1
        self._failed += result is Result.FAILED
        if self._failed > self._size * FAILURES_SHARE:
            self._open(now)
        elif self._ended == self._entered and (self._entered == self._size or is_last):
            if self._failed > self._ended * FAILURES_SHARE:
                self._open(now)
            elif self._size >= WAVE_CALLS_MAX:
                self._close()
            else:
                self._begin_wave(2 * self._size)

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        seconds = min(PROBE_SECONDS_MAX, PROBE_SECONDS_MIN * 2.0 ** min(self._opened, 30))
        self._probe_at = now + seconds * (1.0 - PROBE_JITTER * self._random())
        self._opened += 1

    def _half_open(self) -> None:
        self._state = BreakerState.HALF_OPEN
        self._begin_wave(1)

    def _close(self) -> None:
        self._state = BreakerState.CLOSED
        self._opened = 0
        self._window.clear()
        self._failures = 0
        self._failing.clear()
        self._reopened_by = None
        self._begin_wave(1)

    def _begin_wave(self, size: int) -> None:
        self._wave = getattr(self, "_wave", 0) + 1
        self._size = size
        self._entered = self._ended = self._failed = 0

    def _count(self, now: float, failing: str | None) -> None:
        while self._window and (self._window[0][0] < now - WINDOW_SECONDS or len(self._window) == WINDOW_CALLS_MAX):
            self._forget(self._window.popleft()[1])
        self._window.append((now, failing))
        if failing is not None:
            self._failures += 1
            self._failing[failing] = self._failing.get(failing, 0) + 1

    def _forget(self, failing: str | None) -> None:
        if failing is None:
            return
        self._failures -= 1
        left = self._failing.pop(failing) - 1
        if left:
            self._failing[failing] = left
