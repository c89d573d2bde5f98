"""The state machines of seats and of reservations, and how a seat follows its reservation.

A seat's status never changes by itself: its live reservation sets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["RESERVATION_TRANSITIONS", "SEAT_TRANSITIONS", "SeatReservationStatus", "SeatStatus"]


class SeatStatus(StrEnum):
    """Whether a seat of a flight is available."""

    AVAILABLE = "AVAILABLE"
    """No reservation claims the seat."""
    HELD = "HELD"
    """Held by a running saga until the hold's `expires_at`."""
    BOOKED = "BOOKED"
    """Part of a confirmed booking."""


class SeatReservationStatus(StrEnum):
    """The state of one passenger's claim on one seat."""

    HELD = "HELD"
    """Claimed by a running saga; a hold lapses at its `expires_at` and is never extended."""
    CONFIRMED = "CONFIRMED"
    """Part of a booking; it does not end by time."""
    RELEASED = "RELEASED"
    """Ended by intent: the saga was compensated, or the booking cancelled."""
    EXPIRED = "EXPIRED"
    """Ended by time, before it was confirmed."""

    @property
    def is_live(self) -> bool:
        """Whether it owns its seat; a seat has at most one live reservation."""
        return self in (SeatReservationStatus.HELD, SeatReservationStatus.CONFIRMED)

    @property
    def is_terminal(self) -> bool:
        """Whether no other status can follow."""
        return not RESERVATION_TRANSITIONS[self]

    @property
    def seat_status(self) -> SeatStatus:
        """The status of the seat when its reservation has this status."""
        return _SEAT_STATUS[self]

    def may_become(self, status: SeatReservationStatus) -> bool:
        """Whether `status` may follow this one."""
        return status in RESERVATION_TRANSITIONS[self]


SEAT_TRANSITIONS: Final[Mapping[SeatStatus, frozenset[SeatStatus]]] = MappingProxyType(
    {
        SeatStatus.AVAILABLE: frozenset({SeatStatus.HELD}),
        SeatStatus.HELD: frozenset({SeatStatus.AVAILABLE, SeatStatus.BOOKED}),
        SeatStatus.BOOKED: frozenset({SeatStatus.AVAILABLE}),
    }
)

RESERVATION_TRANSITIONS: Final[Mapping[SeatReservationStatus, frozenset[SeatReservationStatus]]] = MappingProxyType(
    {
        SeatReservationStatus.HELD: frozenset(
            {SeatReservationStatus.CONFIRMED, SeatReservationStatus.RELEASED, SeatReservationStatus.EXPIRED}
        ),
        SeatReservationStatus.CONFIRMED: frozenset({SeatReservationStatus.RELEASED}),
        SeatReservationStatus.RELEASED: frozenset(),
        SeatReservationStatus.EXPIRED: frozenset(),
    }
)

_SEAT_STATUS: Final = {
    SeatReservationStatus.HELD: SeatStatus.HELD,
    SeatReservationStatus.CONFIRMED: SeatStatus.BOOKED,
    SeatReservationStatus.RELEASED: SeatStatus.AVAILABLE,
    SeatReservationStatus.EXPIRED: SeatStatus.AVAILABLE,
}
