"""Giving seats back by intent."""

from __future__ import annotations

import pytest

from domain.ids import new_id
from domain.outcome import Busy
from domain.seats import (
    CabinClass,
    Released,
    ReleasedSeat,
    cancel,
    confirm,
    release,
    reservations_of,
    seat_index,
)
from domain.storage import Database
from tests.domain.seats.scenes import holding, left_open, now, reservation_statuses, statuses, wish

NOTHING = Released(())


def released(flight: int, *numbers: str) -> Released:
    return Released(tuple(ReleasedSeat(flight, seat_index(number) or 0, CabinClass.ECONOMY) for number in numbers))


async def test_a_released_hold_gives_its_seats_back(database: Database, flight: int) -> None:
    sagas = await holding(database, wish(flight, passengers=3), wish(flight))
    at = await now(database)
    assert await database.write(lambda tx: release(tx, sagas[:1], at=at)) == [released(flight, "4A", "4B", "4C")]
    assert await statuses(database, flight) == {"4D": "HELD"}
    async with database.reading() as connection:
        reservations = (await reservations_of(connection, sagas))[sagas[0]]
    assert {(each.status.value, each.ended_at) for each in reservations} == {("RELEASED", at)}


async def test_nothing_left_to_release_is_success(database: Database, flight: int) -> None:
    sagas = [new_id(), *await holding(database, wish(flight))]
    assert await database.write(lambda tx: release(tx, sagas, at=2**60)) == [NOTHING, released(flight, "4A")]
    assert await database.write(lambda tx: release(tx, sagas, at=2**60)) == [NOTHING, NOTHING]


async def test_release_leaves_what_is_confirmed_and_cancel_does_not(database: Database, flight: int) -> None:
    sagas = await holding(database, wish(flight, passengers=2), wish(flight))
    await database.write(lambda tx: confirm(tx, sagas[:1], at=2**60))
    assert await database.write(lambda tx: release(tx, sagas[:1], at=2**60)) == [NOTHING]
    assert await statuses(database, flight) == {"4A": "BOOKED", "4B": "BOOKED", "4C": "HELD"}
    given_back = [released(flight, "4A", "4B"), released(flight, "4C")]
    assert await database.write(lambda tx: cancel(tx, sagas, at=2**60)) == given_back
    assert await statuses(database, flight) == {}
    assert await reservation_statuses(database, sagas[0]) == ["RELEASED", "RELEASED"]
    assert await database.write(lambda tx: cancel(tx, sagas, at=2**60)) == [NOTHING, NOTHING]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_saga_whose_seats_are_locked_elsewhere_is_busy_and_no_other(
    many_writers: Database, flight: int
) -> None:
    sagas = await holding(many_writers, wish(flight, passengers=2), wish(flight))
    async with left_open(many_writers, lambda tx: confirm(tx, sagas[:1], at=2**60)):
        assert await many_writers.write(lambda tx: release(tx, sagas, at=2**60)) == [Busy(), released(flight, "4C")]
    assert await many_writers.write(lambda tx: release(tx, sagas[:1], at=2**60)) == [NOTHING]
    assert await statuses(many_writers, flight) == {"4A": "BOOKED", "4B": "BOOKED"}
