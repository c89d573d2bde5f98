"""The scenarios of a booking saga, with their expected results: success, and a failure at each step up to the pivot.

They are made from the definition, so a new step brings its own scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.bookings.contexts import BookingContext
from domain.bookings.definitions import StepName
from domain.payments import PaymentStatus
from domain.saga import SagaDefinition, SagaStatus
from domain.seats import SeatReservationStatus

__all__ = ["Scenario", "scenarios_of"]

FAILURE_CODE: Final = "SIMULATED"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A booking for a loyalty member whose step `fail_at`, if any, fails, and the expected result.

    `completed` and `compensated` are names in the order of execution. `reservations` and `payment`: the state of all
    seats and of the payment, None if there is none. `redeems` and `awards`: whether the member's points stay spent and
    the miles stay earned.
    """

    fail_at: str | None
    status: SagaStatus
    failure_code: str | None
    completed: tuple[str, ...]
    compensated: tuple[str, ...]
    reservations: SeatReservationStatus | None
    payment: PaymentStatus | None
    is_booked: bool
    redeems: bool
    awards: bool


def scenarios_of(definition: SagaDefinition) -> list[Scenario]:
    """Success first, then the failures in the order of the steps; none for a saga that makes no booking."""
    if not issubclass(definition.context, BookingContext):
        return []
    up_to_pivot = [step.name for step in definition.steps[: definition.pivot_index + 1]]
    return [_success(definition), *(_failure(definition, name) for name in up_to_pivot)]


def _success(definition: SagaDefinition) -> Scenario:
    names = tuple(step.name for step in definition.steps)
    return Scenario(
        fail_at=None,
        status=SagaStatus.COMPLETED,
        failure_code=None,
        completed=names,
        compensated=(),
        reservations=SeatReservationStatus.CONFIRMED if StepName.RESERVE_SEAT in names else None,
        payment=PaymentStatus.CAPTURED if _reserves_money(names) else None,
        is_booked=True,
        redeems=StepName.DEDUCT_LOYALTY_POINTS in names,
        awards=StepName.AWARD_MILES in names,
    )


def _failure(definition: SagaDefinition, fail_at: str) -> Scenario:
    index = next(index for index, step in enumerate(definition.steps) if step.name == fail_at)
    done = definition.steps[:index]
    names = tuple(step.name for step in done)
    return Scenario(
        fail_at=fail_at,
        status=SagaStatus.COMPENSATED,
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
