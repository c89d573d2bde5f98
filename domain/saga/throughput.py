"""The pace at which sagas end, and the retry time of refused requests that follows from it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Throughput"]

#: Anything longer ago than this counts for little.
MEMORY_SECONDS: Final = 10.0
RETRY_SECONDS_MIN: Final = 1
RETRY_SECONDS_MAX: Final = 60
#: The assumed pace while little is known: all sagas in flight end within this time.
RETRY_SECONDS_UNKNOWN: Final = 2
#: Refused clients come back spread over this additional share of their time.
SPREAD: Final = 0.5


class Throughput:
    """Sagas ended, divided by the seconds with sagas in flight; the newest count most.

    `now` is a clock in seconds that never goes back.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic, draw: Callable[[], float] = random.random) -> None:
        self._now = now
        self._draw = draw
        self._ended = 0.0
        self._seconds = 0.0
        self._counted_at = now()

    def begin(self) -> None:
        """Sagas are in flight again: the time without any does not count."""
        self._counted_at = self._now()

    def note(self, sagas: int) -> None:
        """This many sagas have just ended."""
        self._count()
        self._ended += sagas

    @property
    def sagas_per_second(self) -> float:
        """The rate of the last seconds; 0 if no saga has ended yet."""
        self._count()
        return self._ended / self._seconds if self._seconds > 0 else 0.0

    def retry_after_seconds(self, active: int) -> int:
        """The seconds until as many sagas as are now `active` will have ended at this pace: a whole number, 1 to 60.

        A random share of up to one half is added, so that the clients do not all come back at once.
        """
        self._count()
        # The assumption counts fully at first, and no longer counts after MEMORY_SECONDS of observation.
        belief = 1 - self._seconds / MEMORY_SECONDS
        rate = (self._ended + belief * active) / (self._seconds + belief * RETRY_SECONDS_UNKNOWN)
        seconds = active / rate if rate > active / RETRY_SECONDS_MAX else RETRY_SECONDS_MAX
        spread = seconds * (1 + SPREAD * self._draw())
        return min(max(math.ceil(spread), RETRY_SECONDS_MIN), RETRY_SECONDS_MAX)

    def _count(self) -> None:
        """Count the seconds until now, and reduce the weight of older ones."""
        now = self._now()
        left = math.exp((self._counted_at - now) / MEMORY_SECONDS)
        self._ended *= left
        self._seconds = self._seconds * left + MEMORY_SECONDS * (1 - left)
        self._counted_at = now
