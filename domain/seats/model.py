"""The values of this feature for others: seats, reservations, and the answers to requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from domain.seats.cabins import LETTERS, CabinClass, cabins_of, seat_number
from domain.seats.states import SeatReservationStatus, SeatStatus

__all__ = [
    "Claimed",
    "Closed",
    "Confirmed",
    "Held",
    "HeldSeat",
    "Lapsed",
    "NotHeld",
    "Released",
    "ReleasedSeat",
    "Seat",
    "SeatKey",
    "SeatReservation",
    "SeatUnavailable",
]


class SeatKey(NamedTuple):
    """Names one seat of one flight; `seat` is its index on the map."""

    flight_id: int
    seat: int

    @property
    def number(self) -> str:
        """The seat as printed on a boarding pass: 12C."""
        return seat_number(self.seat)


class _OfSeat:
    """What names one seat of one flight, among other things."""

    __slots__ = ()
    flight_id: int
    seat: int

    @property
    def key(self) -> SeatKey:
        """The key of the seat."""
        return SeatKey(self.flight_id, self.seat)

    @property
    def number(self) -> str:
        """The seat as printed on a boarding pass: 12C."""
        return seat_number(self.seat)


@dataclass(frozen=True, slots=True)
class Seat(_OfSeat):
    """One seat of one flight as it stands; `hold_expires_at` is set while it is HELD."""

    flight_id: int
    seat: int
    status: SeatStatus
    hold_expires_at: int | None

    @property
    def row(self) -> int:
        """1 to 27."""
        return self.seat // len(LETTERS) + 1

    @property
    def letter(self) -> str:
        """A to F."""
        return LETTERS[self.seat % len(LETTERS)]

    @property
    def cabins(self) -> tuple[CabinClass, ...]:
        """Every cabin in which it can be sold."""
        return cabins_of(self.seat)


@dataclass(frozen=True, slots=True)
class SeatReservation(_OfSeat):
    """The claim of one passenger on one seat; instants in microseconds, `passenger` and `segment` 0-based."""

    id: str
    saga_id: str
    correlation_id: str
    flight_id: int
    seat: int
    segment: int
    passenger: int
    cabin: CabinClass
    status: SeatReservationStatus
    held_at: int
    expires_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class HeldSeat(_OfSeat):
    """One seat of a hold, for one passenger on one segment, both 0-based."""

    reservation_id: str
    flight_id: int
    seat: int
    segment: int
    passenger: int


@dataclass(frozen=True, slots=True)
class Held:
    """Every seat asked for is held until `expires_at`, in order of segment and passenger."""

    expires_at: int
    seats: tuple[HeldSeat, ...]


@dataclass(frozen=True, slots=True)
class SeatUnavailable:
    """Too few seats were free, by a plain read: nothing is held. `seats` are the chosen ones that were taken."""

    message: str
    flight_id: int
    cabin: CabinClass
    seats: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """The flight has closed, or closes too soon: nothing is held, or nothing may be confirmed."""


@dataclass(frozen=True, slots=True)
class ReleasedSeat(_OfSeat):
    """One seat that was given back, and the cabin in which it had been sold."""

    flight_id: int
    seat: int
    cabin: CabinClass


@dataclass(frozen=True, slots=True)
class Released:
    """The saga owns no seat (after a release: no seat that is only held).

    `seats` were given back just now, in order of segment and passenger.
    """

    seats: tuple[ReleasedSeat, ...]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Every seat of the saga is held, and its hold had not lapsed once its rows were locked."""

    expires_at: int


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The saga has no hold that can still be confirmed."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """All `seats` of the saga are booked."""

    seats: int


@dataclass(frozen=True, slots=True)
class NotHeld:
    """Not every seat of the saga is held, so none was confirmed."""
