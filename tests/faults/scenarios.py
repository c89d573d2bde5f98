"""What is going on while processes are killed: who asks for what, and what the provider does meanwhile.

Together the scenarios reach every commit point, and every step and compensation of every
definition; a test holds them to it. Whatever they ask for may be asked for again, as a client
does that got no answer.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import text

from domain.bookings import CompensationName, DefinitionName, StepName
from domain.bookings.awaiting import REFUND
from domain.clock import wall_now
from domain.outcome import Outcome, Unknown
from domain.saga import NotWaiting, SagaStatus, SagaView, Simulation, StepStatus
from sandbox import Fault, FaultKind
from tests.domain.bookings.world import HOLD_SECONDS
from tests.faults.customers import Deed, comes_too_late, has_answered, holder_answers, pays
from tests.faults.stage import CUSTOMER, Sandbox, Stage, Stripe
from tests.support.asking import AN_OPERATOR
from tests.support.waiting import eventually
from tests.witness import Merchant
from tests.witness.behaviour import What

__all__ = ["SCENARIOS", "Scenario"]

_POINTS: Final = 2_000
#: Longer than the budget of any step: what is still unknown then is given up.
_BUDGET_SECONDS: Final = 61.0
#: When the zygote of all processes began. The bank's time, of which a refund needs seconds, is faster than ours.
_BEGUN: Final = wall_now()
_BANK_TIMES_AS_FAST: Final = 100_000
_NAMESPACE: Final = uuid.UUID("5ea75a6a-0000-4000-8000-000000000000")


Wrong = tuple[str, What, bool]
"""The operation, what goes wrong with its next request, and whether after its effect."""


@dataclass(frozen=True)
class Scenario:
    """What is asked for, how, and how it ends. The saga under test is one of `definition`.

    `disturb` is what goes wrong in the first process only: after a restart the provider is
    well, and the clock has moved on by `seconds_lost`. `operate` is done by a person, in every
    process. `deeds` are those of the customer, whom every process serves in turn, of a booking with `card`
    or one that is paid later. At Stripe, `wrongs` is what goes wrong with the first requests, whichever process makes
    them, and `refunds` how the merchant's refunds end. `end` is how the saga ends, with the code `failure` if it is
    given; where it was interrupted it may end the other way if `depends`, as then what goes wrong may not have
    happened yet.
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
    pay_later: bool = False
    deeds: tuple[Deed, ...] = ()
    failure: str | None = None
    is_at_stripe: bool = False
    wrongs: tuple[Wrong, ...] = ()
    refunds: str = "SUCCEED"

    @property
    def is_ordinary(self) -> bool:
        """Whether nothing goes wrong in it but for what it asks for itself."""
        return self.disturb is None and self.operate is None and not self.wrongs and self.refunds == "SUCCEED"

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
            booked = await stage.book(self.booking, self.points, None, card=self.card)
            await stage.ended(booked.id)

    async def go_wrong(self, merchant: Merchant) -> None:
        """Tell Stripe's witness what goes wrong from now on."""
        await merchant.set(refunds=self.refunds)
        for operation, what, after_effect in self.wrongs:
            await merchant.fault(operation, what, after_effect=after_effect)

    async def ask(self, stage: Stage) -> SagaView:
        """What a client asks for, and asks for again where it got no answer."""
        if self.definition is DefinitionName.CANCEL_BOOKING:
            return await stage.cancel(self.booking, self.cancellation, self.simulation)
        return await stage.book(self.booking, self.points, self.simulation, card=self.card, pay_later=self.pay_later)


# ---------------------------------------------------------------------- what goes wrong


def _the_hold_lapses_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def lapse(outcome: Outcome) -> Outcome:
        stage.clock.advance(HOLD_SECONDS)
        assert await stage.bookings.release_expired() == 1
        return outcome

    stage.provider.script.answering["authorize"] = lapse


def _the_client_cancels_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def cancel(outcome: Outcome) -> Outcome:
        answer = await stage.bookings.cancel_saga(scenario.booking, subject=CUSTOMER, asked=AN_OPERATOR)
        assert isinstance(answer, SagaView), answer
        return outcome

    stage.provider.script.answering["authorize"] = cancel


def _the_capture_is_never_answered(stage: Stage, scenario: Scenario) -> None:
    """It takes effect; that is not known until the step's budget is spent."""

    async def lose(outcome: Outcome) -> Outcome:
        stage.clock.advance(_BUDGET_SECONDS)
        return Unknown("TIMEOUT", "The provider did not answer in time.")

    stage.provider.script.answering["capture"] = lose


def _the_hold_lapses_during_the_capture(stage: Stage, scenario: Scenario) -> None:
    """The pin has decided by then: the seats stay where they are."""

    async def lapse(outcome: Outcome) -> Outcome:
        stage.clock.advance(HOLD_SECONDS)
        assert await stage.bookings.release_expired() == 0
        return outcome

    stage.provider.script.answering["capture"] = lapse


def _the_provider_answers_500(stage: Stage, scenario: Scenario) -> None:
    """Once for each of the keys: it would repeat it for ever, so the next attempt needs another round."""
    assert isinstance(stage.provider, Sandbox)
    for operation in ("authorize", "capture"):
        stage.provider.faults.add(Fault(operation, FaultKind.SERVER_ERROR))


def _the_row_is_damaged_during_the_authorization(stage: Stage, scenario: Scenario) -> None:
    async def damage(outcome: Outcome) -> Outcome:
        await stage.database.write(lambda connection: connection.execute(text(_DAMAGE)))
        return outcome

    stage.provider.script.answering["authorize"] = damage


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


async def _the_provider_finishes_the_refund(stage: Stage, scenario: Scenario) -> None:
    """Its end comes with news of it, once for each wait: so there are as many signals each time.

    A refund that has failed is retried by an operator.
    """
    bank_at = 0

    def let_time_pass() -> None:
        # Whatever was asked for before is due now, also what an earlier process has asked for.
        nonlocal bank_at
        bank_at = _BEGUN + _BANK_TIMES_AS_FAST * (wall_now() - _BEGUN)

    let_time_pass()
    if isinstance(stage.provider, Sandbox):
        stage.provider._now = lambda: bank_at
    acted_at: set[int] = set()

    async def over() -> bool:
        found = await stage.engine.saga(scenario.cancellation)
        if found is None or found.sequence in acted_at:
            return False
        if found.status is SagaStatus.STUCK:
            acted_at.add(found.sequence)
            await stage.engine.retry(scenario.cancellation)
        elif any(step.status is StepStatus.WAITING for step in found.steps):
            acted_at.add(found.sequence)
            let_time_pass()
            await stage.engine.say(scenario.cancellation, REFUND)
        return found.status.is_terminal

    await eventually(over)


async def _the_bank_fails_the_first_refund(stage: Stage, scenario: Scenario) -> None:
    """Each refund is pending until then; an operator retries what is stuck."""
    assert isinstance(stage.provider, Stripe)
    merchant = stage.provider.merchant

    async def over() -> bool:
        found = await stage.engine.saga(scenario.cancellation)
        for payment in (await merchant.books()).all_of(scenario.booking):
            if payment.pending:
                await merchant.settle_refund(payment.reference, failed=len(payment.refunds) == 1)
        if found is not None and found.status is SagaStatus.STUCK:
            await stage.engine.retry(scenario.cancellation)
        elif found is not None and any(step.status is StepStatus.WAITING for step in found.steps):
            await stage.engine.say(scenario.cancellation, REFUND)
        return found is not None and found.status.is_terminal

    await eventually(over)


# ---------------------------------------------------------------------- the table

_EARN: Final = DefinitionName.BOOK_AND_EARN
_REDEEM: Final = DefinitionName.BOOK_AND_REDEEM
_CANCEL: Final = DefinitionName.CANCEL_BOOKING
_COMPLETED: Final = SagaStatus.COMPLETED
_COMPENSATED: Final = SagaStatus.COMPENSATED
#: Each step and compensation in a turn of its own.
_APART: Final = 1
_CONFIRM: Final = (StepName.CONFIRM_BOOKING.value,)
_DECLINED: Final = "pm_card_chargeDeclined"
_ASKS: Final = "pm_card_threeDSecure2Required"
_VISA: Final = "pm_card_visa"

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

#: Each error of each kind once, before and after the effect, on the way forth and on the way back.
_AT_STRIPE: Final = tuple(
    replace(scenario, name=f"at Stripe: {scenario.name}", is_at_stripe=True)
    for scenario in (
        Scenario(
            "earn is booked though answers are lost",
            _EARN,
            _COMPLETED,
            wrongs=(("open", "RESET", True), ("authorize", "PAGE", True), ("capture", "RESET", True)),
        ),
        Scenario(
            "redeem is booked though it answers 500",
            _REDEEM,
            _COMPLETED,
            _POINTS,
            wrongs=(("open", "ERROR", True), ("authorize", "ERROR", False), ("capture", "ERROR", True)),
        ),
        Scenario(
            "earn is undone though its void fails",
            _EARN,
            _COMPENSATED,
            simulation=Simulation(fail_at=_CONFIRM),
            wrongs=(("void", "ERROR", False), ("void", "RESET", True)),
        ),
        Scenario(
            "earn asks its card's holder, who approves",
            _EARN,
            _COMPLETED,
            card=_ASKS,
            deeds=(holder_answers(approves=True),),
        ),
        Scenario(
            "cancellation though its refund fails",
            _CANCEL,
            _COMPLETED,
            wrongs=(("refund", "ERROR", True), ("refund", "RESET", True), ("read", "PAGE", False)),
        ),
        Scenario(
            "cancellation whose refunds are pending, and the first fails",
            _CANCEL,
            _COMPLETED,
            refunds="PEND",
            operate=_the_bank_fails_the_first_refund,
        ),
    )
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
    Scenario(
        "earn is held, declined, and paid with a card that its holder approves",
        _EARN,
        _COMPLETED,
        pay_later=True,
        deeds=(pays(_DECLINED), pays(_ASKS, after="PAYMENT_DECLINED"), holder_answers(approves=True)),
    ),
    Scenario(
        "redeem is held, its card's holder refuses, and the time to pay passes",
        _REDEEM,
        _COMPENSATED,
        _POINTS,
        pay_later=True,
        deeds=(pays(_ASKS), holder_answers(approves=False), comes_too_late(_VISA, after="CARD_NOT_CONFIRMED")),
        failure="HOLD_EXPIRED",
    ),
    Scenario(
        "earn asks its card's holder, who refuses",
        _EARN,
        _COMPENSATED,
        card=_ASKS,
        deeds=(holder_answers(approves=False),),
        failure="CARD_NOT_CONFIRMED",
    ),
    Scenario(
        "earn asks its card's holder, who approves where nobody serves",
        _EARN,
        _COMPLETED,
        card=_ASKS,
        deeds=(has_answered(approves=True),),
    ),
    Scenario("cancellation of earned miles", _CANCEL, _COMPLETED),
    Scenario("cancellation of redeemed points", _CANCEL, _COMPLETED, _POINTS),
    Scenario("cancellation, step by step", _CANCEL, _COMPLETED, simulation=Simulation(delay_ms=_APART)),
    Scenario(
        "cancellation whose refund is pending",
        _CANCEL,
        _COMPLETED,
        card="pm_card_pendingRefund",
        operate=_the_provider_finishes_the_refund,
    ),
    Scenario(
        "cancellation whose first refund fails later",
        _CANCEL,
        _COMPLETED,
        card="pm_card_refundFail",
        operate=_the_provider_finishes_the_refund,
    ),
    *_AT_STRIPE,
)
