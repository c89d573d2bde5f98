"""What the guard promises: limits, order, places that come back, the breaker and its waves."""

from __future__ import annotations

import threading

import pytest

from domain.gate import Entry, Lane
from domain.guard import BreakerState, GuardLimits
from domain.guard.breaker import FAILURES_MIN, PROBE_SECONDS_MAX, WAVE_CALLS_MAX
from domain.guard.guard import PAUSED_RETRY_SECONDS, PLACE_SECONDS_MAX, UNTAKEN_SECONDS_MAX
from domain.guard.line import PASSED_OVER_MAX
from domain.guard.rate import START_PER_SECOND
from domain.outcome import NotSent, Outcome, Refused, Unknown
from tests.domain.guard.provider import AWAY, BUSY, DONE, Guarded

WIDE = GuardLimits(calls_max=1_000)


# ---------------------------------------------------------------------- calls at once


def test_no_more_calls_are_out_than_the_limit_and_the_others_stand_in_line() -> None:
    provider = Guarded(GuardLimits(calls_max=3))
    sagas = provider.enter_many(5)
    assert list(provider.out) == sagas[:3]
    assert provider.waiting == 2


def test_who_stands_in_line_is_called_in_order_as_places_come_back() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    sagas = provider.enter_many(4)
    for number in range(1, 4):
        provider.answer(sagas[number - 1])
        provider.wait()
        assert provider.called == sagas[: number + 1]
    assert provider.waiting == 0


def test_a_saga_that_asks_again_keeps_its_one_place() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    saga, _ = provider.enter()
    assert provider.enter(saga=saga)[1] is Entry.PERMIT
    assert provider.guard.standing.places == 1
    provider.answer(saga)
    assert provider.guard.standing.places == 0


def test_a_saga_that_has_taken_its_place_is_not_told_of_it() -> None:
    """Else the engine, whose saga does not stand in line any more, would leave the place of a call that is out."""
    provider = Guarded(GuardLimits(calls_max=1))
    first, _ = provider.enter(Lane.UNDO)
    waiting, _ = provider.enter(Lane.BEGIN)
    told: list[str] = []
    provider.guard.attach(told.append)
    provider.answer(first)
    confirming, entry = provider.enter(Lane.CONFIRM)
    assert entry is Entry.PERMIT, "it goes before those that wait to begin"
    provider.guard.look()
    provider.answer(confirming)
    assert provider.enter(saga=waiting)[1] is Entry.PERMIT
    provider.guard.look()
    assert told == []


def test_a_saga_that_asks_again_in_line_stands_there_once() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    provider.enter()
    saga, _ = provider.enter()
    assert provider.enter(saga=saga)[1] is Entry.LINE
    assert provider.waiting == 1


def test_leaving_is_idempotent_and_knows_no_saga_by_name() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    saga, _ = provider.enter()
    other, _ = provider.enter()
    for gone in (saga, saga, other, other, "nobody"):
        provider.guard.leave(gone, None)
    assert provider.guard.standing.places == 0
    assert provider.waiting == 0
    assert provider.enter()[1] is Entry.PERMIT


def test_a_place_from_the_line_that_nobody_takes_goes_to_the_next() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    first, _ = provider.enter()
    gone, _ = provider.enter()
    last, _ = provider.enter()
    del provider.lanes[gone]
    provider.answer(first)
    provider.wait(UNTAKEN_SECONDS_MAX - 1)
    assert last not in provider.out
    provider.wait(2)
    assert list(provider.out) == [last]


def test_a_place_whose_call_is_never_heard_of_again_is_taken_back() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    provider.enter()
    other, _ = provider.enter()
    provider.wait(PLACE_SECONDS_MAX + 2)
    assert other in provider.out


def test_replicas_share_the_limit_and_each_has_one_call_at_least() -> None:
    for replicas, places in ((1, 8), (2, 4), (3, 2), (20, 1)):
        provider = Guarded(GuardLimits(calls_max=8), replicas=replicas)
        provider.enter_many(10)
        assert len(provider.out) == places


def test_a_replica_that_comes_later_takes_its_share_as_places_come_back() -> None:
    provider = Guarded(GuardLimits(calls_max=4))
    sagas = provider.enter_many(8)
    provider.set_replicas(2)
    for saga in sagas[:2]:
        provider.answer(saga)
        provider.wait()
    assert len(provider.out) == 2
    provider.answer_all()
    provider.wait()
    assert len(provider.out) == 2


def test_limits_that_are_not_shared_are_each_replicas_own() -> None:
    provider = Guarded(GuardLimits(calls_max=8, is_shared=False), replicas=4)
    provider.enter_many(10)
    assert len(provider.out) == 8


# ---------------------------------------------------------------------- lanes


def test_undoing_goes_before_confirming_and_that_before_beginning() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    first, _ = provider.enter()
    begin, confirm, undo = (provider.enter(lane)[0] for lane in (Lane.BEGIN, Lane.CONFIRM, Lane.UNDO))
    for saga in (first, undo, confirm):
        provider.answer(saga)
        provider.wait()
    assert provider.called == [first, undo, confirm, begin]


def test_a_saga_that_turns_round_in_line_goes_to_the_end_of_its_new_lane() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    first, _ = provider.enter()
    turned, _ = provider.enter(Lane.BEGIN)
    undo, _ = provider.enter(Lane.UNDO)
    assert provider.enter(Lane.UNDO, saga=turned)[1] is Entry.LINE
    assert provider.waiting == 2
    for saga in (first, undo):
        provider.answer(saga)
        provider.wait()
    assert provider.called == [first, undo, turned]


def test_no_lane_starves_while_higher_ones_never_end() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    provider.enter(Lane.UNDO)
    lowest, _ = provider.enter(Lane.BEGIN)
    provider.enter_many(10 * PASSED_OVER_MAX, Lane.UNDO)
    provider.enter_many(10 * PASSED_OVER_MAX, Lane.CONFIRM)
    for _ in range(2 * PASSED_OVER_MAX + 2):
        provider.answer_all()
        provider.wait()
    assert lowest in provider.called


# ---------------------------------------------------------------------- the rate


def test_no_second_has_more_requests_than_are_set() -> None:
    provider = Guarded(GuardLimits(calls_max=1_000, per_second=20))
    provider.enter_many(300)
    for _ in range(4_000):
        provider.answer_all(requests=1)
        provider.wait(0.005)
    times = provider.requests
    assert len(times) == 300
    assert all(sum(began <= at < began + 1.0 for at in times) <= 20 for began in times)


def test_the_rate_that_is_set_is_nearly_used() -> None:
    provider = Guarded(GuardLimits(calls_max=1_000, per_second=20))
    provider.enter_many(400)
    for _ in range(2_000):
        provider.answer_all(requests=1)
        provider.wait(0.005)
    assert len(provider.requests) >= 170


def test_requests_that_were_not_foreseen_are_a_debt_of_the_later_ones() -> None:
    provider = Guarded(GuardLimits(calls_max=1_000, per_second=10))
    provider.enter_many(100)
    for _ in range(400):
        provider.answer_all(requests=5)
        provider.wait(0.05)
    # Each second has its limit, and once the five requests of one place beyond it.
    assert len(provider.requests) <= 10 * 20 + 5


def test_a_place_that_is_not_used_gives_back_its_requests() -> None:
    provider = Guarded(GuardLimits(calls_max=1_000, per_second=1))
    saga, _ = provider.enter()
    del provider.out[saga]
    provider.guard.leave(saga, None)
    assert provider.enter()[1] is Entry.PERMIT


def test_a_refusal_with_a_time_is_obeyed_by_all() -> None:
    provider = Guarded(WIDE)
    saga, _ = provider.enter()
    provider.answer(saga, BUSY)
    assert provider.enter()[1] is Entry.LINE
    provider.wait(1.9)
    assert not provider.out
    provider.wait(0.2)
    assert provider.out


def test_refusals_lower_the_rate_and_it_rises_again_slowly() -> None:
    provider = Guarded(GuardLimits(calls_max=1_000, per_second=100))
    provider.enter_many(50)
    for _ in range(20):
        provider.answer_all(requests=1)
        provider.wait(0.05)
    saga, _ = provider.enter()
    provider.wait(1)
    provider.answer(saga, BUSY)
    lowered = provider.guard.standing.per_second
    assert lowered is not None
    assert lowered < 100
    for _ in range(200):
        provider.enter_many(20)
        provider.answer_all(requests=1)
        provider.wait(1)
    risen = provider.guard.standing.per_second
    assert risen is not None
    assert lowered < risen <= 100


def test_once_any_is_served_again_the_rate_is_soon_what_it_was_before_all_was_refused() -> None:
    provider = Guarded(GuardLimits(calls_max=64, per_second=20))
    provider.enter_many(2_000)
    for _ in range(50):
        provider.answer_all()
        provider.wait(0.1)
    before = len(provider.requests)
    for _ in range(600):
        for saga in list(provider.out):
            provider.answer(saga, NotSent("PROVIDER_BUSY", "Too many.", 1.0))
            provider.enter(saga=saga)
        provider.wait(0.1)
    assert len(provider.requests) - before <= 60
    sunk = provider.guard.standing.per_second
    assert sunk is not None
    assert sunk < 1
    for _ in range(200):
        provider.answer_all()
        provider.wait(0.1)
    risen = provider.guard.standing.per_second
    assert risen is not None
    assert 10 < risen <= 20


def test_refusals_that_come_together_lower_the_rate_once() -> None:
    one, many = (Guarded(GuardLimits(calls_max=1_000, per_second=100)) for _ in range(2))
    one.answer(one.enter()[0], BUSY)
    for saga in many.enter_many(5):
        many.answer(saga, BUSY)
    assert one.guard.standing.per_second == many.guard.standing.per_second


def _limited(provider: Guarded, *, sagas: int, limit: int, seconds: int) -> tuple[int, int]:
    """Sagas of two requests at a provider that takes `limit` a second; returns calls done, and requests refused."""
    waiting = provider.enter_many(sagas)
    done, refused = 0, 0
    again: list[tuple[float, str]] = []
    for _ in range(seconds * 100):
        for saga in list(provider.out):
            second = int(provider.now)
            used = sum(int(at) == second for at in provider.requests)
            if used >= limit:
                refused += 1
                provider.answer(saga, NotSent("PROVIDER_BUSY", "Too many.", 1.0), requests=1)
                again.append((provider.now + 1.0, saga))
            else:
                provider.answer(saga, requests=2)
                done += 1
        for at, saga in list(again):
            if at <= provider.now:
                again.remove((at, saga))
                provider.enter(saga=saga)
        provider.wait(0.01)
        if done == len(waiting):
            break
    return done, refused


def test_an_unknown_limit_is_learned_at_the_cost_of_few_refusals() -> None:
    provider = Guarded(GuardLimits(calls_max=64, learns_rate=True))
    done, refused = _limited(provider, sagas=200, limit=25, seconds=60)
    assert done == 200
    assert refused <= len(provider.requests) * 0.05


def test_a_rate_that_is_learned_begins_low_and_ends_without_a_limit() -> None:
    provider = Guarded(GuardLimits(calls_max=10_000, learns_rate=True))
    assert provider.guard.standing.per_second == START_PER_SECOND
    provider.enter_many(9_000)
    for _ in range(2_000):
        provider.answer_all(requests=1)
        provider.wait(0.01)
    assert provider.guard.standing.per_second is None


def test_a_lone_call_waits_for_nothing_even_before_the_rate_is_learned() -> None:
    provider = Guarded(GuardLimits(calls_max=64, learns_rate=True))
    for _ in range(20):
        saga, entry = provider.enter()
        assert entry is Entry.PERMIT
        provider.answer(saga, requests=2)
        provider.wait(0.2)


# ---------------------------------------------------------------------- the breaker


def _fail(provider: Guarded, number: int = FAILURES_MIN, outcome: Outcome = AWAY) -> None:
    for saga in provider.enter_many(number):
        provider.answer(saga, outcome)


@pytest.mark.parametrize(
    "outcome",
    [
        AWAY,
        NotSent("PROVIDER_ACCESS_DENIED", "The key is not accepted."),
        Unknown("TIMEOUT", "No answer."),
        Refused("PROVIDER_ERROR", "The provider answered 500.", passing=True, key_spent=True),
    ],
    ids=lambda outcome: outcome.code,
)
def test_failures_open_it_and_then_nothing_passes(outcome: Outcome) -> None:
    provider = Guarded(WIDE)
    _fail(provider, outcome=outcome)
    assert provider.state == "OPEN"
    assert provider.enter()[1] is Entry.SHUT
    assert not provider.out


@pytest.mark.parametrize(
    "outcome", [DONE, BUSY, Refused("INSUFFICIENT_FUNDS", "No money."), Unknown("PROVIDER_BUSY", "In progress.")]
)
def test_an_answer_never_opens_it(outcome: Outcome) -> None:
    provider = Guarded(WIDE)
    for _ in range(20):
        _fail(provider, outcome=outcome)
        provider.wait(3)
    assert provider.state == "CLOSED"


def test_few_failures_among_many_answers_do_not_open_it() -> None:
    provider = Guarded(WIDE)
    for _ in range(40):
        _fail(provider, 2, DONE)
        _fail(provider, 2)
    assert provider.state == "CLOSED"


def test_failures_of_long_ago_do_not_count() -> None:
    provider = Guarded(WIDE)
    _fail(provider, FAILURES_MIN - 1)
    provider.wait(120)
    _fail(provider, FAILURES_MIN - 1)
    assert provider.state == "CLOSED"


def test_one_probe_then_growing_waves_close_it() -> None:
    provider = Guarded(WIDE)
    _fail(provider)
    provider.enter_many(200)
    waves = []
    provider.wait(1.1)
    while provider.state == "HALF_OPEN":
        waves.append(provider.answer_all())
        provider.wait()
    assert waves == [1, 2, 4, 8, WAVE_CALLS_MAX]
    assert provider.state == "CLOSED"
    assert provider.waiting == 0


def test_probes_come_ever_more_seldom_while_the_provider_is_away() -> None:
    provider = Guarded(GuardLimits(calls_max=64))
    provider.enter_many(100)
    for _ in range(7_200):
        # A saga whose call did not leave stands in line again.
        for saga in list(provider.out):
            provider.answer(saga, AWAY)
            provider.enter(saga=saga)
        provider.wait(1)
    assert len(provider.called) <= 300
    assert provider.waiting == 100
    back = provider.now
    while provider.waiting or provider.out:
        provider.answer_all()
        provider.wait(0.1)
    assert provider.now - back <= PROBE_SECONDS_MAX + 5


def test_a_wave_that_fails_opens_it_again() -> None:
    provider = Guarded(WIDE)
    _fail(provider)
    provider.enter_many(50)
    provider.wait(1.1)
    provider.answer_all()
    provider.wait()
    assert len(provider.out) == 2
    provider.answer_all(AWAY)
    provider.wait()
    assert provider.state == "OPEN"
    assert not provider.out
    provider.wait(1.5)
    assert provider.state == "OPEN", "the second wait is longer than the first"


def test_a_saga_whose_calls_alone_fail_does_not_open_the_breaker() -> None:
    provider = Guarded(WIDE)
    for _ in range(10 * FAILURES_MIN):
        for hopeless in ("one", "two"):
            provider.enter(Lane.UNDO, saga=hopeless)
            provider.answer(hopeless, Unknown("PROVIDER_UNCLEAR", "The answer was not understood."))
        provider.wait(5)
    assert provider.state == "CLOSED"


def test_a_saga_whose_calls_alone_fail_does_not_keep_the_breaker_open() -> None:
    provider = Guarded(WIDE)
    for saga in provider.enter_many(FAILURES_MIN):
        provider.answer(saga, AWAY)
    provider.enter(Lane.BEGIN, saga="waits")
    provider.enter(Lane.UNDO, saga="hopeless")
    provider.wait(5)
    provider.answer("hopeless", AWAY)
    assert provider.state == "OPEN"
    provider.enter(Lane.UNDO, saga="hopeless")
    provider.wait(5)
    provider.answer("hopeless", AWAY)
    provider.wait()
    assert list(provider.out) == ["waits"]


def test_it_closes_also_if_there_are_never_as_many_calls_as_a_wave_takes() -> None:
    provider = Guarded(WIDE)
    _fail(provider)
    provider.wait(2)
    for _ in range(5):
        assert provider.state == "HALF_OPEN"
        saga, entry = provider.enter()
        assert entry is Entry.PERMIT
        provider.answer(saga)
        provider.wait()
    assert provider.state == "CLOSED"


def test_a_probe_that_is_not_used_is_another_sagas() -> None:
    provider = Guarded(WIDE)
    _fail(provider)
    provider.enter_many(2)
    provider.wait(1.1)
    (probe,) = provider.out
    provider.answer(probe, None, requests=0)
    provider.wait()
    assert len(provider.out) == 1
    assert probe not in provider.out


def test_answers_of_calls_from_before_do_not_judge_a_wave() -> None:
    provider = Guarded(WIDE)
    late = provider.enter_many(10)
    _fail(provider, 12)
    provider.enter()
    provider.wait(1.1)
    for saga in late:
        provider.answer(saga, AWAY)
    assert provider.state == "HALF_OPEN"


def test_turns_are_told_with_their_reason_and_how_many_wait() -> None:
    provider = Guarded(WIDE)
    _fail(provider)
    provider.enter_many(3)
    provider.wait(1.1)
    assert [(turn.before, turn.after) for turn in provider.turns] == [
        (BreakerState.CLOSED, BreakerState.OPEN),
        (BreakerState.OPEN, BreakerState.HALF_OPEN),
    ]
    assert provider.turns[0].reason == f"{AWAY.code}: {AWAY.message}"
    assert provider.turns[1].waiting == 3


# ---------------------------------------------------------------------- an operator's pause


def test_nothing_passes_while_it_is_paused_and_a_few_at_first_afterwards() -> None:
    provider = Guarded(WIDE)
    provider.guard.set_paused("The provider asked us to.")
    assert provider.enter()[1] is Entry.SHUT
    provider.enter_many(9)
    provider.wait(3_600)
    assert not provider.out
    assert provider.guard.standing.reason == "The provider asked us to."
    provider.guard.set_paused(None)
    provider.wait()
    assert provider.state == "HALF_OPEN"
    assert provider.guard.standing.reason is None, "what was said of the pause is over"
    assert len(provider.out) == 1
    while provider.out:
        provider.answer_all()
        provider.wait()
    assert len(provider.called) == 10


def test_calls_that_are_out_at_a_pause_end_and_places_that_are_not_taken_are_lost() -> None:
    provider = Guarded(GuardLimits(calls_max=2))
    first, second = provider.enter_many(2)
    third, _ = provider.enter()
    given: list[str] = []
    provider.guard.attach(given.append)
    provider.answer(first)
    provider.guard.look()
    assert given == [third]
    provider.guard.set_paused("Now.")
    assert provider.guard.enter(third, Lane.BEGIN) is Entry.SHUT
    provider.answer(second)
    assert provider.guard.standing.places == 0


def test_a_pause_outlasts_the_breakers_own_turns() -> None:
    provider = Guarded(WIDE)
    calls = provider.enter_many(2 * FAILURES_MIN)
    provider.guard.set_paused("Now.")
    for saga in calls:
        provider.answer(saga, AWAY)
    provider.wait(600)
    assert provider.state == "PAUSED"
    provider.guard.set_paused(None)
    assert provider.state == "HALF_OPEN"


def test_those_who_must_pay_now_hear_when_to_come_back() -> None:
    provider = Guarded(WIDE)
    assert provider.guard.unavailable_seconds is None
    _fail(provider)
    assert provider.guard.unavailable_seconds == 1
    provider.wait(1.1)
    assert provider.guard.unavailable_seconds is None, "HALF_OPEN accepts"
    provider.guard.set_paused("Now.")
    assert provider.guard.unavailable_seconds == PAUSED_RETRY_SECONDS


# ---------------------------------------------------------------------- threads


def test_it_rings_when_a_place_comes_back_to_a_line_from_any_thread() -> None:
    provider = Guarded(GuardLimits(calls_max=1))
    saga, _ = provider.enter()
    provider.enter()
    rang: list[str] = []
    provider.guard.ring(lambda: rang.append(threading.current_thread().name))
    thread = threading.Thread(target=provider.answer, args=(saga,), name="connection")
    thread.start()
    thread.join()
    assert rang == ["connection"]
    assert len(provider.called) == 1, "places from the line are given by look alone"
    provider.guard.look()
    assert len(provider.called) == 2
