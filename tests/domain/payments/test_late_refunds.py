"""A refund is one only once the provider says so: it may be pending, it may fail, and it is never made twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from domain import payments
from domain.clock import SECOND
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentGateway, PaymentStatus, ProviderPayment, ProviderState, ensure_no_charge, refund_of
from domain.payments.stripe import StripeGateway
from sandbox import Fault, FaultKind, SandboxGateway
from sandbox.ledger import REFUND_SECONDS
from tests.domain.payments.bank import PRICE, Bank, books_at, code_of, order, state_of
from tests.witness import Merchant
from tests.witness.fixtures import merchant, stripe_gateway, witness

__all__ = ["merchant", "stripe_gateway", "witness"]

PI = "pi_1"
PENDING = Succeeded(f"{PI} refund pending", PaymentStatus.REFUND_PENDING)
REFUNDED = Succeeded(f"{PI} refunded", PaymentStatus.REFUNDED)


@dataclass
class Hand:
    """A clock that goes on when it is told to."""

    at: int = 1_000 * SECOND

    def __call__(self) -> int:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += round(seconds * SECOND)


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
async def late(bank: Bank, hand: Hand) -> AsyncIterator[SandboxGateway]:
    """A sandbox whose clock the test moves."""
    gateway = SandboxGateway(books_at(bank.kind, bank.target), now=hand)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def capture(gateway: PaymentGateway, card: str) -> None:
    assert code_of(await gateway.authorize(PI, order(card), "a")) == "OK"
    assert code_of(await gateway.capture(PI, PRICE, "c")) == "OK"


async def undo(gateway: PaymentGateway, round_: int = 1) -> Outcome:
    """One attempt of a compensation, in this round of its key."""
    return await ensure_no_charge(gateway, PI, lambda deed: f"{deed}:{round_}", known=PaymentStatus.CAPTURED)


async def refunds(bank: Bank) -> int:
    entry = await bank.entry(PI)
    assert entry is not None
    return entry.refunds


async def test_a_refund_that_takes_its_time_is_pending_until_it_has_succeeded(
    bank: Bank, late: SandboxGateway, hand: Hand
) -> None:
    await capture(late, "pm_card_pendingRefund")
    for _ in range(2):
        assert await undo(late) == PENDING
        assert await refund_of(late, PI) == PENDING
    assert await refunds(bank) == 0
    hand.pass_seconds(REFUND_SECONDS)
    for _ in range(2):
        assert await refund_of(late, PI) == REFUNDED
        assert await undo(late) == REFUNDED
    assert await refunds(bank) == 1


async def test_a_refund_that_fails_is_a_refusal_and_the_next_round_makes_a_new_one(
    bank: Bank, late: SandboxGateway, hand: Hand
) -> None:
    await capture(late, "pm_card_refundFail")
    assert await undo(late) == PENDING
    hand.pass_seconds(REFUND_SECONDS)
    failed = await refund_of(late, PI)
    assert isinstance(failed, Refused)
    assert (failed.code, failed.passing, failed.key_spent) == ("REFUND_FAILED", False, True)
    # The provider repeats under the key what it said first: pending.
    again = await undo(late)
    assert isinstance(again, Refused)
    assert (again.code, again.key_spent) == ("REFUND_FAILED", True)
    assert await undo(late, round_=2) == PENDING
    hand.pass_seconds(REFUND_SECONDS)
    assert await undo(late, round_=2) == REFUNDED
    assert await refunds(bank) == 1


@pytest.mark.parametrize(
    "lost", [FaultKind.SERVER_ERROR, FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.TIMEOUT_BEFORE_EFFECT]
)
async def test_the_lost_answer_of_a_late_refund_makes_no_second_one(
    bank: Bank, late: SandboxGateway, hand: Hand, lost: FaultKind
) -> None:
    await capture(late, "pm_card_pendingRefund")
    late.faults.add(Fault("refund", lost))
    outcome = await undo(late)
    assert isinstance(outcome, Unknown | Refused)
    assert await undo(late, round_=2 if isinstance(outcome, Refused) else 1) == PENDING
    hand.pass_seconds(REFUND_SECONDS)
    assert await refund_of(late, PI) == REFUNDED
    assert await refunds(bank) == 1


async def test_whoever_reads_it_a_refund_ends_once(bank: Bank, late: SandboxGateway, hand: Hand) -> None:
    await capture(late, "pm_card_refundFail")
    assert await undo(late) == PENDING
    hand.pass_seconds(REFUND_SECONDS)
    async with bank.gateway() as other:
        for gateway in (late, other, late):
            assert await state_of(gateway, PI) is ProviderState.CAPTURED
    assert await undo(late, round_=2) == PENDING


async def test_a_refund_that_is_pending_can_be_neither_voided_nor_captured(late: SandboxGateway) -> None:
    await capture(late, "pm_card_pendingRefund")
    assert await undo(late) == PENDING
    assert code_of(await late.void(PI, "v")) == "refused PAYMENT_CAPTURED"
    assert code_of(await late.capture(PI, PRICE, "c2")) == "refused PAYMENT_NOT_AUTHORIZED"
    assert code_of(await late.authorize(PI, order(), "a2")) == "refused PAYMENT_AUTHORIZED_ALREADY"


# ---------------------------------------------------------------------- what only others do: parts, and disputes


@dataclass
class Shown:
    """A provider that shows these states, the last for ever, and counts what it is asked."""

    looks: list[ProviderPayment]
    asked: list[str] = field(default_factory=list)

    async def read(self, reference: str) -> Outcome:
        return Succeeded(data=self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])

    async def refund(self, reference: str, key: str) -> Outcome:
        self.asked.append(key)
        return Succeeded("refunded", ProviderState.REFUNDED)


def shown(*looks: ProviderState, refusal: Refused | None = None) -> Shown:
    return Shown([ProviderPayment(PI, state, refusal=refusal) for state in looks])


def gateway_of(provider: Shown) -> PaymentGateway:
    gateway: PaymentGateway = provider  # type: ignore[assignment]
    return gateway


async def test_no_refund_is_asked_for_while_another_is_pending() -> None:
    provider = shown(ProviderState.REFUND_PENDING)
    assert await undo(gateway_of(provider)) == PENDING
    assert provider.asked == []


async def test_what_is_left_after_anothers_refund_is_to_be_refunded() -> None:
    found = await refund_of(gateway_of(shown(ProviderState.CAPTURED)), PI)
    assert isinstance(found, Succeeded)
    assert found.data is PaymentStatus.CAPTURED


async def test_an_open_dispute_is_waited_for_and_a_lost_one_is_the_end() -> None:
    provider = shown(ProviderState.DISPUTED)
    for found in (await undo(gateway_of(provider)), await refund_of(gateway_of(provider), PI)):
        assert isinstance(found, Refused)
        assert (found.code, found.passing) == ("PAYMENT_DISPUTED", True)
    lost = gateway_of(shown(ProviderState.CHARGED_BACK))
    for outcome in (await undo(lost), await refund_of(lost, PI)):
        assert isinstance(outcome, Succeeded)
        assert outcome.data is PaymentStatus.DISPUTED
    assert provider.asked == []


@pytest.mark.parametrize("state", [ProviderState.ABSENT, ProviderState.OPEN, ProviderState.AUTHORIZED])
async def test_a_look_at_a_refund_of_money_that_was_never_taken_is_told_at_once(state: ProviderState) -> None:
    """The saga is STUCK, so that somebody hears of it, and tries again by itself under the same key."""
    found = await refund_of(gateway_of(shown(state)), PI)
    assert isinstance(found, Refused)
    assert (found.passing, found.key_spent) == (False, False)


def test_only_money_that_is_refunded_or_was_never_taken_is_resolved() -> None:
    resolved = {status for status in PaymentStatus if status.is_resolved}
    assert resolved == {PaymentStatus.VOIDED, PaymentStatus.REFUNDED, PaymentStatus.DECLINED}
    assert set(payments.PAYMENT_TRANSITIONS) == set(PaymentStatus)
    for status in PaymentStatus:
        # What was taken can never again pass for what was not.
        assert not status.is_taken or all(after.is_taken for after in payments.PAYMENT_TRANSITIONS[status])


async def test_a_refund_that_had_succeeded_and_has_failed_is_none_though_its_key_repeats_the_success(
    merchant: Merchant, stripe_gateway: StripeGateway
) -> None:
    asked = order("pm_card_refundFail")
    opened = await stripe_gateway.open(asked, "o")
    assert isinstance(opened, Succeeded)
    reference: str = opened.data
    assert code_of(await stripe_gateway.authorize(reference, asked, "a")) == "OK"
    assert code_of(await stripe_gateway.capture(reference, PRICE, "c")) == "OK"

    async def undo_there(round_: int) -> Outcome:
        return await ensure_no_charge(
            stripe_gateway, reference, lambda deed: f"{deed}:{round_}", known=PaymentStatus.CAPTURED
        )

    await merchant.fault("refund", "RESET", after_effect=True)
    assert isinstance(await undo_there(1), Unknown)
    await merchant.settle_refund(reference, failed=True)
    failed = await undo_there(1)
    assert isinstance(failed, Refused)
    assert (failed.code, failed.key_spent) == ("REFUND_FAILED", True)
    assert await undo_there(2) == Succeeded(f"{reference} refunded", PaymentStatus.REFUNDED)
