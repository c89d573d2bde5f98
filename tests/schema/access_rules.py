"""Whose each field of the API is. A field that stands in no rule fails the tests of access."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
)

__all__ = ["FOR_OPERATORS", "MAY_LEAD_TO", "ROOTS", "SCOPES", "TYPES", "Whose", "fields_of", "selection"]

from schema.context import Scope


class Whose(StrEnum):
    """Who may see a field's value."""

    EVERYONES = "everyone's"
    """The same for all who ask; nothing in it is about anybody."""
    OWNERS = "its owner's"
    """The owner's and the operators'; for everybody else it is not there."""
    OPERATORS = "operators'"
    """FORBIDDEN to everybody else, before anything is read."""
    ASKERS = "the asker's"
    """Made of what the asker has sent or owns."""
    GUESTS = "guests'"
    """Anybody's who names it: without personal and payment details (test_guests)."""
    HOLDERS = "its holder's"
    """A value without a life of its own: whose it is, is whose the object is that holds it."""


#: What a field of the one may lead to.
MAY_LEAD_TO: Final = {
    Whose.EVERYONES: {Whose.EVERYONES, Whose.HOLDERS},
    Whose.OWNERS: {Whose.EVERYONES, Whose.OWNERS, Whose.ASKERS, Whose.HOLDERS},
    Whose.OPERATORS: {Whose.EVERYONES, Whose.OWNERS, Whose.OPERATORS, Whose.ASKERS, Whose.HOLDERS},
    Whose.ASKERS: {Whose.ASKERS, Whose.OWNERS, Whose.HOLDERS},
    Whose.GUESTS: {Whose.EVERYONES, Whose.OWNERS, Whose.HOLDERS},
    Whose.HOLDERS: {Whose.HOLDERS},
}

ROOTS: Final[Mapping[str, Whose]] = {
    # By the kind of the node: see TYPES.
    "Query.node": Whose.OWNERS,
    "Query.flight": Whose.EVERYONES,
    "Query.flights": Whose.EVERYONES,
    "Query.searchTrips": Whose.EVERYONES,
    "Query.airports": Whose.EVERYONES,
    "Query.sagaDefinitions": Whose.EVERYONES,
    "Query.saga": Whose.OWNERS,
    "Query.sagas": Whose.ASKERS,
    "Query.sagaStatistics": Whose.OPERATORS,
    "Query.booking": Whose.OWNERS,
    "Query.guestBooking": Whose.GUESTS,
    "Query.bookings": Whose.ASKERS,
    "Query.seatReservations": Whose.OPERATORS,
    "Query.search": Whose.OPERATORS,
    "Query.incidents": Whose.OPERATORS,
    "Query.operatorActions": Whose.OPERATORS,
    "Query.bulkAction": Whose.OPERATORS,
    "Query.bulkActions": Whose.OPERATORS,
    "Query.paymentProvider": Whose.OPERATORS,
    "Query.viewer": Whose.ASKERS,
    "Query.loyaltyAccount": Whose.OWNERS,
    "Mutation.bookFlight": Whose.ASKERS,
    "Mutation.payForHold": Whose.OWNERS,
    "Mutation.confirmCard": Whose.OWNERS,
    "Mutation.cancelSaga": Whose.OWNERS,
    "Mutation.cancelBooking": Whose.OWNERS,
    "Mutation.retrySaga": Whose.OPERATORS,
    "Mutation.skipStep": Whose.OPERATORS,
    "Mutation.settleSaga": Whose.OPERATORS,
    "Mutation.startBulkAction": Whose.OPERATORS,
    "Mutation.stopBulkAction": Whose.OPERATORS,
    "Mutation.pausePaymentProvider": Whose.OPERATORS,
    "Mutation.resumePaymentProvider": Whose.OPERATORS,
    "Subscription.sagaEvents": Whose.OWNERS,
    "Subscription.saga": Whose.OWNERS,
    "Subscription.sagaFeed": Whose.OPERATORS,
    "Subscription.sagaChanges": Whose.OPERATORS,
    "Subscription.bulkAction": Whose.OPERATORS,
    "Subscription.seatChanges": Whose.EVERYONES,
}

_READ, _MEND, _PROVIDER = Scope.SAGAS_READ, Scope.SAGAS_MEND, Scope.PROVIDER_WRITE
#: The scopes, one of which an operator needs to reach what is not the operator's own. Everyone's fields need none.
SCOPES: Final[Mapping[str, tuple[Scope, ...]]] = {
    **{root: (_READ,) for root, whose in ROOTS.items() if root.startswith(("Query.", "Subscription."))},
    **{root: (_MEND,) for root in ROOTS if root.startswith("Mutation.")},
    **{root: () for root, whose in ROOTS.items() if whose in (Whose.EVERYONES, Whose.GUESTS)},
    "Query.viewer": (),
    "Query.bulkAction": (_READ, _MEND),
    "Subscription.bulkAction": (_READ, _MEND),
    "Query.paymentProvider": (_READ, _PROVIDER),
    "Mutation.pausePaymentProvider": (_PROVIDER,),
    "Mutation.resumePaymentProvider": (_PROVIDER,),
}
#: Fields of owners' objects that are null for everybody but operators with sagas:read.
FOR_OPERATORS: Final = {("Saga", "operatorActions")}
_REFUSAL: Final = (Whose.ASKERS, "message path code facts")
TYPES: Final[Mapping[str, tuple[Whose, str]]] = {
    "Airport": (Whose.EVERYONES, "code name city country timeZone"),
    "Fare": (Whose.EVERYONES, "cabinClass price seatsAvailable miles"),
    "Flight": (
        Whose.EVERYONES,
        "id number departsAt arrivesAt durationMinutes origin destination fares seats seatsAvailable",
    ),
    "FlightConnection": (Whose.EVERYONES, "edges pageInfo totalCount"),
    "FlightEdge": (Whose.EVERYONES, "cursor node"),
    # That a seat is held, and until when, but not by whom.
    "Seat": (Whose.EVERYONES, "id number row letter cabinClasses status holdExpiresAt"),
    "SagaDefinition": (Whose.EVERYONES, "name version isCurrent steps pivot scenarios"),
    "SagaScenario": (
        Whose.EVERYONES,
        "name payLater cards holderApproves failAt status failedStep failureCode completed compensated reservations"
        " payment isBooked redeemsPoints awardsMiles",
    ),
    "StepDefinition": (Whose.EVERYONES, "name description compensation isRemote canWait"),
    "TripSearchResult": (Whose.EVERYONES, "outbound inbound"),
    "AtStake": (Whose.OWNERS, "money points seats"),
    "BookedSeat": (Whose.OWNERS, "passenger seat"),
    "Booking": (
        Whose.OWNERS,
        "id reference status total milesAwarded pointsRedeemed createdAt passengers segments payment saga cancellation",
    ),
    "BookingConnection": (Whose.OWNERS, "edges pageInfo totalCount"),
    "BookingEdge": (Whose.OWNERS, "cursor node"),
    "BookingSegment": (Whose.OWNERS, "flight cabinClass seats"),
    # Of the two secrets: see CardConfirmationAwaited's own test.
    "CardConfirmationAwaited": (Whose.OWNERS, "until lastFailure clientSecret url"),
    "LoyaltyAccount": (Whose.OWNERS, "id memberNumber name balance pendingMiles entries"),
    "LoyaltyEntry": (Whose.OWNERS, "id points pendingPoints reason correlationId balanceAfter at"),
    "LoyaltyEntryConnection": (Whose.OWNERS, "edges pageInfo totalCount"),
    "LoyaltyEntryEdge": (Whose.OWNERS, "cursor node"),
    "Passenger": (Whose.OWNERS, "givenName familyName dateOfBirth"),
    "PaymentAwaited": (Whose.OWNERS, "until lastFailure amount"),
    "Payment": (Whose.OWNERS, "id status amount refunded method providerReference"),
    "Saga": (
        Whose.OWNERS,
        "id correlationId definition definitionVersion status sequence startedAt finishedAt steps queue failure"
        " flights memberNumber passengers reservations payment booking awaiting holdExpiresAt"
        " stuckSince settlement atStake"
        " operatorActions events",
    ),
    "SagaConnection": (Whose.OWNERS, "edges pageInfo totalCount"),
    "SagaEdge": (Whose.OWNERS, "cursor node"),
    "SagaEvent": (
        Whose.OWNERS,
        "id correlationId sequence type step compensation attempt message failure at facts actor saga",
    ),
    "SagaStep": (
        Whose.OWNERS,
        "id index name status attempt nextAttemptAt startedAt finishedAt summary failure undo compensation",
    ),
    "BookingFacts": (Whose.OWNERS, "reference"),
    "LoyaltyFacts": (Whose.OWNERS, "memberNumber points pendingPoints"),
    "PaymentFacts": (Whose.OWNERS, "amount status providerReference"),
    "SeatFacts": (Whose.OWNERS, "others flightId flightNumber seats cabinClass status"),
    "WaitFacts": (Whose.OWNERS, "until"),
    "SeatReservation": (Whose.OWNERS, "id correlationId cabinClass status heldAt expiresAt flight seat passenger"),
    "StepQueue": (Whose.OWNERS, "pending executing completed failed compensations compensating compensated"),
    "StepUndo": (Whose.OWNERS, "name status attempt nextAttemptAt startedAt finishedAt summary failure"),
    "Incident": (
        Whose.OPERATORS,
        "status step compensation failureCode message sagas oldestSince newestSince money points seats runbook sagasOf",
    ),
    "BulkAction": (
        Whose.OPERATORS,
        "id kind status reason filter step sagasPerSecond startedAt finishedAt matched done passedOver by byStatus"
        " passedOverBecause",
    ),
    "BulkActionConnection": (Whose.OPERATORS, "edges pageInfo totalCount"),
    "BulkActionEdge": (Whose.OPERATORS, "cursor node"),
    "BulkPassedOver": (Whose.OPERATORS, "reason sagas"),
    "StartBulkActionPayload": (Whose.OPERATORS, "bulkAction matched errors"),
    "StopBulkActionPayload": (Whose.OPERATORS, "bulkAction errors"),
    "FailedStepCount": (Whose.OPERATORS, "step count"),
    "OperatorAction": (Whose.OPERATORS, "id at by kind reason saga job bulkAction requestId before after"),
    "OperatorActionConnection": (Whose.OPERATORS, "edges pageInfo totalCount"),
    "OperatorActionEdge": (Whose.OPERATORS, "cursor node"),
    "PaymentProvider": (
        Whose.OPERATORS,
        "name breaker since reason callsInFlight callsWaiting callsPerSecondMax lastFailure",
    ),
    "PaymentProviderPayload": (Whose.OPERATORS, "provider errors"),
    "QueueTotals": (
        Whose.OPERATORS,
        "pending executing completed failed compensationsPending compensating stuck",
    ),
    "SagaBucket": (Whose.OPERATORS, "startsAt completed compensated abandoned stuck durationMsP50 durationMsP95"),
    "SagaStatistics": (
        Whose.OPERATORS,
        "since started finished unfinished gotStuck byStatus queue successRate compensationSuccessRate durationMsP50"
        " durationMsP95 failedAt buckets",
    ),
    "SagaChange": (Whose.OPERATORS, "matches saga"),
    "SagaStatusCount": (Whose.OPERATORS, "status count"),
    "SeatReservationConnection": (Whose.OPERATORS, "edges pageInfo totalCount"),
    "SeatReservationEdge": (Whose.OPERATORS, "cursor node"),
    "BookFlightPayload": (Whose.ASKERS, "saga errors"),
    "BookingNotCancellableError": (Whose.ASKERS, "message path code facts booking"),
    "BookingNotFoundError": _REFUSAL,
    "CancelBookingPayload": (Whose.ASKERS, "saga errors"),
    "CancelSagaPayload": (Whose.ASKERS, "saga errors"),
    "ConfirmCardPayload": (Whose.ASKERS, "saga errors"),
    "CorrelationIdReusedError": _REFUSAL,
    "FlightDepartedError": _REFUSAL,
    "FlightNotFoundError": _REFUSAL,
    "HoldExpiredError": _REFUSAL,
    "InvalidInputError": _REFUSAL,
    "MemberNotFoundError": _REFUSAL,
    "NothingToPayError": _REFUSAL,
    "NothingToRetryError": _REFUSAL,
    "NothingToSettleError": _REFUSAL,
    "PayForHoldPayload": (Whose.ASKERS, "saga errors"),
    "PaymentsUnavailableError": (Whose.ASKERS, "message path code facts retryAfterSeconds"),
    "PriceChangedError": (Whose.ASKERS, "message path code facts total"),
    "RetrySagaPayload": (Whose.ASKERS, "saga errors"),
    "SagaNotFoundError": _REFUSAL,
    "SimulationDisabledError": _REFUSAL,
    "SettleSagaPayload": (Whose.ASKERS, "saga errors"),
    "SkipStepPayload": (Whose.ASKERS, "saga errors"),
    "TooLateToCancelError": (Whose.ASKERS, "message path code facts booking"),
    "Viewer": (Whose.ASKERS, "role subject memberNumbers scopes bookings"),
    "TooManyHoldsError": (Whose.ASKERS, "message path code facts limit retryAfterSeconds"),
    # The subject of anybody but the viewer is for operators alone.
    "Actor": (Whose.HOLDERS, "role subject"),
    "Failure": (Whose.HOLDERS, "code message step advice"),
    "ErrorFact": (Whose.HOLDERS, "name value"),
    "Money": (Whose.HOLDERS, "amount currency"),
    # Null for everybody but operators: test_stuck_sagas has its own test.
    "Settlement": (Whose.HOLDERS, "at by how"),
    "PageInfo": (Whose.HOLDERS, "hasNextPage hasPreviousPage startCursor endCursor"),
}


def fields_of(schema: GraphQLSchema) -> Iterator[tuple[str, str, list[str]]]:
    """Every field of every object: its type, its name, and the objects that it may lead to."""
    for name, described in schema.type_map.items():
        if isinstance(described, GraphQLObjectType) and not name.startswith("__"):
            for field_name, field in described.fields.items():
                yield name, field_name, [target.name for target in _objects(schema, get_named_type(field.type))]


def _objects(schema: GraphQLSchema, named: GraphQLNamedType) -> list[GraphQLObjectType]:
    if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        return list(schema.get_possible_types(named))
    return [named] if isinstance(named, GraphQLObjectType) else []


def selection(schema: GraphQLSchema, type_name: str, seen: set[str], above: tuple[str, ...] = ()) -> str:
    """Every field of a type and of all that it leads to, once on each way; `seen` is told of each as Type.field."""
    named = schema.type_map[type_name]
    if not isinstance(named, GraphQLObjectType):
        members = _objects(schema, named)
        each = (f"... on {item.name} {_fields(schema, item, seen, above, _apart(item, members))}" for item in members)
        return f"{{ __typename {' '.join(each)} }}"
    return _fields(schema, named, seen, above, frozenset())


def _apart(item: GraphQLObjectType, members: Sequence[GraphQLObjectType]) -> frozenset[str]:
    """The fields that need another name beside the other members of a union, where theirs are of other types."""
    return frozenset(
        name
        for name, field in item.fields.items()
        if any(name in other.fields and str(other.fields[name].type) != str(field.type) for other in members)
    )


def _fields(
    schema: GraphQLSchema, named: GraphQLObjectType, seen: set[str], above: tuple[str, ...], apart: frozenset[str]
) -> str:
    parts = []
    for name, field in named.fields.items():
        seen.add(f"{named.name}.{name}")
        target = get_named_type(field.type)
        asked = f"{name}Of{named.name}: {name}" if name in apart else name
        if not is_composite_type(target):
            parts.append(asked)
        elif target.name in (*above, named.name):
            parts.append(f"{asked} {{ __typename }}")
        else:
            parts.append(f"{asked} {selection(schema, target.name, seen, (*above, named.name))}")
    return f"{{ {' '.join(parts)} }}"
