"""The state machines, held to their tables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from domain.seats import SeatReservationStatus, SeatStatus
from domain.seats.states import RESERVATION_TRANSITIONS, SEAT_TRANSITIONS

S = TypeVar("S", bound=StrEnum)


@pytest.mark.parametrize(
    ("states", "table", "first"),
    [
        (SeatStatus, SEAT_TRANSITIONS, SeatStatus.AVAILABLE),
        (SeatReservationStatus, RESERVATION_TRANSITIONS, SeatReservationStatus.HELD),
    ],
)
def test_the_table_names_every_state_and_reaches_it(states: type[S], table: Mapping[S, frozenset[S]], first: S) -> None:
    assert set(table) == set(states)
    reached, frontier = {first}, [first]
    while frontier:
        fresh = table[frontier.pop()] - reached
        reached |= fresh
        frontier.extend(fresh)
    assert reached == set(states)


def test_a_seat_can_follow_its_reservation_wherever_it_goes() -> None:
    assert SeatReservationStatus.HELD.seat_status in SEAT_TRANSITIONS[SeatStatus.AVAILABLE]
    for before, successors in RESERVATION_TRANSITIONS.items():
        for after in successors:
            assert after.seat_status in SEAT_TRANSITIONS[before.seat_status]


def test_a_live_reservation_and_no_other_takes_its_seat() -> None:
    for status in SeatReservationStatus:
        assert status.is_live == (status.seat_status is not SeatStatus.AVAILABLE)
        assert status.is_terminal == (not status.is_live)


def test_an_ended_reservation_stays_ended() -> None:
    assert SeatReservationStatus.HELD.may_become(SeatReservationStatus.CONFIRMED)
    assert not SeatReservationStatus.CONFIRMED.may_become(SeatReservationStatus.EXPIRED)
    assert not any(SeatReservationStatus.RELEASED.may_become(status) for status in SeatReservationStatus)
