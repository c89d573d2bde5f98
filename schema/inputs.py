"""The input types, and their conversion to the domain's values."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import fields
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case

from domain import bookings, money, saga
from domain.saga import SagaQuery
from schema import ids
from schema.enums import (
    BookingStatus,
    CabinClass,
    CompensationName,
    OperatorActionKind,
    PaymentMethod,
    SagaDefinitionName,
    SagaStatus,
    SeatReservationStatus,
    StepName,
    StepStatus,
    TripType,
)
from schema.scalars import Day, Instant, Uuid, write_instant
from schema.variables import by_plan

__all__ = [
    "BookFlightInput",
    "BookingFilter",
    "CancelBookingInput",
    "CancelSagaInput",
    "ConfirmCardInput",
    "FlightFilter",
    "OperatorActionFilter",
    "PayForHoldInput",
    "ResumePaymentProviderInput",
    "RetrySagaInput",
    "SagaFilter",
    "SeatReservationFilter",
    "SettleSagaInput",
    "SimulationInput",
    "SkipStepInput",
    "TripSearchInput",
    "flight_id_of",
]


@by_plan
@strawberry.input(description="ISO 4217 money.")
class MoneyInput:
    amount: Decimal = strawberry.field(description="In major units, no finer than the currency's minor unit.")
    currency: str = strawberry.field(description="The ISO 4217 code.")


@by_plan
@strawberry.input(description="Which flights to list; what is left out does not restrict.")
class FlightFilter:
    origin: str | None = strawberry.field(default=None, description="An IATA code.")
    destination: str | None = strawberry.field(default=None, description="An IATA code.")
    departs_on: Day | None = strawberry.field(default=None, description="In the origin's local time.")
    number: str | None = strawberry.field(default=None, description="A flight number.")
    include_departed: bool = strawberry.field(
        default=False, description="Also flights that have departed. Left out, the list begins now."
    )


@by_plan
@strawberry.input(description="A trip to search for.")
class TripSearchInput:
    trip_type: TripType = strawberry.field(default=TripType.ONE_WAY, description="One way or there and back.")
    origin: str = strawberry.field(description="An IATA code.")
    destination: str = strawberry.field(description="An IATA code.")
    departs_on: Day = strawberry.field(description="In the origin's local time.")
    returns_on: Day | None = strawberry.field(
        default=None,
        description="In the destination's local time. Required for ROUND_TRIP, refused for ONE_WAY.",
    )
    passengers: int = strawberry.field(default=1, description="1 to 9.")
    cabin_class: CabinClass = strawberry.field(default=CabinClass.ECONOMY, description="The cabin.")


@by_plan
@strawberry.input(description="Which sagas to list. What is left out, or an empty list, does not restrict.")
class SagaFilter:
    status: list[SagaStatus] | None = strawberry.field(default=None, description="One of these.")
    step_status: list[StepStatus] | None = strawberry.field(
        default=None, description="With a step, or a compensation, in one of these."
    )
    definition: SagaDefinitionName | None = strawberry.field(default=None, description="Of this definition.")
    failed_step: StepName | None = strawberry.field(default=None, description="Failed at this step.")
    flight_id: strawberry.ID | None = strawberry.field(default=None, description="About this flight.")
    member_number: str | None = strawberry.field(default=None, description="Of this loyalty member.")
    started_after: Instant | None = strawberry.field(default=None, description="Started then or later.")
    started_before: Instant | None = strawberry.field(default=None, description="Started before then.")
    failure_code: list[str] | None = strawberry.field(
        default=None,
        description=(
            "With one of these codes in Saga.failure, or as what a STUCK or PARKED saga is stuck or parked with."
        ),
    )
    stuck_at: StepName | None = strawberry.field(
        default=None,
        description="The step or compensation that a STUCK saga is stuck at. Matches a PARKED saga by where it stood.",
    )
    stuck_with: list[str] | None = strawberry.field(
        default=None,
        description=(
            "With one of these codes as what a STUCK or PARKED saga is stuck or parked with; UNKNOWN finds those that "
            "keep none."
        ),
    )
    is_undoing: bool | None = strawberry.field(
        default=None, description="True: STUCK or PARKED at a compensation. False: at a step going forward."
    )
    is_place_known: bool | None = strawberry.field(
        default=None, description="False: STUCK or PARKED at a place that cannot be read."
    )
    stuck_before: Instant | None = strawberry.field(default=None, description="STUCK or PARKED since before then.")
    is_unsettled: bool | None = strawberry.field(
        default=None,
        description="True: an operator gave something up, and nobody has recorded yet how it was settled.",
    )

    def as_json(self) -> str:
        """The given restrictions as JSON, in the API's names."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps({to_camel_case(name): _plain(value) for name, value in given.items() if value is not None})

    def query(self, subject: str | None) -> SagaQuery | None:
        """The domain's query within `subject`; None if nothing can match."""
        labels = []
        if self.flight_id is not None:
            flight_id = flight_id_of(self.flight_id)
            if flight_id is None:
                return None
            labels.append(f"flight:{flight_id}")
        if self.member_number is not None:
            labels.append(f"member:{self.member_number}")
        return SagaQuery(
            subject=subject,
            statuses=self.status or (),
            step_statuses=self.step_status or (),
            definition=self.definition.value if self.definition else None,
            failed_step=self.failed_step.value if self.failed_step else None,
            label=labels,
            started_after=self.started_after,
            started_before=self.started_before,
            failure_codes=self.failure_code or (),
            stuck_at=self.stuck_at.value if self.stuck_at else None,
            stuck_with=self.stuck_with or (),
            stuck_before=self.stuck_before,
            is_unsettled=self.is_unsettled,
            is_undoing=self.is_undoing,
            is_place_known=self.is_place_known,
        )


@by_plan
@strawberry.input(description="Which bookings to list. What is left out, or an empty list, does not restrict.")
class BookingFilter:
    status: list[BookingStatus] | None = strawberry.field(default=None, description="One of these.")
    is_upcoming: bool | None = strawberry.field(
        default=None, description="True: its last flight has not departed yet. False: it has."
    )
    flight_id: strawberry.ID | None = strawberry.field(default=None, description="With seats on this flight.")
    member_number: str | None = strawberry.field(default=None, description="Of this loyalty member.")

    def query(self, subject: str | None, *, at: int) -> bookings.BookingQuery | None:
        """The domain's query within `subject`; None if nothing can match. `at`: now, in microseconds."""
        flight_id = None if self.flight_id is None else flight_id_of(self.flight_id)
        if self.flight_id is not None and flight_id is None:
            return None
        return bookings.BookingQuery(
            subject=subject,
            statuses=self.status or (),
            is_upcoming=self.is_upcoming,
            at=at,
            flight_id=flight_id,
            member_number=self.member_number,
        )


@by_plan
@strawberry.input(description="Which reservations to list. What is left out, or an empty list, does not restrict.")
class SeatReservationFilter:
    status: list[SeatReservationStatus] | None = strawberry.field(default=None, description="One of these.")
    flight_id: strawberry.ID | None = strawberry.field(default=None, description="On this flight.")
    expires_before: Instant | None = strawberry.field(default=None, description="Lapsing before then.")


@by_plan
@strawberry.input(description="Which entries to list. What is left out, or an empty list, does not restrict.")
class OperatorActionFilter:
    kind: list[OperatorActionKind] | None = strawberry.field(default=None, description="One of these.")
    subject: str | None = strawberry.field(default=None, description="By this subject.")
    correlation_id: Uuid | None = strawberry.field(default=None, description="About this saga.")
    after: Instant | None = strawberry.field(default=None, description="Done then or later.")
    before: Instant | None = strawberry.field(default=None, description="Done before then.")


@by_plan
@strawberry.input(description="Who flies.")
class PassengerInput:
    given_name: str = strawberry.field(description="Not blank, at most 100 characters.")
    family_name: str = strawberry.field(description="Not blank, at most 100 characters.")
    date_of_birth: Day | None = strawberry.field(default=None, description="Where it is to be kept.")


@by_plan
@strawberry.input(description="One flight of a journey.")
class SegmentInput:
    flight_id: strawberry.ID = strawberry.field(description="The flight.")
    cabin_class: CabinClass = strawberry.field(default=CabinClass.ECONOMY, description="The cabin.")
    seats: list[str] | None = strawberry.field(
        default=None,
        description=(
            "One seat number a passenger, in their order; left out, seats are allocated, the party together "
            "where it can be."
        ),
    )


@by_plan
@strawberry.input(description="The loyalty member who earns or redeems.")
class LoyaltyInput:
    member_number: str = strawberry.field(description="As SS0000001.")
    points_to_redeem: int = strawberry.field(default=0, description="More than 0 chooses BOOK_AND_REDEEM.")


@by_plan
@strawberry.input(description="How it is paid.")
class PaymentInput:
    method: PaymentMethod = strawberry.field(default=PaymentMethod.CARD, description="By card.")
    token: str | None = strawberry.field(
        default=None,
        description=(
            "The provider's token for the card. The sandbox knows pm_card_visa (its default), pm_card_chargeDeclined "
            "and the other well-known test tokens; a real provider has no default."
        ),
    )


@by_plan
@strawberry.input(description="Fault injection, for tests and demonstrations.")
class SimulationInput:
    fail_at: list[StepName] = strawberry.field(
        default_factory=list, description="Each named step fails for good when it is reached."
    )
    fail_compensation_at: list[CompensationName] = strawberry.field(
        default_factory=list,
        description="Each named compensation keeps failing until an operator retries or skips it.",
    )
    lose_answer_at: list[StepName] = strawberry.field(
        default_factory=list,
        description=(
            "Each named step takes effect and then loses its answer, as in a timeout: "
            f"{', '.join(bookings.outline().losable_steps)}."
        ),
    )
    delay_ms: int = strawberry.field(
        default=0,
        description=(
            "Pause before every step and compensation, so that people can watch; at most 5000. The step has begun and "
            "is EXECUTING meanwhile."
        ),
    )

    def simulation(self) -> saga.Simulation:
        """The domain's."""
        return saga.Simulation(
            fail_at=tuple(step.value for step in self.fail_at),
            fail_compensation_at=tuple(name.value for name in self.fail_compensation_at),
            lose_answer_at=tuple(step.value for step in self.lose_answer_at),
            delay_ms=self.delay_ms,
        )


@by_plan
@strawberry.input(description="A journey to book.")
class BookFlightInput:
    correlation_id: Uuid | None = strawberry.field(
        default=None,
        description=(
            "The caller's own UUID: sending the same request again returns the same saga."
            " Left out, the server makes one."
        ),
    )
    segments: list[SegmentInput] = strawberry.field(description="In travel order, 1 to 4; two for a round trip.")
    passengers: list[PassengerInput] = strawberry.field(description="1 to 9.")
    loyalty: LoyaltyInput | None = strawberry.field(default=None, description="A member who earns or redeems.")
    payment: PaymentInput | None = strawberry.field(
        default=None, description="How it is paid. Leave it out when payLater is true."
    )
    pay_later: bool = strawberry.field(
        default=False,
        description=(
            "Hold the seats and wait for payForHold until the hold expires. If points cover the whole price, the saga "
            "does not wait."
        ),
    )
    expected_total: MoneyInput | None = strawberry.field(
        default=None, description="The total before points that the caller has seen."
    )
    simulate: SimulationInput | None = strawberry.field(default=None, description="What is to go wrong.")

    def request(self, subject: str) -> bookings.BookFlight | bookings.InvalidInput:
        """The domain's request, or the part of the input that is invalid."""
        expected = None
        if self.expected_total is not None:
            expected = _money(self.expected_total)
            if expected is None:
                message = (
                    "The amount must be a number no finer than the currency's minor unit, of an ISO 4217 currency."
                )
                return bookings.InvalidInput(message, ("expectedTotal", "amount"), bookings.RefusalCode.AMOUNT_INVALID)
        if self.pay_later and self.payment is not None:
            return bookings.InvalidInput(
                "Leave payment out, or payLater: payForHold names the card.",
                ("payment",),
                bookings.RefusalCode.PAYMENT_AND_PAY_LATER,
            )
        loyalty = self.loyalty
        return bookings.BookFlight(
            subject=subject,
            segments=[
                bookings.SegmentWish(flight_id_of(segment.flight_id), segment.cabin_class, segment.seats)
                for segment in self.segments
            ],
            passengers=[
                bookings.Passenger(_composed(person.given_name), _composed(person.family_name), person.date_of_birth)
                for person in self.passengers
            ],
            correlation_id=self.correlation_id,
            member_number=None if loyalty is None else loyalty.member_number,
            points_to_redeem=0 if loyalty is None else loyalty.points_to_redeem,
            payment_token=None if self.payment is None else self.payment.token,
            pay_later=self.pay_later,
            expected_total=expected,
            simulation=None if self.simulate is None else self.simulate.simulation(),
        )


@by_plan
@strawberry.input(description="Held seats to pay for.")
class PayForHoldInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    payment: PaymentInput = strawberry.field(description="How they are paid.")


@by_plan
@strawberry.input(description="A saga whose card's holder has answered the bank.")
class ConfirmCardInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")


@by_plan
@strawberry.input(description="A saga to stop.")
class CancelSagaInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    reason: str | None = strawberry.field(
        default=None, description="Why, one line. It is kept where an operator asks, on the record."
    )


@by_plan
@strawberry.input(description="A booking to cancel.")
class CancelBookingInput:
    reference: str = strawberry.field(description="The booking's six characters.")
    correlation_id: Uuid | None = strawberry.field(
        default=None, description="The caller's own UUID for the cancellation; left out, the server makes one."
    )
    simulate: SimulationInput | None = strawberry.field(default=None, description="What is to go wrong.")


@by_plan
@strawberry.input(description="A saga to retry.")
class RetrySagaInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    reason: str | None = strawberry.field(default=None, description="Why, for the record; one line.")


@by_plan
@strawberry.input(description="A stuck step, or compensation, to give up.")
class SkipStepInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    step: StepName = strawberry.field(description="The step that is stuck, or whose compensation is.")
    reason: str = strawberry.field(description="Why, for the record.")


@by_plan
@strawberry.input(description="An ABANDONED saga to settle.")
class SettleSagaInput:
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    how: str = strawberry.field(description="What was done, in words. One line, for the record.")


@strawberry.input(description="Which reason to put on the record.")
class PausePaymentProviderInput:
    reason: str = strawberry.field(description="Why, for the record; one line.")


@strawberry.input(description="Which reason to put on the record.")
class ResumePaymentProviderInput:
    reason: str = strawberry.field(description="Why, for the record; one line.")


def flight_id_of(node_id: str) -> int | None:
    """The flight that a node id names, or None."""
    key = ids.key_of(node_id, "Flight")
    return None if key is None else ids.number_of(key)


def _plain(value: Any) -> Any:
    match value:
        case list():
            return [_plain(each) for each in value]
        case int() if not isinstance(value, bool):
            return write_instant(value)
        case _:
            return value


def _money(given: MoneyInput) -> money.Money | None:
    if len(given.currency) != 3 or not (given.currency.isascii() and given.currency.isupper()):
        return None
    return money.Money.of(given.amount, given.currency)


def _composed(name: str) -> str:
    """In Unicode's composed form: the same name is the same request, however a keyboard writes its accents."""
    return unicodedata.normalize("NFC", name)
