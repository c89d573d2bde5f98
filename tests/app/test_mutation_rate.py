"""A caller's mutations in time: a burst, then so many a minute, each alias counted, and nobody else touched."""

from __future__ import annotations

from typing import Any, Final

import pytest

from app.http.rates import MutationRate
from schema.context import Viewer
from schema.execution import Executable, Execution, Rejected
from schema.root import create_schema

SCHEMA: Final = Executable(create_schema())
ADA: Final = Viewer("ada", is_operator=False)
BOB: Final = Viewer("bob", is_operator=False)
OPERATOR: Final = Viewer("operator", is_operator=True)
ID: Final = "0197a9a0-0000-7000-8000-000000000001"
CANCEL: Final = f'cancelSaga(input: {{correlationId: "{ID}"}}) {{ saga {{ id }} }}'


class Clock:
    """Seconds, as the test moves them."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate(clock: Clock) -> MutationRate:
    """Six a minute, hence one in ten seconds; three at once."""
    return MutationRate(per_minute=6, burst=3, now=clock)


def begun(text: str) -> Execution:
    execution = SCHEMA.begin(text)
    assert isinstance(execution, Execution), execution
    return execution


def mutations(number: int) -> Execution:
    return begun("mutation {" + " ".join(f"a{n}: {CANCEL}" for n in range(number)) + "}")


def admitted(rate: MutationRate, number: int = 1, viewer: Viewer = ADA) -> bool:
    return isinstance(rate.admit(viewer, mutations(number)), Execution)


def refusal(rate: MutationRate, execution: Execution, viewer: Viewer = ADA) -> dict[str, Any]:
    answer = rate.admit(viewer, execution)
    assert isinstance(answer, Rejected)
    (error,) = answer.errors
    return {"message": error.message, **(error.extensions or {})}


def test_after_a_burst_a_caller_is_told_when_the_next_may_come(rate: MutationRate, clock: Clock) -> None:
    assert [admitted(rate) for _ in range(3)] == [True] * 3
    assert refusal(rate, mutations(1)) == {
        "message": "One caller may send 6 mutations a minute; try again in 10 s.",
        "code": "LIMIT_EXCEEDED",
        "limit": 6,
        "retryAfterSeconds": 10,
    }
    clock.seconds += 6.5
    assert refusal(rate, mutations(1))["retryAfterSeconds"] == 4
    clock.seconds += 3.5
    assert admitted(rate)
    assert not admitted(rate)


def test_who_comes_back_when_told_is_let_in(rate: MutationRate, clock: Clock) -> None:
    assert admitted(rate, 3)
    for number in (1, 2, 3):
        clock.seconds += refusal(rate, mutations(number))["retryAfterSeconds"]
        assert admitted(rate, number)


def test_over_a_long_time_it_is_the_rate_however_often_one_asks(rate: MutationRate, clock: Clock) -> None:
    let_in = 0
    for _ in range(6_000):
        let_in += admitted(rate)
        clock.seconds += 0.1
    assert let_in == 3 + 59, "the first three, and one every ten seconds of ten minutes"


def test_every_alias_counts_and_an_operation_is_let_in_whole_or_takes_nothing(rate: MutationRate) -> None:
    assert admitted(rate, 2)
    assert refusal(rate, mutations(2))["retryAfterSeconds"] == 10
    assert admitted(rate, 1)


def test_mutations_in_fragments_count_and_what_is_said_twice_counts_once(rate: MutationRate) -> None:
    text = f"mutation {{ __typename ...F ... {{ b: {CANCEL} }} }} fragment F on Mutation {{ a: {CANCEL} b: {CANCEL} }}"
    assert begun(text).root_fields == 2
    assert isinstance(rate.admit(ADA, begun(text)), Execution)
    assert admitted(rate, 1)
    assert not admitted(rate, 1)


def test_an_operation_that_no_pause_would_let_in_is_refused_for_good(rate: MutationRate) -> None:
    refused = refusal(rate, mutations(4))
    assert refused == {
        "message": "One operation may have at most 3 mutations; this one has 4.",
        "code": "LIMIT_EXCEEDED",
        "limit": 3,
    }
    assert admitted(rate, 3), "and took nothing"


def test_others_operators_queries_and_subscriptions_are_not_counted(rate: MutationRate) -> None:
    assert admitted(rate, 3)
    assert admitted(rate, 3, BOB)
    for _ in range(10):
        assert admitted(rate, 30, OPERATOR)
        for text in ("{ airports { code } }", f'subscription {{ saga(correlationId: "{ID}") {{ id }} }}'):
            assert isinstance(rate.admit(ADA, begun(text)), Execution)
    assert not admitted(rate)


def test_what_was_rejected_before_stays_so_and_takes_nothing(rate: MutationRate) -> None:
    rejected = SCHEMA.begin("mutation { nothing }")
    assert isinstance(rejected, Rejected)
    for _ in range(10):
        assert rate.admit(ADA, rejected) is rejected
    assert admitted(rate, 3)


def test_callers_are_forgotten_once_they_have_been_quiet(rate: MutationRate, clock: Clock) -> None:
    for number in range(1_000):
        assert admitted(rate, viewer=Viewer(f"caller {number}", is_operator=False))
        clock.seconds += 0.1
    # Each is full again after ten seconds, in which a hundred come.
    assert rate.callers <= 101


def test_of_a_crowd_the_longest_unseen_are_forgotten_first(clock: Clock) -> None:
    rate = MutationRate(per_minute=6, burst=3, now=clock, callers_max=100)
    assert admitted(rate, 3)
    for number in range(99):
        assert admitted(rate, 3, Viewer(f"caller {number}", is_operator=False))
    assert not admitted(rate)
    for number in range(99, 150):
        assert admitted(rate, 3, Viewer(f"caller {number}", is_operator=False))
    assert rate.callers == 100
    assert not admitted(rate, 1, Viewer("caller 149", is_operator=False))
    assert admitted(rate), "forgotten, so its bucket is full"
