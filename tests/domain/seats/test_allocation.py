"""Who gets which seats."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seats import CabinClass, FlightWish, SeatWish, cabin_seats, seat_index, seat_number
from domain.seats.allocation import Allocated, Missing, allocate

ECONOMY, BUSINESS, FIRST = CabinClass.ECONOMY, CabinClass.BUSINESS, CabinClass.FIRST
ALL = (1 << 162) - 1


def seats(numbers: str) -> tuple[int, ...]:
    found = tuple(seat_index(number) for number in numbers.split())
    assert None not in found
    return tuple(seat for seat in found if seat is not None)


def bits(numbers: str) -> int:
    return sum(1 << seat for seat in seats(numbers))


def wish(passengers: int, *segments: FlightWish) -> SeatWish:
    return SeatWish("saga", "correlation", segments, passengers)


def numbers(allocated: Allocated | Missing) -> str:
    assert isinstance(allocated, Allocated)
    return " / ".join(" ".join(map(seat_number, each)) for each in allocated.seats)


@pytest.mark.parametrize(
    ("cabin", "passengers", "free", "given"),
    [
        pytest.param(ECONOMY, 1, None, "4A", id="front to back"),
        pytest.param(ECONOMY, 1, "9F 9B 12A", "9B", id="the first that is free"),
        pytest.param(FIRST, 1, None, "1A", id="first begins in row 1"),
        pytest.param(BUSINESS, 1, None, "3A", id="business begins in row 3"),
        pytest.param(BUSINESS, 1, "2F 1F 3F", "3F", id="business leaves rows 1 and 2 to the last"),
        pytest.param(BUSINESS, 2, "3A 1A 1B", "1A 1B", id="together before row 3"),
        pytest.param(BUSINESS, 7, None, "3A 3B 3C 3D 3E 3F 2A", id="business overflows into the next row"),
        pytest.param(ECONOMY, 3, None, "4A 4B 4C", id="side by side"),
        pytest.param(ECONOMY, 2, "4C 4D 5E 5F", "5E 5F", id="not across the aisle where it can be helped"),
        pytest.param(ECONOMY, 2, "4A 4C 5C 5D 6A 7B", "5C 5D", id="else across the aisle"),
        pytest.param(ECONOMY, 3, "4B 4C 4D 5A 5B 5C", "5A 5B 5C", id="three on one side before three across"),
        pytest.param(ECONOMY, 2, "4C 4D 5C 5D", "4C 4D", id="the first row of those that are as good"),
        pytest.param(ECONOMY, 4, "4A 4B 4C 4E 5B 5C 5D 5E", "5B 5C 5D 5E", id="four must cross it"),
        pytest.param(ECONOMY, 2, "4A 5A 5F 6A", "5A 5F", id="one row before two"),
        pytest.param(ECONOMY, 2, "4A 4E 4F 4C 5A 5C", "4E 4F", id="the closest in a row"),
        pytest.param(ECONOMY, 2, "4A 8A 9A", "8A 9A", id="rows near one another"),
        pytest.param(ECONOMY, 3, "4A 5A 6A 9A 9B 12A", "6A 9A 9B", id="the fewest rows"),
        pytest.param(ECONOMY, 4, "4A 4B 5A 6A 6B", "4A 4B 6A 6B", id="the fullest rows, also beyond an emptier one"),
        pytest.param(ECONOMY, 7, "4A 4B 4C 4D 5A 5B 6A 6B 6C 6D 6E 6F 7A", "5A 5B 6A 6B 6C 6D 6E", id="seven"),
        pytest.param(ECONOMY, 9, "4A 5A 6A 7A 8A 9A 10A 11A 27F", "4A 5A 6A 7A 8A 9A 10A 11A 27F", id="scattered"),
    ],
)
def test_a_party_gets_the_best_seats_there_are(
    cabin: CabinClass, passengers: int, free: str | None, given: str
) -> None:
    available = ALL if free is None else bits(free)
    (answer,) = allocate([wish(passengers, FlightWish(1, cabin))], {1: available})
    assert numbers(answer) == given


def test_a_whole_cabin_may_be_chosen() -> None:
    chosen = tuple(cabin_seats(FIRST))
    (answer,) = allocate([wish(len(chosen), FlightWish(1, FIRST, chosen))], {1: ALL})
    assert answer == Allocated((chosen,))


def test_seats_are_checked_on_every_flight_also_after_one_where_none_are_chosen() -> None:
    with pytest.raises(ValueError, match="different seats must be chosen"):
        wish(2, FlightWish(1, ECONOMY), FlightWish(2, ECONOMY, seats("20F")))


def test_chosen_seats_are_given_as_they_were_chosen() -> None:
    (answer,) = allocate([wish(2, FlightWish(1, ECONOMY, seats("20F 9A")))], {1: ALL})
    assert numbers(answer) == "20F 9A"


def test_a_taken_seat_is_named_and_not_replaced() -> None:
    (answer,) = allocate([wish(2, FlightWish(7, ECONOMY, seats("20F 9A")))], {7: ALL & ~bits("9A")})
    assert isinstance(answer, Missing)
    assert answer.message == "Already taken on flight 7: 9A."


def test_a_full_cabin_is_named_with_what_is_left() -> None:
    (answer,) = allocate([wish(2, FlightWish(7, FIRST))], {7: ALL & ~bits("1A 1B 1C 1D 1E 1F 2A 2B 2C 2D 2E")})
    assert isinstance(answer, Missing)
    assert answer.message == "FIRST on flight 7: 2 wanted, 1 left."


def test_a_flight_without_seats_has_none_left() -> None:
    (answer,) = allocate([wish(1, FlightWish(7, FIRST))], {})
    assert isinstance(answer, Missing)
    assert answer.left == 0


def test_a_seat_of_rows_1_and_2_is_sold_once_as_either_cabin() -> None:
    free = {1: bits("1A")}
    answers = allocate([wish(1, FlightWish(1, FIRST)), wish(1, FlightWish(1, BUSINESS))], free)
    assert [type(answer) for answer in answers] == [Allocated, Missing]


def test_earlier_wishes_choose_first() -> None:
    wishes = [wish(2, FlightWish(1, ECONOMY)), wish(1, FlightWish(1, ECONOMY)), wish(2, FlightWish(1, ECONOMY))]
    assert [numbers(answer) for answer in allocate(wishes, {1: ALL})] == ["4A 4B", "4C", "4D 4E"]


def test_a_wish_that_fails_leaves_everything_to_the_next() -> None:
    there, back = FlightWish(1, ECONOMY), FlightWish(2, ECONOMY)
    answers = allocate([wish(1, there, back), wish(1, there)], {1: bits("4A"), 2: 0})
    assert isinstance(answers[0], Missing)
    assert answers[0].segment == back
    assert numbers(answers[1]) == "4A"


def test_deciding_changes_nothing_that_it_was_given() -> None:
    free = {1: ALL}
    allocate([wish(9, FlightWish(1, ECONOMY))], free)
    assert free == {1: ALL}


@pytest.mark.parametrize(
    ("passengers", "segment"),
    [
        (0, FlightWish(1, ECONOMY)),
        (2, FlightWish(1, ECONOMY, seats("9A"))),
        (2, FlightWish(1, ECONOMY, seats("9A 9A"))),
        (1, FlightWish(1, FIRST, seats("3A"))),
    ],
)
def test_a_wish_that_makes_no_sense_cannot_be_made(passengers: int, segment: FlightWish) -> None:
    with pytest.raises(ValueError, match=r"must|Not all"):
        wish(passengers, segment)


@st.composite
def wishes(draw: st.DrawFn) -> SeatWish:
    passengers = draw(st.integers(1, 9))
    segments = []
    for flight_id in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True)):
        cabin = draw(st.sampled_from(CabinClass))
        chosen = st.lists(st.sampled_from(cabin_seats(cabin)), min_size=passengers, max_size=passengers, unique=True)
        segments.append(FlightWish(flight_id, cabin, draw(st.none() | st.none() | chosen.map(tuple))))
    return wish(passengers, *segments)


# Sparse, dense and even cabins: a plain integer would leave half the seats free nearly always.
masks = st.one_of(
    st.just(ALL),
    st.integers(0, ALL),
    st.tuples(st.integers(0, ALL), st.integers(0, ALL), st.integers(0, ALL)).map(
        lambda each: each[0] & each[1] & each[2]
    ),
    st.sets(st.integers(0, 161), max_size=20).map(lambda each: sum(1 << seat for seat in each)),
)


@given(st.lists(wishes(), max_size=12), st.dictionaries(st.integers(1, 3), masks))
def test_whatever_is_asked_for_each_seat_is_given_once_and_parties_sit_together(
    batch: list[SeatWish], free: dict[int, int]
) -> None:
    left = dict(free)
    answers = allocate(batch, free)
    assert len(answers) == len(batch)
    for asked, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Missing):
            assert not can_be_had(answer.segment, asked.passengers, left)
            continue
        assert [len(each) for each in answer.seats] == [asked.passengers] * len(asked.segments)
        for segment, given_seats in zip(asked.segments, answer.seats, strict=True):
            available = left[segment.flight_id]
            assert set(given_seats) <= set(cabin_seats(segment.cabin))
            assert all(available >> seat & 1 for seat in given_seats)
            assert len(set(given_seats)) == len(given_seats)
            if segment.seats is None:
                assert_together(segment.cabin, given_seats, available)
            else:
                assert given_seats == segment.seats
            left[segment.flight_id] = available & ~sum(1 << seat for seat in given_seats)


def can_be_had(segment: FlightWish, passengers: int, left: dict[int, int]) -> bool:
    available = left.get(segment.flight_id, 0)
    if segment.seats is not None:
        return all(available >> seat & 1 for seat in segment.seats)
    return sum(available >> seat & 1 for seat in cabin_seats(segment.cabin)) >= passengers


def assert_together(cabin: CabinClass, given_seats: tuple[int, ...], available: int) -> None:
    """Told apart from the code under test: by looking at every place where the party could sit."""
    party = len(given_seats)
    room = Counter(seat // 6 for seat in cabin_seats(cabin) if available >> seat & 1)
    fewest = next(count for count in range(1, 10) if sum(sorted(room.values(), reverse=True)[:count]) >= party)
    assert len({seat // 6 for seat in given_seats}) == fewest

    def runs(*, across: bool) -> list[int]:
        starts = [seat for seat in cabin_seats(cabin) if seat % 6 + party <= 6]
        free_runs = [seat for seat in starts if all(available >> (seat + place) & 1 for place in range(party))]
        return [seat for seat in free_runs if across or (seat % 6) // 3 == ((seat + party - 1) % 6) // 3]

    best = runs(across=False) or runs(across=True)
    if best:
        assert given_seats == tuple(range(best[0], best[0] + party))
