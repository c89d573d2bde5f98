"""How many requests a second may go to the provider: as set, and as learned from its refusals.

::

                      set: the limit            not set, but learned: START
                              │                          │ while requests wait: x 1.5 each second
                              ▼                          ▼
    429, Retry-After ──▶ nothing until then; the limit falls to 0.8 of what was accepted in the last second
                              │ while requests wait, 10 s without a refusal: x 1.05
                              │ up to what was served before all was refused: x 1.5 each second, once any is served
                              └──▶ never above what is set

A bucket holds a tenth of a second's requests and is filled at 0.9 of the limit, so a second never has more than
the limit. A place takes what its lane usually needs; what it makes beyond that is a debt that later places wait
for, as nothing waits within a call.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Rate"]

#: The lowest limit that Stripe documents is 25 a second, for test keys.
START_PER_SECOND: Final = 20.0
RISE_AT_START: Final = 1.5
RISE_AT_START_SECONDS: Final = 1.0
RISE: Final = 1.05
RISE_SECONDS: Final = 10.0
CUT: Final = 0.8
#: Refusals that come together cut once.
CUT_SECONDS: Final = 1.0
PER_SECOND_MIN: Final = 0.5
#: A rate that was learned and rose beyond this is no limit any more.
LEARNED_PER_SECOND_MAX: Final = 2_000.0
#: Without a word of the provider, nothing is sent for this time after a refusal; its word is obeyed up to the maximum.
AFTER_SECONDS: Final = 1.0
AFTER_SECONDS_MAX: Final = 300.0
_PACE: Final = 0.9
_BURST_SECONDS: Final = 0.1
_BURST_REQUESTS_MIN: Final = 1.0


class Rate:
    """The present rate. Times are seconds of one monotonic clock, and are given."""

    def __init__(self, per_second: float | None, *, learns: bool, now: float) -> None:
        self._ceiling = per_second
        self._limit = START_PER_SECOND if per_second is None and learns else per_second
        self._is_starting = per_second is None and learns
        self._filled_at = self._rose_at = now
        self._cut_at = now - CUT_SECONDS
        self._held_until = now
        #: The limit after the newest cut that came while requests were served. Further cuts say nothing of the limit.
        self._goal: float | None = None
        self._has_served = False
        self._tokens = self._burst
        self._accepted = _LastSecond(now)

    @property
    def per_second(self) -> float | None:
        """The present limit; None if there is none."""
        return self._limit

    def is_free(self, now: float) -> bool:
        """Whether any number of requests may go now."""
        return self._limit is None and now >= self._held_until

    def set_ceiling(self, per_second: float | None) -> None:
        """What is set has changed, as the number of replicas has."""
        if per_second == self._ceiling:
            return
        was_at_ceiling = self._limit == self._ceiling
        self._ceiling = per_second
        if per_second is not None and (was_at_ceiling or self._limit is None or self._limit > per_second):
            self._limit = per_second

    def seconds_until(self, now: float, requests: float) -> float:
        """How long so many requests must wait; 0 if they may go now."""
        held = max(0.0, self._held_until - now)
        if self._limit is None:
            return held
        self._fill(now)
        missing = min(requests, self._burst) - self._tokens
        # A nanosecond is given: what was waited for must not be missing by a rounding.
        return max(held, missing / (self._limit * _PACE) if missing > 1e-9 else 0.0)

    def take(self, requests: float) -> None:
        """So many requests will be made, or were; negative: were not made."""
        if self._limit is not None:
            self._tokens = min(self._burst, self._tokens - requests)

    def note(self, now: float) -> None:
        """A request goes to the provider."""
        self._accepted.add(now, 1)

    def served(self, since: float) -> None:
        """A call that has left at `since` was answered, and not refused."""
        if since >= self._cut_at:
            self._has_served = True

    def refused(self, now: float, after_seconds: float | None) -> None:
        """The provider takes no more for now, and says perhaps for how long."""
        wait = AFTER_SECONDS if after_seconds is None else after_seconds
        self._held_until = max(self._held_until, now + min(max(wait, 0.0), AFTER_SECONDS_MAX))
        accepted = self._accepted.total(now)
        self._accepted.add(now, -1)
        self._is_starting = False
        self._rose_at = max(now, self._held_until)
        if now - self._cut_at < CUT_SECONDS:
            return
        self._cut_at = self._held_until
        self._fill(now)
        known = [value for value in (self._limit, accepted - 1 if accepted > 1 else None) if value is not None]
        if known:
            self._limit = max(PER_SECOND_MIN, CUT * min(known))
            if self._has_served or self._goal is None:
                self._goal = self._limit
            self._has_served = False
            self._tokens = min(self._tokens, 0.0)
            self._filled_at = max(self._filled_at, self._held_until)

    def rise(self, now: float) -> None:
        """Requests wait for the rate: it rises, if the provider has refused none for a while."""
        if self._limit is None or self._limit == self._ceiling:
            return
        goal = self._goal if self._has_served and self._goal is not None and self._limit < self._goal else None
        is_fast = self._is_starting or goal is not None
        seconds, factor = (RISE_AT_START_SECONDS, RISE_AT_START) if is_fast else (RISE_SECONDS, RISE)
        if now - self._rose_at < seconds:
            return
        self._fill(now)
        self._rose_at = now
        risen = self._limit * factor
        self._limit = risen if goal is None else min(risen, goal)
        if self._ceiling is not None:
            self._limit = min(self._limit, self._ceiling)
        elif self._limit > LEARNED_PER_SECOND_MAX:
            self._limit = None

    @property
    def _burst(self) -> float:
        return max(_BURST_REQUESTS_MIN, (self._limit or 0.0) * _BURST_SECONDS)

    def _fill(self, now: float) -> None:
        if self._limit is not None and now > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._limit * _PACE)
            self._filled_at = now


class _LastSecond:
    """How many in the last second, about: the present second, and the past one as far as it still counts."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._present = self._past = 0.0

    def add(self, now: float, number: int) -> None:
        self._roll(now)
        self._present += number

    def total(self, now: float) -> float:
        self._roll(now)
        return max(0.0, self._present + self._past * (1.0 - (now - self._began)))

    def _roll(self, now: float) -> None:
        seconds = now - self._began
        if seconds < 1.0:
            return
        self._past = self._present if seconds < 2.0 else 0.0
        self._present = 0.0
        self._began += float(int(seconds))
