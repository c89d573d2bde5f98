"""The limits of one caller: values and pure decisions.

Three things are limited: the seats that a caller holds of a flight, and of a cabin of it; the seats that a caller
has bought of a flight; and how soon a caller whose bookings keep failing may try again.

FIRST and BUSINESS share rows. So a seat counts in every cabin that could have sold it: a chosen seat by its row, any
other seat in each cabin that shares rows with its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from domain import payments
from domain.bookings.contexts import BookingContext, InventoryLimits, SegmentContext
from domain.clock import SECOND
from domain.outcome import Refused
from domain.seats import CabinClass, cabin_seats

__all__ = [
    "CALLERS_FAULTS",
    "FAILURES_KEPT_SECONDS",
    "CallerRecord",
    "Claim",
    "TooManyFailed",
    "TooManyHeld",
    "claims_of",
]

#: A failed booking counts against its caller for this time.
FAILURES_KEPT_SECONDS: Final = 3_600
#: The first wait of a caller with too many failures; each further failure doubles it.
FIRST_WAIT_SECONDS: Final = 5
_DOUBLINGS_MAX: Final = 30
#: Failures that count against the caller: not a sold-out or closed flight, and no fault on our side.
CALLERS_FAULTS: Final = tuple(
    sorted(
        payments.CARD_REFUSALS - {"ISSUER_UNAVAILABLE"}
        | {"CANCELLED", "CARD_TOKEN_MISSING", "HOLD_EXPIRED", "INSUFFICIENT_POINTS", "SIMULATED"}
    )
)


@dataclass(frozen=True, slots=True)
class TooManyHeld(Refused):
    """With this booking its caller would have more than `limit` seats at the segment (0-based).

    `retry_after_seconds`: when enough seats will have ended by time alone; None if they will not.
    """

    segment: int = 0
    limit: int = 0
    retry_after_seconds: int | None = None
    has: int = 0
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class TooManyFailed(Refused):
    """This caller has so many failed bookings that the next one has to wait."""

    limit: int = 0
    retry_after_seconds: int = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of seats that a caller has on a flight, and how many of them count in each cabin.

    `ends_at`: when time ends it (microseconds); None if time alone does not. `is_held`: if not, it is bought.
    """

    flight_id: int
    seats: int
    ends_at: int | None
    cabins: Counter[CabinClass] = field(default_factory=Counter)
    is_held: bool = True


@dataclass(slots=True)
class CallerRecord:
    """The claims and failures of a caller; bookings are checked and added in arrival order."""

    claims: list[Claim] = field(default_factory=list)
    running: int = 0
    failures: int = 0
    failed_at: int = 0

    def note_failures(self, number: int, latest_at: int) -> None:
        """Count so many failures, the latest of them at this instant (microseconds)."""
        self.failures += number
        self.failed_at = max(self.failed_at, latest_at)

    def admit(self, context: BookingContext, limits: InventoryLimits, at: int) -> Refused | None:
        """Let the booking in and count it, or return the refusal."""
        refused = self._too_soon(limits, at) or self._too_many(context, limits, at)
        if refused is None:
            self.running += 1
            self.claims += claims_of(context, at + limits.hold_seconds * SECOND)
        return refused

    def _too_soon(self, limits: InventoryLimits, at: int) -> TooManyFailed | None:
        """Whether failed bookings, and running ones that may still fail, make this one wait."""
        limit = limits.failures
        if limit is None or not self.failures or self.failures + self.running < limit:
            return None
        until = at
        if self.failures >= limit:
            doublings = min(self.failures - limit, _DOUBLINGS_MAX)
            until = self.failed_at + min(FIRST_WAIT_SECONDS << doublings, limits.wait_seconds_max) * SECOND
        if until <= at and not self.running:
            return None
        seconds = max(1, math.ceil((until - at) / SECOND))
        message = f"{self.failures} bookings of yours have failed within an hour; try again in {seconds} s."
        return TooManyFailed("TOO_MANY_FAILURES", message, limit=limit, retry_after_seconds=seconds)

    def _too_many(self, context: BookingContext, limits: InventoryLimits, at: int) -> TooManyHeld | None:
        for position, segment in enumerate(context.segments):
            here = [claim for claim in self.claims if claim.flight_id == segment.flight_id]
            refused = _judge(context.passengers, segment, here, limits)
            if refused is not None:
                return refused.of(position, at)
        return None


@dataclass(frozen=True, slots=True)
class _Excess:
    """`wanted` seats and these claims (ends_at, seats) together exceed `limit`. `words` name the limit."""

    claims: list[tuple[int | None, int]]
    wanted: int
    limit: int
    words: str

    def of(self, segment: int, at: int) -> TooManyHeld:
        """The refusal, with the time when enough of the claims will have ended."""
        has = sum(seats for _, seats in self.claims)
        message = f"{self.words.format(has=has, limit=self.limit)}; {self.wanted} more are too many."
        retry_after_seconds = None
        excess = has + self.wanted - self.limit
        for ends_at, seats in sorted((ends_at, seats) for ends_at, seats in self.claims if ends_at is not None):
            excess -= seats
            if excess <= 0:
                retry_after_seconds = max(1, math.ceil((ends_at - at) / SECOND))
                break
        return TooManyHeld(
            "TOO_MANY_HOLDS",
            message,
            segment=segment,
            limit=self.limit,
            retry_after_seconds=retry_after_seconds,
            has=has,
            wanted=self.wanted,
        )


def _judge(wanted: int, segment: SegmentContext, here: Iterable[Claim], limits: InventoryLimits) -> _Excess | None:
    """The first limit that a segment for `wanted` passengers breaks, with the caller's claims on that flight."""
    held = [claim for claim in here if claim.is_held]
    on = f"of flight {segment.number}"
    measures = [
        _Excess(
            [(claim.ends_at, claim.seats) for claim in held],
            wanted,
            limits.holds,
            f"You hold {{has}} of the {{limit}} seats {on} that one caller may hold at once",
        )
        if limits.holds is not None
        else None
    ]
    if limits.cabin_percent is not None:
        measures += [
            _Excess(
                [(claim.ends_at, claim.cabins[cabin]) for claim in held],
                seats,
                _share(cabin, limits.cabin_percent),
                f"You hold {{has}} of the {{limit}} seats in {cabin.value} {on} that one caller may hold at once"
                + ("" if cabin is segment.cabin else f", and {segment.cabin.value} shares its rows"),
            )
            for cabin, seats in _cabins(segment, wanted).items()
        ]
    if limits.seats is not None:
        measures.append(
            _Excess(
                [(claim.ends_at, claim.seats) for claim in here],
                wanted,
                limits.seats,
                f"You have {{has}} of the {{limit}} seats {on} that one caller may buy, with those cancelled lately",
            )
        )
    for measure in measures:
        if measure is not None and sum(seats for _, seats in measure.claims) + measure.wanted > measure.limit:
            return measure
    return None


def claims_of(context: BookingContext, ends_at: int) -> list[Claim]:
    """The claims of a booking in progress: its holds, or the seats that it will hold."""
    return [
        Claim(segment.flight_id, context.passengers, ends_at, _cabins(segment, context.passengers))
        for segment in context.segments
    ]


def _cabins(segment: SegmentContext, passengers: int) -> Counter[CabinClass]:
    """How many of a segment's seats may be of each cabin, its own first."""
    if segment.seats is None:
        return Counter(dict.fromkeys(_overlapping(segment.cabin), passengers))
    chosen = {cabin: len(_seats(cabin).intersection(segment.seats)) for cabin in _overlapping(segment.cabin)}
    return Counter({cabin: seats for cabin, seats in chosen.items() if seats})


@cache
def _overlapping(cabin: CabinClass) -> tuple[CabinClass, ...]:
    shared = [other for other in CabinClass if other is not cabin and _seats(other) & _seats(cabin)]
    return (cabin, *shared)


@cache
def _seats(cabin: CabinClass) -> frozenset[int]:
    return frozenset(cabin_seats(cabin))


def _share(cabin: CabinClass, percent: int) -> int:
    """Rounded down, and one seat at least."""
    return max(1, len(_seats(cabin)) * percent // 100)
