"""Claiming holds for the pin, and confirming them."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import DatabaseClock, ManualClock
from domain.ids import new_id
from domain.outcome import Busy
from domain.seats import (
    CabinClass,
    Claimed,
    Confirmed,
    FlightWish,
    Held,
    Lapsed,
    NotHeld,
    claim,
    confirm,
    expire,
    release,
    reservations_of,
)
from domain.storage import Database
from tests.domain.seats.scenes import (
    hold_all,
    holding,
    journey,
    left_open,
    now,
    one,
    reservation_statuses,
    statuses,
    wish,
)


async def test_a_hold_that_has_not_lapsed_is_claimed(database: Database, flight: int) -> None:
    asked = wish(flight, passengers=2)
    held = one(await hold_all(database, asked))
    assert isinstance(held, Held)
    answers = await database.write(lambda tx: claim(tx, [asked.saga_id], clock=database.clock))
    assert answers == [Claimed(held.expires_at)]
    assert await reservation_statuses(database, asked.saga_id) == ["HELD", "HELD"]


async def test_a_hold_lapses_at_its_very_instant_swept_or_not(database: Database, flight: int) -> None:
    asked = wish(flight)
    held = one(await hold_all(database, asked))
    assert isinstance(held, Held)

    class StoppedClock:
        def __init__(self, at: int) -> None:
            self.at = at

        async def now(self, connection: AsyncConnection) -> int:
            return self.at

    async def claimed(at: int) -> object:
        return one(await database.write(lambda tx: claim(tx, [asked.saga_id], clock=StoppedClock(at))))

    assert await claimed(held.expires_at - 1) == Claimed(held.expires_at)
    assert await claimed(held.expires_at) == Lapsed()


async def test_a_saga_without_holds_has_nothing_to_claim_or_confirm(database: Database, flight: int) -> None:
    sagas = [new_id(), *await holding(database, wish(flight))]
    at = await now(database)
    await database.write(lambda tx: release(tx, sagas, at=at))
    assert await database.write(lambda tx: claim(tx, sagas, clock=database.clock)) == [Lapsed(), Lapsed()]
    assert await database.write(lambda tx: confirm(tx, sagas, at=at)) == [NotHeld(), NotHeld()]


async def test_a_claim_is_confirmed_as_one_even_when_its_time_has_passed(
    database: Database, flights: tuple[int, ...], clock: ManualClock
) -> None:
    there, back, _ = flights
    segments = (FlightWish(there, CabinClass.ECONOMY), FlightWish(back, CabinClass.FIRST))
    sagas = await holding(database, journey(*segments, passengers=2))
    clock.advance(seconds=1_000)
    at = await now(database)
    assert await database.write(lambda tx: confirm(tx, sagas, at=at)) == [Confirmed(4)]
    assert await statuses(database, there) == {"4A": "BOOKED", "4B": "BOOKED"}
    assert await statuses(database, back) == {"1A": "BOOKED", "1B": "BOOKED"}
    async with database.reading() as connection:
        reservations = (await reservations_of(connection, sagas))[sagas[0]]
    assert {(each.status.value, each.ended_at) for each in reservations} == {("CONFIRMED", None)}


async def test_confirming_again_changes_nothing(database: Database, flight: int) -> None:
    sagas = await holding(database, wish(flight, passengers=2))
    at = await now(database)
    for _ in range(2):
        assert await database.write(lambda tx: confirm(tx, sagas, at=at)) == [Confirmed(2)]
    assert await statuses(database, flight) == {"4A": "BOOKED", "4B": "BOOKED"}


async def test_sagas_of_a_batch_are_confirmed_each_for_itself(database: Database, flight: int) -> None:
    sagas = await holding(database, wish(flight), wish(flight), wish(flight))
    at = await now(database)
    await database.write(lambda tx: release(tx, sagas[1:2], at=at))
    answers = await database.write(lambda tx: confirm(tx, sagas, at=at))
    assert answers == [Confirmed(1), NotHeld(), Confirmed(1)]


async def test_what_was_confirmed_first_does_not_expire(database: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(database, wish(flight))
    await database.write(lambda tx: confirm(tx, sagas, at=2**60))
    clock.advance(seconds=1_000)
    assert await database.write(lambda tx: expire(tx, sagas, clock=clock)) == {}
    assert await statuses(database, flight) == {"4A": "BOOKED"}


async def test_what_expired_first_is_not_confirmed(database: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(database, wish(flight))
    clock.advance(seconds=1_000)
    assert set(await database.write(lambda tx: expire(tx, sagas, clock=clock))) == set(sagas)
    assert await database.write(lambda tx: claim(tx, sagas, clock=clock)) == [Lapsed()]
    assert await database.write(lambda tx: confirm(tx, sagas, at=2**60)) == [NotHeld()]
    assert await statuses(database, flight) == {}


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_expiry_that_meets_a_confirmation_leaves_it_alone(
    many_writers: Database, flight: int, clock: ManualClock
) -> None:
    sagas = await holding(many_writers, wish(flight, passengers=2))
    clock.advance(seconds=1_000)
    async with left_open(many_writers, lambda tx: confirm(tx, sagas, at=2**60)):
        assert await many_writers.write(lambda tx: expire(tx, sagas, clock=clock)) == {}
    assert await many_writers.write(lambda tx: expire(tx, sagas, clock=clock)) == {}
    assert await statuses(many_writers, flight) == {"4A": "BOOKED", "4B": "BOOKED"}


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_confirmation_that_meets_an_expiry_is_busy_and_then_too_late(
    many_writers: Database, flight: int, clock: ManualClock
) -> None:
    sagas = await holding(many_writers, wish(flight, passengers=2))
    clock.advance(seconds=1_000)
    async with left_open(many_writers, lambda tx: expire(tx, sagas, clock=clock)):
        assert await many_writers.write(lambda tx: claim(tx, sagas, clock=clock)) == [Busy()]
        assert await many_writers.write(lambda tx: confirm(tx, sagas, at=2**60)) == [Busy()]
    assert await many_writers.write(lambda tx: claim(tx, sagas, clock=clock)) == [Lapsed()]
    assert await many_writers.write(lambda tx: confirm(tx, sagas, at=2**60)) == [NotHeld()]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_claim_kept_off_by_a_lock_until_its_hold_lapses_has_lapsed(
    many_writers: Database, flight: int, clock: ManualClock
) -> None:
    sagas = await holding(many_writers, wish(flight))
    async with left_open(many_writers, lambda tx: claim(tx, sagas, clock=clock)):
        assert await many_writers.write(lambda tx: claim(tx, sagas, clock=clock)) == [Busy()]
        clock.advance(seconds=1_000)
    assert await many_writers.write(lambda tx: claim(tx, sagas, clock=clock)) == [Lapsed()]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_expiry_is_judged_after_the_lock(many_writers: Database, flight: int) -> None:
    """Whoever asks the clock has the rows: another transaction that tries just then finds them busy."""
    sagas = await holding(many_writers, wish(flight))

    class Witness(DatabaseClock):
        seen: list[object]

        async def now(self, connection: AsyncConnection) -> int:
            self.seen += await many_writers.write(lambda tx: claim(tx, sagas, clock=many_writers.clock))
            return await super().now(connection)

    witness = Witness()
    witness.seen = []
    await many_writers.write(lambda tx: claim(tx, sagas, clock=witness))
    await many_writers.write(lambda tx: expire(tx, sagas, clock=witness))
    assert witness.seen == [Busy(), Busy()]
