"""When a hold ends, and when a flight stops being sold: a while before it departs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.clock import SECOND
from domain.outcome import Refused

__all__ = ["AT_DEPARTURE", "HOLD_EXPIRED", "Closing"]

#: Why a booking fails whose seats were not confirmed in time.
HOLD_EXPIRED: Final = Refused("HOLD_EXPIRED", "The seats were held for too long.")


@dataclass(frozen=True, slots=True)
class Closing:
    """A flight closes so many seconds before it departs: from then on no seat of it is held or pinned.

    `booking_seconds` is what a booking needs before that: the budget that the hold must outlast before each step.
    With less left a booking would be turned round before its payment, so none is begun.
    """

    before_departure_seconds: int = 0
    booking_seconds: float = 0.0

    def closes_at(self, departs_at: int) -> int:
        """The moment from which a flight that departs then is not sold; microseconds."""
        return departs_at - self.before_departure_seconds * SECOND

    def is_too_late(self, departs_at: int, now: int) -> bool:
        """Whether a booking of a flight that departs then would be begun in vain."""
        return departs_at <= self.departs_after(now)

    def departs_after(self, now: int) -> int:
        """The moment after which a flight must depart for a booking of it to be begun `now`; microseconds."""
        return now + self.before_departure_seconds * SECOND + round(self.booking_seconds * SECOND)


#: Sold until the very moment of departure.
AT_DEPARTURE: Final = Closing()
