"""Holding seats on real rows."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, ManualClock
from domain.outcome import Busy
from domain.seats import (
    CabinClass,
    FlightWish,
    Held,
    SeatUnavailable,
    available_counts,
    claim,
    expire,
    hold,
    release,
    reservations_of,
)
from domain.storage import Database
from tests.domain.seats.scenes import (
    HOLD_SECONDS,
    hold_all,
    holding,
    journey,
    left_open,
    now,
    one,
    reservation_statuses,
    seat_numbers,
    statuses,
    wish,
)
from tests.support.statements import statements


async def test_a_hold_writes_the_seat_and_the_claim_on_it(database: Database, flight: int) -> None:
    before = await now(database)
    asked = wish(flight, "12C")
    held = one(await hold_all(database, asked))
    after = await now(database)
    assert isinstance(held, Held)
    assert await statuses(database, flight) == {"12C": "HELD"}
    async with database.reading() as connection:
        reservation = one((await reservations_of(connection, [asked.saga_id]))[asked.saga_id])
    assert reservation.id == one(held.seats).reservation_id
    assert (reservation.saga_id, reservation.correlation_id) == (asked.saga_id, asked.correlation_id)
    assert (reservation.number, reservation.cabin, reservation.status) == ("12C", CabinClass.ECONOMY, "HELD")
    assert before <= reservation.held_at <= after
    assert reservation.expires_at == held.expires_at == reservation.held_at + HOLD_SECONDS * SECOND
    assert reservation.ended_at is None


async def test_every_passenger_has_a_seat_on_every_segment_and_all_expire_together(
    database: Database, flights: tuple[int, ...]
) -> None:
    there, back, _ = flights
    asked = journey(FlightWish(there, CabinClass.ECONOMY), FlightWish(back, CabinClass.BUSINESS), passengers=2)
    held = one(await hold_all(database, asked))
    assert isinstance(held, Held)
    assert [(seat.flight_id, seat.number, seat.segment, seat.passenger) for seat in held.seats] == [
        (there, "4A", 0, 0),
        (there, "4B", 0, 1),
        (back, "3A", 1, 0),
        (back, "3B", 1, 1),
    ]
    async with database.reading() as connection:
        reservations = (await reservations_of(connection, [asked.saga_id]))[asked.saga_id]
    assert {each.expires_at for each in reservations} == {held.expires_at}


async def test_a_batch_is_answered_in_its_order(database: Database, flight: int) -> None:
    await holding(database, wish(flight, "4A"))
    answers = await hold_all(database, wish(flight, "4A"), wish(flight, passengers=2), wish(flight, "4C"), wish(flight))
    assert isinstance(answers[0], SeatUnavailable)
    assert seat_numbers(answers[1]) == ["4B", "4C"]
    assert isinstance(answers[2], SeatUnavailable)
    assert seat_numbers(answers[3]) == ["4D"]


async def test_a_refused_wish_leaves_no_trace_and_says_what_is_missing(
    database: Database, flights: tuple[int, ...]
) -> None:
    there, back, _ = flights
    await holding(database, wish(back, "9F"))
    asked = journey(FlightWish(there, CabinClass.ECONOMY), FlightWish(back, CabinClass.ECONOMY, (53,)))
    refused = one(await hold_all(database, asked))
    assert refused == SeatUnavailable(f"Already taken on flight {back}: 9F.", back, CabinClass.ECONOMY, (53,))
    assert await statuses(database, there) == {}
    assert await reservation_statuses(database, asked.saga_id) == []


async def test_a_full_cabin_is_refused(database: Database, flight: int) -> None:
    await holding(database, wish(flight, cabin=CabinClass.FIRST, passengers=9))
    refused = one(await hold_all(database, wish(flight, cabin=CabinClass.FIRST, passengers=4)))
    assert isinstance(refused, SeatUnavailable)
    assert refused.message == f"FIRST on flight {flight}: 4 wanted, 3 left."


async def test_an_unknown_flight_is_refused(database: Database, flight: int) -> None:
    assert isinstance(one(await hold_all(database, wish(flight + 999))), SeatUnavailable)


async def test_the_last_seat_of_rows_1_and_2_goes_to_one_cabin(database: Database, flight: int) -> None:
    await holding(database, *(wish(flight, cabin=CabinClass.BUSINESS, passengers=6) for _ in range(2)))
    await holding(database, wish(flight, cabin=CabinClass.FIRST, passengers=5))
    answers = await hold_all(database, wish(flight, cabin=CabinClass.BUSINESS), wish(flight, cabin=CabinClass.FIRST))
    assert [type(answer) for answer in answers] == [Held, SeatUnavailable]


async def test_holding_again_answers_with_what_is_held(database: Database, flight: int, clock: ManualClock) -> None:
    asked = wish(flight, passengers=3)
    first = await hold_all(database, asked, wish(flight))
    clock.advance(seconds=5)
    again = await hold_all(database, wish(flight), asked)
    assert again[1] == first[0]
    assert len(await statuses(database, flight)) == 5


async def test_a_seat_that_says_it_is_taken_though_nobody_has_it_keeps_no_other_from_being_held(
    database: Database, flight: int
) -> None:
    async def damage(connection: AsyncConnection) -> None:
        await connection.execute(
            text("UPDATE seats SET status = 'HELD' WHERE flight_id = :flight AND seat IN (18, 20)"), {"flight": flight}
        )

    await database.write(damage)
    # Seats 18 to 21 are 4A to 4D.
    answers = await hold_all(database, wish(flight), wish(flight, "4A"), wish(flight), wish(flight, "9F"))
    assert seat_numbers(answers[0]) == ["4B"]
    assert isinstance(answers[1], SeatUnavailable)
    assert seat_numbers(answers[2]) == ["4D"]
    assert seat_numbers(answers[3]) == ["9F"]


async def test_released_seats_can_be_held_again(database: Database, flight: int) -> None:
    sagas = await holding(database, wish(flight, "12C"))
    at = await now(database)
    await database.write(lambda tx: release(tx, sagas, at=at))
    assert seat_numbers(one(await hold_all(database, wish(flight, "12C")))) == ["12C"]


async def test_what_is_available_counts_shared_rows_for_both_cabins(
    database: Database, flights: tuple[int, ...]
) -> None:
    flight, other, _ = flights
    await holding(database, wish(flight, "1A", cabin=CabinClass.FIRST), wish(flight, "3A", cabin=CabinClass.BUSINESS))
    await holding(database, wish(flight, passengers=5))
    async with database.reading() as connection:
        counts = await available_counts(connection, [flight, other, 999])
    assert counts == {
        flight: {CabinClass.ECONOMY: 139, CabinClass.BUSINESS: 16, CabinClass.FIRST: 11},
        other: {CabinClass.ECONOMY: 144, CabinClass.BUSINESS: 18, CabinClass.FIRST: 12},
        999: {CabinClass.ECONOMY: 0, CabinClass.BUSINESS: 0, CabinClass.FIRST: 0},
    }


async def test_every_seat_of_a_flight_is_counted_and_sold(database: Database, flight: int) -> None:
    await holding(database, *(wish(flight, passengers=9) for _ in range(16)))
    await holding(database, *(wish(flight, cabin=CabinClass.BUSINESS, passengers=9) for _ in range(2)))
    assert len(await statuses(database, flight)) == 162
    async with database.reading() as connection:
        assert set((await available_counts(connection, [flight]))[flight].values()) == {0}


async def test_a_large_batch_costs_hardly_more_statements_than_a_small_one(
    database: Database, flights: tuple[int, ...]
) -> None:
    async def cost(connection: AsyncConnection, batch: int) -> int:
        wishes = [wish(flights[number % 3]) for number in range(batch)]
        sagas = [each.saga_id for each in wishes]
        with statements(connection) as seen:
            await hold(connection, wishes, clock=database.clock, hold_seconds=HOLD_SECONDS)
            await claim(connection, sagas, clock=database.clock)
            await expire(connection, sagas, clock=database.clock)
            await release(connection, sagas, at=0)
        return len(seen)

    small = await database.write(lambda tx: cost(tx, 1))
    assert small <= 14
    # On SQLite, 200 rows are one statement each for 128, 64 and 8 of them.
    assert await database.write(lambda tx: cost(tx, 200)) <= 3 * small


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_seat_that_is_locked_elsewhere_makes_its_saga_busy_and_no_other(
    many_writers: Database, flight: int
) -> None:
    mine, theirs, free = wish(flight, "4A 4B"), wish(flight, "4B"), wish(flight, "9A")

    async def hold_theirs(tx: AsyncConnection) -> None:
        await hold(tx, [theirs], clock=many_writers.clock, hold_seconds=HOLD_SECONDS)

    async with left_open(many_writers, hold_theirs):
        answers = await hold_all(many_writers, mine, free)
        assert answers[0] == Busy()
        assert seat_numbers(answers[1]) == ["9A"]
    assert await reservation_statuses(many_writers, mine.saga_id) == []
    assert isinstance(one(await hold_all(many_writers, mine)), SeatUnavailable)
    assert await statuses(many_writers, flight) == {"4B": "HELD", "9A": "HELD"}


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_nobody_is_refused_for_a_saga_that_turns_out_to_be_busy(many_writers: Database, flight: int) -> None:
    first, second, theirs = wish(flight, "4A 4B"), wish(flight, "4A"), wish(flight, "4B")

    async def hold_theirs(tx: AsyncConnection) -> None:
        await hold(tx, [theirs], clock=many_writers.clock, hold_seconds=HOLD_SECONDS)

    async with left_open(many_writers, hold_theirs):
        assert await hold_all(many_writers, first, second) == [Busy(), Busy()]
    assert isinstance(one(await hold_all(many_writers, second)), Held)


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_seat_that_is_given_back_meanwhile_is_still_taken_for_a_plain_read(
    many_writers: Database, flight: int
) -> None:
    sagas = await holding(many_writers, wish(flight, "4A"))
    async with left_open(many_writers, lambda tx: release(tx, sagas, at=2**60)):
        assert isinstance(one(await hold_all(many_writers, wish(flight, "4A"))), SeatUnavailable)
    assert isinstance(one(await hold_all(many_writers, wish(flight, "4A"))), Held)
