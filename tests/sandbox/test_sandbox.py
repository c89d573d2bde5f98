"""The sandbox is a provider that can be relied on where a real one can, and fails where it is told to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import BooksListing, PaymentGateway, ProviderState
from domain.storage import Server, database_url
from sandbox import Books, Fault, FaultKind, PostgresBooks, SandboxGateway, SqliteBooks
from sandbox.books import GROUP_REQUESTS_MAX
from sandbox.ledger import Answer, Request
from sandbox.reading import reading
from tests.domain.payments.bank import PRICE, Bank, code_of, order, state_of

PI = "pi_1"


async def _authorized(gateway: PaymentGateway, reference: str = PI) -> None:
    assert code_of(await gateway.authorize(reference, order(), f"{reference}:authorize")) == "OK"


async def _captured(gateway: PaymentGateway, reference: str = PI) -> None:
    await _authorized(gateway, reference)
    assert code_of(await gateway.capture(reference, PRICE, f"{reference}:capture")) == "OK"


async def _do(gateway: PaymentGateway, operation: str, key: str, reference: str = PI) -> Outcome:
    match operation:
        case "authorize":
            return await gateway.authorize(reference, order(), key)
        case "capture":
            return await gateway.capture(reference, PRICE, key)
        case "void":
            return await gateway.void(reference, key)
        case _:
            return await gateway.refund(reference, key)


async def _brought_to(gateway: PaymentGateway, state: ProviderState) -> None:
    """Lead PI to `state`, under keys that begin with `set`."""
    roads: dict[ProviderState, tuple[str, ...]] = {
        ProviderState.ABSENT: (),
        ProviderState.AUTHORIZED: ("authorize",),
        ProviderState.CAPTURED: ("authorize", "capture"),
        ProviderState.VOIDED: ("authorize", "void"),
        ProviderState.REFUNDED: ("authorize", "capture", "refund"),
    }
    for operation in roads[state]:
        assert code_of(await _do(gateway, operation, f"set:{operation}")) == "OK"


# ---------------------------------------------------------------------- answers and commits


async def test_an_answer_is_in_the_books_of_others_when_it_comes(sandbox: SandboxGateway, bank: Bank) -> None:
    async with bank.books() as others:

        async def pay(reference: str) -> None:
            await _authorized(sandbox, reference)
            assert (await others.entries([reference]))[reference].state is ProviderState.AUTHORIZED

        await asyncio.gather(*(pay(f"pi_{number}") for number in range(100)))


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
async def test_nothing_is_answered_while_it_cannot_be_committed(
    sandbox: SandboxGateway, bank: Bank, operation: str
) -> None:
    before = {"authorize": "ABSENT", "capture": "AUTHORIZED", "void": "AUTHORIZED", "refund": "CAPTURED"}
    await _brought_to(sandbox, ProviderState(before[operation]))
    async with bank.books() as others, bank.locked():
        request = asyncio.create_task(_do(sandbox, operation, "k"))
        done, _ = await asyncio.wait({request}, timeout=0.1)
        assert not done
        entry = (await others.entries([PI])).get(PI)
        assert (entry.state.value if entry else "ABSENT") == before[operation]
    assert code_of(await request) == "OK"


async def test_a_request_takes_effect_even_if_its_caller_has_gone(sandbox: SandboxGateway, bank: Bank) -> None:
    async with bank.locked():
        request = asyncio.create_task(_do(sandbox, "authorize", "k"))
        done, _ = await asyncio.wait({request}, timeout=0.05)
        assert not done
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    await sandbox.books.settle()
    assert await state_of(sandbox, PI) is ProviderState.AUTHORIZED
    assert code_of(await _do(sandbox, "authorize", "k")) == "OK"
    assert (await sandbox.books.entries())[PI].authorizations == 1


class _CountedSqlite(SqliteBooks):
    """Books that remember how many requests each transaction held."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.groups: list[int] = []

    async def _commit(self, requests: Sequence[Request]) -> list[Answer]:
        self.groups.append(len(requests))
        return await super()._commit(requests)


class _CountedPostgres(PostgresBooks):
    """Books that remember how many requests each transaction held."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.groups: list[int] = []

    async def _commit(self, requests: Sequence[Request]) -> list[Answer]:
        self.groups.append(len(requests))
        return await super()._commit(requests)


async def test_requests_that_come_together_are_committed_in_groups_of_a_limited_size(bank: Bank) -> None:
    books: _CountedSqlite | _CountedPostgres
    books = (
        _CountedSqlite(Path(bank.target))
        if bank.kind == "sqlite"
        else _CountedPostgres(Server(database_url(bank.target)))
    )
    gateway = SandboxGateway(books)
    await gateway.start()
    customers = GROUP_REQUESTS_MAX * 2 + 1
    await asyncio.gather(*(_authorized(gateway, f"pi_{number}") for number in range(customers)))
    assert books.groups == [GROUP_REQUESTS_MAX, GROUP_REQUESTS_MAX, 1]
    entries = await books.entries()
    assert len(entries) == customers
    assert {entry.authorizations for entry in entries.values()} == {1}
    await gateway.close()


async def test_one_group_decides_request_by_request_in_the_order_in_which_they_came(sandbox: SandboxGateway) -> None:
    outcomes = await asyncio.gather(
        sandbox.capture(PI, PRICE, "too-early"),
        sandbox.authorize(PI, order(), "a"),
        sandbox.authorize(PI, order(), "a"),
        sandbox.authorize(PI, order(), "another"),
        sandbox.capture(PI, PRICE, "c"),
        sandbox.void(PI, "v"),
        sandbox.refund(PI, "r"),
    )
    assert [code_of(outcome) for outcome in outcomes] == [
        "refused PAYMENT_NOT_AUTHORIZED",
        "OK",
        "OK",
        "refused PAYMENT_AUTHORIZED_ALREADY",
        "OK",
        "refused PAYMENT_CAPTURED",
        "OK",
    ]
    entry = (await sandbox.books.entries())[PI]
    assert (entry.authorizations, entry.captures, entry.voids, entry.refunds) == (1, 1, 0, 1)


async def test_two_processes_share_the_books_and_one_key_has_one_effect(bank: Bank) -> None:
    async with bank.gateway() as one, bank.gateway() as other:
        outcomes = await asyncio.gather(
            *(
                gateway.authorize(f"pi_{number}", order(), f"k{number}")
                for number in range(50)
                for gateway in (one, other)
            )
        )
        assert {code_of(outcome) for outcome in outcomes} == {"OK"}
        entries = await one.books.entries()
        assert len(entries) == 50
        assert {entry.authorizations for entry in entries.values()} == {1}


async def test_what_was_answered_is_in_the_books_of_a_killed_process(bank: Bank) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sandbox.answering", bank.kind, bank.target),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    told: list[bytes] = []
    async with asyncio.timeout(60):
        while len(told) < 200:
            line = await child.stdout.readline()
            assert line, "the child ended by itself"
            told.append(line)
        child.kill()
        told += (await child.stdout.read()).splitlines(keepends=True)
        assert await child.wait() == -9
    assert all(line.endswith(b"\n") for line in told)
    async with bank.gateway() as gateway:
        entries = await gateway.books.entries()
        for state, reference in (line.decode().split() for line in told):
            entry = entries[reference]
            assert entry.state.value in ((state,) if state == "CAPTURED" else (state, "CAPTURED"))
            assert (entry.authorizations, entry.captures <= 1) == (1, True)
        # The keys were kept with them: who asks again gets the old answer, and nothing is done twice.
        reference = told[0].decode().split()[1]
        assert code_of(await gateway.authorize(reference, order(), f"{reference}:authorize")) == "OK"
        assert (await gateway.books.entries([reference]))[reference].authorizations == 1


async def test_an_auditor_reads_the_books_on_whichever_of_several_hosts_takes_writes(
    postgres_url: URL, postgres_template: str
) -> None:
    host = f"{postgres_url.host}:{postgres_url.port}"
    several = postgres_url.set(host=None, port=None, database=postgres_template).update_query_dict({"host": [host] * 2})
    async with reading(Server(several)) as books:
        assert (await books.page(BooksListing.PAYMENTS, since=0, until=2**62)).entries == []


async def test_books_that_are_not_open_answer_nobody(bank: Bank) -> None:
    async with bank.books() as books:
        pass
    assert isinstance(books, Books)
    with pytest.raises(RuntimeError):
        await books.entries()


# ---------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("operation", "state", "count"),
    [
        ("authorize", ProviderState.ABSENT, "authorizations"),
        ("capture", ProviderState.AUTHORIZED, "captures"),
        ("void", ProviderState.AUTHORIZED, "voids"),
        ("refund", ProviderState.CAPTURED, "refunds"),
    ],
)
async def test_an_operation_repeated_under_its_key_has_one_effect_and_one_answer(
    bank: Bank, operation: str, state: ProviderState, count: str
) -> None:
    async with bank.gateway() as gateway:
        await _brought_to(gateway, state)
        first = await _do(gateway, operation, "k")
        assert await _do(gateway, operation, "k") == first
    async with bank.gateway() as reopened:
        assert await _do(reopened, operation, "k") == first
    assert isinstance(first, Succeeded)
    entry = await bank.entry(PI)
    assert entry is not None
    assert getattr(entry, count) == 1


async def test_an_answer_is_repeated_under_its_key_whatever_has_become_of_the_reference(
    sandbox: SandboxGateway,
) -> None:
    early = await sandbox.capture(PI, PRICE, "early")
    assert code_of(early) == "refused PAYMENT_NOT_AUTHORIZED"
    await _captured(sandbox)
    assert code_of(await sandbox.refund(PI, "r")) == "OK"
    assert await sandbox.capture(PI, PRICE, "early") == early
    assert code_of(await sandbox.authorize(PI, order(), f"{PI}:authorize")) == "OK"
    assert await state_of(sandbox, PI) is ProviderState.REFUNDED


async def test_a_key_that_was_used_for_another_request_is_refused(sandbox: SandboxGateway) -> None:
    await _authorized(sandbox)
    key = f"{PI}:authorize"
    for other in (
        sandbox.authorize("pi_2", order(), key),
        sandbox.authorize(PI, order(amount=Money(1, "USD")), key),
        sandbox.authorize(PI, order(amount=Money(PRICE.minor, "EUR")), key),
        sandbox.authorize(PI, order("pm_card_mastercard"), key),
        sandbox.capture(PI, PRICE, key),
        sandbox.void(PI, key),
        sandbox.refund(PI, key),
    ):
        assert code_of(await other) == "refused IDEMPOTENCY_MISMATCH"
    assert set(await sandbox.books.entries()) == {PI}
    assert await state_of(sandbox, PI) is ProviderState.AUTHORIZED
    assert code_of(await sandbox.authorize(PI, order(), key)) == "OK"


@pytest.mark.parametrize(
    ("operation", "before"),
    [
        ("authorize", ProviderState.ABSENT),
        ("capture", ProviderState.AUTHORIZED),
        ("void", ProviderState.AUTHORIZED),
        ("refund", ProviderState.CAPTURED),
    ],
)
async def test_a_stored_500_is_repeated_under_its_key_and_another_key_is_another_request(
    bank: Bank, operation: str, before: ProviderState
) -> None:
    async with bank.gateway() as gateway:
        await _brought_to(gateway, before)
        gateway.faults.add(Fault(operation, FaultKind.SERVER_ERROR))
        failed = await _do(gateway, operation, "round-1")
        assert code_of(failed) == "unknown PROVIDER_ERROR"
        assert await _do(gateway, operation, "round-1") == failed
        assert await state_of(gateway, PI) is before
    async with bank.gateway() as reopened:
        assert await _do(reopened, operation, "round-1") == failed
        assert await state_of(reopened, PI) is before
        assert code_of(await _do(reopened, operation, "round-2")) == "OK"


# ---------------------------------------------------------------------- references and their states


async def test_it_takes_our_reference_and_knows_nothing_before_it_is_told(sandbox: SandboxGateway) -> None:
    gateway: PaymentGateway = sandbox
    assert gateway.takes_our_reference
    assert gateway.name == "sandbox"
    assert isinstance(await gateway.open(order(), "o"), Refused)
    assert await state_of(sandbox, PI) is ProviderState.ABSENT
    assert await sandbox.books.entries() == {}
    await _authorized(sandbox)
    assert await state_of(sandbox, PI) is ProviderState.AUTHORIZED
    assert await state_of(sandbox, "pi_other") is ProviderState.ABSENT
    entry = (await sandbox.books.entries())[PI]
    assert (entry.amount, entry.currency) == (PRICE.minor, PRICE.currency)


@pytest.mark.parametrize(
    ("state", "operation", "code", "after"),
    [
        (ProviderState.ABSENT, "authorize", "OK", ProviderState.AUTHORIZED),
        (ProviderState.ABSENT, "capture", "refused PAYMENT_NOT_AUTHORIZED", ProviderState.ABSENT),
        (ProviderState.ABSENT, "void", "OK", ProviderState.VOIDED),
        (ProviderState.ABSENT, "refund", "refused PAYMENT_NOT_CAPTURED", ProviderState.ABSENT),
        (ProviderState.AUTHORIZED, "authorize", "refused PAYMENT_AUTHORIZED_ALREADY", ProviderState.AUTHORIZED),
        (ProviderState.AUTHORIZED, "capture", "OK", ProviderState.CAPTURED),
        (ProviderState.AUTHORIZED, "void", "OK", ProviderState.VOIDED),
        (ProviderState.AUTHORIZED, "refund", "refused PAYMENT_NOT_CAPTURED", ProviderState.AUTHORIZED),
        (ProviderState.CAPTURED, "authorize", "refused PAYMENT_AUTHORIZED_ALREADY", ProviderState.CAPTURED),
        (ProviderState.CAPTURED, "capture", "refused PAYMENT_NOT_AUTHORIZED", ProviderState.CAPTURED),
        (ProviderState.CAPTURED, "void", "refused PAYMENT_CAPTURED", ProviderState.CAPTURED),
        (ProviderState.CAPTURED, "refund", "OK", ProviderState.REFUNDED),
        (ProviderState.VOIDED, "authorize", "refused PAYMENT_VOIDED", ProviderState.VOIDED),
        (ProviderState.VOIDED, "capture", "refused PAYMENT_NOT_AUTHORIZED", ProviderState.VOIDED),
        (ProviderState.VOIDED, "void", "OK", ProviderState.VOIDED),
        (ProviderState.VOIDED, "refund", "refused PAYMENT_NOT_CAPTURED", ProviderState.VOIDED),
        (ProviderState.REFUNDED, "authorize", "refused PAYMENT_AUTHORIZED_ALREADY", ProviderState.REFUNDED),
        (ProviderState.REFUNDED, "capture", "refused PAYMENT_NOT_AUTHORIZED", ProviderState.REFUNDED),
        (ProviderState.REFUNDED, "void", "refused PAYMENT_CAPTURED", ProviderState.REFUNDED),
        (ProviderState.REFUNDED, "refund", "OK", ProviderState.REFUNDED),
    ],
)
async def test_every_operation_does_what_the_state_allows_and_a_refusal_changes_nothing(
    sandbox: SandboxGateway, state: ProviderState, operation: str, code: str, after: ProviderState
) -> None:
    await _brought_to(sandbox, state)
    before = await sandbox.books.entries()
    assert code_of(await _do(sandbox, operation, "k")) == code
    assert await state_of(sandbox, PI) is after
    if state is after:
        assert await sandbox.books.entries() == before


@pytest.mark.parametrize("amount", [Money(PRICE.minor - 1, "USD"), Money(PRICE.minor + 1, "USD"), Money(12_345, "EUR")])
async def test_another_amount_than_was_authorized_is_not_captured(sandbox: SandboxGateway, amount: Money) -> None:
    await _authorized(sandbox)
    assert code_of(await sandbox.capture(PI, amount, "c")) == "refused AMOUNT_MISMATCH"
    assert await state_of(sandbox, PI) is ProviderState.AUTHORIZED


async def test_a_voided_reference_refuses_an_authorization_that_arrives_late(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        gateway.faults.add(Fault("authorize", FaultKind.LATE_EFFECT, seconds=60))
        assert code_of(await gateway.authorize(PI, order(), "a")) == "unknown TIMEOUT"
        assert code_of(await gateway.void(PI, "v")) == "OK"
    async with bank.gateway() as later:
        assert code_of(await later.authorize(PI, order(), "a")) == "refused PAYMENT_VOIDED"
    entry = await bank.entry(PI)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.voids) == (ProviderState.VOIDED, 0, 1)


# ---------------------------------------------------------------------- cards


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "OK"),
        ("pm_card_visa", "OK"),
        ("pm_card_mastercard", "OK"),
        ("pm_card_chargeDeclined", "refused PAYMENT_DECLINED"),
        ("pm_card_chargeDeclinedInsufficientFunds", "refused INSUFFICIENT_FUNDS"),
        ("pm_card_chargeDeclinedExpiredCard", "refused CARD_EXPIRED"),
        ("pm_card_chargeDeclinedIncorrectCvc", "refused INCORRECT_CVC"),
        ("pm_card_chargeDeclinedLostCard", "refused CARD_LOST"),
        ("pm_card_chargeDeclinedStolenCard", "refused CARD_STOLEN"),
        ("pm_card_chargeDeclinedProcessingError", "refused PROCESSING_ERROR"),
        ("pm_card_of_nobody", "refused CARD_TOKEN_UNKNOWN"),
    ],
)
async def test_a_test_card_does_what_it_is_known_for(sandbox: SandboxGateway, token: str | None, code: str) -> None:
    assert code_of(await sandbox.authorize(PI, order(token), "a")) == code
    assert await state_of(sandbox, PI) is (ProviderState.AUTHORIZED if code == "OK" else ProviderState.ABSENT)


async def test_a_declined_reference_can_be_paid_with_another_card(sandbox: SandboxGateway) -> None:
    declined = await sandbox.authorize(PI, order("pm_card_chargeDeclined"), "a1")
    assert declined == Refused("PAYMENT_DECLINED", "The card was declined.")
    assert code_of(await sandbox.authorize(PI, order("pm_card_visa"), "a2")) == "OK"


# ---------------------------------------------------------------------- faults


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
@pytest.mark.parametrize("kind", list(FaultKind))
async def test_a_fault_tells_the_caller_what_it_should_and_the_same_key_finds_out(
    bank: Bank, operation: str, kind: FaultKind
) -> None:
    before, after = {
        "authorize": (ProviderState.ABSENT, ProviderState.AUTHORIZED),
        "capture": (ProviderState.AUTHORIZED, ProviderState.CAPTURED),
        "void": (ProviderState.AUTHORIZED, ProviderState.VOIDED),
        "refund": (ProviderState.CAPTURED, ProviderState.REFUNDED),
    }[operation]
    told, then = {
        FaultKind.LATENCY: ("OK", after),
        FaultKind.SERVER_ERROR: ("unknown PROVIDER_ERROR", before),
        FaultKind.TIMEOUT_BEFORE_EFFECT: ("unknown TIMEOUT", before),
        FaultKind.TIMEOUT_AFTER_EFFECT: ("unknown TIMEOUT", after),
        FaultKind.LATE_EFFECT: ("unknown TIMEOUT", after),
    }[kind]
    async with bank.gateway() as gateway:
        await _brought_to(gateway, before)
        gateway.faults.add(Fault(operation, kind, seconds=60 if kind is FaultKind.LATE_EFFECT else 0.05))
        assert code_of(await _do(gateway, operation, "k")) == told
        if kind is FaultKind.LATE_EFFECT:
            assert await state_of(gateway, PI) is before
        else:
            assert await state_of(gateway, PI) is then
    async with bank.gateway() as later:
        assert await state_of(later, PI) is then
        repeated = await _do(later, operation, "k")
        if kind is FaultKind.SERVER_ERROR:
            assert code_of(repeated) == told
            assert await state_of(later, PI) is before
        else:
            assert code_of(repeated) == "OK"
            assert await state_of(later, PI) is after
    entry = await bank.entry(PI)
    effects = 0 if entry is None else entry.authorizations + entry.captures + entry.voids + entry.refunds
    assert effects == {ProviderState.ABSENT: 0, ProviderState.AUTHORIZED: 1, ProviderState.CAPTURED: 2}[before] + (
        kind is not FaultKind.SERVER_ERROR
    )


async def test_latency_holds_one_answer_up_and_nobody_elses(sandbox: SandboxGateway) -> None:
    loop = asyncio.get_running_loop()
    sandbox.faults.add(Fault("authorize", FaultKind.LATENCY, reference=PI, seconds=0.3))
    began = loop.time()
    slow = asyncio.create_task(_authorized(sandbox))
    await _authorized(sandbox, "pi_2")
    assert not slow.done()
    assert await state_of(sandbox, PI) is ProviderState.ABSENT
    await slow
    assert loop.time() - began >= 0.29


async def test_a_late_effect_and_its_repetition_are_one(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        gateway.faults.add(Fault("authorize", FaultKind.LATE_EFFECT, seconds=60))
        assert isinstance(await gateway.authorize(PI, order(), "a"), Unknown)
        assert code_of(await gateway.authorize(PI, order(), "a")) == "OK"
    entry = await bank.entry(PI)
    assert entry is not None
    assert entry.authorizations == 1


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.LATENCY])
async def test_a_look_whose_answer_is_lost_is_unknown(sandbox: SandboxGateway, kind: FaultKind) -> None:
    await _authorized(sandbox)
    sandbox.faults.add(Fault("read", kind))
    assert code_of(await sandbox.read(PI)) == "unknown TIMEOUT"
    assert await state_of(sandbox, PI) is ProviderState.AUTHORIZED


async def test_faults_happen_as_often_as_they_are_told_to_in_the_order_in_which_they_were_added(
    sandbox: SandboxGateway,
) -> None:
    sandbox.faults.add(Fault("void", FaultKind.SERVER_ERROR))
    sandbox.faults.add(Fault("authorize", FaultKind.TIMEOUT_BEFORE_EFFECT, times=2))
    sandbox.faults.add(Fault("authorize", FaultKind.SERVER_ERROR))
    codes = [code_of(await sandbox.authorize(PI, order(), f"a{number}")) for number in range(4)]
    assert codes == ["unknown TIMEOUT", "unknown TIMEOUT", "unknown PROVIDER_ERROR", "OK"]
    assert code_of(await sandbox.void(PI, "v1")) == "unknown PROVIDER_ERROR"
    assert code_of(await sandbox.void(PI, "v2")) == "OK"


async def test_a_fault_for_one_reference_spares_the_others(sandbox: SandboxGateway) -> None:
    sandbox.faults.add(Fault("authorize", FaultKind.TIMEOUT_BEFORE_EFFECT, reference="pi_2"))
    await _authorized(sandbox, "pi_1")
    assert code_of(await sandbox.authorize("pi_2", order(), "a")) == "unknown TIMEOUT"
    assert code_of(await sandbox.authorize("pi_2", order(), "a")) == "OK"
