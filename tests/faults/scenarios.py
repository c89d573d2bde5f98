"""What is going on while processes are killed: who asks for what, and what the provider does meanwhile.

Together the scenarios reach every commit point, and every step and compensation of every
definition; a test holds them to it. Whatever they ask for may be asked for again, as a client
does that got no answer.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import text

from domain import flights
from domain.bookings import (
    BookFlight,
    Bookings,
    CardConfirmationAwaited,
    CompensationName,
    DefinitionName,
    SegmentWish,
    StepName,
    awaited,
    bookings_of_sagas,
)
from domain.clock import ManualClock
from domain.money import Money
from domain.outcome import Outcome, Unknown
from domain.payments import PaymentOrder
from domain.saga import NotWaiting, SagaEngine, SagaStatus, SagaView, Simulation, StepStatus
from domain.storage import Database
from sandbox import HOLDER_PATH, Books, Fault, FaultKind, SandboxGateway
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JOHN
from tests.support.asking import AN_OPERATOR
from tests.support.waiting import eventually

__all__ = ["FLIGHT", "SCENARIOS", "Provider", "Scenario", "Stage"]

FLIGHT: Final = "T100"
_POINTS: Final = 2_000
#: Longer than the budget of any step: what is still unknown then is given up.
_BUDGET_SECONDS: Final = 61.0
_CUSTOMER: Final = "someone"
_ASKS: Final = "pm_card_threeDSecure2Required"
_NAMESPACE: Final = uuid.UUID("5ea75a6a-0000-4000-8000-000000000000")

Answering = Callable[[Outcome], Awaitable[Outcome]]


class Provider(SandboxGateway):
    """The sandbox; something may be scripted to happen between an effect and its answer.

    `looked` is told when a payment has been read: whoever undoes it is then in the middle of its call.
    """

    def __init__(self, books: Books, looked: Callable[[], None]) -> None:
        super().__init__(books)
        self.answering: dict[str, Answering] = {}
        self._looked = looked

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        return await self._answer("authorize", await super().authorize(reference, order, key))

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return await self._answer("capture", await super().capture(reference, amount, key))

    async def read(self, reference: str) -> Outcome:
        outcome = await super().read(reference)
        self._looked()
        return outcome

    async def _answer(self, operation: str, outcome: Outcome) -> Outcome:
        scripted = self.answering.pop(operation, None)
        return outcome if scripted is None else await scripted(outcome)


@dataclass
class Stage:
    """One process's airline, and what the scenarios do with it."""

    database: Database
    clock: ManualClock
    provider: Provider
    engine: SagaEngine
    bookings: Bookings

    async def book(
        self, correlation_id: str, points: int, simulation: Simulation | None, card: str | None = None
    ) -> SagaView:
        """Ask for one seat on FLIGHT, be it for the first time or again."""
        async with self.database.reading() as connection:
            page = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
        answer = await self.bookings.book(
            BookFlight(
                subject=_CUSTOMER,
                segments=[SegmentWish(next(flight.id for flight in page if flight.number == FLIGHT))],
                passengers=[JOHN],
                correlation_id=correlation_id,
                member_number=ADA,
                points_to_redeem=points,
                simulation=simulation,
                payment_token=card,
            )
        )
        assert isinstance(answer, SagaView), answer
        return answer

    async def cancel(self, booked: str, correlation_id: str, simulation: Simulation | None) -> SagaView:
        """Ask for the cancellation of what `booked` has booked, be it for the first time or again."""
        made = await self.view(booked)
        async with self.database.reading() as connection:
            booking = (await bookings_of_sagas(connection, [made.id]))[made.id]
        answer = await self.bookings.cancel_booking(
            booking.reference,
            correlation_id=correlation_id,
            simulation=simulation,
            subject=_CUSTOMER,
            by=_CUSTOMER,
        )
        assert isinstance(answer, SagaView), answer
        return answer

    async def view(self, correlation_id: str) -> SagaView:
        """The saga, which exists."""
        found = await self.engine.saga(correlation_id)
        assert found is not None
        return found

    async def ended(self, saga_id: str) -> None:
        """Return once the saga is over."""
        async for _ in self.engine.follow(saga_id):
            pass


@dataclass(frozen=True)
class Scenario:
    """What is asked for, how, and how it ends. The saga under test is one of `definition`.

    `disturb` is what goes wrong in the first process only: after a restart the provider is
    well, and the clock has moved on by `seconds_lost`. `operate` is done by a person, in every
    process. `end` is how the saga ends; where it was interrupted it may end the other way if
    `depends`, as then what goes wrong may not have happened yet.
    """

    name: str
    definition: DefinitionName
    end: SagaStatus
    points: int = 0
    card: str | None = None
    simulation: Simulation | None = None
    disturb: Callable[[Stage, Scenario], None] | None = None
    operate: Callable[[Stage, Scenario], Coroutine[Any, Any, None]] | None = None
    seconds_lost: float = 0.0
    depends: bool = False

    @property
    def booking(self) -> str:
        """The correlation ID of its booking, the same in every process."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.name}:booking"))

    @property
    def cancellation(self) -> str:
        """The correlation ID of the cancellation of its booking, where that is what it is about."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.name}:cancellation"))

    async def prepare(self, stage: Stage) -> None:
        """What is done with before anything can be killed."""
        if self.definition is DefinitionName.CANCEL_BOOKING:
            booked = await stage.book(self.booking, self.points, None)
            await stage.ended(booked.id)

    async def ask(self, stage: Stage) -> SagaView:
        """What a client asks for, and asks for again where it got no answer."""
        if self.definition is DefinitionName.CANCEL_BOOKING:
            return await stage.cancel(self.booking, self.cancellation, self.simulation)
        return await stage.book(self.booking, self.points, self.simulation, self.card)


# ---------------------------------------------------------------------- what goes wrong


def _the_hold_lapses_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def lapse(outcome: Outcome) -> Outcome:
        stage.clock.advance(HOLD_SECONDS)
        assert await stage.bookings.release_expired() == 1
        return outcome

    stage.provider.answering["authorize"] = lapse


def _the_client_cancels_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def cancel(outcome: Outcome) -> Outcome:
        answer = await stage.bookings.cancel_saga(scenario.booking, subject=_CUSTOMER, asked=AN_OPERATOR)
        assert isinstance(answer, SagaView), answer
        return outcome

    stage.provider.answering["authorize"] = cancel


def _the_capture_is_never_answered(stage: Stage, scenario: Scenario) -> None:
    """It takes effect; that is not known until the step's budget is spent."""

    async def lose(outcome: Outcome) -> Outcome:
        stage.clock.advance(_BUDGET_SECONDS)
        return Unknown("TIMEOUT", "The provider did not answer in time.")

    stage.provider.answering["capture"] = lose


def _the_hold_lapses_during_the_capture(stage: Stage, scenario: Scenario) -> None:
    """The pin has decided by then: the seats stay where they are."""

    async def lapse(outcome: Outcome) -> Outcome:
        stage.clock.advance(HOLD_SECONDS)
        assert await stage.bookings.release_expired() == 0
        return outcome

    stage.provider.answering["capture"] = lapse


def _the_provider_answers_500(stage: Stage, scenario: Scenario) -> None:
    """Once for each of the keys: it would repeat it for ever, so the next attempt needs another round."""
    for operation in ("authorize", "capture"):
        stage.provider.faults.add(Fault(operation, FaultKind.SERVER_ERROR))


def _the_row_is_damaged_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def damage(outcome: Outcome) -> Outcome:
        await stage.database.write(lambda connection: connection.execute(text(_DAMAGE)))
        return outcome

    stage.provider.answering["authorize"] = damage


async def _an_operator_mends_the_row_and_retries(stage: Stage, scenario: Scenario) -> None:
    """Once it is parked; in each process once, as one whose word was durable may have been killed."""
    # That it is parked is said loudly, and here it is no complaint.
    logging.getLogger("seatsaga.executor").setLevel(logging.CRITICAL)

    retried = False

    async def mended() -> bool:
        nonlocal retried
        found = await stage.engine.saga(scenario.booking)
        if found is None:
            return False
        if found.status is SagaStatus.PARKED and not retried:
            retried = True
            await stage.database.write(lambda connection: connection.execute(text(_MEND)))
            await stage.engine.retry(scenario.booking)
        return found.status.is_terminal

    await eventually(mended)


_DAMAGE: Final = "UPDATE sagas SET context = '{oops' || context WHERE finished_at IS NULL"
_MEND: Final = "UPDATE sagas SET context = substr(context, 6) WHERE context LIKE '{oops%'"


def _the_holder(*, approves: bool) -> Callable[[Stage, Scenario], Coroutine[Any, Any, None]]:
    """The card's holder answers as soon as they are asked, and again in each process: the first answer counts."""

    async def answer(stage: Stage, scenario: Scenario) -> None:
        async def heard() -> bool:
            found = await stage.engine.saga(scenario.booking)
            asks = None if found is None else awaited(found)
            if isinstance(asks, CardConfirmationAwaited) and asks.confirmation.url is not None:
                secret = asks.confirmation.url.removeprefix(HOLDER_PATH)
                question = await stage.provider.hear(secret, approves=approves)
                assert question is not None
                await stage.bookings.look_now(question.payment.reference)
            return found is not None and found.status.is_terminal

        await eventually(heard)

    return answer


async def _an_operator_retries_the_refund(stage: Stage, scenario: Scenario) -> None:
    """Whenever the compensation waits for another attempt, until the operator's word is durable."""

    async def retried() -> bool:
        found = await stage.engine.saga(scenario.booking)
        if found is None:
            return False
        waits = any(step.undo is not None and step.undo.status is StepStatus.RETRYING for step in found.steps)
        if waits:
            return not isinstance(await stage.engine.retry(scenario.booking), NotWaiting)
        return found.status.is_terminal

    await eventually(retried)


# ---------------------------------------------------------------------- the table

_EARN: Final = DefinitionName.BOOK_AND_EARN
_REDEEM: Final = DefinitionName.BOOK_AND_REDEEM
_CANCEL: Final = DefinitionName.CANCEL_BOOKING
_COMPLETED: Final = SagaStatus.COMPLETED
_COMPENSATED: Final = SagaStatus.COMPENSATED
#: Each step and compensation in a turn of its own.
_APART: Final = 1
_CONFIRM: Final = (StepName.CONFIRM_BOOKING.value,)

_OF_EITHER_BOOKING: Final = (
    Scenario("succeeds", _EARN, _COMPLETED),
    Scenario("fails at the last step", _EARN, _COMPENSATED, simulation=Simulation(fail_at=_CONFIRM)),
    Scenario(
        "fails at the last step, step by step",
        _EARN,
        _COMPENSATED,
        simulation=Simulation(fail_at=_CONFIRM, delay_ms=_APART),
    ),
    Scenario(
        "gives its capture up",
        _EARN,
        _COMPENSATED,
        disturb=_the_capture_is_never_answered,
        seconds_lost=_BUDGET_SECONDS,
        depends=True,
    ),
)

SCENARIOS: Final = (
    *(replace(scenario, name=f"earn {scenario.name}") for scenario in _OF_EITHER_BOOKING),
    *(
        replace(scenario, name=f"redeem {scenario.name}", definition=_REDEEM, points=_POINTS)
        for scenario in _OF_EITHER_BOOKING
    ),
    Scenario("earn succeeds, step by step", _EARN, _COMPLETED, simulation=Simulation(delay_ms=_APART)),
    Scenario("earn loses the answer to its capture", _EARN, _COMPLETED, simulation=Simulation(lose_answer_at=_CONFIRM)),
    Scenario("earn meets a failing provider", _EARN, _COMPLETED, disturb=_the_provider_answers_500),
    Scenario(
        "earn loses its hold in a call",
        _EARN,
        _COMPENSATED,
        disturb=_the_hold_lapses_during_the_authorization,
        seconds_lost=HOLD_SECONDS,
        depends=True,
    ),
    Scenario(
        "earn is undone with an operator's help",
        _EARN,
        _COMPENSATED,
        simulation=Simulation(
            fail_at=(StepName.AWARD_MILES.value,), fail_compensation_at=(CompensationName.CANCEL_PAYMENT.value,)
        ),
        operate=_an_operator_retries_the_refund,
    ),
    Scenario(
        "earn is parked in a call and retried",
        _EARN,
        _COMPLETED,
        disturb=_the_row_is_damaged_during_the_authorization,
        operate=_an_operator_mends_the_row_and_retries,
    ),
    Scenario(
        "earn asks the card's holder, who approves", _EARN, _COMPLETED, card=_ASKS, operate=_the_holder(approves=True)
    ),
    Scenario(
        "earn asks the card's holder, who refuses",
        _EARN,
        _COMPENSATED,
        card=_ASKS,
        operate=_the_holder(approves=False),
    ),
    Scenario(
        "redeem is cancelled in a call",
        _REDEEM,
        _COMPENSATED,
        _POINTS,
        disturb=_the_client_cancels_during_the_authorization,
        depends=True,
    ),
    Scenario(
        "redeem outlives its hold once it is pinned",
        _REDEEM,
        _COMPLETED,
        _POINTS,
        disturb=_the_hold_lapses_during_the_capture,
        seconds_lost=HOLD_SECONDS,
        depends=True,
    ),
    Scenario("cancellation of earned miles", _CANCEL, _COMPLETED),
    Scenario("cancellation of redeemed points", _CANCEL, _COMPLETED, _POINTS),
    Scenario("cancellation, step by step", _CANCEL, _COMPLETED, simulation=Simulation(delay_ms=_APART)),
)
