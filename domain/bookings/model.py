"""What a booking is, what is asked for, and what may be refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from domain.money import Money
from domain.saga import Simulation
from domain.seats import CabinClass

__all__ = [
    "BOOKING_TRANSITIONS",
    "BookFlight",
    "Booking",
    "BookingNotCancellable",
    "BookingNotFound",
    "BookingStatus",
    "CorrelationIdTaken",
    "DefinitionName",
    "FlightDeparted",
    "FlightNotFound",
    "InvalidInput",
    "LimitExceeded",
    "MemberNotFound",
    "Name",
    "NothingToRetry",
    "Passenger",
    "PriceChanged",
    "Refusal",
    "SagaNotFound",
    "SegmentWish",
    "SimulationDisabled",
    "TooLateToCancel",
    "TooManyHolds",
]


class Name(StrEnum):
    """A name with its sentence for a person: `RESERVE_SEAT = "RESERVE_SEAT", "Holds the seats ..."`."""

    sentence: str

    def __new__(cls, name: str, sentence: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.sentence = sentence
        return member


class DefinitionName(Name):
    """The sagas that there are."""

    BOOK_AND_EARN = "BOOK_AND_EARN", "Books seats for money; a loyalty member earns miles."
    BOOK_AND_REDEEM = "BOOK_AND_REDEEM", "Books seats for a loyalty member's points, and money for the rest."
    CANCEL_BOOKING = "CANCEL_BOOKING", "Undoes a confirmed booking."


class BookingStatus(StrEnum):
    """Where a booking stands."""

    CONFIRMED = "CONFIRMED"
    """The seats are the passengers'."""
    CANCELLING = "CANCELLING"
    """A cancellation is past its pivot and goes forward until it succeeds."""
    CANCELLED = "CANCELLED"
    """Refunded, loyalty restored, seats free again."""


BOOKING_TRANSITIONS: Final = {
    BookingStatus.CONFIRMED: frozenset({BookingStatus.CANCELLING}),
    BookingStatus.CANCELLING: frozenset({BookingStatus.CANCELLED}),
    BookingStatus.CANCELLED: frozenset[BookingStatus](),
}


@dataclass(frozen=True, slots=True)
class Passenger:
    """Who flies. `date_of_birth` is YYYY-MM-DD or None."""

    given_name: str
    family_name: str
    date_of_birth: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentWish:
    """One flight of a journey as asked for; `seats` are seat numbers, one a passenger, or None for any."""

    flight_id: int | None
    """None where the caller's id does not name a flight at all."""
    cabin: CabinClass = CabinClass.ECONOMY
    seats: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class BookFlight:
    """A booking as asked for, before any check. `subject` is who asks; `expected_total` is before points."""

    subject: str
    segments: Sequence[SegmentWish]
    passengers: Sequence[Passenger]
    correlation_id: str | None = None
    member_number: str | None = None
    points_to_redeem: int = 0
    payment_token: str | None = None
    expected_total: Money | None = None
    simulation: Simulation | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """A confirmed journey. `saga_id` made it; `cancellation_id` is the saga that undoes it, where there is one."""

    id: str
    reference: str
    status: BookingStatus
    subject: str
    saga_id: str
    cancellation_id: str | None
    total: Money
    miles_awarded: int
    points_redeemed: int
    created_at: int


# ---------------------------------------------------------------- refusals: facts that the caller can mend


@dataclass(frozen=True, slots=True)
class InvalidInput:
    """The input at `path` is not what it may be; the message says what it may be."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlightNotFound:
    """No flight has this id."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlightDeparted:
    """The flight has left, has closed, or closes before a booking could be done; the message tells which."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberNotFound:
    """No loyalty account has this number, or it is another's."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PriceChanged:
    """The total now differs from the one that the caller has seen."""

    message: str
    path: tuple[str, ...]
    total: Money


@dataclass(frozen=True, slots=True)
class CorrelationIdTaken:
    """The correlation ID belongs to a different request."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimulationDisabled:
    """Fault injection is not allowed on this server."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TooManyHolds:
    """The caller would have more than `limit` seats of one flight, or of one cabin of it.

    `retry_after_seconds`: when there will be room by time alone, None where there will not.
    """

    message: str
    path: tuple[str, ...]
    limit: int
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class SagaNotFound:
    """No saga has this correlation ID, or it is another's."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TooLateToCancel:
    """The booking has been decided on; `booking` is what came of it, once there is one."""

    message: str
    path: tuple[str, ...]
    booking: Booking | None


@dataclass(frozen=True, slots=True)
class BookingNotFound:
    """No booking has this reference, or it is another's."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BookingNotCancellable:
    """The booking is not confirmed, or its first flight has left."""

    message: str
    path: tuple[str, ...]
    booking: Booking


@dataclass(frozen=True, slots=True)
class NothingToRetry:
    """The saga does not wait for an attempt, or is not stuck at the step named."""

    message: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """More than the server takes on, or than this caller may for now; nothing was done.

    Not a payload error: the caller comes back.
    """

    message: str
    retry_after_seconds: int
    limit: int


Refusal = (
    InvalidInput
    | FlightNotFound
    | FlightDeparted
    | MemberNotFound
    | PriceChanged
    | CorrelationIdTaken
    | SimulationDisabled
    | TooManyHolds
    | SagaNotFound
    | TooLateToCancel
    | BookingNotFound
    | BookingNotCancellable
    | NothingToRetry
    | LimitExceeded
)
