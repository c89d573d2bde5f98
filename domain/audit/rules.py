"""The rules that join several features' data on one saga: each returns its violations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.audit.loyalty import SagaPoints
from domain.audit.payments import RecordedPayment
from domain.audit.saga import RecordedSaga
from domain.audit.seats import LiveReservation
from domain.bookings import BookingContext, BookingStatus, DefinitionName
from domain.money import Money
from domain.payments import PaymentStatus
from domain.saga import SagaStatus
from domain.seats import SeatReservationStatus, seat_number

__all__ = ["BOOKING_SAGAS", "RULES", "Dossier", "RecordedBooking", "name_seats", "paid_statuses"]

BOOKING_SAGAS: Final = frozenset({DefinitionName.BOOK_AND_EARN.value, DefinitionName.BOOK_AND_REDEEM.value})


@dataclass(frozen=True, slots=True)
class RecordedBooking:
    """The compared fields of a booking."""

    id: str
    reference: str
    status: BookingStatus
    cancellation_id: str | None
    total: Money
    miles_awarded: int
    points_redeemed: int


@dataclass(slots=True)
class Dossier:
    """All data of any feature under one saga's ID."""

    id: str
    saga: RecordedSaga | None = None
    context: BookingContext | None = None
    """The context of a booking saga, if it can be read."""
    booking: RecordedBooking | None = None
    cancellation: SagaStatus | None = None
    """The status of the saga that cancels the booking, if there is one."""
    payment: RecordedPayment | None = None
    reservations: Sequence[LiveReservation] = ()
    points: SagaPoints = field(default_factory=SagaPoints)
    passengers: int = 0

    @property
    def subject(self) -> str:
        """The name by which operators look it up; the bare ID if there is no saga."""
        return f"saga {self.saga.correlation_id if self.saga else self.id}"

    @property
    def status(self) -> SagaStatus | None:
        """The saga's status, if there is a saga."""
        return self.saga.status if self.saga else None

    @property
    def is_over(self) -> bool:
        """Whether the saga ended normally; a saga that an operator abandoned is listed, and no rule checks it."""
        return self.status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)

    @property
    def is_of_a_booking(self) -> bool:
        """Whether the saga is one that makes a booking."""
        return self.saga is not None and self.saga.definition in BOOKING_SAGAS

    @property
    def is_given_up(self) -> bool:
        """Whether an operator has ended the booking's cancellation with effects left behind."""
        return self.cancellation is SagaStatus.ABANDONED

    def those(self, status: SeatReservationStatus) -> list[LiveReservation]:
        """The live reservations with this status."""
        return [reservation for reservation in self.reservations if reservation.status is status]


# ---------------------------------------------------------------- rules: each yields its violations


def _belongs_to_a_saga(dossier: Dossier) -> Iterator[str]:
    if dossier.saga is not None:
        if dossier.is_of_a_booking and dossier.context is None:
            yield "its context cannot be read"
        return
    none = "there is no such saga, and"
    if dossier.booking:
        yield f"{none} booking {dossier.booking.reference} belongs to it"
    if dossier.payment:
        yield f"{none} payment {dossier.payment.id} ({dossier.payment.status.value}) belongs to it"
    if dossier.reservations:
        yield f"{none} {name_seats(dossier.reservations)} belong to it: reservation {_name_ids(dossier.reservations)}"
    if dossier.points != SagaPoints():
        yield f"{none} it has moved {dossier.points.points} points, {dossier.points.pending} pending"
    if dossier.passengers:
        yield f"{none} {dossier.passengers} passengers are on record for it"


def _nothing_is_provisional(dossier: Dossier) -> Iterator[str]:
    if not dossier.is_over:
        return
    assert dossier.status is not None
    held = dossier.those(SeatReservationStatus.HELD)
    if held:
        yield f"it is {dossier.status.value}, and holds {name_seats(held)}: reservation {_name_ids(held)}"
    if dossier.points.pending:
        yield f"it is {dossier.status.value}, and {dossier.points.pending} miles are pending"
    if dossier.status is SagaStatus.COMPENSATED and dossier.points.points:
        yield f"it is COMPENSATED, and has left {dossier.points.points:+} points on its member's account"


def _booking_and_saga(dossier: Dossier) -> Iterator[str]:
    booking, status = dossier.booking, dossier.status
    if booking is None:
        if dossier.is_of_a_booking and status is SagaStatus.COMPLETED:
            yield "it is COMPLETED, and has no booking"
        return
    if status is not None and status is not SagaStatus.COMPLETED:
        yield f"it is {status.value}, and has booking {booking.reference}"
    if dossier.context is not None:
        sold = (booking.total, booking.miles_awarded, booking.points_redeemed)
        wanted = (_total(dossier.context), dossier.context.miles, dossier.context.points)
        if sold != wanted:
            words = " and ".join(f"{total}, {miles} miles, {points} points" for total, miles, points in (sold, wanted))
            yield f"booking {booking.reference} and the saga differ: {words}"
        if dossier.context.passengers != dossier.passengers:
            number = dossier.context.passengers
            yield f"booking {booking.reference} is for {number} passengers, and {dossier.passengers} are on record"
    cancellation = dossier.cancellation
    if booking.cancellation_id and cancellation is None:
        yield f"booking {booking.reference} names the cancellation {booking.cancellation_id}, and there is none"
    if cancellation not in _CANCELLATIONS[booking.status]:
        yield (
            f"booking {booking.reference} is {booking.status.value}, and its cancellation "
            f"{booking.cancellation_id or ''} is {cancellation.value if cancellation else 'none'}"
        )


#: The allowed states of a cancellation, by the booking's status.
_CANCELLATIONS: Final[Mapping[BookingStatus, frozenset[SagaStatus | None]]] = {
    BookingStatus.CONFIRMED: frozenset(
        {None, SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.COMPENSATED}
    ),
    BookingStatus.CANCELLING: frozenset({SagaStatus.RUNNING, SagaStatus.STUCK, SagaStatus.ABANDONED}),
    # Its money may still be on the way back.
    BookingStatus.CANCELLED: frozenset(
        {SagaStatus.RUNNING, SagaStatus.STUCK, SagaStatus.COMPLETED, SagaStatus.ABANDONED}
    ),
}


def _booking_and_seats(dossier: Dossier) -> Iterator[str]:
    booking, confirmed = dossier.booking, dossier.those(SeatReservationStatus.CONFIRMED)
    if booking is None:
        if confirmed and dossier.saga is not None:
            yield f"it has no booking, and has {name_seats(confirmed)}: reservation {_name_ids(confirmed)}"
        return
    if booking.status is BookingStatus.CANCELLED:
        if confirmed:
            ids = _name_ids(confirmed)
            yield f"booking {booking.reference} is CANCELLED, and has {name_seats(confirmed)}: reservation {ids}"
        return
    if dossier.context is None:
        return
    wanted = {
        (segment.flight_id, number, passenger)
        for number, segment in enumerate(dossier.context.segments)
        for passenger in range(dossier.context.passengers)
    }
    have = [(reservation.flight_id, reservation.segment, reservation.passenger) for reservation in confirmed]
    for flight_id, number, passenger in sorted(wanted - set(have)):
        yield (
            f"booking {booking.reference} is {booking.status.value}, and passenger {passenger} has no confirmed seat "
            f"on segment {number}, flight {flight_id}"
        )
    if len(have) > len(wanted) or set(have) - wanted:
        yield f"booking {booking.reference} has seats that it is not for: among reservation {_name_ids(confirmed)}"


def _booking_and_points(dossier: Dossier) -> Iterator[str]:
    booking, context = dossier.booking, dossier.context
    if booking is None or context is None or dossier.saga is None:
        return
    earned = context.miles if context.member and dossier.saga.definition == DefinitionName.BOOK_AND_EARN.value else 0
    due = earned - context.points
    may_be = {
        BookingStatus.CONFIRMED: {due},
        BookingStatus.CANCELLING: {due, 0},
        BookingStatus.CANCELLED: {due, 0} if dossier.is_given_up else {0},
    }[booking.status]
    if dossier.points.points not in may_be:
        yield (
            f"booking {booking.reference} is {booking.status.value}, so that its member's account changes by "
            f"{' or '.join(f'{points:+}' for points in sorted(may_be))} points, and it has by {dossier.points.points:+}"
        )


_WITH_US: Final = (PaymentStatus.CAPTURED, PaymentStatus.REFUND_PENDING)
#: A saga that undoes what it took may find that a refund is pending, or has failed.
_UNDOING: Final = (SagaStatus.COMPENSATING, SagaStatus.STUCK, SagaStatus.PARKED, SagaStatus.ABANDONED)


def _payment_and_booking(dossier: Dossier) -> Iterator[str]:
    payment, booking = dossier.payment, dossier.booking
    if dossier.saga is None:
        return
    if payment is not None and dossier.context is not None and payment.reference != dossier.context.payment_reference:
        yield f"payment {payment.id} is by {payment.reference}, and the saga's by {dossier.context.payment_reference}"
    if payment is not None and booking is None:
        if payment.status in _WITH_US and dossier.status not in _UNDOING:
            yield f"payment {payment.id} ({payment.reference}) is {payment.status.value}, and no booking is for it"
        elif dossier.status is SagaStatus.COMPENSATED and not (
            payment.status.is_resolved or payment.status is PaymentStatus.DISPUTED
        ):
            yield f"it is COMPENSATED, and payment {payment.id} ({payment.reference}) is {payment.status.value}"
    if booking is None or dossier.context is None:
        return
    if dossier.context.payable == 0:
        if payment is not None:
            yield f"booking {booking.reference} left nothing to pay, and has payment {payment.id}"
        return
    if payment is None:
        yield f"booking {booking.reference} was to be paid with {_payable(dossier.context)}, and there is no payment"
        return
    if payment.amount != _payable(dossier.context):
        yield f"payment {payment.id} is for {payment.amount}, and {_payable(dossier.context)} was to be paid"
    if payment.status not in paid_statuses(dossier):
        yield (
            f"booking {booking.reference} is {booking.status.value}, and payment {payment.id} ({payment.reference}) "
            f"is {payment.status.value}"
        )


def paid_statuses(dossier: Dossier) -> frozenset[PaymentStatus]:
    """The allowed statuses of a booking's payment."""
    assert dossier.booking is not None
    match dossier.booking.status:
        case BookingStatus.CONFIRMED:
            return frozenset({PaymentStatus.CAPTURED, PaymentStatus.DISPUTED})
        case BookingStatus.CANCELLED if dossier.cancellation is SagaStatus.COMPLETED:
            return frozenset({PaymentStatus.REFUNDED, PaymentStatus.DISPUTED})
        case _:
            return frozenset(status for status in PaymentStatus if status.is_taken)


RULES: Final[Sequence[tuple[str, str, Callable[[Dossier], Iterator[str]]]]] = (
    ("saga-known", "Every booking, payment, reservation and entry belongs to a saga that exists.", _belongs_to_a_saga),
    (
        "saga-settled",
        "No saga that is over holds seats or pending miles; none undone has moved points.",
        _nothing_is_provisional,
    ),
    (
        "booking-saga",
        "Every completed saga has its booking, and every booking its saga and cancellation.",
        _booking_and_saga,
    ),
    (
        "booking-seats",
        "Every booking has a seat for each passenger and segment, a cancelled one none.",
        _booking_and_seats,
    ),
    ("booking-points", "Every booking has moved the points it is for, a cancelled one none.", _booking_and_points),
    (
        "payment-booking",
        "Money is taken for bookings alone, and given back or untouched otherwise.",
        _payment_and_booking,
    ),
)


# ---------------------------------------------------------------- words


def name_seats(reservations: Sequence[LiveReservation]) -> str:
    """Seats and flights in a form for people."""
    names = ", ".join(f"{seat_number(item.seat)} of flight {item.flight_id}" for item in reservations)
    return f"seat{'s' if len(reservations) > 1 else ''} {names}"


def _name_ids(reservations: Sequence[LiveReservation]) -> str:
    return ", ".join(reservation.id for reservation in reservations)


def _total(context: BookingContext) -> Money:
    return Money(context.total, context.currency)


def _payable(context: BookingContext) -> Money:
    return Money(context.payable, context.currency)
