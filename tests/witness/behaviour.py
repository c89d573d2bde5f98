"""What goes wrong at a merchant's door: the rate, the access, faults; and the count of all requests."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

__all__ = ["Access", "Door", "Fault", "Settings", "What"]

What = Literal["ERROR", "PAGE", "RESET", "SLOW"]
"""ERROR: a 500 of Stripe's, stored under its key. PAGE: a proxy's 502, not stored. RESET: the connection is cut."""
Access = Literal["ALLOWED", "REVOKED", "FORBIDDEN"]
_SECOND: Final = 1.0


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """The next `times` requests of `operation` ("*": of any) go wrong, or each with the chance `share`.

    `seconds`: how much longer the answer takes, whatever `what` is.
    """

    operation: str
    what: What
    after_effect: bool = False
    times: int = 1
    share: float | None = None
    seconds: float = 0.0


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """How a merchant is served until this is changed."""

    answer_seconds: float = 0.0
    requests_per_second: int | None = None
    at_once_max: int | None = None
    retry_after_seconds: int | None = 1
    access: Access = "ALLOWED"
    refunds: Literal["SUCCEED", "PEND", "FAIL_LATER"] = "SUCCEED"
    refund_seconds: float | None = None
    authorization_seconds: float = 7 * 86_400.0
    seed: int = 0


@dataclass
class Door:
    """Lets requests in, or not, and counts them."""

    settings: Settings = field(default_factory=Settings)
    faults: list[Fault] = field(default_factory=list)
    under_way: int = 0
    under_way_max: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By operation and status; 0: not answered."""
    minutes: Counter[int] = field(default_factory=Counter)
    """By minute of the merchant's clock since 1970."""
    _let_in: deque[float] = field(default_factory=deque)
    _chance: random.Random = field(default_factory=lambda: random.Random(0))

    def set(self, settings: Settings) -> None:
        """From now on."""
        if settings.seed != self.settings.seed:
            self._chance = random.Random(settings.seed)
        self.settings = settings

    def is_too_much(self) -> bool:
        """Whether one more request now is above a limit; if not, it counts."""
        settings, now = self.settings, time.monotonic()
        if settings.at_once_max is not None and self.under_way > settings.at_once_max:
            return True
        if settings.requests_per_second is None:
            return False
        while self._let_in and self._let_in[0] <= now - _SECOND:
            self._let_in.popleft()
        if len(self._let_in) >= settings.requests_per_second:
            return True
        self._let_in.append(now)
        return False

    def fault_for(self, operation: str) -> Fault | None:
        """What goes wrong with this request, if anything does."""
        for fault in self.faults:
            if fault.operation not in (operation, "*"):
                continue
            if fault.share is not None:
                if self._chance.random() < fault.share:
                    return fault
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.faults.remove(fault)
            return fault
        return None

    def enter(self) -> None:
        """A request has come."""
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)

    def leave(self, operation: str, status: int, now: float) -> None:
        """It is over: answered with `status`, or 0."""
        self.under_way -= 1
        self.answers[operation, status] += 1
        self.minutes[int(now // 60)] += 1
