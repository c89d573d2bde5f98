"""The sagas, as a table of contents. What each step does stands in `steps`.

To add a step: write its function pair in `steps`, its line here, its name and sentence in `StepName`.
A definition whose steps change gets a new version, and the old one stays until no saga runs
it any more: a saga goes on under the version it began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.bookings.begin import begin_bookings, begin_cancellations
from domain.bookings.closing import Closing
from domain.bookings.contexts import BookingContext, CancellationContext
from domain.bookings.model import CompensationName as Undo
from domain.bookings.model import DefinitionName
from domain.bookings.model import StepName as Do
from domain.bookings.steps.cancellation import CancellationSteps
from domain.bookings.steps.confirmation import ConfirmationSteps
from domain.bookings.steps.loyalty import LoyaltySteps
from domain.bookings.steps.payment import PaymentSteps
from domain.bookings.steps.seats import SeatSteps
from domain.payments import PaymentGateway
from domain.saga import Compensation, Local, Remote, RetryPolicy, SagaDefinition, Step

__all__ = ["BookingDefinitions", "build_definitions"]

STEP_BUDGET_SECONDS_MAX: Final = 60.0
ATTEMPT_TIMEOUT_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class BookingDefinitions:
    """The versions that new sagas start with, and when flights stop being sold to them."""

    book_and_earn: SagaDefinition
    book_and_redeem: SagaDefinition
    cancel_booking: SagaDefinition
    closing: Closing

    @property
    def current(self) -> tuple[SagaDefinition, ...]:
        """Those that new sagas start with."""
        return (self.book_and_earn, self.book_and_redeem, self.cancel_booking)

    @property
    def all(self) -> tuple[SagaDefinition, ...]:
        """Every definition that this process can run."""
        return self.current

    @property
    def losable_steps(self) -> frozenset[str]:
        """The steps that call somebody, and so have an answer that can be lost."""
        return frozenset(step.name for definition in self.all for step in definition.steps if step.is_remote)


def build_definitions(gateway: PaymentGateway, *, hold_seconds: int, closing_seconds: int = 0) -> BookingDefinitions:
    """The three sagas over one payment gateway; step budgets never exceed a quarter of the hold.

    Flights are sold until `closing_seconds` before they depart.
    """
    budget_seconds = min(STEP_BUDGET_SECONDS_MAX, hold_seconds / 4)
    policy = RetryPolicy(
        budget_seconds=budget_seconds, attempt_timeout_seconds=min(ATTEMPT_TIMEOUT_SECONDS_MAX, budget_seconds)
    )
    closing = Closing(closing_seconds, budget_seconds)
    seats = SeatSteps(hold_seconds, closing)
    money = PaymentSteps(gateway)
    loyalty = LoyaltySteps()
    confirmation = ConfirmationSteps(gateway, closing)
    cancellation = CancellationSteps(gateway)

    authorize = Remote(money.authorize, money.prepare_authorization, money.settle_authorization)
    no_charge = Remote(money.undo, settle=money.settle_undo)
    confirm = Remote(confirmation.capture, confirmation.pin, confirmation.settle)

    reserve_seat = Step(
        Do.RESERVE_SEAT, Local(seats.reserve), Compensation(Undo.CANCEL_SEAT, Local(seats.release)), policy
    )
    confirm_booking = Step(Do.CONFIRM_BOOKING, confirm, Compensation(Undo.CANCEL_BOOKING, no_charge), policy, pins=True)
    return BookingDefinitions(
        closing=closing,
        book_and_earn=SagaDefinition(
            DefinitionName.BOOK_AND_EARN,
            version=1,
            context=BookingContext,
            begin=begin_bookings,
            forget=BookingContext.forget_card,
            pivot=Do.CONFIRM_BOOKING,
            steps=(
                reserve_seat,
                Step(Do.AUTHORIZE_PAYMENT, authorize, Compensation(Undo.CANCEL_PAYMENT, no_charge), policy),
                Step(
                    Do.AWARD_MILES,
                    Local(loyalty.award),
                    Compensation(Undo.REVERSE_MILES, Local(loyalty.reverse)),
                    policy,
                ),
                confirm_booking,
            ),
        ),
        book_and_redeem=SagaDefinition(
            DefinitionName.BOOK_AND_REDEEM,
            version=1,
            context=BookingContext,
            begin=begin_bookings,
            forget=BookingContext.forget_card,
            pivot=Do.CONFIRM_BOOKING,
            steps=(
                reserve_seat,
                Step(
                    Do.DEDUCT_LOYALTY_POINTS,
                    Local(loyalty.redeem),
                    Compensation(Undo.REFUND_LOYALTY_POINTS, Local(loyalty.refund)),
                    policy,
                ),
                Step(Do.PROCESS_PAYMENT, authorize, Compensation(Undo.REFUND_PAYMENT, no_charge), policy),
                confirm_booking,
            ),
        ),
        cancel_booking=SagaDefinition(
            DefinitionName.CANCEL_BOOKING,
            version=1,
            context=CancellationContext,
            begin=begin_cancellations,
            pivot=Do.CANCEL_BOOKING,
            steps=(
                Step(Do.CANCEL_BOOKING, Local(cancellation.cancel_booking)),
                Step(
                    Do.REFUND_PAYMENT,
                    Remote(cancellation.refund, cancellation.prepare_refund, cancellation.settle_refund),
                ),
                Step(Do.RESTORE_LOYALTY, Local(cancellation.restore_loyalty)),
                Step(Do.CANCEL_SEAT, Local(cancellation.cancel_seats)),
            ),
        ),
    )
