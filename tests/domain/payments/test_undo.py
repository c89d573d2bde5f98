"""Whatever the provider has done, and whatever of its answers is lost, undoing ends with no charge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentStatus, ProviderPayment, ProviderState, ensure_no_charge
from domain.payments.undo import LOOKS_MAX
from sandbox import Entry, Fault, FaultKind, SandboxGateway
from tests.domain.payments.bank import PRICE, Bank, books_at, code_of, order, state_of

PI = "pi_1"

LOST = [FaultKind.SERVER_ERROR, FaultKind.TIMEOUT_BEFORE_EFFECT, FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.LATE_EFFECT]
EFFECTS = {
    ProviderState.ABSENT: (PaymentStatus.VOIDED, 1, 0),
    ProviderState.OPEN: (PaymentStatus.VOIDED, 1, 0),
    ProviderState.NEEDS_HOLDER: (PaymentStatus.VOIDED, 1, 0),
    ProviderState.AUTHORIZED: (PaymentStatus.VOIDED, 1, 0),
    ProviderState.CAPTURED: (PaymentStatus.REFUNDED, 0, 1),
    ProviderState.VOIDED: (PaymentStatus.VOIDED, 1, 0),
    ProviderState.REFUNDED: (PaymentStatus.REFUNDED, 0, 1),
}
"""What undoing says from each state, and how often a reference is voided and refunded in all.

`test_late_refunds` has the states in which the provider is still to decide.
"""
STATES = list(EFFECTS)


@dataclass
class _Undo:
    """A compensation as the engine repeats it: under the same keys, or a new round's where the last are spent."""

    round: int = 1
    known: PaymentStatus = PaymentStatus.PENDING
    outcomes: list[str] = field(default_factory=list)

    def key(self, operation: str) -> str:
        return f"c:CANCEL_PAYMENT:{operation}:{self.round}"

    async def once(self, gateway: SandboxGateway) -> Outcome:
        outcome = await ensure_no_charge(gateway, PI, self.key, known=self.known)
        self.outcomes.append(code_of(outcome))
        if isinstance(outcome, Refused):
            # What is at odds does not pass by itself, so an operator hears of it soon; all else may.
            assert outcome.passing or outcome.code in ("PAYMENT_UNKNOWN", "PAYMENT_NOT_CAPTURED")
            self.round += outcome.key_spent
        return outcome

    async def until_done(self, gateway: SandboxGateway) -> Succeeded:
        for _ in range(6):
            outcome = await self.once(gateway)
            if isinstance(outcome, Succeeded):
                return outcome
        raise AssertionError(self.outcomes)


async def _bring_to(gateway: SandboxGateway, bank: Bank, state: ProviderState) -> None:
    match state:
        case ProviderState.ABSENT:
            return
        case ProviderState.OPEN:
            await bank.plant(PI, state)
            return
        case ProviderState.NEEDS_HOLDER:
            assert code_of(await gateway.authorize(PI, order("pm_card_threeDSecure2Required"), "set:a")) == "OK"
        case _:
            assert code_of(await gateway.authorize(PI, order(), "set:a")) == "OK"
    if state in (ProviderState.CAPTURED, ProviderState.REFUNDED):
        assert code_of(await gateway.capture(PI, PRICE, "set:c")) == "OK"
    if state is ProviderState.VOIDED:
        assert code_of(await gateway.void(PI, "set:v")) == "OK"
    if state is ProviderState.REFUNDED:
        assert code_of(await gateway.refund(PI, "set:r")) == "OK"


async def _no_charge(bank: Bank) -> Entry:
    """The books' entry, once all that was late has arrived: nothing is reserved or taken, or can come to be."""
    entry = await bank.entry(PI)
    assert entry is not None
    async with bank.gateway() as later:
        await later.hear(entry.secret, approves=True)
        late = [await later.authorize(PI, order(), "later:a"), await later.capture(PI, PRICE, "later:c")]
        assert all(isinstance(outcome, Refused) for outcome in late), late
    entry = await bank.entry(PI)
    assert entry is not None
    assert entry.state in (ProviderState.VOIDED, ProviderState.REFUNDED)
    assert entry.captures == entry.refunds
    return entry


@pytest.mark.parametrize("state", STATES)
async def test_from_every_state_it_ends_without_a_charge_and_says_how(bank: Bank, state: ProviderState) -> None:
    status, voids, refunds = EFFECTS[state]
    undo = _Undo()
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        for _ in range(2):
            assert await undo.once(gateway) == Succeeded(f"{PI} {status.value.lower()}", status)
    entry = await _no_charge(bank)
    assert (entry.voids, entry.refunds) == (voids, refunds)


async def test_where_there_never_was_a_reference_there_is_nothing_to_undo(sandbox: SandboxGateway) -> None:
    sandbox.faults.add(Fault("read", FaultKind.SERVER_ERROR))
    outcome = await ensure_no_charge(sandbox, None, _Undo().key, known=PaymentStatus.PENDING)
    assert outcome == Succeeded("nothing was charged", PaymentStatus.VOIDED)
    assert sandbox.faults.take("read", PI) is not None


@pytest.mark.parametrize(
    ("known", "state", "code"),
    [
        (PaymentStatus.AUTHORIZED, ProviderState.ABSENT, "PAYMENT_UNKNOWN"),
        (PaymentStatus.CAPTURED, ProviderState.ABSENT, "PAYMENT_UNKNOWN"),
        (PaymentStatus.CAPTURED, ProviderState.OPEN, "PAYMENT_NOT_CAPTURED"),
        (PaymentStatus.CAPTURED, ProviderState.NEEDS_HOLDER, "PAYMENT_NOT_CAPTURED"),
        (PaymentStatus.CAPTURED, ProviderState.AUTHORIZED, "PAYMENT_NOT_CAPTURED"),
        (PaymentStatus.CAPTURED, ProviderState.VOIDED, "PAYMENT_NOT_CAPTURED"),
    ],
)
async def test_where_the_provider_shows_less_than_we_know_nothing_is_undone_and_no_success_said(
    bank: Bank, known: PaymentStatus, state: ProviderState, code: str
) -> None:
    undo = _Undo(known=known)
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        before = await bank.entry(PI)
        for _ in range(2):
            assert code_of(await undo.once(gateway)) == f"refused {code}"
    assert await bank.entry(PI) == before


@pytest.mark.parametrize(
    ("known", "state", "shown"),
    [
        (PaymentStatus.AUTHORIZED, ProviderState.ABSENT, "AUTHORIZED, and the provider does not know it"),
        (PaymentStatus.CAPTURED, ProviderState.OPEN, "CAPTURED, and the provider shows it as OPEN"),
    ],
)
async def test_what_is_at_odds_says_what_we_know_what_is_shown_and_where_to_look(
    bank: Bank, known: PaymentStatus, state: ProviderState, shown: str
) -> None:
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        outcome = await _Undo(known=known).once(gateway)
    assert isinstance(outcome, Refused)
    assert outcome.message == (
        f"Our books say that {PI} was {shown}: look for the money in the account, or the sandbox's books, that it"
        " was taken with."
    )


@pytest.mark.parametrize("state", [ProviderState.AUTHORIZED, ProviderState.CAPTURED])
async def test_what_the_provider_knows_too_is_undone(bank: Bank, state: ProviderState) -> None:
    undo = _Undo(known=PaymentStatus(state.value))
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        for _ in range(2):
            assert code_of(await undo.once(gateway)) == "OK"
    await _no_charge(bank)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("operation", ["read", "void", "refund"])
@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_answer_is_unknown_or_passing_and_the_repetition_undoes_it_once(
    bank: Bank, state: ProviderState, operation: str, kind: FaultKind
) -> None:
    status, voids, refunds = EFFECTS[state]
    undo = _Undo()
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        gateway.faults.add(Fault(operation, kind))
        outcome = await undo.until_done(gateway)
        assert outcome.data is status
    deed = {ProviderState.CAPTURED: "refund", ProviderState.VOIDED: None, ProviderState.REFUNDED: None}
    if operation == "read":
        assert undo.outcomes == ["unknown TIMEOUT", "OK"]
    elif operation != deed.get(state, "void"):
        assert undo.outcomes == ["OK"]
    elif kind is FaultKind.SERVER_ERROR:
        assert undo.outcomes == ["refused PROVIDER_ERROR", "OK"]
        assert undo.round == 2
    else:
        assert undo.outcomes == ["unknown TIMEOUT", "OK"]
        assert undo.round == 1
    entry = await _no_charge(bank)
    assert (entry.voids, entry.refunds) == (voids, refunds)


@pytest.mark.parametrize("state", [ProviderState.ABSENT, ProviderState.AUTHORIZED, ProviderState.CAPTURED])
async def test_a_provider_that_is_down_for_long_is_asked_again_until_it_is_undone(
    bank: Bank, state: ProviderState
) -> None:
    undo = _Undo()
    async with bank.gateway() as gateway:
        await _bring_to(gateway, bank, state)
        deed = "refund" if state is ProviderState.CAPTURED else "void"
        gateway.faults.add(Fault(deed, FaultKind.SERVER_ERROR, times=2))
        gateway.faults.add(Fault(deed, FaultKind.TIMEOUT_BEFORE_EFFECT))
        gateway.faults.add(Fault(deed, FaultKind.TIMEOUT_AFTER_EFFECT))
        await undo.until_done(gateway)
    assert undo.outcomes == [
        "refused PROVIDER_ERROR",
        "refused PROVIDER_ERROR",
        "unknown TIMEOUT",
        "unknown TIMEOUT",
        "OK",
    ]
    assert undo.round == 3
    entry = await _no_charge(bank)
    assert entry.voids + entry.refunds == 1


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("deed", ["authorize", "capture"])
async def test_what_became_of_a_lost_forward_call_does_not_matter(bank: Bank, deed: str, kind: FaultKind) -> None:
    async with bank.gateway() as gateway:
        if deed == "capture":
            await _bring_to(gateway, bank, ProviderState.AUTHORIZED)
        gateway.faults.add(Fault(deed, kind))
        if deed == "authorize":
            lost = await gateway.authorize(PI, order(), "a")
        else:
            lost = await gateway.capture(PI, PRICE, "c")
        assert isinstance(lost, Unknown)
        await _Undo().until_done(gateway)
    await _no_charge(bank)


async def test_an_authorization_that_arrives_after_the_void_is_refused(bank: Bank) -> None:
    async with bank.gateway() as gateway:
        gateway.faults.add(Fault("authorize", FaultKind.LATE_EFFECT, seconds=60))
        assert code_of(await gateway.authorize(PI, order(), "a")) == "unknown TIMEOUT"
        assert await state_of(gateway, PI) is ProviderState.ABSENT
        outcome = await _Undo().once(gateway)
        assert isinstance(outcome, Succeeded)
        assert outcome.data is PaymentStatus.VOIDED
    async with bank.gateway() as later:
        # The late request has been answered by now, under its key.
        assert code_of(await later.authorize(PI, order(), "a")) == "refused PAYMENT_VOIDED"
    entry = await _no_charge(bank)
    assert (entry.authorizations, entry.voids) == (0, 1)


async def test_a_late_void_after_a_lost_answer_is_no_second_one(bank: Bank) -> None:
    undo = _Undo()
    async with bank.gateway() as gateway:
        gateway.faults.add(Fault("authorize", FaultKind.LATE_EFFECT, seconds=60))
        gateway.faults.add(Fault("void", FaultKind.LATE_EFFECT, seconds=60))
        assert isinstance(await gateway.authorize(PI, order(), "a"), Unknown)
        assert isinstance(await undo.once(gateway), Unknown)
        assert isinstance(await undo.once(gateway), Succeeded)
    entry = await _no_charge(bank)
    assert (entry.authorizations, entry.voids) == (0, 1)


# ---------------------------------------------------------------------- others at work at the same time


class _Raced(SandboxGateway):
    """A sandbox at which others act just before one of our own requests arrives; what they do is scripted."""

    def __init__(self, bank: Bank) -> None:
        super().__init__(books_at(bank.kind, bank.target))
        self.others = SandboxGateway(self.books)
        self.scripts: dict[tuple[str, int], Callable[[], Awaitable[Outcome]]] = {}
        self.arrived: dict[str, int] = {}

    def just_before(self, operation: str, number: int, act: Callable[[], Awaitable[Outcome]]) -> None:
        """Let `act` happen before the `number`th request for `operation`, counted from 1."""
        self.scripts[operation, number] = act

    async def read(self, reference: str) -> Outcome:
        await self._act("read")
        return await super().read(reference)

    async def void(self, reference: str, key: str) -> Outcome:
        await self._act("void")
        return await super().void(reference, key)

    async def refund(self, reference: str, key: str) -> Outcome:
        await self._act("refund")
        return await super().refund(reference, key)

    async def _act(self, operation: str) -> None:
        self.arrived[operation] = self.arrived.get(operation, 0) + 1
        act = self.scripts.pop((operation, self.arrived[operation]), None)
        if act is not None:
            assert code_of(await act()) == "OK"


@asynccontextmanager
async def _raced(bank: Bank) -> AsyncIterator[_Raced]:
    gateway = _Raced(bank)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def test_a_capture_between_the_look_and_the_void_is_seen_and_refunded(bank: Bank) -> None:
    async with _raced(bank) as gateway:
        await _bring_to(gateway, bank, ProviderState.AUTHORIZED)
        gateway.just_before("void", 1, lambda: gateway.others.capture(PI, PRICE, "c"))
        outcome = await _Undo().once(gateway)
        assert isinstance(outcome, Succeeded)
        assert outcome.data is PaymentStatus.REFUNDED
        assert gateway.arrived == {"read": 2, "void": 1, "refund": 1}
    entry = await _no_charge(bank)
    assert (entry.captures, entry.voids, entry.refunds) == (1, 0, 1)


async def test_an_authorization_between_the_look_and_the_void_is_voided(bank: Bank) -> None:
    async with _raced(bank) as gateway:
        gateway.just_before("void", 1, lambda: gateway.others.authorize(PI, order(), "a"))
        outcome = await _Undo().once(gateway)
        assert isinstance(outcome, Succeeded)
        assert outcome.data is PaymentStatus.VOIDED
    entry = await _no_charge(bank)
    assert (entry.authorizations, entry.voids) == (1, 1)


@pytest.mark.parametrize(
    ("state", "status"),
    [(ProviderState.AUTHORIZED, PaymentStatus.VOIDED), (ProviderState.CAPTURED, PaymentStatus.REFUNDED)],
)
@pytest.mark.parametrize("before", ["deed", "second look"])
async def test_what_another_has_undone_meanwhile_is_a_success(
    bank: Bank, state: ProviderState, status: PaymentStatus, before: str
) -> None:
    async with _raced(bank) as gateway:
        await _bring_to(gateway, bank, state)
        deed = "void" if state is ProviderState.AUTHORIZED else "refund"
        undo_of_another = gateway.others.void if deed == "void" else gateway.others.refund
        if before == "deed":
            gateway.just_before(deed, 1, lambda: undo_of_another(PI, "another"))
        else:
            gateway.faults.add(Fault(deed, FaultKind.SERVER_ERROR))
            gateway.just_before("read", 2, lambda: undo_of_another(PI, "another"))
        assert await _Undo().once(gateway) == Succeeded(f"{PI} {status.value.lower()}", status)
    entry = await _no_charge(bank)
    assert entry.voids + entry.refunds == 1


async def test_a_capture_between_an_answered_fault_and_the_second_look_is_refunded_by_the_repetition(
    bank: Bank,
) -> None:
    undo = _Undo()
    async with _raced(bank) as gateway:
        await _bring_to(gateway, bank, ProviderState.AUTHORIZED)
        gateway.faults.add(Fault("void", FaultKind.SERVER_ERROR))
        gateway.just_before("read", 2, lambda: gateway.others.capture(PI, PRICE, "c"))
        assert code_of(await undo.once(gateway)) == "unknown PROVIDER_ERROR"
        outcome = await undo.until_done(gateway)
        assert outcome.data is PaymentStatus.REFUNDED
    assert (await _no_charge(bank)).refunds == 1


async def test_a_fault_whose_second_look_is_lost_too_is_unknown_and_the_repetition_takes_a_new_round(
    bank: Bank,
) -> None:
    undo = _Undo()
    async with _raced(bank) as gateway:
        await _bring_to(gateway, bank, ProviderState.AUTHORIZED)
        gateway.faults.add(Fault("read", FaultKind.LATENCY, seconds=0))
        gateway.faults.add(Fault("read", FaultKind.SERVER_ERROR))
        gateway.faults.add(Fault("void", FaultKind.SERVER_ERROR))
        await undo.until_done(gateway)
    # The second attempt is answered with the stored 500 of the first: only then is its key known to be spent.
    assert undo.outcomes == ["unknown PROVIDER_ERROR", "refused PROVIDER_ERROR", "OK"]
    assert undo.round == 2
    assert (await _no_charge(bank)).voids == 1


# ---------------------------------------------------------------------- a provider that contradicts itself


class _Scripted(SandboxGateway):
    """A sandbox whose looks answer `look` whatever the books say."""

    def __init__(self, bank: Bank, look: Outcome) -> None:
        super().__init__(books_at(bank.kind, bank.target))
        self.look = look
        self.looks = 0

    async def read(self, reference: str) -> Outcome:
        self.looks += 1
        return self.look


async def test_a_state_that_never_holds_still_is_looked_at_a_few_times_and_left_for_the_next_attempt(
    bank: Bank,
) -> None:
    undo = _Undo()
    gateway = _Scripted(bank, Succeeded(data=ProviderPayment(PI, ProviderState.AUTHORIZED)))
    await gateway.start()
    await _bring_to(gateway, bank, ProviderState.CAPTURED)
    assert code_of(await undo.once(gateway)) == "refused PAYMENT_CAPTURED"
    assert gateway.looks == LOOKS_MAX
    await gateway.close()
    async with bank.gateway() as honest:
        assert (await undo.until_done(honest)).data is PaymentStatus.REFUNDED
    await _no_charge(bank)


class _Heard(SandboxGateway):
    """A sandbox that keeps the key of each void and refund, and answers them with `answer` where there is one."""

    def __init__(self, bank: Bank, answer: Outcome | None = None) -> None:
        super().__init__(books_at(bank.kind, bank.target))
        self.answer = answer
        self.keys: list[str] = []

    async def void(self, reference: str, key: str) -> Outcome:
        self.keys.append(key)
        return self.answer or await super().void(reference, key)

    async def refund(self, reference: str, key: str) -> Outcome:
        self.keys.append(key)
        return self.answer or await super().refund(reference, key)


DEEDS = pytest.mark.parametrize(
    ("state", "deed"), [(ProviderState.AUTHORIZED, "void"), (ProviderState.CAPTURED, "refund")]
)


@DEEDS
async def test_each_deed_has_the_key_of_its_round(bank: Bank, state: ProviderState, deed: str) -> None:
    gateway = _Heard(bank)
    await gateway.start()
    await _bring_to(gateway, bank, state)
    assert code_of(await _Undo(round=3).once(gateway)) == "OK"
    assert gateway.keys == [f"c:CANCEL_PAYMENT:{deed}:3"]
    await gateway.close()


@DEEDS
@pytest.mark.parametrize("key_spent", [True, False])
async def test_a_refusal_that_a_provider_would_only_repeat_needs_a_new_round(
    bank: Bank, state: ProviderState, deed: str, key_spent: bool
) -> None:
    gateway = _Heard(bank, Refused("NOT_YET", "Not yet.", key_spent=key_spent))
    await gateway.start()
    await _bring_to(gateway, bank, state)
    expected = Refused("NOT_YET", "Not yet.", passing=True, key_spent=key_spent)
    assert await _Undo().once(gateway) == expected
    await gateway.close()


@DEEDS
async def test_an_answered_fault_without_effect_is_told_in_the_providers_words_and_needs_a_new_round(
    bank: Bank, state: ProviderState, deed: str
) -> None:
    gateway = _Heard(bank, Unknown("PROVIDER_ERROR", "The provider broke."))
    await gateway.start()
    await _bring_to(gateway, bank, state)
    expected = Refused("PROVIDER_ERROR", "The provider broke.", passing=True, key_spent=True)
    assert await _Undo().once(gateway) == expected
    assert gateway.keys == [f"c:CANCEL_PAYMENT:{deed}:1"]
    await gateway.close()


async def test_a_look_that_is_refused_is_not_the_last_word(bank: Bank) -> None:
    undo = _Undo()
    gateway = _Scripted(bank, Refused("NO_ACCESS", "The key has no access."))
    await gateway.start()
    await _bring_to(gateway, bank, ProviderState.AUTHORIZED)
    outcome = await undo.once(gateway)
    assert outcome == Refused("NO_ACCESS", "The key has no access.", passing=True)
    await gateway.close()
    async with bank.gateway() as honest:
        await undo.until_done(honest)
    await _no_charge(bank)
