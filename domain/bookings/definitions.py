"""The sagas: the names of all steps, and their order. The functions of the steps are in `steps`.

To add a step, write its pair of functions in `steps`, and add its names and its line here. docs/sagas.md shows it. A
definition whose steps change gets a new version. The old version stays in `retired` until no saga runs it any more: a
saga keeps the version that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from domain.bookings.begin import begin_bookings, begin_cancellations
from domain.bookings.closing import HOLD_EXPIRED, Closing
from domain.bookings.contexts import BookingContext, CancellationContext
from domain.bookings.model import DefinitionName, Name
from domain.bookings.steps.cancellation import CancellationSteps
from domain.bookings.steps.confirmation import ConfirmationSteps
from domain.bookings.steps.loyalty import LoyaltySteps
from domain.bookings.steps.payment import PaymentSteps
from domain.bookings.steps.seats import SeatSteps
from domain.gate import Gate
from domain.payments import PaymentGateway
from domain.saga import Compensation, Local, Remote, RetryPolicy, SagaDefinition, Step

__all__ = ["BookingDefinitions", "CompensationName", "StepName", "build_definitions", "outline", "sentence_of"]

STEP_BUDGET_SECONDS_MAX: Final = 60.0
ATTEMPT_TIMEOUT_SECONDS_MAX: Final = 10.0


class StepName(Name):
    """Every step of every saga, with a sentence for a person. Names never change: finished sagas keep their steps."""

    RESERVE_SEAT = "RESERVE_SEAT", "Holds the seats of all passengers on all segments, or none."
    AUTHORIZE_PAYMENT = "AUTHORIZE_PAYMENT", "Reserves the money at the payment provider."
    AWARD_MILES = "AWARD_MILES", "Credits the miles as pending."
    CONFIRM_BOOKING = "CONFIRM_BOOKING", "The pivot: captures the money and turns holds into a booking."
    DEDUCT_LOYALTY_POINTS = "DEDUCT_LOYALTY_POINTS", "Takes the points from the member's balance."
    PROCESS_PAYMENT = "PROCESS_PAYMENT", "Reserves what is left to pay after the points."
    CANCEL_BOOKING = "CANCEL_BOOKING", "The pivot of a cancellation: from here it only goes forward."
    REFUND_PAYMENT = "REFUND_PAYMENT", "Gives the money back."
    RESTORE_LOYALTY = "RESTORE_LOYALTY", "Takes awarded miles back and returns redeemed points."
    CANCEL_SEAT = "CANCEL_SEAT", "Makes the booked seats available again."


class CompensationName(Name):
    """Every compensation of every step, with a sentence for a person. Names never change, like those of steps."""

    CANCEL_SEAT = "CANCEL_SEAT", "Undoes RESERVE_SEAT: releases the held seats."
    CANCEL_PAYMENT = "CANCEL_PAYMENT", "Undoes AUTHORIZE_PAYMENT: makes sure that nothing is charged."
    REVERSE_MILES = "REVERSE_MILES", "Undoes AWARD_MILES: takes the pending miles back."
    CANCEL_BOOKING = (
        "CANCEL_BOOKING",
        "Undoes a CONFIRM_BOOKING that may have captured: makes sure that nothing is charged.",
    )
    REFUND_LOYALTY_POINTS = "REFUND_LOYALTY_POINTS", "Undoes DEDUCT_LOYALTY_POINTS: returns the points."
    REFUND_PAYMENT = "REFUND_PAYMENT", "Undoes PROCESS_PAYMENT: makes sure that nothing is charged."


def sentence_of(step: str) -> str:
    """The sentence of a step, for a person; the name itself if the step is unknown."""
    return _SENTENCES.get(step, step)


_SENTENCES: Final[Mapping[str, str]] = {name.value: name.sentence for name in StepName}


@dataclass(frozen=True, slots=True)
class BookingDefinitions:
    """The versions for new sagas, and the closing time of flights for them.

    `retired`: versions that still have running sagas but start no new ones.
    """

    book_and_earn: SagaDefinition
    book_and_redeem: SagaDefinition
    cancel_booking: SagaDefinition
    closing: Closing
    retired: tuple[SagaDefinition, ...]

    @property
    def current(self) -> tuple[SagaDefinition, ...]:
        """The versions that new sagas start with."""
        return (self.book_and_earn, self.book_and_redeem, self.cancel_booking)

    @property
    def all(self) -> tuple[SagaDefinition, ...]:
        """Every definition that this process can run."""
        return (*self.retired, *self.current)

    @property
    def losable_steps(self) -> tuple[str, ...]:
        """The steps that call another system, whose answer can be lost. Sagas that can fail come first; by position."""
        places = {
            step.name: (definition.pivot_index == 0, position)
            for definition in reversed(self.all)
            for position, step in enumerate(definition.steps)
            if step.is_remote
        }
        return tuple(sorted(places, key=places.__getitem__))


def outline() -> BookingDefinitions:
    """The definitions for reading only: they have no payment gateway and cannot run."""
    return build_definitions(cast(PaymentGateway, None), hold_seconds=round(4 * STEP_BUDGET_SECONDS_MAX))


def build_definitions(
    gateway: PaymentGateway, *, hold_seconds: int, closing_seconds: int = 0, gate: Gate | None = None
) -> BookingDefinitions:
    """The three sagas over one payment gateway; step budgets never exceed a quarter of the hold.

    Flights are sold until `closing_seconds` before they depart. Calls to the provider pass `gate`, if there is one.
    """
    budget_seconds = min(STEP_BUDGET_SECONDS_MAX, hold_seconds / 4)
    policy = RetryPolicy(
        budget_seconds=budget_seconds, attempt_timeout_seconds=min(ATTEMPT_TIMEOUT_SECONDS_MAX, budget_seconds)
    )
    closing = Closing(closing_seconds, budget_seconds)
    seats = SeatSteps(hold_seconds, closing)
    loyalty = LoyaltySteps()
    confirmation = ConfirmationSteps(gateway, closing)
    cancellation = CancellationSteps(gateway)

    money = PaymentSteps(gateway, budget_seconds)
    authorize = Remote(
        money.authorize, money.prepare_authorization, money.settle_authorization, gate, money.is_to_authorize
    )
    no_charge = Remote(money.undo, None, money.settle_undo, gate, money.is_to_undo)
    confirm = Remote(confirmation.capture, confirmation.pin, confirmation.settle, gate, confirmation.is_to_capture)

    reserve_seat = Step(
        StepName.RESERVE_SEAT,
        Local(seats.reserve),
        Compensation(CompensationName.CANCEL_SEAT, Local(seats.release)),
        policy,
    )
    confirm_booking = Step(
        StepName.CONFIRM_BOOKING,
        confirm,
        Compensation(CompensationName.CANCEL_BOOKING, no_charge, can_wait=True),
        policy,
        pins=True,
    )
    book_and_earn = SagaDefinition(
        DefinitionName.BOOK_AND_EARN,
        version=3,
        context=BookingContext,
        begin=begin_bookings,
        forget=BookingContext.forget_card,
        expired=HOLD_EXPIRED,
        pivot=StepName.CONFIRM_BOOKING,
        steps=(
            reserve_seat,
            Step(
                StepName.AUTHORIZE_PAYMENT,
                authorize,
                Compensation(CompensationName.CANCEL_PAYMENT, no_charge, can_wait=True),
                policy,
                can_wait=True,
            ),
            Step(
                StepName.AWARD_MILES,
                Local(loyalty.award),
                Compensation(CompensationName.REVERSE_MILES, Local(loyalty.reverse)),
                policy,
            ),
            confirm_booking,
        ),
    )
    book_and_redeem = SagaDefinition(
        DefinitionName.BOOK_AND_REDEEM,
        version=3,
        context=BookingContext,
        begin=begin_bookings,
        forget=BookingContext.forget_card,
        expired=HOLD_EXPIRED,
        pivot=StepName.CONFIRM_BOOKING,
        steps=(
            reserve_seat,
            Step(
                StepName.DEDUCT_LOYALTY_POINTS,
                Local(loyalty.redeem),
                Compensation(CompensationName.REFUND_LOYALTY_POINTS, Local(loyalty.refund)),
                policy,
            ),
            Step(
                StepName.PROCESS_PAYMENT,
                authorize,
                Compensation(CompensationName.REFUND_PAYMENT, no_charge, can_wait=True),
                policy,
                can_wait=True,
            ),
            confirm_booking,
        ),
    )
    cancel = Step(StepName.CANCEL_BOOKING, Local(cancellation.cancel_booking))
    restore_loyalty = Step(StepName.RESTORE_LOYALTY, Local(cancellation.restore_loyalty))
    cancel_seat = Step(StepName.CANCEL_SEAT, Local(cancellation.cancel_seats))
    refund = Remote(
        cancellation.refund,
        cancellation.prepare_refund,
        cancellation.settle_refund,
        gate,
        cancellation.is_to_refund,
    )
    cancel_booking = SagaDefinition(
        DefinitionName.CANCEL_BOOKING,
        version=2,
        context=CancellationContext,
        begin=begin_cancellations,
        pivot=StepName.CANCEL_BOOKING,
        # Our own rows first, in one turn: the customer need not wait for their bank.
        steps=(cancel, restore_loyalty, cancel_seat, Step(StepName.REFUND_PAYMENT, refund, can_wait=True)),
    )
    money = PaymentSteps(gateway, budget_seconds, can_wait=False)
    at_once = Remote(
        money.authorize, money.prepare_authorization, money.settle_authorization, gate, money.is_to_authorize
    )
    tried_again = replace(no_charge, settle=money.settle_undo_without_waits)
    second = [_without_refund_waits(each, tried_again) for each in (book_and_earn, book_and_redeem)]
    refund_first = (
        cancel,
        Step(StepName.REFUND_PAYMENT, replace(refund, settle=cancellation.settle_refund_without_waits)),
        restore_loyalty,
        cancel_seat,
    )
    retired = (
        *(_without_waits(each, at_once, version=1) for each in second),
        *second,
        replace(cancel_booking, version=1, steps=refund_first),
    )
    return BookingDefinitions(book_and_earn, book_and_redeem, cancel_booking, closing, retired)


def _without_refund_waits(definition: SagaDefinition, no_charge: Remote) -> SagaDefinition:
    """Version 2, in which a refund that was pending was tried again until it had ended, by `no_charge`."""
    steps = tuple(
        replace(step, compensation=replace(step.compensation, operation=no_charge, can_wait=False))
        if step.compensation is not None and step.compensation.can_wait
        else step
        for step in definition.steps
    )
    return replace(definition, version=2, steps=steps)


def _without_waits(definition: SagaDefinition, at_once: Remote, *, version: int) -> SagaDefinition:
    """The version before bookings could wait for their customer, which paid `at_once`."""
    steps = tuple(replace(step, action=at_once, can_wait=False) if step.can_wait else step for step in definition.steps)
    return replace(definition, version=version, steps=steps)
