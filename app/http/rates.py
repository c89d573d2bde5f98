"""Rate limits of each caller: mutations, cost, and a guest's look-ups.

Rates are counted per process, so with N replicas a caller may use N times as much.

slowapi counts requests by route, but mutations and cost are known only once the document has been parsed. The library
below it, limits, accepts a cost, but no points on credit; with credit a subscription waits instead of being refused.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from graphql import OperationType

from app.http.room import network_of
from schema.context import Scope, Viewer
from schema.errors import limit_exceeded
from schema.execution import Execution, Rejected

__all__ = ["Admit", "CostBudget", "GuestRate", "MutationRate", "admit_all", "admit_by"]

#: Decides on an operation that is ready to run: returns it, or a rejection.
Admit = Callable[[Viewer, Execution | Rejected], Execution | Rejected]

CALLERS_KEPT_MAX: Final = 50_000


def admit_all(viewer: Viewer, execution: Execution | Rejected) -> Execution | Rejected:
    """Limit nobody."""
    return execution


def admit_by(*admissions: Admit) -> Admit:
    """Admit an operation if all `admissions` admit it. They are called in order; a rejection stays."""

    def admit(viewer: Viewer, execution: Execution | Rejected) -> Execution | Rejected:
        for each in admissions:
            execution = each(viewer, execution)
        return execution

    return admit


class _Buckets:
    """A bucket of `burst` tokens for each caller, filled by `per_minute`.

    A caller whose bucket is full again is forgotten. Beyond `callers_max`, the least recently seen
    are forgotten. `now` is a monotonic clock in seconds.
    """

    def __init__(self, *, per_minute: int, burst: int, now: Callable[[], float], callers_max: int) -> None:
        self._burst = burst
        self._seconds_a_token = 60 / per_minute
        self._now = now
        self._callers_max = callers_max
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """The number of callers that are remembered."""
        return len(self._full_at)

    def take(self, subject: str, tokens: int, *, on_credit: bool = False) -> float:
        """Take the tokens and return 0, or take none and return the seconds until there are enough.

        `on_credit`: take them in any case; the caller must wait for the returned time before it uses them.
        """
        now = self._now()
        full_at = max(self._full_at.get(subject, now), now) + tokens * self._seconds_a_token
        wait = full_at - now - self._burst * self._seconds_a_token
        if wait < 1e-6:
            # A rounding error must not cause a wait.
            wait = 0.0
        if wait and not on_credit:
            return wait
        self._full_at[subject] = full_at
        self._full_at.move_to_end(subject)
        self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        """Forget full buckets among the least recently seen. Each `take` may add one, so each call checks two."""
        for _ in range(2):
            subject, full_at = next(iter(self._full_at.items()))
            if full_at <= now or len(self._full_at) > self._callers_max:
                del self._full_at[subject]
            if not self._full_at:
                return


class MutationRate:
    """Limits each caller to `burst` mutations at once, and `per_minute` in the long run. Each alias counts.

    Operators with sagas:mend are not limited: an operator repairs a thousand sagas with a script.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        burst: int,
        now: Callable[[], float] = time.monotonic,
        callers_max: int = CALLERS_KEPT_MAX,
    ) -> None:
        self._per_minute = per_minute
        self._burst = burst
        self._buckets = _Buckets(per_minute=per_minute, burst=burst, now=now, callers_max=callers_max)

    @property
    def callers(self) -> int:
        """The number of callers that are remembered."""
        return len(self._buckets)

    def admit(self, viewer: Viewer, execution: Execution | Rejected) -> Execution | Rejected:
        """The execution. A mutation whose caller has too few tokens is LIMIT_EXCEEDED and takes none."""
        if (
            isinstance(execution, Rejected)
            or execution.kind is not OperationType.MUTATION
            or viewer.may(Scope.SAGAS_MEND)
        ):
            return execution
        if execution.root_fields > self._burst:
            message = f"One operation may have at most {self._burst} mutations; this one has {execution.root_fields}."
            return Rejected.beyond(message, limit=self._burst)
        wait = self._buckets.take(viewer.subject, execution.root_fields)
        if wait <= 0:
            return execution
        return _later(f"One caller may send {self._per_minute} mutations a minute", self._per_minute, wait)


class CostBudget:
    """Limits the cost of a caller's operations to `per_minute` points a minute, all at once at most.

    Operators with sagas:read are not limited.

    A subscription pays for each result, for the first one when it begins. If its caller has too few
    points left, the next result waits for them: a live view gets slower but does not end.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        now: Callable[[], float] = time.monotonic,
        callers_max: int = CALLERS_KEPT_MAX,
    ) -> None:
        self._per_minute = per_minute
        self._buckets = _Buckets(per_minute=per_minute, burst=per_minute, now=now, callers_max=callers_max)

    def admit(self, viewer: Viewer, execution: Execution | Rejected) -> Execution | Rejected:
        """The execution. If the caller has too few points, it is LIMIT_EXCEEDED and takes none."""
        if isinstance(execution, Rejected) or viewer.may(Scope.SAGAS_READ):
            return execution
        if execution.cost > self._per_minute:
            message = f"One operation may cost at most {self._per_minute:,} points; this one costs {execution.cost:,}."
            return Rejected.beyond(message, limit=self._per_minute)
        wait = self._buckets.take(viewer.subject, execution.cost)
        if wait <= 0:
            if execution.kind is OperationType.SUBSCRIPTION:
                execution.pace = partial(self._pay, viewer.subject, execution.cost)
            return execution
        return _later(f"One caller's operations may cost {self._per_minute:,} points a minute", self._per_minute, wait)

    async def _pay(self, subject: str, cost: int) -> None:
        await asyncio.sleep(self._buckets.take(subject, cost, on_credit=True))


class GuestRate:
    """Limits the look-ups by guests from one network to `per_minute`, also under auth `none`: a guest could guess.

    A network is an address, or the /64 of an IPv6 address.
    """

    def __init__(
        self, *, per_minute: int, now: Callable[[], float] = time.monotonic, callers_max: int = CALLERS_KEPT_MAX
    ) -> None:
        self._per_minute = per_minute
        self._buckets = _Buckets(per_minute=per_minute, burst=per_minute, now=now, callers_max=callers_max)

    def count(self, address: str | None) -> None:
        """Count one look-up from this address, or raise LIMIT_EXCEEDED if it is one too many."""
        wait = self._buckets.take(network_of(address or ""), 1)
        if wait > 0:
            seconds = math.ceil(wait)
            message = f"One address may look up {self._per_minute} bookings a minute; try again in {seconds} s."
            raise limit_exceeded(message, limit=self._per_minute, retry_after_seconds=seconds)


def _later(rule: str, limit: int, wait: float) -> Rejected:
    seconds = math.ceil(wait)
    return Rejected.beyond(f"{rule}; try again in {seconds} s.", limit=limit, retry_after_seconds=seconds)
