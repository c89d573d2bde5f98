"""The enums of the API: the domain's own, described in one place; names of sagas and steps bring their sentence.

Names of sagas, steps and compensations in the database may be newer than this process, as a newer
release may run beside it. This process returns them anyway, as the newer release does, because both
serve the same clients. As input, only names that this process knows are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast

import strawberry
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from domain.actors import ActorRole
from domain.bookings import BookingStatus, CompensationName, FailureAdvice, StepName, outline
from domain.bookings import DefinitionName as SagaDefinitionName
from domain.bulk import BulkActionKind, BulkActionStatus
from domain.events import EventType
from domain.guard import BreakerState
from domain.operators import OperatorActionKind
from domain.payments import PaymentStatus
from domain.saga import SagaDefinition, SagaOrder, SagaStatus, StepStatus
from domain.seats import CabinClass, SeatReservationStatus, SeatStatus

__all__ = [
    "ActorRole",
    "BookingStatus",
    "BreakerState",
    "BulkActionKind",
    "BulkActionStatus",
    "CabinClass",
    "CompensationName",
    "EventType",
    "FailureAdvice",
    "OperatorActionKind",
    "PaymentMethod",
    "PaymentStatus",
    "SagaDefinitionName",
    "SagaOrder",
    "SagaStatus",
    "SeatReservationStatus",
    "SeatStatus",
    "StepName",
    "StepStatus",
    "TripType",
    "ViewerRole",
    "let_newer_names_through",
    "named",
]

E = TypeVar("E", bound=type[Enum])
N = TypeVar("N", bound=Enum)
_GROWING: Final = ("SagaDefinitionName", "StepName", "CompensationName", "OperatorActionKind", "BulkActionKind")


def named(enum: type[N], name: str) -> N:
    """The value of `enum` with this name; if only a newer release has it, the name itself."""
    try:
        return enum(name)
    except ValueError:
        return cast("N", name)


def let_newer_names_through(schema: strawberry.Schema) -> None:
    """Let `schema` return names of sagas, steps and compensations that it does not define."""
    for name in _GROWING:
        schema._schema.type_map[name].__class__ = _GrowingEnum


class _GrowingEnum(CustomGraphQLEnumType):
    def coerce_output_value(self, output_value: Any) -> str:
        if isinstance(output_value, str) and not isinstance(output_value, Enum):
            return output_value
        return super().coerce_output_value(output_value)


def _described(enum: E, name: str, description: str, values: Mapping[str, str]) -> E:
    """`enum` as a GraphQL enum; every value must have its description, and every description its value."""
    strawberry.enum(enum, name=name, description=description)
    definition = vars(enum)["__strawberry_definition__"]
    for value in definition.values:
        value.description = values[value.name]
    if len(values) != len(definition.values):
        raise LookupError(f"{name}: there are descriptions of unknown values")
    return enum


def _sentences(names: Iterable[StepName | CompensationName]) -> dict[str, str]:
    return {name.value: name.sentence for name in names}


def _saga_sentence(definition: SagaDefinition) -> str:
    """A sentence with the saga's purpose and its steps in order."""
    sentence, steps = SagaDefinitionName[definition.name].sentence, [step.name for step in definition.steps]
    if definition.pivot_index == 0:
        first, *others = steps
        going = f"{first} is the pivot; then {', '.join(others)} go forward until they succeed."
        return f"{sentence.removesuffix('.')}: {going}"
    return f"{sentence} {', '.join(steps)}."


class PaymentMethod(Enum):
    """How a booking is paid for."""

    CARD = "CARD"


class TripType(Enum):
    """One flight, or there and back."""

    ONE_WAY = "ONE_WAY"
    ROUND_TRIP = "ROUND_TRIP"


class ViewerRole(Enum):
    """As what a caller acts."""

    ANONYMOUS = "ANONYMOUS"
    CUSTOMER = "CUSTOMER"
    OPERATOR = "OPERATOR"


_described(
    CabinClass,
    "CabinClass",
    "Cabins overlap as the airline sells them: FIRST is rows 1-2, BUSINESS rows 1-3, ECONOMY rows 4-27.",
    {
        "ECONOMY": "Rows 4-27, 144 seats.",
        "BUSINESS": "Rows 1-3, 18 seats; row 3 is allocated first.",
        "FIRST": "Rows 1-2, 12 seats.",
    },
)
_described(
    SeatStatus,
    "SeatStatus",
    "Whether a seat can be had.",
    {
        "AVAILABLE": "Free to be held.",
        "HELD": "Held by a running saga until the hold's expiresAt.",
        "BOOKED": "Part of a confirmed booking.",
    },
)
_described(
    SeatReservationStatus,
    "SeatReservationStatus",
    "What became of a passenger's claim on a seat.",
    {
        "HELD": "Held until expiresAt.",
        "CONFIRMED": "Part of a confirmed booking.",
        "RELEASED": "Given up on purpose: a compensation or a cancellation.",
        "EXPIRED": "Held for too long, and freed.",
    },
)
_described(
    TripType, "TripType", "One flight, or there and back.", {"ONE_WAY": "There.", "ROUND_TRIP": "There and back."}
)
_described(
    SagaDefinitionName,
    "SagaDefinitionName",
    "The sagas that there are.",
    {definition.name: _saga_sentence(definition) for definition in outline().current},
)
_described(StepName, "StepName", "Every step of every saga.", _sentences(StepName))
_described(CompensationName, "CompensationName", "Every compensation of every step.", _sentences(CompensationName))
_described(
    SagaStatus,
    "SagaStatus",
    "Where a saga stands.",
    {
        "PENDING": "Durably accepted, no step begun.",
        "RUNNING": "Going forward.",
        "WAITING": (
            "Seats are held and the saga waits for the customer; see Saga.awaiting. It continues when the customer "
            "answers and is undone when awaiting.until has passed."
        ),
        "COMPENSATING": "Undoing completed steps, last first.",
        "COMPLETED": "Every step done. Terminal.",
        "COMPENSATED": "Failed, and every effect undone. Terminal.",
        "STUCK": (
            "A compensation, or a step after the pivot, keeps failing: it is still retried slowly, "
            "and an operator may retry or skip it."
        ),
        "PARKED": (
            "This release cannot read or run the saga. It is left alone until an operator retries it; "
            "all other sagas continue."
        ),
        "ABANDONED": "Ended by an operator with effects left behind, on the record. Terminal.",
    },
)
_described(
    StepStatus,
    "StepStatus",
    "Where a step, or its compensation, stands.",
    {
        "PENDING": "Not begun.",
        "EXECUTING": "An attempt is under way.",
        "RETRYING": "The last attempt failed for a passing reason; another follows.",
        "COMPLETED": "Done.",
        "WAITING": "Waits for the customer, or for the provider's final answer. Waiting uses no attempt.",
        "FAILED": "Failed for good, with no effect left behind.",
        "SKIPPED": "Not needed for this booking (no loyalty member, nothing to pay), or given up by an operator.",
        "STUCK": "Keeps failing; waits for an operator or the next slow retry.",
    },
)
_described(
    FailureAdvice,
    "FailureAdvice",
    "What to offer the customer after a failure.",
    {
        "ANOTHER_CARD": "This card will not do: ask for another one.",
        "CARD_AGAIN": "Ask for the card's details again, or for another card; the same one may do a little later.",
        "ANOTHER_SEAT": "Offer other seats, another cabin or another flight.",
        "ANOTHER_FLIGHT": "Offer another flight: this one is not sold any more.",
        "FEWER_POINTS": "Offer to redeem fewer points, and to pay for the rest.",
        "BOOK_AGAIN": "Nothing is wrong with the request: book again.",
        "LATER": "The provider or the server has trouble: try later. While the saga goes on, it tries again by itself.",
        "WAIT": "Nothing: the server goes on until it is done.",
        "CONTACT_US": "A person has to look at it: show how to reach you, and the correlation ID.",
        "NOTHING": "Nothing: it was asked for, or does not concern the customer.",
    },
)
_described(
    EventType,
    "SagaEventType",
    "What happened to a saga.",
    {
        "SAGA_STARTED": "Durably accepted.",
        "STEP_STARTED": "An attempt of a step begins.",
        "STEP_COMPLETED": "The step took effect.",
        "STEP_FAILED": "The step failed for good.",
        "STEP_RETRYING": "The attempt failed for a passing reason, or its answer was lost; another follows.",
        "STEP_SKIPPED": "Not needed, or given up by an operator.",
        "STEP_WAITING": "The step waits for the customer, or for the provider's final answer.",
        "STEP_RESUMED": "The answer has arrived and the step continues. Its attempts are counted anew.",
        "HOLD_EXPIRED": "The seats were held for too long.",
        "CANCEL_REQUESTED": "Someone asked the saga to stop and undo what it did.",
        "COMPENSATION_STARTED": "An attempt to undo a step begins.",
        "COMPENSATION_COMPLETED": "The step is undone.",
        "COMPENSATION_RETRYING": "The attempt to undo failed, or its answer was lost; another follows.",
        "COMPENSATION_SKIPPED": "Given up by an operator, on the record.",
        "COMPENSATION_WAITING": "The compensation waits for the provider's final answer.",
        "SAGA_COMPLETED": "Every step is done. Terminal.",
        "SAGA_COMPENSATED": "Failed, and every effect is undone. Terminal.",
        "SAGA_STUCK": "What must succeed keeps failing; an operator is wanted.",
        "SAGA_PARKED": "This release cannot read or run the saga; it is left alone until an operator retries it.",
        "SAGA_RESUMED": "A stuck or parked saga goes on.",
        "SAGA_ABANDONED": "Ended by an operator with effects left behind. Terminal.",
    },
)
_described(PaymentMethod, "PaymentMethod", "How a booking is paid for.", {"CARD": "By card, named by a token."})
_described(
    PaymentStatus,
    "PaymentStatus",
    "Where a payment stands at the provider.",
    {
        "PENDING": "Opened at the provider; no money touched.",
        "AUTHORIZED": "The money is reserved.",
        "CAPTURED": "The money is taken.",
        "VOIDED": "The reservation is given up; nothing was taken.",
        "REFUND_PENDING": "The provider has accepted the refund but not finished it; it may still fail.",
        "REFUNDED": "The money was given back.",
        "DISPUTED": "A chargeback: the card's holder reclaimed the money through their bank.",
        "DECLINED": "The provider refused.",
        "UNKNOWN": "The provider's last answer was lost; being found out.",
    },
)
_described(
    BookingStatus,
    "BookingStatus",
    "Where a booking stands.",
    {
        "CONFIRMED": "The seats are the passengers'.",
        "CANCELLING": "A cancellation has passed its pivot.",
        "CANCELLED": "Seats free again, loyalty restored; the money is refunded, or its refund is under way.",
    },
)
_described(
    ActorRole,
    "ActorRole",
    "As what somebody acts.",
    {
        "CUSTOMER": "A caller, for their own sagas.",
        "OPERATOR": "A caller who may steer every saga and the scheduler.",
        "PROVIDER": "The payment provider.",
        "SCHEDULER": "A job of the scheduler.",
    },
)
_described(
    ViewerRole,
    "ViewerRole",
    "As what a caller acts.",
    {
        "ANONYMOUS": "A caller without a token.",
        "CUSTOMER": "A caller with a token, for their own objects.",
        "OPERATOR": "A caller whose token has the operator role; its scopes say what it may do.",
    },
)
_described(
    SagaOrder,
    "SagaOrder",
    "The order of a list of sagas.",
    {
        "NEWEST_FIRST": "The one that started last comes first.",
        "OLDEST_FIRST": "The one that started first comes first.",
        "LONGEST_STUCK_FIRST": (
            "STUCK ones come before all others, the one that is stuck for longest first; the others follow, the newest "
            "first."
        ),
    },
)
_described(
    OperatorActionKind,
    "OperatorActionKind",
    "What an operator did.",
    {
        "RETRY_SAGA": "Had the next attempt of a saga begin now.",
        "SKIP_STEP": "Gave up what a saga was stuck at.",
        "CANCEL_SAGA": "Had a saga stop and undo what it did.",
        "BULK_START": "Started a bulk action.",
        "BULK_STOP": "Stopped a bulk action.",
        "JOB_RUN": "Had a job run now.",
        "JOB_PAUSE": "Let no run of a job begin.",
        "JOB_RESUME": "Let a job run again.",
        "JOB_INTERVAL": "Changed how often a job runs.",
        "PROVIDER_PAUSE": "Paused the payment provider: no call is sent.",
        "PROVIDER_RESUME": "Let calls go to the payment provider again.",
        "SETTLE": "Recorded how something that an ABANDONED saga left behind was settled.",
        "BOOK_FLIGHT": "Booked with the loyalty account of somebody else.",
        "PAY_FOR_HOLD": "Paid for held seats.",
        "CONFIRM_CARD": "Had the provider asked whether a card's holder has answered the bank.",
        "CANCEL_BOOKING": "Began to cancel a booking.",
        "MEND_PAYMENT": "Gave money back that the provider had and no saga: seatsaga reconcile --mend.",
        "IMPORT_FLIGHTS": "Loaded flights from a file: seatsaga import-flights.",
        "SEED": "Added demo flights or demo members: seatsaga seed.",
        "RESTORE": "Replaced the database by a backup: seatsaga restore.",
        "COPY_DATABASE": "Copied this database from another one: seatsaga copy-database.",
    },
)
_described(
    BulkActionKind,
    "BulkActionKind",
    "What a bulk action does to each saga.",
    {
        "RETRY": "As retrySaga, but passes over PARKED sagas.",
        "SKIP": "As skipStep.",
        "CANCEL": "As cancelSaga.",
        "UNPARK": "As retrySaga, for PARKED sagas alone.",
    },
)
_described(
    BulkActionStatus,
    "BulkActionStatus",
    "Where a bulk action stands.",
    {
        "RUNNING": "Some sagas have not had their turn.",
        "STOPPED": "An operator stopped it; what was done stays done.",
        "DONE": "Each saga has had its turn.",
    },
)
_described(
    BreakerState,
    "BreakerState",
    "State of the circuit breaker in front of the payment provider.",
    {
        "CLOSED": "Calls are sent.",
        "OPEN": "The provider keeps failing: no call is sent, and new bookings that must pay now are refused.",
        "HALF_OPEN": "A few probe calls are sent; growing batches follow while they succeed.",
        "PAUSED": "An operator paused it: no call is sent.",
    },
)
