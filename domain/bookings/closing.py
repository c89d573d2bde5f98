"""The end of a hold, and the closing of a flight: a time before departure from which the flight is not sold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from domain.clock import SECOND
from domain.outcome import Refused

__all__ = ["AT_DEPARTURE", "FLIGHT_CLOSED", "HOLD_EXPIRED", "Closing"]

#: The failure of a booking whose seats were not confirmed in time.
HOLD_EXPIRED: Final = Refused("HOLD_EXPIRED", "The seats were held for too long.")
#: The failure of a booking that came too late for its flight.
FLIGHT_CLOSED: Final = Refused("FLIGHT_CLOSED", "A flight of this journey is not sold any more.")


@dataclass(frozen=True, slots=True)
class Closing:
    """A flight closes this many seconds before it departs: from then on none of its seats is held or pinned.

    `booking_seconds` is the time that a booking needs before that: the budget that the hold must outlast before each
    step. With less time left the booking would turn round before its payment, so it is not started.
    """

    before_departure_seconds: int = 0
    booking_seconds: float = 0.0

    @property
    def after_a_wait(self) -> Closing:
        """The same for a booking that first waits for its card: its two calls need time after the wait."""
        return replace(self, booking_seconds=2 * self.booking_seconds)

    def closes_at(self, departs_at: int) -> int:
        """When a flight with this departure closes; microseconds."""
        return departs_at - self.before_departure_seconds * SECOND

    def is_too_late(self, departs_at: int, now: int) -> bool:
        """Whether it is too late to start a booking of a flight with this departure."""
        return departs_at <= self.departs_after(now)

    def departs_after(self, now: int) -> int:
        """A flight must depart after this moment so that a booking of it can start `now`; microseconds."""
        return now + self.before_departure_seconds * SECOND + round(self.booking_seconds * SECOND)


#: Sold until departure.
AT_DEPARTURE: Final = Closing()
