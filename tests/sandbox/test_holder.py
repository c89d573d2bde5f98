"""A card that asks its holder: the sandbox waits for the answer, takes the first one, and charges at most once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.outcome import Outcome, Refused, Succeeded
from domain.payments import (
    BooksListing,
    NeedsHolder,
    PaymentStatus,
    ProviderPayment,
    ProviderState,
    authorization_of,
    authorize,
)
from domain.payments import ensure_no_charge as undo
from domain.storage import Server, database_url
from sandbox import HOLDER_PATH, Asked, Entry, Fault, FaultKind, SandboxGateway
from sandbox.books import ADDED
from sandbox.ledger import Request, apply, new_secret
from sandbox.reading import reading
from tests.domain.payments.bank import PRICE, Bank, code_of, order, state_of

PI = "pi_1"
ASKS = "pm_card_threeDSecure2Required"
ASKS_TOO = "pm_card_authenticationRequired"
ASKS_AND_DECLINES = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
CARDS = (ASKS, ASKS_TOO, ASKS_AND_DECLINES, "pm_card_visa", "pm_card_chargeDeclined")


def secret_of(outcome: Outcome) -> str:
    """The secret in the address of the holder's page."""
    assert isinstance(outcome, Succeeded)
    assert isinstance(outcome.data, NeedsHolder)
    assert outcome.data.client_secret is None
    assert outcome.data.url is not None
    path, _, secret = outcome.data.url.rpartition("/")
    assert f"{path}/" == HOLDER_PATH
    return secret


async def asking(gateway: SandboxGateway, card: str = ASKS, key: str = "a1") -> str:
    """The secret of a payment that now waits for its holder."""
    return secret_of(await gateway.authorize(PI, order(card), key))


async def read(gateway: SandboxGateway) -> ProviderPayment:
    found = await gateway.read(PI)
    assert isinstance(found, Succeeded)
    payment: ProviderPayment = found.data
    return payment


async def hear(gateway: SandboxGateway, secret: str, *, approves: bool) -> ProviderState:
    """The state of the payment after an answer of its holder."""
    asked = await gateway.hear(secret, approves=approves)
    assert asked is not None
    assert asked.amount == PRICE
    return asked.payment.state


async def entry_in(bank: Bank) -> Entry:
    entry = await bank.entry(PI)
    assert entry is not None
    return entry


# ---------------------------------------------------------------------- asked and answered


@pytest.mark.parametrize("card", [ASKS, ASKS_TOO, ASKS_AND_DECLINES])
async def test_a_card_that_asks_its_holder_waits_and_reserves_nothing(bank: Bank, card: str) -> None:
    async with bank.gateway() as gateway:
        secret = await asking(gateway, card)
        assert len(secret) > 32
    async with bank.gateway() as later:
        assert secret_of((await read(later)).as_authorization()) == secret
        assert secret_of(await authorization_of(later, PI)) == secret
        assert await later.asked(secret) == Asked(PRICE, await read(later))
        assert code_of(await later.capture(PI, PRICE, "c")) == "refused PAYMENT_NOT_AUTHORIZED"
    assert (await entry_in(bank)).authorizations == 0


@pytest.mark.parametrize("card", [ASKS, ASKS_TOO])
async def test_what_the_holder_approves_is_reserved_and_can_be_taken(bank: Bank, card: str) -> None:
    async with bank.gateway() as gateway:
        assert await hear(gateway, await asking(gateway, card), approves=True) is ProviderState.AUTHORIZED
        assert code_of(await authorization_of(gateway, PI)) == "OK"
        assert code_of(await gateway.capture(PI, PRICE, "c")) == "OK"
    assert ((await entry_in(bank)).authorizations, (await entry_in(bank)).captures) == (1, 1)


@pytest.mark.parametrize(
    ("card", "approves", "refusal"),
    [
        (ASKS, False, Refused("CARD_NOT_CONFIRMED", "The card's holder did not confirm the payment.")),
        (ASKS_AND_DECLINES, False, Refused("CARD_NOT_CONFIRMED", "The card's holder did not confirm the payment.")),
        (ASKS_AND_DECLINES, True, Refused("INSUFFICIENT_FUNDS", "The card has insufficient funds.")),
    ],
)
async def test_a_refusal_by_the_holder_and_one_by_the_bank_are_told_apart_and_another_card_may_follow(
    bank: Bank, card: str, approves: bool, refusal: Refused
) -> None:
    async with bank.gateway() as gateway:
        assert await hear(gateway, await asking(gateway, card), approves=approves) is ProviderState.OPEN
        assert await authorization_of(gateway, PI) == refusal
        secret = await asking(gateway, ASKS, "a2")
        assert secret_of(await authorization_of(gateway, PI)) == secret
        assert await hear(gateway, secret, approves=True) is ProviderState.AUTHORIZED
        assert (await read(gateway)).refusal is None
    assert (await entry_in(bank)).authorizations == 1


async def test_after_a_refusal_a_card_that_asks_nobody_may_follow_too(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        await hear(gateway, await asking(gateway), approves=False)
        assert code_of(await gateway.authorize(PI, order("pm_card_chargeDeclined"), "a2")) == "refused PAYMENT_DECLINED"
        assert code_of(await gateway.authorize(PI, order("pm_card_visa"), "a3")) == "OK"
    assert (await entry_in(bank)).authorizations == 1


async def test_no_other_card_is_tried_while_the_holder_may_still_answer(sandbox: SandboxGateway) -> None:
    secret = await asking(sandbox)
    for number, card in enumerate(CARDS):
        assert code_of(await sandbox.authorize(PI, order(card), f"other{number}")) == "refused PAYMENT_NEEDS_HOLDER"
    assert secret_of(await authorization_of(sandbox, PI)) == secret


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_the_first_answer_counts(bank: Bank, first: bool, second: bool) -> None:
    async with bank.gateway() as gateway:
        secret = await asking(gateway)
        state = await hear(gateway, secret, approves=first)
        assert await hear(gateway, secret, approves=second) is state
        assert state is (ProviderState.AUTHORIZED if first else ProviderState.OPEN)
    assert (await entry_in(bank)).authorizations == first


async def test_of_answers_that_come_together_in_two_processes_one_counts(bank: Bank) -> None:
    async with bank.gateway() as one, bank.gateway() as other:
        secret = await asking(one)
        states = await asyncio.gather(
            *(hear(gateway, secret, approves=approves) for gateway in (one, other) for approves in (True, False))
        )
        (state,) = set(states)
        assert state is await state_of(one, PI)
    assert (await entry_in(bank)).authorizations == (state is ProviderState.AUTHORIZED)


# ---------------------------------------------------------------------- whose answer


async def test_nobody_answers_without_the_secret(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        secret = await asking(gateway)
        other = secret_of(await gateway.authorize("pi_2", order(ASKS), "other"))
        guesses = (
            "",
            PI,
            secret[:-1],
            f"{PI}_secret_",
            f"{PI}_secret_{'0' * 32}",
            f"pi_3{secret.removeprefix(PI)}",
            f"{PI}{other.removeprefix('pi_2')}",
            f"{secret}\n",
            f"\0{secret}",
        )
        for guess in guesses:
            assert await gateway.asked(guess) is None
            assert await gateway.hear(guess, approves=True) is None
        assert await state_of(gateway, PI) is ProviderState.NEEDS_HOLDER
    assert await answers_in(bank) == ["a1", "other"]


async def test_the_secret_of_an_earlier_card_answers_nothing_for_a_later_one(sandbox: SandboxGateway) -> None:
    earlier = await asking(sandbox)
    await hear(sandbox, earlier, approves=False)
    await asking(sandbox, ASKS, "a2")
    assert await sandbox.hear(earlier, approves=True) is None
    assert await state_of(sandbox, PI) is ProviderState.NEEDS_HOLDER


async def answers_in(bank: Bank) -> list[str]:
    """The keys that the books keep."""
    if bank.kind == "sqlite":
        with closing(sqlite3.connect(bank.target)) as connection:
            return [row[0] for row in connection.execute("SELECT key FROM answers ORDER BY key")]
    server = await Server(database_url(bank.target)).connect()
    try:
        return [row["key"] for row in await server.fetch("SELECT key FROM sandbox.answers ORDER BY key")]
    finally:
        await server.close()


def test_the_secret_shows_in_no_repr() -> None:
    secret = new_secret(PI)
    holder = NeedsHolder(url=HOLDER_PATH + secret)
    payment = ProviderPayment(PI, ProviderState.NEEDS_HOLDER, holder)
    entry = Entry(PI, ProviderState.NEEDS_HOLDER, secret=secret)
    shown = repr((holder, payment, payment.as_authorization(), entry, Request("approve", PI, "k", secret=secret)))
    assert secret not in shown
    assert "_secret_" not in shown


@pytest.mark.parametrize("state", ProviderState)
def test_a_payment_that_needs_its_holder_cannot_pass_for_an_authorized_one(state: ProviderState) -> None:
    needs = state is ProviderState.NEEDS_HOLDER
    with pytest.raises(ValueError, match=state.value):
        ProviderPayment(PI, state, None if needs else NeedsHolder(url="/"))


# ---------------------------------------------------------------------- voided, lost, repeated


async def test_voiding_ends_the_wait_and_a_later_approval_reserves_nothing(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        secret = await asking(gateway)
        undone = await undo(gateway, PI, lambda operation: f"u:{operation}", known=PaymentStatus.PENDING)
        assert isinstance(undone, Succeeded)
        assert undone.data is PaymentStatus.VOIDED
        assert await hear(gateway, secret, approves=True) is ProviderState.VOIDED
        assert code_of(await authorization_of(gateway, PI)) == "refused PAYMENT_VOIDED"
        assert code_of(await gateway.authorize(PI, order(ASKS), "late")) == "refused PAYMENT_VOIDED"
    assert ((await entry_in(bank)).authorizations, (await entry_in(bank)).voids) == (0, 1)


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.LATE_EFFECT])
async def test_a_lost_question_is_found_by_reading_and_by_asking_again(bank: Bank, kind: FaultKind) -> None:
    async with bank.gateway() as gateway:
        gateway.faults.add(Fault("authorize", kind, seconds=60))
        assert code_of(await authorize(gateway, PI, order(ASKS), "a1")) == "unknown TIMEOUT"
    async with bank.gateway() as later:
        secret = secret_of(await authorization_of(later, PI))
        assert await asking(later) == secret


async def test_a_question_that_a_500_hides_is_found_by_reading(sandbox: SandboxGateway) -> None:
    secret = await asking(sandbox)
    sandbox.faults.add(Fault("authorize", FaultKind.SERVER_ERROR))
    assert secret_of(await authorize(sandbox, PI, order(ASKS), "a2")) == secret


@pytest.mark.parametrize(
    ("card", "approves", "code"),
    [
        (ASKS, True, "OK"),
        (ASKS, False, "refused CARD_NOT_CONFIRMED"),
        (ASKS_AND_DECLINES, True, "refused INSUFFICIENT_FUNDS"),
    ],
)
async def test_the_repeated_request_is_answered_with_what_the_holder_said(
    bank: Bank, card: str, approves: bool, code: str
) -> None:
    async with bank.gateway() as gateway:
        secret = await asking(gateway, card)
        assert await asking(gateway, card) == secret
        await hear(gateway, secret, approves=approves)
    async with bank.gateway() as later:
        assert code_of(await later.authorize(PI, order(card), "a1")) == code
        assert (await later.asked(secret)) is not None


REQUESTS = st.one_of(
    st.tuples(st.just("authorize"), st.sampled_from(CARDS)),
    st.tuples(st.sampled_from(("approve", "refuse", "approve a guess", "void", "capture", "refund")), st.none()),
)


@settings(deadline=None, max_examples=500, database=None)
@given(st.lists(REQUESTS, max_size=20))
def test_whatever_is_tried_in_whatever_order_one_authorization_stands_at_most(
    requests: list[tuple[str, str | None]],
) -> None:
    entry: Entry | None = None
    for number, (operation, card) in enumerate(requests):
        before = None if entry is None else entry.state
        secret = new_secret(PI) if entry is None or operation in ("authorize", "approve a guess") else entry.secret
        request = Request(*(operation.split()[0], PI, f"k{number}", PRICE.minor, PRICE.currency, card), secret=secret)
        entry, answer = apply(entry, request)
        if entry is not None:
            assert entry.authorizations <= 1
            assert entry.captures <= entry.authorizations
            assert before is not ProviderState.VOIDED or entry.state is ProviderState.VOIDED
        if operation == "approve a guess":
            assert answer.code == "NOTHING_TO_CONFIRM"


# ---------------------------------------------------------------------- books of an older version


async def make_older(bank: Bank) -> None:
    """Leave books as an older version has kept them, with one payment."""
    async with bank.gateway() as gateway:
        assert code_of(await gateway.authorize(PI, order(), "a")) == "OK"
    statements = [f"ALTER TABLE {{}}entries DROP COLUMN {name}" for name in ADDED]
    if bank.kind == "sqlite":
        with closing(sqlite3.connect(bank.target, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement.format(""))
        return
    server = await Server(database_url(bank.target)).connect()
    for statement in statements:
        await server.execute(statement.format("sandbox."))
    await server.close()


async def test_books_of_an_older_version_are_upgraded_where_they_are(bank: Bank) -> None:
    await make_older(bank)
    async with bank.gateway() as one, bank.gateway() as other:
        assert code_of(await one.authorize(PI, order(), "a")) == "OK"
        assert code_of(await other.capture(PI, PRICE, "c")) == "OK"
        asked = secret_of(await one.authorize("pi_2", order(ASKS), "b"))
        assert await hear(other, asked, approves=True) is ProviderState.AUTHORIZED
        assert set(await other.books.entries()) == {PI, "pi_2"}


async def test_books_of_an_older_version_are_upgraded_once_when_two_open_them_together(bank: Bank) -> None:
    await make_older(bank)
    one, other = bank.gateway(), bank.gateway()
    gateways = await asyncio.gather(one.__aenter__(), other.__aenter__())
    assert [code_of(await gateway.authorize(PI, order(), "a")) for gateway in gateways] == ["OK", "OK"]
    await asyncio.gather(one.__aexit__(None, None, None), other.__aexit__(None, None, None))


async def test_an_auditor_reads_books_of_an_older_version_and_leaves_them_so(bank: Bank) -> None:
    await make_older(bank)
    where = Path(bank.target) if bank.kind == "sqlite" else Server(database_url(bank.target))
    async with reading(where) as books:
        assert (await books.entries([PI]))[PI].state is ProviderState.AUTHORIZED
        (entry,) = (await books.page(BooksListing.PAYMENTS, since=0, until=1)).entries
        assert (entry.reference, entry.reserved, entry.created_at) == (PI, PRICE.minor, 0)
