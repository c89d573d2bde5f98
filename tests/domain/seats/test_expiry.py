"""Ending holds by time."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, ManualClock
from domain.seats import Held, SeatKey, confirm, expire, lapsed, release, reservations_of
from domain.storage import Database
from tests.domain.seats.scenes import hold_all, holding, left_open, now, reservation_statuses, statuses, wish


async def sagas_lapsed(database: Database, *, sagas_max: int = 10, besides: list[str] | None = None) -> list[str]:
    async with database.reading() as connection:
        at = await database.clock.now(connection)
        return await lapsed(connection, at=at, sagas_max=sagas_max, besides=besides or [])


async def test_a_lapsed_hold_is_expired_once(database: Database, flights: tuple[int, ...], clock: ManualClock) -> None:
    flight = flights[0]
    sagas = await holding(database, wish(flight, passengers=2))
    clock.advance(seconds=1_000)
    expired = await database.write(lambda tx: expire(tx, sagas, clock=clock))
    assert expired == {sagas[0]: (SeatKey(flight, 18), SeatKey(flight, 19))}
    assert [key.number for key in expired[sagas[0]]] == ["4A", "4B"]
    assert await statuses(database, flight) == {}
    assert await database.write(lambda tx: expire(tx, sagas, clock=clock)) == {}
    async with database.reading() as connection:
        reservations = (await reservations_of(connection, sagas))[sagas[0]]
    assert {each.status.value for each in reservations} == {"EXPIRED"}
    assert all(each.ended_at is not None and each.ended_at >= each.expires_at for each in reservations)


async def test_a_hold_that_has_not_lapsed_is_left_alone(database: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(database, wish(flight))
    clock.advance(seconds=899)
    assert await sagas_lapsed(database) == []
    assert await database.write(lambda tx: expire(tx, sagas, clock=clock)) == {}
    assert await statuses(database, flight) == {"4A": "HELD"}


async def test_the_sweep_finds_sagas_not_seats_the_longest_lapsed_first(
    database: Database, flight: int, clock: ManualClock
) -> None:
    late = await holding(database, wish(flight, passengers=3), hold_seconds=60)
    early = await holding(database, wish(flight, passengers=3), hold_seconds=30)
    await holding(database, wish(flight), hold_seconds=900)
    clock.advance(seconds=100)
    assert await sagas_lapsed(database) == [*early, *late]
    assert await sagas_lapsed(database, sagas_max=1) == early
    assert await sagas_lapsed(database, sagas_max=1, besides=early) == late


async def test_ended_and_confirmed_holds_do_not_lapse(database: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(database, wish(flight), wish(flight), wish(flight))
    await database.write(lambda tx: release(tx, sagas[:1], at=2**60))
    await database.write(lambda tx: confirm(tx, sagas[1:2], at=2**60))
    clock.advance(seconds=1_000)
    assert await sagas_lapsed(database) == sagas[2:]


async def test_an_expired_seat_is_held_by_the_next(database: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(database, wish(flight, "12C"))
    clock.advance(seconds=1_000)
    await database.write(lambda tx: expire(tx, sagas, clock=clock))
    successors = await holding(database, wish(flight, "12C"))
    assert await reservation_statuses(database, sagas[0]) == ["EXPIRED"]
    assert await reservation_statuses(database, successors[0]) == ["HELD"]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_two_sweeps_expire_a_hold_once(many_writers: Database, flight: int, clock: ManualClock) -> None:
    sagas = await holding(many_writers, wish(flight), wish(flight))
    clock.advance(seconds=1_000)
    async with left_open(many_writers, lambda tx: expire(tx, sagas[:1], clock=clock)):
        assert set(await many_writers.write(lambda tx: expire(tx, sagas, clock=clock))) == {sagas[1]}
    assert await many_writers.write(lambda tx: expire(tx, sagas, clock=clock)) == {}


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("table", ["seats", "seat_reservations"])
async def test_all_holds_of_a_saga_expire_together_or_none(
    many_writers: Database, flight: int, clock: ManualClock, table: str
) -> None:
    """One row of three that is locked elsewhere, claim or seat, keeps the other two as well."""
    asked = wish(flight, passengers=3)
    await hold_all(many_writers, asked)
    clock.advance(seconds=1_000)

    async def lock_one(connection: AsyncConnection) -> None:
        row = text(f"SELECT 1 FROM {table} WHERE flight_id = :id AND seat = 19 FOR UPDATE")
        await connection.execute(row, {"id": flight})

    async with left_open(many_writers, lock_one):
        assert await many_writers.write(lambda tx: expire(tx, [asked.saga_id], clock=clock)) == {}
    assert len(await many_writers.write(lambda tx: expire(tx, [asked.saga_id], clock=clock))) == 1


async def test_a_hold_is_never_extended(database: Database, flight: int, clock: ManualClock) -> None:
    asked = wish(flight)
    await hold_all(database, asked)
    clock.advance(seconds=500)
    (held,) = await hold_all(database, asked)
    assert isinstance(held, Held)
    assert held.expires_at <= await now(database) + 400 * SECOND
