"""The model is like the product wherever the product is pure, or can be asked what it would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import pytest

from domain import payments
from domain.clock import SECOND
from domain.money import Money
from domain.outcome import NotSent, Refused, Succeeded, Unknown
from domain.outcome import Outcome as Answered
from domain.payments import NeedsHolder, PaymentOrder, ProviderPayment, ProviderState
from domain.saga import (
    Batch,
    Compensation,
    Direction,
    Local,
    Phase,
    RetryPolicy,
    SagaDefinition,
    SagaStatus,
    SettleVerdict,
    Wait,
    Waiting,
)
from domain.saga import Step as SagaStep
from domain.saga.machine import Run
from sandbox import ledger
from tests.model.protocol import Protocol, walk_protocol, weigh
from tests.model.provider import Operation, Provider, Reply, Request
from tests.model.row import ATTEMPTS_MAX, HOLD_TICKS, STEP_BUDGET_TICKS, WAIT_TICKS, Outcome, Row, Step
from tests.model.state import Call, Stage


class Nothing(msgspec.Struct):
    """These sagas carry nothing."""


async def _never(batch: Batch[Nothing]) -> Sequence[SettleVerdict]:
    raise AssertionError("only the machine runs here")


#: The model has no time for budgets: what was tried often enough has spent it.
BUDGET_SECONDS: Final = 1_000
POLICY: Final = RetryPolicy(refusals_max=ATTEMPTS_MAX, budget_seconds=BUDGET_SECONDS)
DEFINITION: Final = SagaDefinition(
    "MODEL",
    1,
    Nothing,
    tuple(
        SagaStep(
            step.name,
            Local(_never),
            Compensation(f"UNDO_{step.name}", Local(_never), POLICY),
            POLICY,
            pins=step is Step.CONFIRM,
            can_wait=step is Step.AUTHORIZE,
        )
        for step in Step
    ),
    pivot=Step.CONFIRM.name,
)
#: Tries that are not sent end by the step's budget before the hold: here it is as short as the model's.
PROMPT: Final = replace(
    DEFINITION,
    steps=tuple(
        replace(step, policy=replace(POLICY, budget_seconds=STEP_BUDGET_TICKS / SECOND)) for step in DEFINITION.steps
    ),
)
AWAY: Final = NotSent("PROVIDER_UNREACHABLE", "Connection refused.")
BEGAN: Final = 1_000
"""The model's first instant by the machine's clock, which is never at 0."""
OUTCOMES: Final[Mapping[Outcome, Refused | Unknown]] = {
    Outcome.REFUSED: Refused("REFUSED", "No."),
    Outcome.KEY_SPENT: Refused("PROVIDER_ERROR", "500.", passing=True, key_spent=True),
    Outcome.UNKNOWN: Unknown("TIMEOUT", "Nothing was heard."),
}


def _run(row: Row, now: int, definition: SagaDefinition = DEFINITION) -> Run:
    """The machine's run that stands as `row` does."""
    at = BEGAN + now
    waits = row.status is SagaStatus.WAITING
    return Run(
        wait=Wait("CARD", BEGAN, BEGAN + WAIT_TICKS) if waits else None,
        word=str(row.word) if row.word else None,
        word_at=BEGAN if row.word else None,
        definition=definition,
        id="saga",
        correlation_id="correlation",
        status=row.status,
        direction=row.direction,
        phase=row.phase,
        position=row.position,
        attempt=row.attempt,
        round=row.round,
        uncertain=row.uncertain,
        attempted_since=at - (BUDGET_SECONDS * SECOND if row.attempt >= ATTEMPTS_MAX else 0),
        effects=row.effects,
        context=Nothing(),
        simulation=None,
        due_at=at,
        deadline_at=None if row.position == Step.RESERVE else BEGAN + HOLD_TICKS,
        pinned_at=None if row.pinned_at is None else BEGAN + row.pinned_at,
        cancel_requested_at=at if row.cancel_requested else None,
        hold_expired_at=at if row.hold_expired else None,
        retry_requested_at=at if row.retry_requested else None,
        skip_step=None,
        skip_reason=None,
        given_up=False,
        epoch=row.epoch,
        sequence=1,
        failure=None,
        started_at=0,
        finished_at=None,
        at=at,
    )


def _row(run: Run, owner: str | None) -> Row:
    """What of a run the model knows."""
    return Row(
        status=run.status,
        direction=run.direction,
        phase=run.phase,
        position=run.position,
        attempt=min(run.attempt, ATTEMPTS_MAX + 1),
        round=run.round,
        uncertain=run.uncertain,
        effects=run.effects,
        pinned_at=None if run.pinned_at is None else run.pinned_at - BEGAN,
        cancel_requested=run.cancel_requested_at is not None,
        hold_expired=run.hold_expired_at is not None,
        retry_requested=run.retry_requested_at is not None,
        word=int(run.word or 0),
        # Which card is tried is the feature's to know.
        card=0,
        owner=owner,
        epoch=run.epoch,
    )


def _moves(row: Row, now: int) -> Iterator[tuple[str, Row, Run]]:
    """All that can happen to a row: what, and where it leads in the model and in the machine."""
    if row.status is SagaStatus.WAITING:
        yield from _moves_of_waiting(row, now)
        if not row.word:
            return
    elif row.position == Step.AUTHORIZE and row.is_forward:
        for round_spent in (False, True):
            run = _run(row, now)
            run.begin_wait(Waiting(BEGAN + WAIT_TICKS, "CARD", round_spent=round_spent))
            yield f"wait, {round_spent=}", row.begin_wait(round_spent=round_spent), run
    if row.phase is Phase.READY:
        run = _run(row, now)
        run.start_attempt()
        run.start_call()
        yield "call", row.start_attempt().start_call(), run
        run = _run(row, now)
        run.retry_now()
        yield "retry", row._replace(retry_requested=False), run
        if row.position != Step.RESERVE:
            yield from _moves_of_unsent(row, now)
        if row.is_forward and row.pinned_at is None:
            run = _run(row, now)
            run.cancel()
            yield "cancel", row.turn_round(), run
            run = _run(row, now)
            run.expire()
            yield "expire", row._replace(hold_expired=True).turn_round(), run
        row = row.start_attempt().start_call()
    run = _run(row, now)
    run.complete(Succeeded())
    yield "complete", row.complete(now), run
    for outcome, answered in OUTCOMES.items():
        for proven in (True, False):
            run = _run(row, now)
            run.fall_short(answered, proven=proven)
            yield f"{outcome}, {proven=}", row.fall_short(outcome, now, proven=proven), run


def _moves_of_unsent(row: Row, now: int) -> Iterator[tuple[str, Row, Run]]:
    """A call that does not leave: what it was to pin is pinned with its attempt."""
    pins = row.is_forward and row.position == Step.CONFIRM and row.pinned_at is None
    begun = row.start_attempt().start_call()
    if pins:
        begun = begun._replace(pinned_at=now)
    for pin_is_late in (False, True):
        run = _run(row, now, PROMPT)
        before = run.footing
        run.start_attempt()
        if pins:
            run.pin()
        run.start_call()
        if pin_is_late:
            if row.pinned_at is None or now < HOLD_TICKS:
                return
            run.at += STEP_BUDGET_TICKS
        run.not_sent(AWAY, before)
        yield f"not sent, {pin_is_late=}", begun.not_sent(row.footing, now, pin_is_late=pin_is_late), run


def _moves_of_waiting(row: Row, now: int) -> Iterator[tuple[str, Row, Run]]:
    run = _run(row, now)
    run.cancel()
    yield "cancel while it waits", row.turn_round(), run
    run = _run(row, now)
    assert run.is_wait_over == (not row.word and now >= WAIT_TICKS)
    run.expire()
    yield "expire while it waits", row._replace(hold_expired=True).turn_round(), run


def test_the_row_moves_as_the_sagas_machine_does() -> None:
    walked = [state for words in (0, 1) for state in walk_protocol(Protocol(None, 1, 1, words)).states]
    stands = {(state.row, state.now) for state in walked if not state.row.is_over}
    compared = 0
    for row, now in stands:
        for what, modelled, run in _moves(row, now):
            compared += 1
            assert modelled._replace(card=0) == _row(run, row.owner), f"{what} of {row} at {now}"
    assert compared > 1_000


#: The model's refunds are final at once, and nobody disputes its charges.
_MODELLED: Final = [
    state
    for state in ProviderState
    if state not in (ProviderState.REFUND_PENDING, ProviderState.DISPUTED, ProviderState.CHARGED_BACK)
]


@pytest.mark.parametrize("state", _MODELLED)
@pytest.mark.parametrize("operation", Operation)
def test_the_provider_does_what_the_sandboxs_ledger_does(state: ProviderState, operation: Operation) -> None:
    provider, reply = Provider(state=state).answer(Request(operation, Step.AUTHORIZE, 1))
    entry = None if state is ProviderState.ABSENT else ledger.Entry("reference", state, 100, "USD")
    entry, answer = ledger.apply(entry, ledger.Request(operation.value, "reference", "key", 100, "USD"))
    assert (reply is Reply.OK) == (answer.code == "OK")
    assert provider.state is (entry.state if entry else ProviderState.ABSENT)
    effects = (provider.authorizations, provider.captures, provider.voids, provider.refunds)
    assert effects == ((entry.authorizations, entry.captures, entry.voids, entry.refunds) if entry else (0, 0, 0, 0))


FAILED: Final = Unknown("PROVIDER_ERROR", "500.")


class FailingGateway:
    """Answers every deed with a 500, or `deeds`, and shows `looks`, the last of them for ever; None: it is away."""

    name = "failing"
    takes_our_reference = True

    def __init__(self, *looks: ProviderState | None, deeds: Answered = FAILED) -> None:
        self.looks = list(looks)
        self.deeds = deeds
        self.asked: list[str] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def open(self, order: PaymentOrder, key: str) -> Answered:
        return self._fail("open")

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Answered:
        return self._fail("authorize")

    async def capture(self, reference: str, amount: Money, key: str) -> Answered:
        return self._fail("capture")

    async def void(self, reference: str, key: str) -> Answered:
        return self._fail("void")

    async def refund(self, reference: str, key: str) -> Answered:
        return self._fail("refund")

    async def read(self, reference: str) -> Answered:
        shown = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if shown is None:
            return AWAY
        holder = NeedsHolder() if shown is ProviderState.NEEDS_HOLDER else None
        return Succeeded(data=ProviderPayment(reference, shown, holder))

    def _fail(self, operation: str) -> Answered:
        self.asked.append(operation)
        return self.deeds


def _modelled(answered: Answered) -> Outcome:
    match answered:
        case Succeeded():
            return Outcome.SUCCEEDED
        case Refused(key_spent=True, passing=True):
            return Outcome.KEY_SPENT
        case Refused():
            return Outcome.REFUSED
        case Unknown():
            return Outcome.UNKNOWN
        case NotSent():
            return Outcome.NOT_SENT


def _call(direction: Direction, position: int, stage: Stage, found: ProviderState | None = None) -> Call:
    return Call("A", 1, direction, position, 1, 1, stage, found=found)


#: The model has no card that asks its holder.
_AUTHORIZED: Final = [state for state in _MODELLED if state is not ProviderState.NEEDS_HOLDER]


@pytest.mark.parametrize("shown", _AUTHORIZED)
async def test_a_call_that_was_answered_500_weighs_what_it_reads_as_the_product_does(shown: ProviderState) -> None:
    amount = Money(100, "USD")
    gateway = FailingGateway(shown)
    authorized = await payments.authorize(gateway, "reference", PaymentOrder("correlation", amount), "key")
    assert _modelled(authorized) is weigh(_call(Direction.FORWARD, Step.AUTHORIZE, Stage.WEIGH), shown)
    captured = await payments.capture(gateway, "reference", amount, "key")
    assert _modelled(captured) is weigh(_call(Direction.FORWARD, Step.CONFIRM, Stage.WEIGH), shown)


@pytest.mark.parametrize("first", _MODELLED)
@pytest.mark.parametrize("then", _MODELLED)
async def test_an_undo_that_was_answered_500_weighs_what_it_reads_as_the_product_does(
    first: ProviderState, then: ProviderState
) -> None:
    gateway = FailingGateway(first, then)
    answered = await payments.ensure_no_charge(gateway, "reference", str, known=payments.PaymentStatus.PENDING)
    outcome = weigh(_call(Direction.BACKWARD, Step.AUTHORIZE, Stage.LOOK), first)
    if outcome is None:
        asked = _call(Direction.BACKWARD, Step.AUTHORIZE, Stage.UNDO, first).request
        assert asked is not None
        assert gateway.asked == [asked.operation.value]
        outcome = weigh(_call(Direction.BACKWARD, Step.AUTHORIZE, Stage.WEIGH_UNDO, first), then)
    else:
        assert gateway.asked == []
    assert _modelled(answered) is outcome


async def test_a_call_of_which_nothing_left_was_not_sent_and_any_other_is_unknown() -> None:
    order, seen = PaymentOrder("correlation", Money(100, "USD")), ProviderState.AUTHORIZED

    async def authorize(gateway: FailingGateway) -> Outcome:
        return _modelled(await payments.authorize(gateway, "reference", order, "key"))

    async def undo(gateway: FailingGateway) -> Outcome:
        known = payments.PaymentStatus.PENDING
        return _modelled(await payments.ensure_no_charge(gateway, "reference", str, known=known))

    assert await authorize(FailingGateway(None, deeds=AWAY)) is Outcome.NOT_SENT
    assert await authorize(FailingGateway(None)) is Outcome.UNKNOWN
    assert await undo(FailingGateway(None)) is Outcome.NOT_SENT
    assert await undo(FailingGateway(seen, deeds=AWAY)) is Outcome.NOT_SENT
    assert await undo(FailingGateway(seen, None)) is Outcome.UNKNOWN
