"""Decides which wish gets which seats: pure functions over a batch, in the order in which the wishes came.

The free seats of a flight are one integer, with bit `i` set if seat `i` is free. So a batch of 256
wishes over hundreds of flights takes a few milliseconds, and "taken" is one `and-not`. A wish gets
all its seats, on every segment and for every passenger, or none; seats that it does not get remain
for the next wish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from domain.seats.cabins import LETTERS, CabinClass, cabin_seats, seat_number

__all__ = ["Allocated", "FlightWish", "Missing", "SeatWish", "allocate", "cabin_mask"]

_WIDTH: Final = len(LETTERS)
_ROW_BITS: Final = (1 << _WIDTH) - 1
_AISLE: Final = _WIDTH // 2

#: A row's first seat, and its free letters as bits.
_Row = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FlightWish:
    """Seats on one flight: any of `cabin`, or exactly `seats`, one a passenger in their order."""

    flight_id: int
    cabin: CabinClass
    seats: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class SeatWish:
    """One saga's request: a seat for each of `passengers` on each of `segments`, or none at all.

    Its seats are not sold from `closes_at` on (microseconds; None: never closes). Raises ValueError if chosen seats are
    not one a passenger, are named twice, or are not of the cabin: a fault of the caller.
    """

    saga_id: str
    correlation_id: str
    segments: tuple[FlightWish, ...]
    passengers: int
    closes_at: int | None = None

    def __post_init__(self) -> None:
        if self.passengers < 1:
            raise ValueError("A wish for seats must have at least one passenger.")
        for segment in self.segments:
            chosen = segment.seats
            if chosen is None:
                continue
            if len(chosen) != self.passengers or len(set(chosen)) != len(chosen):
                raise ValueError(f"{self.passengers} different seats must be chosen, not {chosen}.")
            if not set(chosen) <= set(cabin_seats(segment.cabin)):
                raise ValueError(f"Not all of {chosen} are seats of {segment.cabin}.")


@dataclass(frozen=True, slots=True)
class Allocated:
    """Seats for every segment, each in the order of the passengers."""

    seats: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """The first segment with too few seats; `left` are the free seats of its cabin."""

    segment: FlightWish
    passengers: int
    left: int
    taken: tuple[int, ...]

    @property
    def message(self) -> str:
        """One line for a person: the flight and the seats that it lacks."""
        flight = f"flight {self.segment.flight_id}"
        if self.taken:
            numbers = ", ".join(map(seat_number, self.taken))
            return f"Already taken on {flight}: {numbers}."
        return f"{self.segment.cabin} on {flight}: {self.passengers} wanted, {self.left} left."


def allocate(wishes: Sequence[SeatWish], free: Mapping[int, int]) -> list[Allocated | Missing]:
    """Decide every wish in order; `free` has the free seats of each flight as bits and is not changed."""
    left = dict(free)
    return [_grant(wish, left) for wish in wishes]


def cabin_mask(cabin: CabinClass) -> int:
    """The seats of `cabin` as bits."""
    return _CABIN_MASKS[cabin]


def _grant(wish: SeatWish, left: dict[int, int]) -> Allocated | Missing:
    """Take all seats of `wish` out of `left`; or return nothing and leave `left` as it was."""
    before: dict[int, int] = {}
    granted: list[tuple[int, ...]] = []
    for segment in wish.segments:
        free = left.get(segment.flight_id, 0)
        seats = _pick(segment, wish.passengers, free)
        if seats is None:
            left.update(before)
            return _missing(segment, wish.passengers, left.get(segment.flight_id, 0))
        before.setdefault(segment.flight_id, free)
        left[segment.flight_id] = free & ~_mask(seats)
        granted.append(seats)
    return Allocated(tuple(granted))


def _missing(segment: FlightWish, passengers: int, free: int) -> Missing:
    taken = tuple(seat for seat in segment.seats or () if not free >> seat & 1)
    return Missing(segment, passengers, (free & _CABIN_MASKS[segment.cabin]).bit_count(), taken)


def _pick(segment: FlightWish, passengers: int, free: int) -> tuple[int, ...] | None:
    if segment.seats is not None:
        wanted = _mask(segment.seats)
        return segment.seats if free & wanted == wanted else None
    free &= _CABIN_MASKS[segment.cabin]
    if free.bit_count() < passengers:
        return None
    starts = _ROW_STARTS[segment.cabin]
    return _in_one_row(starts, free, passengers) or _in_fewest_rows(starts, free, passengers)


def _in_one_row(starts: Sequence[int], free: int, passengers: int) -> tuple[int, ...] | None:
    """The closest places that any one row offers, in the first such row; None if no row has room."""
    if passengers > _WIDTH:
        return None
    best: tuple[int, int, tuple[int, ...]] | None = None
    places_of = _PLACES[passengers]
    for start in starts:
        places = places_of[free >> start & _ROW_BITS]
        if places is not None and (best is None or places[0] < best[0]):
            best = (places[0], start, places[1])
            if places[0] == _CLOSEST[passengers]:
                break
    return None if best is None else tuple(best[1] + letter for letter in best[2])


def _in_fewest_rows(starts: Sequence[int], free: int, passengers: int) -> tuple[int, ...]:
    """As few rows as hold the party; among these the rows nearest to one another, else the first in order.

    `free` must have a place for each passenger.
    """
    rows = [(start, free >> start & _ROW_BITS) for start in sorted(starts) if free >> start & _ROW_BITS]
    fewest = _rows_needed([bits.bit_count() for _, bits in rows], passengers)
    found = (_nearest_rows(rows[first:], fewest, passengers) for first in range(len(rows) - fewest + 1))

    def preference(candidate: Sequence[_Row]) -> tuple[int, int]:
        places = [start for start, _ in candidate]
        return max(places) - min(places), min(map(starts.index, places))

    chosen = min((candidate for candidate in found if candidate), key=preference)
    return _fill(sorted(chosen, key=lambda row: starts.index(row[0])), passengers)


def _nearest_rows(rows: Sequence[_Row], count: int, passengers: int) -> list[_Row]:
    """The fullest `count` of as few leading `rows` as hold the party; empty if they do not."""
    for last in range(count, len(rows) + 1):
        fullest = sorted(rows[:last], key=lambda row: -row[1].bit_count())[:count]
        if sum(bits.bit_count() for _, bits in fullest) >= passengers:
            return fullest
    return []


def _rows_needed(room: Sequence[int], passengers: int) -> int:
    seated = 0
    for needed, places in enumerate(sorted(room, reverse=True), start=1):
        seated += places
        if seated >= passengers:
            return needed
    raise AssertionError("unreachable")


def _fill(rows: Sequence[_Row], passengers: int) -> tuple[int, ...]:
    seats: list[int] = []
    for start, bits in rows:
        count = min(passengers - len(seats), bits.bit_count())
        places = _PLACES[count][bits]
        assert places is not None
        seats.extend(start + letter for letter in places[1])
        if len(seats) == passengers:
            break
    return tuple(seats)


def _mask(seats: Sequence[int]) -> int:
    mask = 0
    for seat in seats:
        mask |= 1 << seat
    return mask


def _distance(letters: tuple[int, ...]) -> int:
    """0 side by side, 1 side by side but for the aisle, more the farther apart."""
    gaps = letters[-1] - letters[0] + 1 - len(letters)
    return gaps + 1 if gaps else int(letters[0] < _AISLE <= letters[-1])


def _closest_places(count: int, bits: int) -> tuple[int, tuple[int, ...]] | None:
    letters = [letter for letter in range(_WIDTH) if bits >> letter & 1]
    return min(((_distance(places), places) for places in combinations(letters, count)), default=None)


#: [party][free letters of a row as bits] -> how far apart the party sits there, and its places.
_PLACES: Final = (
    (),
    *(tuple(_closest_places(count, bits) for bits in range(_ROW_BITS + 1)) for count in range(1, _WIDTH + 1)),
)
#: The closest that a party can ever sit, by its size: a party larger than one side must cross the aisle.
_CLOSEST: Final = tuple(int(count > _AISLE) for count in range(_WIDTH + 1))
_CABIN_MASKS: Final = {cabin: _mask(cabin_seats(cabin)) for cabin in CabinClass}
_ROW_STARTS: Final = {cabin: cabin_seats(cabin)[::_WIDTH] for cabin in CabinClass}
