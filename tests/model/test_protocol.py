"""No order of events breaks a promise; without any one rule some order does, and its shortest trace is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest

from domain.payments import ProviderState
from domain.saga import SagaStatus
from domain.seats import SeatReservationStatus
from tests.model.explorer import Move, TooManyStatesError, walk
from tests.model.flaws import Flaw
from tests.model.guarantees import Guarantee
from tests.model.protocol import Protocol, walk_protocol

#: What breaks which promise, with how much going wrong: troubles of the provider, interruptions of replicas; how many
#: cards are said, where the saga waits for one; whether a gate stands before the provider, and whether that goes away.
BROKEN: Final[Sequence[tuple[Any, ...]]] = [
    (Flaw.FENCE_AFTER_EFFECTS, Guarantee.STRANGER_NEVER_WRITES, 0, 1),
    (Flaw.FENCE_AFTER_EFFECTS, Guarantee.COMPENSATED_IS_FREE, 0, 1),
    (Flaw.NO_FENCE, Guarantee.STRANGER_NEVER_WRITES, 0, 1),
    (Flaw.NO_FENCE, Guarantee.END_IS_STABLE, 0, 1),
    (Flaw.PIN_BEFORE_LOCK, Guarantee.LAPSED_NEVER_CONFIRMED, 0, 0),
    (Flaw.SWEEP_BEFORE_LOCK, Guarantee.ONE_OWNER, 0, 0),
    (Flaw.PIN_WITHOUT_SIGNALS, Guarantee.PIN_DECIDES, 0, 0),
    (Flaw.CANCEL_AFTER_PIN, Guarantee.PIN_DECIDES, 0, 0),
    (Flaw.SWEEP_AFTER_PIN, Guarantee.PIN_DECIDES, 0, 0),
    (Flaw.UNKNOWN_IS_FAILED, Guarantee.COMPENSATED_IS_FREE, 1, 0),
    (Flaw.ABSENT_IS_UNDONE, Guarantee.COMPENSATED_IS_FREE, 1, 0),
    (Flaw.ROUND_NEVER_RAISED, Guarantee.CAN_END, 1, 1),
    (Flaw.ROUND_RAISED_UNPROVEN, Guarantee.COMPENSATED_IS_FREE, 1, 0),
    (Flaw.KEY_PER_ATTEMPT, Guarantee.EFFECT_ONCE, 1, 0),
    (Flaw.ANY_ANSWER_BELIEVED, Guarantee.COMPLETED_IS_PAID, 0, 2),
    (Flaw.ANY_ANSWER_BELIEVED, Guarantee.COMPENSATED_IS_FREE, 0, 2),
    (Flaw.OLD_ANSWER_OVERWRITES, Guarantee.CAN_END, 0, 2),
    (Flaw.NO_FENCE, Guarantee.WORD_COUNTS_ONCE, 0, 1, 1),
    (Flaw.WORD_KEPT, Guarantee.WORD_COUNTS_ONCE, 1, 0, 1),
    (Flaw.WORD_JUDGED_BEFORE_LOCK, Guarantee.WORD_IN_TIME, 0, 0, 1),
    (Flaw.CARD_UNPROVEN, Guarantee.ONE_CARD, 1, 0, 2),
    (Flaw.CARD_UNPROVEN, Guarantee.COMPENSATED_IS_FREE, 1, 0, 1),
    (Flaw.UNSENT_COUNTS, Guarantee.UNSENT_IS_NOTHING, 1, 0),
    (Flaw.UNSENT_CLEARS_DOUBT, Guarantee.COMPENSATED_IS_FREE, 2, 0),
    (Flaw.UNSENT_CLEARS_DOUBT, Guarantee.UNSENT_IS_NOTHING, 2, 0),
    (Flaw.UNSENT_KEEPS_PIN, Guarantee.PIN_IS_EARNED, 1, 0),
    (Flaw.UNSENT_FOR_EVER, Guarantee.CAN_END, 1, 0, 0, False, True),
    (Flaw.UNSENT_FOR_EVER, Guarantee.CAN_END, 1, 0, 0, True, True),
    (Flaw.UNSENT_AFTER_SENT, Guarantee.COMPENSATED_IS_FREE, 2, 0),
    (Flaw.LINE_IN_MEMORY, Guarantee.CAN_END, 0, 1, 0, True),
    (Flaw.LINE_DEAF, Guarantee.CAN_END, 0, 0, 0, True, True),
    (Flaw.PLACE_KEPT, Guarantee.PLACE_COMES_BACK, 0, 0, 0, True),
    (Flaw.BEGUN_IN_LINE, Guarantee.LINE_IS_NOTHING, 0, 0, 0, True),
]


@pytest.mark.parametrize(
    ("faults", "states", "depth"),
    [
        ((0, 0), 107, 14),
        ((2, 1), 33_803, 30),
        ((1, 2), 76_310, 31),
        ((2, 1, 2), 39_780, 32),
        ((1, 1, 0, True, True), 27_672, 29),
        ((2, 0, 1, True, True), 7_285, 29),
    ],
)
def test_whatever_happens_in_whatever_order_no_promise_is_broken(
    faults: Sequence[Any], states: int, depth: int
) -> None:
    walked = walk_protocol(Protocol(None, *faults), states_max=2 * states)
    assert walked.trace is None, f"\n{walked.trace}"
    # The numbers that the package's docstring names: a move that is lost by accident shows here.
    assert (len(walked.states), walked.depth) == (states, depth)


@pytest.mark.parametrize(
    ("flaw", "guarantee", "faults"),
    [pytest.param(*row[:2], row[2:], id="-".join([row[0].name, row[1].name, *map(str, row[2:])])) for row in BROKEN],
)
def test_without_the_rule_a_promise_is_broken(flaw: Flaw, guarantee: Guarantee, faults: Sequence[Any]) -> None:
    walked = walk_protocol(Protocol(flaw, *faults), guarantee, states_max=50_000)
    print(f"{flaw.value}, after {len(walked.states):,} states:\n{walked.trace}")
    assert walked.trace is not None
    assert walked.trace.broken == guarantee
    assert len(walked.trace.lines) >= 3


def test_every_rule_is_needed_and_every_promise_can_be_broken() -> None:
    assert {flaw for flaw, *_ in BROKEN} == set(Flaw)
    assert {guarantee for _, guarantee, *_ in BROKEN} == set(Guarantee)


def test_the_walk_meets_every_state_that_the_product_has_names_for() -> None:
    states = walk_protocol(Protocol(None, 1, 1)).states
    waiting = walk_protocol(Protocol(None, 1, 1, 1)).states
    assert {state.row.status for state in waiting} - {state.row.status for state in states} == {SagaStatus.WAITING}
    # ABANDONED takes an operator's skip, PARKED a damaged row, OPEN a provider that makes its own references,
    # NEEDS_HOLDER a card that asks.
    assert {state.row.status for state in states} == set(SagaStatus) - {
        SagaStatus.WAITING,
        SagaStatus.ABANDONED,
        SagaStatus.PARKED,
    }
    assert {state.provider.state for state in states} == set(ProviderState) - {
        ProviderState.OPEN,
        ProviderState.NEEDS_HOLDER,
        ProviderState.REFUND_PENDING,
        ProviderState.DISPUTED,
        ProviderState.CHARGED_BACK,
    }
    assert {state.seat.reservation for state in states} == {None, *SeatReservationStatus}
    assert {state.row.epoch for state in states} == {1, 2}
    # An authorization that is still to land when all is over, at a reference that will refuse it.
    late = {state.provider.state for state in states if state.row.is_over and state.wire}
    assert late == {ProviderState.VOIDED}


def test_the_shortest_trace_to_a_broken_promise_is_told() -> None:
    def count(number: int) -> list[Move[int]]:
        return [Move("add one", number + 1), Move("double", number * 2)]

    found = walk(
        1,
        count,
        lambda before, after: "Never ten." if after == 10 else None,
        ends=lambda number: False,
        doomed=None,
        alike=lambda number: number,
    )
    assert found.trace is not None
    assert found.trace.lines == ("add one", "double", "add one", "double")
    assert str(found.trace).splitlines()[-2:] == ["     -> Never ten.", "     10"]


def test_a_walk_without_end_is_given_up() -> None:
    with pytest.raises(TooManyStatesError, match="more than 1,000"):
        walk(
            0,
            lambda number: [Move("add one", number + 1)],
            lambda before, after: None,
            ends=lambda number: False,
            doomed=None,
            alike=lambda number: number,
            states_max=1_000,
        )


def test_a_state_that_only_luck_leads_out_of_is_doomed() -> None:
    ways = {
        "start": [Move("walk", "hall"), Move("fall", "pit", is_fair=False)],
        "pit": [Move("hope", "hall", is_fair=False)],
    }
    found = walk(
        "start",
        lambda place: ways.get(place, []),
        lambda before, after: None,
        ends=lambda place: place == "hall",
        doomed="One can always get out.",
        alike=lambda place: place,
    )
    assert found.trace is not None
    assert (found.trace.lines, found.trace.last) == (("fall",), "pit")
