"""How long and how often something is tried again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Final

from seatsaga_client.errors import ApiError, UnavailableError

__all__ = ["Effort", "Timing"]

#: No pause is longer, whatever a server asks for: of much more, sleep makes an OverflowError.
PAUSE_SECONDS_MAX: Final = 86_400.0 * 24


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds.

    `connect`: for a connection. `answer`: for the answer to a request. `silence`: a stream that says nothing for so
    long is lost; the server gives a sign of life every 10 s, so this is two of them and a little. `backoff_first`,
    `backoff_max`: the pause before the first and the longest before a later attempt; each is shortened at random by
    up to half. `give_up`: how long a request is repeated.
    """

    connect: float = 10.0
    answer: float = 10.0
    silence: float = 25.0
    backoff_first: float = 0.5
    backoff_max: float = 30.0
    give_up: float = 60.0


class Effort:
    """The attempts at one thing. `give_up`: the seconds without progress after which it ends; None: never."""

    def __init__(self, timing: Timing, *, give_up: float | None, has_new_tokens: bool) -> None:
        self._timing = timing
        self._give_up = give_up
        self._has_new_tokens = has_new_tokens
        self.failures = 0
        self._token_is_new = False
        self._since = time.monotonic()

    def progressed(self) -> None:
        """It works: the next failure is the first."""
        self.failures, self._token_is_new, self._since = 0, False, time.monotonic()

    def pause_after(self, error: ApiError) -> float:
        """The seconds until the next attempt. Raises `error` if another attempt is of no use, or would be too late."""
        if error.code == "UNAUTHENTICATED" and self._has_new_tokens and not self._token_is_new:
            self._token_is_new = True
            self.failures += 1
            return 0.0
        if not isinstance(error, UnavailableError):
            raise error
        most = min(self._timing.backoff_max, self._timing.backoff_first * 2.0 ** min(self.failures, 30))
        pause = max(most * random.uniform(0.5, 1.0), min(error.retry_after_seconds or 0.0, PAUSE_SECONDS_MAX))
        self.failures += 1
        if self._give_up is not None and time.monotonic() - self._since + pause > self._give_up:
            raise error
        return pause
