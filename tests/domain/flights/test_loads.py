"""A running load is nobody's debris; what nobody loads any more is removed, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import seats
from domain.clock import ManualClock
from domain.errors import LoadLostError
from domain.flights import Imported, ImportRefused, LoadSource, demo_timetable, load, remove_remains, seed_flights
from domain.flights.loads import LAPSE_SECONDS, abandon, add_chunk, begin, reveal
from domain.flights.tables import flight_loads
from domain.storage import Database
from tests.domain.flights.timetables import (
    SEATS_A_FLIGHT,
    InterruptedLoadError,
    Interruption,
    csv,
    line,
    many,
    run_import,
    seat_rows,
    visible,
)


async def loads(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM flight_loads"))).scalar_one())


async def look_alive(database: Database) -> None:
    """What a load that ended by SIGKILL looks like: its owner has given nothing up."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(flight_loads).values(abandoned_at=None))

    await database.write(work)


async def killed_import(database: Database, now: int) -> None:
    """Of 120 flights 100 are there, hidden."""
    with pytest.raises(InterruptedLoadError):
        await run_import(database, many(120), now, progress=Interruption(100))
    await look_alive(database)


async def killed_start(database: Database, now: int) -> None:
    """Of the demo timetable 50 flights are there, hidden."""
    with pytest.raises(InterruptedLoadError):
        await load(
            database,
            demo_timetable(now),
            source=LoadSource.START,
            add_seats=seats.add_seats,
            progress=Interruption(50),
        )
    await look_alive(database)


async def seed(database: Database, now: int, source: LoadSource) -> int:
    return await seed_flights(
        database, now=now, source=source, add_seats=seats.add_seats, remove_seats=seats.remove_seats
    )


async def test_whatever_begins_while_a_load_runs_takes_nothing_of_it(database_url: str, now: int) -> None:
    """A start, a seed, a refused import, one of the same flights and one of others, in the middle of a load."""
    loading, other = Database(database_url), Database(database_url)
    beside: list[asyncio.Task[list[object]]] = []

    async def begin_everything() -> list[object]:
        return [
            await seed(other, now, LoadSource.START),
            await seed(other, now, LoadSource.SEED),
            await remove_remains(other, remove_seats=seats.remove_seats),
            await run_import(other, csv(line(number="ZZ1"), line(number="ZZ2")), now),
            isinstance(await run_import(other, csv(line(origin="QQQ")), now), ImportRefused),
            isinstance(await run_import(other, many(70), now), ImportRefused),
        ]

    def after_the_first_chunk(done: int, total: int) -> None:
        if not beside:
            beside.append(asyncio.create_task(begin_everything()))

    try:
        assert await run_import(loading, many(300), now, progress=after_the_first_chunk) == Imported(300)
        assert await beside[0] == [0, 0, 0, Imported(2), True, True]
        assert len(await visible(other)) == 302
        assert await seat_rows(other) == 302 * SEATS_A_FLIGHT
        assert await loads(other) == 0
    finally:
        await loading.close()
        await other.close()


async def test_of_two_loads_of_the_same_flights_one_is_refused_and_the_other_whole(database_url: str, now: int) -> None:
    one, two = Database(database_url), Database(database_url)
    try:
        answers = await asyncio.gather(run_import(one, many(150), now), run_import(two, many(150), now))
        done = [answer for answer in answers if answer == Imported(150)]
        refused = [answer for answer in answers if isinstance(answer, ImportRefused)]
        assert len(done) <= 1
        assert len(done) + len(refused) == 2
        assert len(await visible(one)) == 150 * len(done)
        await run_import(one, many(150), now)
        assert len(await visible(one)) == 150
        assert await seat_rows(one) == 150 * SEATS_A_FLIGHT
    finally:
        await one.close()
        await two.close()


async def test_what_a_killed_import_left_is_removed_by_the_next_once_it_has_lapsed(
    database: Database, clock: ManualClock, now: int
) -> None:
    await killed_import(database, now)
    clock.advance(LAPSE_SECONDS + 1)
    assert await run_import(database, many(60), now) == Imported(60)
    assert await seat_rows(database) == 60 * SEATS_A_FLIGHT
    assert await loads(database) == 0


async def test_an_import_of_other_flights_leaves_what_may_be_alive(
    database: Database, clock: ManualClock, now: int
) -> None:
    await killed_import(database, now)
    assert await run_import(database, csv(line(number="ZZ1")), now) == Imported(1)
    assert await seat_rows(database) == 101 * SEATS_A_FLIGHT
    assert await loads(database) == 1


async def test_a_start_waits_for_no_import_and_removes_nothing_of_one(database: Database, now: int) -> None:
    await killed_import(database, now)
    assert await seed(database, now, LoadSource.START) == 0
    assert await visible(database) == []
    assert await seat_rows(database) == 100 * SEATS_A_FLIGHT


async def test_a_start_after_one_that_was_killed_begins_anew_at_once(database: Database, now: int) -> None:
    await killed_start(database, now)
    assert await seed(database, now, LoadSource.START) == 453
    assert await seat_rows(database) == 453 * SEATS_A_FLIGHT
    assert await loads(database) == 0


async def test_who_was_taken_for_dead_adds_nothing_when_it_wakes(
    database: Database, clock: ManualClock, now: int
) -> None:
    load_id = await begin(database, LoadSource.FILE, 1)
    clock.advance(LAPSE_SECONDS + 1)
    await remove_remains(database, remove_seats=seats.remove_seats)

    async def add(connection: AsyncConnection) -> None:
        raise AssertionError("its load is gone")

    with pytest.raises(LoadLostError, match="showed no life"):
        await add_chunk(database, load_id, add)
    with pytest.raises(LoadLostError, match="showed no life"):
        await reveal(database, load_id, 1)


async def test_nothing_is_added_to_a_load_that_is_given_up_and_not_yet_removed(database: Database) -> None:
    load_id = await begin(database, LoadSource.FILE, 0)
    await abandon(database, load_id)
    with pytest.raises(LoadLostError):
        await reveal(database, load_id, 0)


async def test_a_load_of_which_a_flight_is_gone_shows_nothing(database: Database, now: int) -> None:
    first: list[int] = []

    async def add_seats(connection: AsyncConnection, flight_ids: Sequence[int]) -> int:
        added = await seats.add_seats(connection, flight_ids)
        if first:
            await seats.remove_seats(connection, first)
            await connection.execute(text("DELETE FROM flights WHERE id = :id"), {"id": first[0]})
        else:
            first.append(flight_ids[0])
        return added

    with pytest.raises(LoadLostError, match="of 60 flights that were loaded, 59 are there; nothing is shown"):
        await run_import(database, many(60), now, add_seats=add_seats)
    assert await visible(database) == []
    assert await run_import(database, many(60), now) == Imported(60)


async def test_remains_are_removed_a_bounded_number_at_a_time(database: Database, clock: ManualClock, now: int) -> None:
    await killed_import(database, now)
    assert await remove_remains(database, remove_seats=seats.remove_seats) == 0
    clock.advance(LAPSE_SECONDS + 1)
    turns = [await remove_remains(database, remove_seats=seats.remove_seats, flights_max=50) for _ in range(3)]
    assert turns == [50, 50, 0]
    assert (await seat_rows(database), await loads(database)) == (0, 0)


async def test_what_was_revealed_stays_though_its_owner_died_before_it_was_done(
    database: Database, clock: ManualClock, now: int
) -> None:
    with pytest.raises(InterruptedLoadError):
        await run_import(database, many(60), now, progress=Interruption(60))
    await look_alive(database)
    async with database.reading() as connection:
        load_id = (await connection.execute(text("SELECT id FROM flight_loads"))).scalar_one()
    await reveal(database, str(load_id), 60)
    assert len(await visible(database)) == 60
    clock.advance(LAPSE_SECONDS + 1)
    assert await remove_remains(database, remove_seats=seats.remove_seats) == 0
    assert len(await visible(database)) == 60
    assert await loads(database) == 0
