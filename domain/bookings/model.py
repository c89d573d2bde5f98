"""The values of this feature: bookings, requests and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from domain.bookings.codes import RefusalCode
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
    "NothingToPay",
    "NothingToRetry",
    "NothingToSettle",
    "Passenger",
    "PaymentsUnavailable",
    "PriceChanged",
    "Refusal",
    "SagaNotFound",
    "SegmentWish",
    "SimulationDisabled",
    "TooLateToCancel",
    "TooLateToPay",
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
    """The names of the sagas."""

    BOOK_AND_EARN = "BOOK_AND_EARN", "Books seats for money; a loyalty member earns miles."
    BOOK_AND_REDEEM = "BOOK_AND_REDEEM", "Books seats for a loyalty member's points, and money for the rest."
    CANCEL_BOOKING = "CANCEL_BOOKING", "Undoes a confirmed booking."


class BookingStatus(StrEnum):
    """The state of a booking."""

    CONFIRMED = "CONFIRMED"
    """The seats belong to the passengers."""
    CANCELLING = "CANCELLING"
    """A cancellation is past its pivot and goes forward until it succeeds."""
    CANCELLED = "CANCELLED"
    """The seats are free again and loyalty is restored; its cancellation gives the money back."""


BOOKING_TRANSITIONS: Final = {
    BookingStatus.CONFIRMED: frozenset({BookingStatus.CANCELLING}),
    BookingStatus.CANCELLING: frozenset({BookingStatus.CANCELLED}),
    BookingStatus.CANCELLED: frozenset[BookingStatus](),
}


@dataclass(frozen=True, slots=True)
class Passenger:
    """A passenger. `date_of_birth` is YYYY-MM-DD or None."""

    given_name: str
    family_name: str
    date_of_birth: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentWish:
    """One flight of a journey as asked for; `seats` are seat numbers, one a passenger, or None for any."""

    flight_id: int | None
    """None if the caller's ID cannot be an ID of a flight."""
    cabin: CabinClass = CabinClass.ECONOMY
    seats: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class BookFlight:
    """A requested booking, before any check. `subject` sends the request; `expected_total` is before points.

    `pay_later`: the card comes later, with `Bookings.pay_for_hold`; `payment_token` is None then.
    """

    subject: str
    segments: Sequence[SegmentWish]
    passengers: Sequence[Passenger]
    correlation_id: str | None = None
    member_number: str | None = None
    points_to_redeem: int = 0
    payment_token: str | None = None
    pay_later: bool = False
    expected_total: Money | None = None
    simulation: Simulation | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """A confirmed journey. `saga_id` made it; `cancellation_id` is the saga that undoes it, if there is one."""

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
class _Mendable:
    """A refusal in words, where in the input it lies, outermost first, and its cause.

    `facts`: every value that the message contains, by name, so that a client can write the message in any language.
    """

    message: str
    path: tuple[str, ...]
    code: RefusalCode
    facts: Mapping[str, object] = field(default_factory=dict, kw_only=True)


class InvalidInput(_Mendable):
    """The input at `path` is not valid; the message says which values are."""


class FlightNotFound(_Mendable):
    """No flight has this id."""


class FlightDeparted(_Mendable):
    """The flight has left (FLIGHT_DEPARTED), or has closed or closes before a booking could finish (FLIGHT_CLOSED)."""


class MemberNotFound(_Mendable):
    """No loyalty account has this number, or it belongs to someone else."""


@dataclass(frozen=True, slots=True)
class PriceChanged(_Mendable):
    """The total has changed since the caller saw it."""

    total: Money


class CorrelationIdTaken(_Mendable):
    """The correlation ID belongs to a different request."""


class SimulationDisabled(_Mendable):
    """Fault injection is not allowed on this server."""


@dataclass(frozen=True, slots=True)
class TooManyHolds(_Mendable):
    """The caller would have more than `limit` seats of one flight, or of one cabin of it.

    `retry_after_seconds`: when enough holds will have ended by time alone; None if they will not.
    """

    limit: int
    retry_after_seconds: int | None = None


class SagaNotFound(_Mendable):
    """No saga has this correlation ID, or it belongs to someone else."""


@dataclass(frozen=True, slots=True)
class TooLateToCancel(_Mendable):
    """The booking can no longer be cancelled this way; `booking` is its result, once there is one."""

    booking: Booking | None


class BookingNotFound(_Mendable):
    """No booking has this reference, or it belongs to someone else."""


@dataclass(frozen=True, slots=True)
class BookingNotCancellable(_Mendable):
    """The booking is not confirmed, or its first flight has left."""

    booking: Booking


class NothingToPay(_Mendable):
    """The saga does not wait for this, or another card is being tried."""


class TooLateToPay(_Mendable):
    """The time to pay for the held seats has passed."""


@dataclass(frozen=True, slots=True)
class PaymentsUnavailable(_Mendable):
    """No call is sent to the payment provider now, and this would have to pay now. Nothing was done."""

    retry_after_seconds: int


class NothingToRetry(_Mendable):
    """The saga does not wait for an attempt, or is not stuck at the named step."""


class NothingToSettle(_Mendable):
    """The saga is not ABANDONED, or is settled already."""


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """The limit of the server, or of this caller for now, is reached; nothing was done.

    Not a payload error: the caller tries again later.
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
    | NothingToPay
    | TooLateToPay
    | PaymentsUnavailable
    | NothingToRetry
    | NothingToSettle
    | LimitExceeded
)
