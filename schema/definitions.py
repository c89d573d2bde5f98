"""The saga definitions that this server can run, for consoles that draw them and tests that try them."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import bookings as domain_bookings
from domain import saga as domain_saga
from schema.enums import (
    CompensationName,
    PaymentStatus,
    SagaDefinitionName,
    SagaStatus,
    SeatReservationStatus,
    StepName,
    named,
)

__all__ = ["SagaDefinition"]


@strawberry.type(description="One step of a definition.")
class StepDefinition:
    name: StepName = strawberry.field(description="The step.")
    description: str = strawberry.field(description="One sentence for a person.")
    compensation: CompensationName | None = strawberry.field(
        description="The compensation that undoes it; null if it is never undone."
    )
    is_remote: bool = strawberry.field(
        description=(
            "Calls the payment provider. Any other call counts too: its answer can be lost, as in "
            "SimulationInput.loseAnswerAt."
        )
    )
    can_wait: bool = strawberry.field(
        description="May wait for the customer. A step after the pivot may wait for the provider's final answer."
    )

    @classmethod
    def of(cls, step: domain_saga.Step) -> Self:
        """The domain's step."""
        undo = step.compensation
        return cls(
            name=named(StepName, step.name),
            description=domain_bookings.sentence_of(step.name),
            compensation=None if undo is None else named(CompensationName, undo.name),
            is_remote=step.is_remote,
            can_wait=step.can_wait,
        )


@strawberry.type(
    description=(
        "A booking for a loyalty member, by one passenger on one flight, and what must become of it: for tests and "
        "demonstrations. `simulate` makes the step fail, and the named cards are those of the sandbox."
    )
)
class SagaScenario:
    name: str = strawberry.field(description="In words: held, then paid.")
    pay_later: bool = strawberry.field(description="Whether it is booked with payLater.")
    cards: list[str] = strawberry.field(
        description=(
            "The tokens of the cards that are named one after another, each when a card is asked for: with bookFlight, "
            "or with payForHold if payLater. Without any, the default pays, and with payLater the hold lapses."
        )
    )
    holder_approves: bool | None = strawberry.field(
        description="What the last card's holder answers the bank; null if the bank does not ask."
    )
    fail_at: StepName | None = strawberry.field(description="The step that is to fail; null for success.")
    status: SagaStatus = strawberry.field(description="How the saga ends.")
    failed_step: StepName | None = strawberry.field(description="Where the saga fails; null if it does not.")
    failure_code: str | None = strawberry.field(description="Code of the saga's failure; null for success.")
    completed: list[StepName] = strawberry.field(description="Steps that are done, in this order.")
    compensated: list[CompensationName] = strawberry.field(description="Compensations that are done, in this order.")
    reservations: SeatReservationStatus | None = strawberry.field(
        description="What becomes of every seat; null if none is ever held."
    )
    payment: PaymentStatus | None = strawberry.field(description="What becomes of the payment; null if there is none.")
    is_booked: bool = strawberry.field(description="Whether there is a booking in the end.")
    redeems_points: bool = strawberry.field(description="Whether the points are spent in the end.")
    awards_miles: bool = strawberry.field(description="Whether miles are earned in the end.")

    @classmethod
    def of(cls, scenario: domain_bookings.Scenario) -> Self:
        """The domain's scenario."""
        return cls(
            name=scenario.name,
            pay_later=scenario.pays_later,
            cards=list(scenario.cards),
            holder_approves=scenario.holder_approves,
            fail_at=None if scenario.fail_at is None else named(StepName, scenario.fail_at),
            status=scenario.status,
            failed_step=None if scenario.failed_step is None else named(StepName, scenario.failed_step),
            failure_code=scenario.failure_code,
            completed=[named(StepName, name) for name in scenario.completed],
            compensated=[named(CompensationName, name) for name in scenario.compensated],
            reservations=scenario.reservations,
            payment=scenario.payment,
            is_booked=scenario.is_booked,
            redeems_points=scenario.redeems,
            awards_miles=scenario.awards,
        )


@strawberry.type(
    description=("The ordered steps of a saga, as this server knows them. Draw consoles and progress bars from this.")
)
class SagaDefinition:
    name: SagaDefinitionName = strawberry.field(description="Which saga it is.")
    version: int = strawberry.field(description="A saga goes on under the version that it began with.")
    is_current: bool = strawberry.field(description="Whether new sagas start with it.")
    steps: list[StepDefinition] = strawberry.field(description="Its steps, in order.")
    pivot: StepName = strawberry.field(
        description="The last step that can be undone: after it the saga only goes forward."
    )
    scenarios: list[SagaScenario] = strawberry.field(
        description=(
            "Success, a failure at each step up to the pivot, and what may come of a wait for the customer; empty for "
            "a saga that books nothing."
        )
    )

    @classmethod
    def of(cls, definition: domain_saga.SagaDefinition, *, is_current: bool) -> Self:
        """The domain's definition."""
        return cls(
            name=named(SagaDefinitionName, definition.name),
            version=definition.version,
            is_current=is_current,
            steps=[StepDefinition.of(step) for step in definition.steps],
            pivot=named(StepName, definition.pivot),
            scenarios=[SagaScenario.of(scenario) for scenario in domain_bookings.scenarios_of(definition)],
        )
