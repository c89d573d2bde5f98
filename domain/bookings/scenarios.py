"""The scenarios of a booking saga, with their expected results.

Success, a failure at each step up to the pivot, and what a customer may do while the saga waits. They are made from the
definition, so a new step brings its own scenario.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from domain.bookings.closing import HOLD_EXPIRED
from domain.bookings.contexts import BookingContext
from domain.bookings.definitions import StepName
from domain.payments import CARD_NOT_CONFIRMED, PaymentStatus
from domain.saga import SagaDefinition, SagaStatus, Step
from domain.seats import SeatReservationStatus

__all__ = ["Scenario", "scenarios_of"]

FAILURE_CODE: Final = "SIMULATED"
#: Test tokens that the sandbox knows.
CARD: Final = "pm_card_visa"
DECLINED_CARD: Final = "pm_card_chargeDeclined"
ASKING_CARD: Final = "pm_card_threeDSecure2Required"
#: A hold lapses only in scenarios of servers where its step budgets, each a quarter of it, are no longer than this.
LAPSING_BUDGET_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A booking for a loyalty member whose step `fail_at`, if any, fails, and the expected result.

    `cards` are the tokens of the cards that are named, one after another, each when it is asked for. If the booking
    `pays_later`, none comes with it; if there are none at all, the hold lapses. `holder_approves`: the answer of the
    last card's holder to the bank, None if they are not asked. `failed_step`: where the saga fails, if it does.
    `completed` and `compensated` are names in the order of execution. `reservations` and `payment`: the state of all
    seats and of the payment, None if there is none. `redeems` and `awards`: whether the member's points stay spent and
    the miles stay earned.
    """

    name: str
    fail_at: str | None
    status: SagaStatus
    failed_step: str | None
    failure_code: str | None
    completed: tuple[str, ...]
    compensated: tuple[str, ...]
    reservations: SeatReservationStatus | None
    payment: PaymentStatus | None
    is_booked: bool
    redeems: bool
    awards: bool
    pays_later: bool = False
    cards: tuple[str, ...] = ()
    holder_approves: bool | None = None


def scenarios_of(definition: SagaDefinition) -> list[Scenario]:
    """Success first, then the failures in the order of the steps, then what may come of a wait for the customer.

    None for a saga that makes no booking.
    """
    if not issubclass(definition.context, BookingContext):
        return []
    up_to_pivot = definition.steps[: definition.pivot_index + 1]
    failures = [_failure(definition, step.name) for step in up_to_pivot]
    waits = [each for step in up_to_pivot if step.can_wait for each in _waits(definition, step)]
    return [_success(definition), *failures, *waits]


def _success(definition: SagaDefinition) -> Scenario:
    names = tuple(step.name for step in definition.steps)
    return Scenario(
        name="success",
        fail_at=None,
        status=SagaStatus.COMPLETED,
        failed_step=None,
        failure_code=None,
        completed=names,
        compensated=(),
        reservations=SeatReservationStatus.CONFIRMED if StepName.RESERVE_SEAT in names else None,
        payment=PaymentStatus.CAPTURED if _reserves_money(names) else None,
        is_booked=True,
        redeems=StepName.DEDUCT_LOYALTY_POINTS in names,
        awards=StepName.AWARD_MILES in names,
    )


def _waits(definition: SagaDefinition, step: Step) -> list[Scenario]:
    """What may come of a wait at the paying `step`."""
    success, failure = _success(definition), replace(_failure(definition, step.name), fail_at=None)
    held = replace(success, pays_later=True)
    undo = (step.compensation.name,) if step.compensation is not None else ()
    scenarios = [
        replace(held, name="held, then paid", cards=(CARD,)),
        replace(held, name="held, declined, then paid with another card", cards=(DECLINED_CARD, CARD)),
        replace(success, name="confirmed by the card's holder", cards=(ASKING_CARD,), holder_approves=True),
        replace(
            failure,
            name="refused by the card's holder",
            failure_code=CARD_NOT_CONFIRMED.code,
            compensated=(*undo, *failure.compensated),
            payment=PaymentStatus.VOIDED,
            cards=(ASKING_CARD,),
            holder_approves=False,
        ),
    ]
    if step.policy.budget_seconds <= LAPSING_BUDGET_SECONDS_MAX:
        scenarios.append(replace(failure, name="held, then lapsed", failure_code=HOLD_EXPIRED.code, pays_later=True))
    return scenarios


def _failure(definition: SagaDefinition, fail_at: str) -> Scenario:
    index = next(index for index, step in enumerate(definition.steps) if step.name == fail_at)
    done = definition.steps[:index]
    names = tuple(step.name for step in done)
    return Scenario(
        name=f"{fail_at} fails",
        fail_at=fail_at,
        status=SagaStatus.COMPENSATED,
        failed_step=fail_at,
        failure_code=FAILURE_CODE,
        completed=names,
        compensated=tuple(step.compensation.name for step in reversed(done) if step.compensation is not None),
        reservations=SeatReservationStatus.RELEASED if StepName.RESERVE_SEAT in names else None,
        payment=PaymentStatus.VOIDED if _reserves_money(names) else None,
        is_booked=False,
        redeems=False,
        awards=False,
    )


def _reserves_money(steps: tuple[str, ...]) -> bool:
    return StepName.AUTHORIZE_PAYMENT in steps or StepName.PROCESS_PAYMENT in steps
