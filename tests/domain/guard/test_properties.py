"""Any order of what sagas, the provider, operators and time may do: the limits hold, and every place comes back."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.gate import Lane
from domain.guard import GuardLimits
from domain.guard.line import PASSED_OVER_MAX
from domain.outcome import Unknown
from tests.domain.guard.provider import AWAY, BUSY, DONE, Guarded

_LANES = st.sampled_from(list(Lane))
_OUTCOMES = st.sampled_from([DONE, DONE, DONE, AWAY, BUSY, Unknown("TIMEOUT", "No answer."), None])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), _LANES),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("answer"), st.integers(0, 20), _OUTCOMES, st.integers(0, 4)),
        st.tuples(st.just("leave line"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.floats(0.0, 20.0)),
        st.tuples(st.just("pause")),
        st.tuples(st.just("resume")),
        st.tuples(st.just("replicas"), st.integers(1, 4)),
    ),
    max_size=60,
)


def _do(provider: Guarded, step: tuple[Any, ...]) -> None:
    match step:
        case ("enter", lane):
            provider.enter(lane)
        case ("again", number):
            saga = f"saga-{number}"
            if saga in provider.lanes and saga not in provider.out:
                provider.enter(provider.lanes[saga], saga=saga)
        case ("answer", number, outcome, requests) if provider.out:
            provider.answer(list(provider.out)[number % len(provider.out)], outcome, requests=requests)
        case ("leave line", number):
            saga = f"saga-{number}"
            if saga not in provider.out:
                provider.guard.leave(saga, None)
        case ("wait", seconds):
            provider.wait(seconds)
        case ("pause",):
            provider.guard.set_paused("A reason.")
        case ("resume",):
            provider.guard.set_paused(None)
        case ("replicas", number):
            provider.set_replicas(number)


@settings(max_examples=150, deadline=None)
@given(calls_max=st.integers(1, 6), per_second=st.none() | st.integers(1, 50), steps=_STEPS)
def test_the_limits_hold_and_every_place_comes_back(
    calls_max: int, per_second: int | None, steps: list[tuple[Any, ...]]
) -> None:
    provider = Guarded(GuardLimits(calls_max, None if per_second is None else float(per_second), learns_rate=True))
    for step in steps:
        before = len(provider.called)
        was_shut = provider.guard.standing.state.is_shut
        _do(provider, step)
        assert len(provider.out) <= calls_max
        assert provider.guard.standing.places <= calls_max
        if was_shut and step[0] in ("enter", "again", "answer"):
            assert len(provider.called) == before
    provider.guard.set_paused(None)
    provider.set_replicas(1)
    # From now on all is well: everybody in line is called, and everything comes back.
    for _ in range(500):
        if not provider.waiting and not provider.out:
            break
        provider.answer_all(requests=1)
        provider.wait(10.0)
    assert provider.waiting == 0
    provider.wait(60.0)
    assert provider.guard.standing.places == 0


@settings(max_examples=100, deadline=None)
@given(lanes=st.lists(_LANES, min_size=1, max_size=60), calls_max=st.integers(1, 4))
def test_undoing_goes_first_and_none_starves(lanes: list[Lane], calls_max: int) -> None:
    provider = Guarded(GuardLimits(calls_max))
    for saga in provider.enter_many(calls_max):
        assert saga in provider.out
    sagas = [provider.enter(lane)[0] for lane in lanes]
    provider.called.clear()
    while provider.waiting:
        waiting = {lane: number for lane, number in provider.guard.standing.waiting.items() if number}
        provider.answer(next(iter(provider.out)))
        provider.wait()
        called = provider.lanes[provider.called[-1]]
        highest = next(lane for lane in Lane if lane in waiting)
        if called is not highest:
            # A lower lane had its turn because it was passed over that often.
            recent = [provider.lanes[saga] for saga in provider.called[-PASSED_OVER_MAX - 1 : -1]]
            assert len(recent) == PASSED_OVER_MAX
            assert called not in recent
    assert sorted(provider.called) == sorted(sagas)
    for lane in Lane:
        own = [saga for saga in sagas if provider.lanes[saga] is lane]
        assert [saga for saga in provider.called if provider.lanes[saga] is lane] == own


@settings(max_examples=60, deadline=None)
@given(
    per_second=st.integers(2, 60),
    requests=st.integers(1, 3),
    answer_seconds=st.sampled_from([0.0, 0.05, 0.4]),
)
def test_no_long_time_has_more_requests_than_the_rate(per_second: int, requests: int, answer_seconds: float) -> None:
    provider = Guarded(GuardLimits(10_000, float(per_second)))
    provider.enter_many(8 * per_second)
    began = provider.now
    while provider.now < began + 12.0:
        provider.answer_all(requests=requests)
        provider.wait(max(answer_seconds, 0.02))
    # The first places are given before their requests are measured, and one place may be in debt.
    spare = 2 * requests * (1 + per_second * max(answer_seconds, 0.02))
    for start in (began, began + 3.0, began + 7.0):
        made = sum(start <= at < start + 4.0 for at in provider.requests)
        assert made <= 4 * per_second + spare
