"""Reading seats and the claims on them."""

from __future__ import annotations

from typing import Any

import pytest

from domain.clock import ManualClock
from domain.ids import new_id
from domain.seats import (
    CabinClass,
    FlightWish,
    Held,
    ReservationQuery,
    SeatKey,
    SeatReservationStatus,
    confirm,
    release,
    reservations_by_ids,
    reservations_count,
    reservations_of,
    reservations_page,
    seat_map,
    seats_by_ids,
)
from domain.storage import Database
from tests.domain.seats.scenes import hold_all, holding, journey, wish

HELD, CONFIRMED, RELEASED = (
    SeatReservationStatus.HELD,
    SeatReservationStatus.CONFIRMED,
    SeatReservationStatus.RELEASED,
)


async def test_a_flight_has_162_seats_in_row_order(database: Database, flights: tuple[int, ...]) -> None:
    flight, other, _ = flights
    (held,) = await hold_all(database, wish(flight, "2C", cabin=CabinClass.FIRST))
    assert isinstance(held, Held)
    async with database.reading() as connection:
        maps = await seat_map(connection, [flight, other, 999])
    assert [seat.seat for seat in maps[flight]] == list(range(162))
    seat = maps[flight][8]
    assert (seat.number, seat.row, seat.letter, seat.status, seat.key) == ("2C", 2, "C", "HELD", SeatKey(flight, 8))
    assert seat.hold_expires_at == held.expires_at
    assert set(seat.cabins) == {CabinClass.FIRST, CabinClass.BUSINESS}
    assert all(seat.status == "AVAILABLE" and seat.hold_expires_at is None for seat in maps[other])
    assert maps[999] == ()


async def test_a_seat_shows_its_present_claim_and_no_former_one(database: Database, flight: int) -> None:
    former = await holding(database, wish(flight, "12C"))
    await database.write(lambda tx: release(tx, former, at=2**60))
    sagas = await holding(database, wish(flight, "12C"))
    await database.write(lambda tx: confirm(tx, sagas, at=2**60))
    async with database.reading() as connection:
        seats = await seats_by_ids(connection, [(flight, 68), (flight, 69), (flight, 162), (999, 68)])
        assert len((await seat_map(connection, [flight]))[flight]) == 162
    assert {key.number: seat.status.value for key, seat in seats.items()} == {"12C": "BOOKED", "12D": "AVAILABLE"}
    assert seats[SeatKey(flight, 68)].hold_expires_at is None


async def test_reservations_come_by_segment_and_passenger(database: Database, flights: tuple[int, ...]) -> None:
    there, back, _ = flights
    segments = (FlightWish(back, CabinClass.FIRST, (4, 1)), FlightWish(there, CabinClass.ECONOMY, (99, 50)))
    sagas = [*await holding(database, journey(*segments, passengers=2), wish(there)), new_id()]
    async with database.reading() as connection:
        found = await reservations_of(connection, sagas)
        by_id = await reservations_by_ids(connection, [found[sagas[0]][1].id, new_id()])
    assert [(each.segment, each.passenger, each.flight_id, each.seat) for each in found[sagas[0]]] == [
        (0, 0, back, 4),
        (0, 1, back, 1),
        (1, 0, there, 99),
        (1, 1, there, 50),
    ]
    assert [len(found[saga]) for saga in sagas] == [4, 1, 0]
    assert by_id == {found[sagas[0]][1].id: found[sagas[0]][1]}


@pytest.mark.parametrize(
    ("restriction", "seats"),
    [
        ({}, ["5A", "6A", "4A", "7A"]),
        ({"statuses": [HELD]}, ["5A", "7A"]),
        ({"statuses": [CONFIRMED]}, ["6A"]),
        ({"statuses": [HELD, CONFIRMED]}, ["5A", "6A", "7A"]),
        ({"statuses": [RELEASED, HELD]}, ["5A", "4A", "7A"]),
        ({"flight": 1}, ["7A"]),
        ({"statuses": [HELD], "flight": 0}, ["5A"]),
        ({"before": 2}, ["5A", "6A"]),
    ],
)
async def test_a_list_of_reservations_is_whole_and_in_order_of_expiry_page_by_page(
    database: Database, flights: tuple[int, ...], clock: ManualClock, restriction: dict[str, Any], seats: list[str]
) -> None:
    sagas = await holding(database, wish(flights[0], "4A"), hold_seconds=300)
    await holding(database, wish(flights[0], "5A"), hold_seconds=100)
    confirmed = await holding(database, wish(flights[0], "6A"), hold_seconds=200)
    await holding(database, wish(flights[1], "7A"), hold_seconds=400)
    await database.write(lambda tx: release(tx, sagas, at=2**60))
    await database.write(lambda tx: confirm(tx, confirmed, at=2**60))
    async with database.reading() as connection:
        everything = await reservations_page(connection, ReservationQuery(), after=None, limit=10)
        query = ReservationQuery(
            restriction.get("statuses", ()),
            flights[restriction["flight"]] if "flight" in restriction else None,
            everything[restriction["before"]].expires_at if "before" in restriction else None,
        )
        listed: list[str] = []
        after: tuple[int, str] | None = None
        for _ in range(10):
            page = await reservations_page(connection, query, after=after, limit=1)
            if not page:
                break
            listed.append(page[0].number)
            after = (page[0].expires_at, page[0].id)
        assert listed == seats
        assert await reservations_count(connection, query) == len(seats)


async def test_a_page_goes_on_within_one_instant(database: Database, flight: int) -> None:
    await holding(database, wish(flight, passengers=5))
    async with database.reading() as connection:
        first = await reservations_page(connection, ReservationQuery(), after=None, limit=2)
        after = (first[-1].expires_at, first[-1].id)
        rest = await reservations_page(connection, ReservationQuery(), after=after, limit=10)
    assert [each.number for each in first + rest] == ["4A", "4B", "4C", "4D", "4E"]
