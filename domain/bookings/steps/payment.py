"""AUTHORIZE_PAYMENT and PROCESS_PAYMENT, and their compensations. Payments are handled by reference.

::

    authorize ──▶ needs the card's holder ──▶ WAITING for CARD_CONFIRMATION ──▶ look: read the payment
                                                    ▲                             │
                                                    └── not answered: look again ─┤
                                                                                  ▼
                                    authorized: the step is done · refused: as any refusal · no time left: undone

    undo ──▶ voided or refunded: done
         ──▶ the refund is pending ──▶ WAITING for REFUND ──▶ look: refunded, done · pending: look again
                                                              failed: STUCK, and the next try asks under a new round

A look comes by itself, seldomer with time, and at once when somebody says that there is news. It only
reads, so it may come twice or late. The customer now has the payment's secret, with which another card may
be used at the provider without us: so from then on the payment is voided if the booking is not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from domain import payments
from domain.bookings.awaiting import CARD_CONFIRMATION, PAYMENT, REFUND
from domain.bookings.contexts import BookingContext
from domain.clock import SECOND
from domain.facts import PaymentFacts
from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import NeedsHolder, PaymentGateway, PaymentOrder, PaymentStatus
from domain.saga import Again, Batch, Member, PrepareVerdict, Ready, SettleVerdict, Skipped, Waiting

__all__ = ["DECLINES_MAX", "PaymentSteps", "order_of"]

LOOK_SECONDS_MIN: Final = 5.0
LOOK_SECONDS_MAX: Final = 60.0
#: The last of so many declined cards ends a hold: else whoever has stolen cards could try all of them on one.
DECLINES_MAX: Final = 10
REFUND_LOOK_SECONDS_MIN: Final = 10.0
REFUND_LOOK_SECONDS_MAX: Final = 86_400.0
#: The slowest refunds take a month. Then the saga is STUCK, and an operator asks the provider.
REFUND_WAIT_SECONDS_MAX: Final = 45 * 86_400
_REFUND_PENDING: Final = Refused(
    "REFUND_PENDING", "The provider has accepted the refund but not finished it.", passing=True
)


def order_of(member: Member[BookingContext]) -> PaymentOrder:
    """The order for the gateway: the amount left to pay, and the card's token."""
    context = member.context
    return PaymentOrder(
        correlation_id=member.correlation_id, amount=Money(context.payable, context.currency), token=context.token
    )


class PaymentSteps:
    """Authorizes money at the payment provider, and makes sure on undo that nothing is charged.

    `budget_seconds` of one call: a wait for the customer ends so long before the hold that the calls to come have
    theirs. `can_wait`: whether the saga's version may wait for the holder; a card that asks its holder is refused
    otherwise.
    """

    def __init__(self, gateway: PaymentGateway, budget_seconds: float, *, can_wait: bool = True) -> None:
        self._gateway = gateway
        self._budget_seconds = budget_seconds
        self._can_wait = can_wait

    # ------------------------------------------------------------------ which sagas call

    @staticmethod
    def is_to_authorize(member: Member[BookingContext]) -> bool:
        """Whether there is something to pay, and a card to pay with."""
        return member.context.payable > 0 and (member.word is not None or not _needs_card(member))

    @staticmethod
    def is_to_undo(member: Member[BookingContext]) -> bool:
        """Whether there is a payment at the provider."""
        return member.context.payment_reference is not None

    # ------------------------------------------------------------------ reserve the money

    async def prepare_authorization(self, batch: Batch[BookingContext]) -> Sequence[PrepareVerdict]:
        """Make the payment durable before any call, with its reference if the provider accepts ours.

        A booking that is paid later waits for its card first.
        """
        for member in batch.members:
            if member.word is not None:
                member.context.token = msgspec.json.decode(member.word, type=str)
        due = [m for m in batch.members if m.context.payable > 0 and not m.is_look and not _needs_card(m)]
        for member in due:
            if member.context.payment_reference is None and self._gateway.takes_our_reference:
                member.context.payment_reference = payments.new_reference()
        await payments.record(
            batch.connection,
            [
                payments.NewPayment(
                    saga_id=member.saga_id,
                    correlation_id=member.correlation_id,
                    amount=Money(member.context.payable, member.context.currency),
                    reference=member.context.payment_reference,
                    provider=self._gateway.name,
                )
                for member in due
            ],
            at=batch.at,
        )
        verdicts: list[PrepareVerdict] = []
        for member in batch.members:
            if member.context.payable == 0:
                verdicts.append(Skipped("nothing to pay"))
            elif _needs_card(member):
                verdicts.append(self._wait_for_card(member, at=batch.at))
            else:
                verdicts.append(Ready())
        return verdicts

    async def authorize(self, member: Member[BookingContext]) -> Outcome:
        """Open the payment if the provider makes the reference, else authorize it. A look reads it."""
        context = member.context
        reference = context.payment_reference
        if reference is None:
            return await self._gateway.open(order_of(member), member.key("open"))
        if member.is_look:
            return await payments.authorization_of(self._gateway, reference)
        match await payments.authorize(self._gateway, reference, order_of(member), member.key("authorize")):
            case Succeeded(_, NeedsHolder()) if not self._can_wait:
                # Nobody gets the secret, so nobody can confirm it.
                return payments.declined("AUTHENTICATION_REQUIRED")
            case Refused(code, message) as refused if context.holder_was_asked and not payments.is_of_card(refused):
                # Proven of this request alone: the customer can still pay with the secret.
                return Unknown(code, message)
            case outcome:
                return outcome

    async def settle_authorization(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Write the provider's answer; a reference that it has just made is durable before authorize."""
        verdicts: list[SettleVerdict] = []
        marks: list[tuple[str, PaymentStatus]] = []
        opened: list[tuple[str, str]] = []
        for member in batch.members:
            context = member.context
            match member.outcome:
                case Succeeded(_, reference) if context.payment_reference is None:
                    context.payment_reference = str(reference)
                    opened.append((member.saga_id, context.payment_reference))
                    verdicts.append(Again())
                case Succeeded(_, NeedsHolder() as holder):
                    marks.append((member.saga_id, PaymentStatus.PENDING))
                    verdicts.append(self._ask(member, holder, at=batch.at))
                case Succeeded():
                    # Later steps do not need the card, and data that is not kept cannot leak.
                    context.forget_card()
                    context.authorized = True
                    marks.append((member.saga_id, PaymentStatus.AUTHORIZED))
                    verdicts.append(Succeeded(facts=_payment_facts(member, PaymentStatus.AUTHORIZED)))
                case Refused() as refused if self._asks_again(context, refused):
                    context.forget_card()
                    context.declines += 1
                    context.declined_at = batch.at
                    marks.append((member.saga_id, PaymentStatus.DECLINED))
                    verdicts.append(self._wait_for_card(member, at=batch.at, declined=refused))
                case Refused() as refused:
                    context.confirmation = None
                    marks.append((member.saga_id, PaymentStatus.DECLINED))
                    facts = _payment_facts(member, PaymentStatus.DECLINED)
                    verdicts.append(replace(refused, facts=facts, keeps_effect=context.holder_was_asked))
                case outcome if member.is_look:
                    verdicts.append(outcome or Unknown("INTERRUPTED", "The answer was lost."))
                case outcome:
                    marks.append((member.saga_id, PaymentStatus.UNKNOWN))
                    verdicts.append(outcome or Unknown("INTERRUPTED", "The answer was lost."))
        await payments.set_references(batch.connection, opened, at=batch.at)
        await payments.mark(batch.connection, marks, at=batch.at)
        return verdicts

    @staticmethod
    def _asks_again(context: BookingContext, refused: Refused) -> bool:
        """Whether another card may be tried after this refusal."""
        return context.pays_later and payments.is_of_card(refused) and context.declines + 1 < DECLINES_MAX

    def _wait_for_card(self, member: Member[BookingContext], *, at: int, declined: Refused | None = None) -> Waiting:
        """Wait for a card, or for another one if one was `declined`, until authorize and capture just have time."""
        amount = Money(member.context.payable, member.context.currency)
        return Waiting(
            self._until(member, at, calls=2),
            PAYMENT,
            failure=declined,
            summary=f"{amount} to pay",
            round_spent=declined is not None,
            keeps_effect=member.context.holder_was_asked,
        )

    def _until(self, member: Member[BookingContext], at: int, *, calls: int) -> int:
        """The end of a wait: as many calls as are to come still have their budgets before the hold ends."""
        return at if member.deadline_at is None else member.deadline_at - round(calls * self._budget_seconds * SECOND)

    def _ask(self, member: Member[BookingContext], holder: NeedsHolder, *, at: int) -> Waiting:
        """Ask the card's holder, and look by itself whether they have answered."""
        # The provider has the card, and tries it once the holder has approved.
        member.context.token = None
        member.context.confirmation = holder
        member.context.holder_was_asked = True
        waited_seconds = (at - member.wait.since) / SECOND if member.wait is not None else 0
        look_seconds = min(max(waited_seconds / 2, LOOK_SECONDS_MIN), LOOK_SECONDS_MAX)
        summary = "the card's holder is asked to confirm"
        return Waiting(
            self._until(member, at, calls=1),
            CARD_CONFIRMATION,
            look_at=at + round(look_seconds * SECOND),
            summary=summary,
        )

    # ------------------------------------------------------------------ undo

    async def undo(self, member: Member[BookingContext]) -> Outcome:
        """Make sure that nothing is charged: void or refund by the provider's state. A look reads what has come."""
        known = PaymentStatus.AUTHORIZED if member.context.authorized else PaymentStatus.PENDING
        return await undo(self._gateway, member, known=known)

    async def settle_undo(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Write the result of the undo; wait for a refund that is pending."""
        return await settle_undo(batch, _amounts(batch), waits=True)

    async def settle_undo_without_waits(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Write the result of the undo; a refund that is pending is tried again until it has ended."""
        return await settle_undo(batch, _amounts(batch), waits=False)


def _amounts(batch: Batch[BookingContext]) -> dict[str, Money]:
    return {member.saga_id: Money(member.context.payable, member.context.currency) for member in batch.members}


def _needs_card(member: Member[BookingContext]) -> bool:
    """Whether the customer is still to name a card."""
    context = member.context
    return context.pays_later and context.token is None and context.confirmation is None


def _payment_facts(member: Member[BookingContext], status: PaymentStatus) -> PaymentFacts:
    context = member.context
    return PaymentFacts(context.payable, context.currency, status.value, context.payment_reference)


async def undo(gateway: PaymentGateway, member: Member[Any], *, known: PaymentStatus) -> Outcome:
    """`ensure_no_charge` on the payment of the member's context; a look only reads what became of its refund."""
    reference: str | None = member.context.payment_reference
    if member.is_look and reference is not None:
        return await payments.refund_of(gateway, reference)
    return await payments.ensure_no_charge(gateway, reference, member.key, known=known)


async def settle_undo(
    batch: Batch[Any], amounts: Mapping[str, Money], payment_of: dict[str, str] | None = None, *, waits: bool
) -> Sequence[SettleVerdict]:
    """Write the result of `ensure_no_charge`, or of a look at the refund.

    `amounts`: the amount to pay, by the member's saga. `payment_of` maps a member's saga to the saga that owns the
    payment. `waits`: whether the saga's version may wait for the end of a refund; others try again until it has come.
    """
    verdicts: list[SettleVerdict] = []
    marks: list[tuple[str, PaymentStatus]] = []
    for member in batch.members:
        owner = payment_of[member.saga_id] if payment_of else member.saga_id
        match member.outcome:
            case Succeeded(_, PaymentStatus.REFUND_PENDING):
                marks.append((owner, PaymentStatus.REFUND_PENDING))
                verdicts.append(_wait_for_refund(member, at=batch.at) if waits else _REFUND_PENDING)
            case Succeeded(_, PaymentStatus.CAPTURED):
                # A look: the refund that was pending is over, it was another one, and some money is left.
                marks.append((owner, PaymentStatus.CAPTURED))
                verdicts.append(Again())
            case Succeeded(_, PaymentStatus() as status) as done:
                marks.append((owner, status))
                reference, amount = member.context.payment_reference, amounts.get(member.saga_id)
                if reference is not None and amount is not None:
                    done = replace(done, facts=PaymentFacts(amount.minor, amount.currency, status.value, reference))
                verdicts.append(done)
            case Refused(payments.PAYMENT_DISPUTED) as refused:
                marks.append((owner, PaymentStatus.DISPUTED))
                verdicts.append(_wait_for_refund(member, at=batch.at, disputed=refused) if waits else refused)
            case Refused(payments.REFUND_FAILED) as refused:
                marks.append((owner, PaymentStatus.CAPTURED))
                verdicts.append(refused)
            case outcome:
                verdicts.append(outcome or Unknown("INTERRUPTED", "The answer was lost."))
    await payments.mark(batch.connection, marks, at=batch.at)
    return verdicts


def _wait_for_refund(member: Member[Any], *, at: int, disputed: Refused | None = None) -> Waiting:
    """Wait for what the provider says in the end, and look by itself, seldomer with time."""
    waited_seconds = (at - member.wait.since) / SECOND if member.wait is not None else 0
    look_seconds = min(max(waited_seconds / 2, REFUND_LOOK_SECONDS_MIN), REFUND_LOOK_SECONDS_MAX)
    summary = "the refund is accepted; its end is waited for"
    if disputed is not None:
        summary = "the bank is still to decide on a dispute; it is waited for"
    return Waiting(
        at + REFUND_WAIT_SECONDS_MAX * SECOND, REFUND, look_at=at + round(look_seconds * SECOND), summary=summary
    )
