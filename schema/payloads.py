"""The payloads of mutations: the saga, or errors that the caller can fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import strawberry

from domain import bookings
from domain.payments import mask_payment_secrets
from schema.errors import limit_exceeded
from schema.flights import Money
from schema.sagas import Booking, Saga

__all__ = [
    "BookFlightPayload",
    "CancelBookingPayload",
    "CancelSagaPayload",
    "ConfirmCardPayload",
    "InvalidInputError",
    "PayForHoldPayload",
    "RetrySagaPayload",
    "SettleSagaPayload",
    "SkipStepPayload",
    "UserError",
    "errors_of",
    "facts_of",
]


@strawberry.type(description="A value that the message of an error contains.")
class ErrorFact:
    name: str = strawberry.field(description="Which value: docs/api.md lists the names of each code.")
    value: str = strawberry.field(
        description="A number, a time, a seat, ...: never something that only one language has."
    )


@strawberry.interface(
    description="Something the caller can mend. Every member of a payload's error union implements it."
)
class UserError:
    message: str = strawberry.field(description="One line in English, for a person.")
    path: list[str] = strawberry.field(description="Where in the input, outermost first.")
    code: str = strawberry.field(
        description=(
            "Stable and machine-readable, one per cause: SEAT_NAMED_TWICE, SEAT_NOT_IN_CABIN, NAME_BLANK, "
            "DATE_OF_BIRTH_IN_FUTURE, ... docs/api.md lists them all."
        )
    )
    facts: list[ErrorFact] = strawberry.field(
        description="The values in the message, so that a client can write it in any language from code and facts."
    )


@strawberry.type(description="The input at `path` is not what it may be.")
class InvalidInputError(UserError):
    pass


@strawberry.type(description="No flight has this id.")
class FlightNotFoundError(UserError):
    pass


@strawberry.type(description="The flight has departed, or is not sold any more as it departs soon.")
class FlightDepartedError(UserError):
    pass


@strawberry.type(description="No loyalty account has this number.")
class MemberNotFoundError(UserError):
    pass


@strawberry.type(description="The total now differs from expectedTotal.")
class PriceChangedError(UserError):
    total: Money = strawberry.field(description="What it is now.")


@strawberry.type(description="This correlation ID belongs to a different request.")
class CorrelationIdReusedError(UserError):
    pass


@strawberry.type(description="`simulate` was given where the server does not allow fault injection.")
class SimulationDisabledError(UserError):
    pass


@strawberry.type(description="The caller has as many seats of this flight, or of one cabin of it, as one caller may.")
class TooManyHoldsError(UserError):
    limit: int = strawberry.field(description="How many that is.")
    retry_after_seconds: int | None = strawberry.field(
        description="When there will be room by time alone; null where seats have to be given back first."
    )


@strawberry.type(description="No saga has this correlation ID.")
class SagaNotFoundError(UserError):
    pass


@strawberry.type(description="The saga's pivot has decided, or it is completed.")
class TooLateToCancelError(UserError):
    booking: Booking | None = strawberry.field(description="What came of it; cancel that instead.")


@strawberry.type(description="No booking has this reference.")
class BookingNotFoundError(UserError):
    pass


@strawberry.type(description="The booking is not confirmed, or a flight of it has departed.")
class BookingNotCancellableError(UserError):
    booking: Booking = strawberry.field(description="As it stands.")


@strawberry.type(
    description=(
        "The payment provider is unavailable, so no seat was held. A booking with payLater can still hold seats."
    )
)
class PaymentsUnavailableError(UserError):
    retry_after_seconds: int = strawberry.field(description="When to try again.")


@strawberry.type(description="The saga does not wait for a payment, or is trying another card right now.")
class NothingToPayError(UserError):
    pass


@strawberry.type(description="The time to pay for the held seats has passed: see awaiting.until.")
class HoldExpiredError(UserError):
    pass


@strawberry.type(description="The saga waits for no attempt, or is not stuck at that step.")
class NothingToRetryError(UserError):
    pass


@strawberry.type(description="The saga is not ABANDONED, or is settled already.")
class NothingToSettleError(UserError):
    pass


BookFlightError = Annotated[
    InvalidInputError
    | FlightNotFoundError
    | FlightDepartedError
    | MemberNotFoundError
    | PriceChangedError
    | CorrelationIdReusedError
    | SimulationDisabledError
    | TooManyHoldsError
    | PaymentsUnavailableError,
    strawberry.union("BookFlightError", description="Why a journey could not be booked."),
]
PayForHoldError = Annotated[
    InvalidInputError | SagaNotFoundError | NothingToPayError | HoldExpiredError | PaymentsUnavailableError,
    strawberry.union("PayForHoldError", description="Why held seats could not be paid for."),
]
ConfirmCardError = Annotated[
    SagaNotFoundError | NothingToPayError,
    strawberry.union("ConfirmCardError", description="Why the provider was not asked."),
]
CancelSagaError = Annotated[
    InvalidInputError | SagaNotFoundError | TooLateToCancelError,
    strawberry.union("CancelSagaError", description="Why a saga could not be cancelled."),
]
CancelBookingError = Annotated[
    InvalidInputError
    | BookingNotFoundError
    | BookingNotCancellableError
    | CorrelationIdReusedError
    | SimulationDisabledError,
    strawberry.union("CancelBookingError", description="Why a booking could not be cancelled."),
]
RetrySagaError = Annotated[
    InvalidInputError | SagaNotFoundError | NothingToRetryError,
    strawberry.union("RetrySagaError", description="Why a saga could not be retried."),
]
SkipStepError = Annotated[
    InvalidInputError | SagaNotFoundError | NothingToRetryError,
    strawberry.union("SkipStepError", description="Why a step could not be given up."),
]

SettleSagaError = Annotated[
    InvalidInputError | SagaNotFoundError | NothingToSettleError,
    strawberry.union("SettleSagaError", description="Why a saga could not be settled."),
]


@strawberry.type(description="The saga that was started, or why none was.")
class BookFlightPayload:
    saga: Saga | None = strawberry.field(description="Durable already; watch it by its correlation ID.")
    errors: list[BookFlightError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The saga that goes on, or why it does not.")
class PayForHoldPayload:
    saga: Saga | None = strawberry.field(description="As it stands; watch it by its correlation ID.")
    errors: list[PayForHoldError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The saga whose provider is asked, or why it is not.")
class ConfirmCardPayload:
    saga: Saga | None = strawberry.field(description="As it stands; watch it by its correlation ID.")
    errors: list[ConfirmCardError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The saga that was asked to stop, or why it was not.")
class CancelSagaPayload:
    saga: Saga | None = strawberry.field(description="As it stands.")
    errors: list[CancelSagaError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The CANCEL_BOOKING saga, or why there is none.")
class CancelBookingPayload:
    saga: Saga | None = strawberry.field(description="Durable already; watch it by its correlation ID.")
    errors: list[CancelBookingError] = strawberry.field(
        description="What the caller can mend; empty where all is well."
    )


@strawberry.type(description="The saga that is tried again, or why it is not.")
class RetrySagaPayload:
    saga: Saga | None = strawberry.field(description="As it stands.")
    errors: list[RetrySagaError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The saga whose step is given up, or why it is not.")
class SkipStepPayload:
    saga: Saga | None = strawberry.field(description="As it stands.")
    errors: list[SkipStepError] = strawberry.field(description="What the caller can mend; empty where all is well.")


@strawberry.type(description="The saga that is off the worklist, or why it is not.")
class SettleSagaPayload:
    saga: Saga | None = strawberry.field(description="As it stands.")
    errors: list[SettleSagaError] = strawberry.field(description="What the caller can mend; empty where all is well.")


def errors_of(refusals: Iterable[bookings.Refusal]) -> list[Any]:
    """The domain's refusals as payload errors. A refusal that fits no payload is raised as a GraphQL error."""
    return [_error(refusal) for refusal in refusals]


_ERRORS: Final[Mapping[type, type[UserError]]] = {
    bookings.InvalidInput: InvalidInputError,
    bookings.FlightNotFound: FlightNotFoundError,
    bookings.FlightDeparted: FlightDepartedError,
    bookings.MemberNotFound: MemberNotFoundError,
    bookings.PriceChanged: PriceChangedError,
    bookings.CorrelationIdTaken: CorrelationIdReusedError,
    bookings.SimulationDisabled: SimulationDisabledError,
    bookings.TooManyHolds: TooManyHoldsError,
    bookings.SagaNotFound: SagaNotFoundError,
    bookings.TooLateToCancel: TooLateToCancelError,
    bookings.BookingNotFound: BookingNotFoundError,
    bookings.BookingNotCancellable: BookingNotCancellableError,
    bookings.NothingToPay: NothingToPayError,
    bookings.TooLateToPay: HoldExpiredError,
    bookings.PaymentsUnavailable: PaymentsUnavailableError,
    bookings.NothingToRetry: NothingToRetryError,
    bookings.NothingToSettle: NothingToSettleError,
}


def _error(refusal: bookings.Refusal) -> UserError:
    if isinstance(refusal, bookings.LimitExceeded):
        raise limit_exceeded(refusal.message, limit=refusal.limit, retry_after_seconds=refusal.retry_after_seconds)
    message = mask_payment_secrets(refusal.message)
    return _ERRORS[type(refusal)](
        message=message,
        path=list(refusal.path),
        code=refusal.code.value,
        facts=facts_of(refusal.facts),
        **_fields(refusal),
    )


def facts_of(facts: Mapping[str, object]) -> list[ErrorFact]:
    """The values of a refusal's message."""
    return [ErrorFact(name=name, value=str(value)) for name, value in facts.items()]


def _fields(refusal: bookings.Refusal) -> dict[str, Any]:
    """The fields of an error besides those of all errors."""
    match refusal:
        case bookings.PriceChanged(total=total):
            return {"total": Money.of(total)}
        case bookings.TooManyHolds(limit=limit, retry_after_seconds=seconds):
            return {"limit": limit, "retry_after_seconds": seconds}
        case bookings.PaymentsUnavailable(retry_after_seconds=seconds):
            return {"retry_after_seconds": seconds}
        case bookings.TooLateToCancel(booking=booking):
            return {"booking": None if booking is None else Booking.of(booking)}
        case bookings.BookingNotCancellable(booking=booking):
            return {"booking": Booking.of(booking)}
        case _:
            return {}
