"""When whoever is refused should come back: once what is in flight will have ended, at the pace of the last seconds."""

from __future__ import annotations

import pytest

from domain.saga.throughput import MEMORY_SECONDS, RETRY_SECONDS_MAX, RETRY_SECONDS_UNKNOWN, Throughput


class Clock:
    """Seconds, as the test moves them."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def paced(clock: Clock, *, drawn: float = 0.0) -> Throughput:
    return Throughput(now=clock, draw=lambda: drawn)


def run(pace: Throughput, clock: Clock, *, sagas_per_second: float, seconds: float) -> None:
    """So many sagas end, evenly, ten times a second."""
    for _ in range(round(seconds * 10)):
        clock.seconds += 0.1
        pace.note(round(sagas_per_second / 10))


@pytest.mark.parametrize("seconds", [1, 5, 60])
def test_the_rate_is_true_from_the_first_second_on(seconds: float) -> None:
    clock = Clock()
    pace = paced(clock)
    run(pace, clock, sagas_per_second=200, seconds=seconds)
    assert pace.sagas_per_second == pytest.approx(200, rel=0.05)


def test_a_new_pace_is_known_within_the_memory() -> None:
    clock = Clock()
    pace = paced(clock)
    run(pace, clock, sagas_per_second=1_000, seconds=60)
    run(pace, clock, sagas_per_second=10, seconds=5 * MEMORY_SECONDS)
    assert pace.sagas_per_second == pytest.approx(10, rel=1)


@pytest.mark.parametrize(("active", "expected"), [(0, 1), (10, 1), (1_000, 10), (2_050, 21), (5_900, 59), (50_000, 60)])
def test_the_wait_is_how_long_what_is_in_flight_will_take(active: int, expected: int) -> None:
    clock = Clock()
    pace = paced(clock)
    run(pace, clock, sagas_per_second=100, seconds=60)
    assert pace.retry_after_seconds(active) == pytest.approx(expected, abs=1)


def test_those_who_are_refused_together_come_back_spread_over_half_as_long_again() -> None:
    clock = Clock()
    waits = []
    for drawn in (0.0, 0.5, 0.999):
        pace = paced(clock, drawn=drawn)
        run(pace, clock, sagas_per_second=100, seconds=60)
        waits.append(pace.retry_after_seconds(2_000))
    assert waits == pytest.approx([20, 25, 30], abs=1)


def test_before_anything_has_ended_the_wait_is_short_and_once_nothing_ends_any_more_it_is_long() -> None:
    clock = Clock()
    pace = paced(clock)
    clock.seconds += 3_600
    pace.begin()
    assert pace.sagas_per_second == 0
    assert pace.retry_after_seconds(100) == RETRY_SECONDS_UNKNOWN

    run(pace, clock, sagas_per_second=100, seconds=30)
    waits = []
    for _ in range(8):
        waits.append(pace.retry_after_seconds(1_000))
        clock.seconds += MEMORY_SECONDS
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_SECONDS_MAX

    clock.seconds += 1e9
    assert pace.retry_after_seconds(1) == RETRY_SECONDS_MAX
    assert pace.retry_after_seconds(10**9) == RETRY_SECONDS_MAX


def test_where_nothing_ever_ends_the_wait_grows() -> None:
    clock = Clock()
    pace = paced(clock)
    waits = []
    for _ in range(40):
        waits.append(pace.retry_after_seconds(100))
        clock.seconds += 1
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (RETRY_SECONDS_UNKNOWN, RETRY_SECONDS_MAX)


def test_the_first_few_that_end_are_not_taken_for_the_pace_of_all() -> None:
    clock = Clock()
    pace = paced(clock)
    clock.seconds += 1
    pace.note(1)
    assert pace.retry_after_seconds(100) <= 2 * RETRY_SECONDS_UNKNOWN


def test_an_idle_night_does_not_make_the_morning_slow() -> None:
    clock = Clock()
    pace = paced(clock)
    run(pace, clock, sagas_per_second=100, seconds=30)
    clock.seconds += 8 * 3600
    pace.begin()
    assert pace.retry_after_seconds(1_000) == pytest.approx(10, abs=1)
