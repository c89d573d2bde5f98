"""Bookings: the product, the sagas that sell and cancel it, and the sweep that frees lapsed holds.

Start with `definitions`: it lists the three sagas over four features. `Bookings` is the interface.
"""

from domain.bookings.awaiting import CardConfirmationAwaited, PaymentAwaited, awaited
from domain.bookings.codes import RefusalCode
from domain.bookings.contexts import BookingContext, InventoryLimits
from domain.bookings.definitions import (
    BookingDefinitions,
    CompensationName,
    StepName,
    build_definitions,
    outline,
    sentence_of,
)
from domain.bookings.expiry import HoldsExpired
from domain.bookings.itinerary import Itinerary, itinerary
from domain.bookings.model import (
    BOOKING_TRANSITIONS,
    BookFlight,
    Booking,
    BookingNotCancellable,
    BookingNotFound,
    BookingStatus,
    CorrelationIdTaken,
    DefinitionName,
    FlightDeparted,
    FlightNotFound,
    InvalidInput,
    LimitExceeded,
    MemberNotFound,
    NothingToPay,
    NothingToRetry,
    NothingToSettle,
    Passenger,
    PaymentsUnavailable,
    PriceChanged,
    Refusal,
    SagaNotFound,
    SegmentWish,
    SimulationDisabled,
    TooLateToCancel,
    TooLateToPay,
    TooManyHolds,
)
from domain.bookings.records import (
    bookings_by_cancellations,
    bookings_by_ids,
    bookings_by_references,
    bookings_count,
    bookings_of_sagas,
    bookings_page,
    passengers_of,
)
from domain.bookings.scenarios import Scenario, scenarios_of
from domain.bookings.service import Bookings
from domain.bookings.validation import PASSENGERS_MAX, SEGMENTS_MAX

__all__ = [
    "BOOKING_TRANSITIONS",
    "PASSENGERS_MAX",
    "SEGMENTS_MAX",
    "BookFlight",
    "Booking",
    "BookingContext",
    "BookingDefinitions",
    "BookingNotCancellable",
    "BookingNotFound",
    "BookingStatus",
    "Bookings",
    "CardConfirmationAwaited",
    "CompensationName",
    "CorrelationIdTaken",
    "DefinitionName",
    "FlightDeparted",
    "FlightNotFound",
    "HoldsExpired",
    "InvalidInput",
    "InventoryLimits",
    "Itinerary",
    "LimitExceeded",
    "MemberNotFound",
    "NothingToPay",
    "NothingToRetry",
    "NothingToSettle",
    "Passenger",
    "PaymentAwaited",
    "PaymentsUnavailable",
    "PriceChanged",
    "Refusal",
    "RefusalCode",
    "SagaNotFound",
    "Scenario",
    "SegmentWish",
    "SimulationDisabled",
    "StepName",
    "TooLateToCancel",
    "TooLateToPay",
    "TooManyHolds",
    "awaited",
    "bookings_by_cancellations",
    "bookings_by_ids",
    "bookings_by_references",
    "bookings_count",
    "bookings_of_sagas",
    "bookings_page",
    "build_definitions",
    "itinerary",
    "outline",
    "passengers_of",
    "scenarios_of",
    "sentence_of",
]
