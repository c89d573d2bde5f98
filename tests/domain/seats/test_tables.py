"""What the database itself refuses, whatever the code does, and that it answers by its indexes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import StorageError
from domain.ids import new_id
from domain.seats import (
    ReservationQuery,
    SeatReservationStatus,
    add_seats,
    available_counts,
    cancel,
    claim,
    confirm,
    expire,
    hold,
    lapsed,
    release,
    reservations_by_ids,
    reservations_count,
    reservations_of,
    reservations_page,
    seat_map,
    seats_by_ids,
)
from domain.storage import Database
from tests.domain.seats.scenes import holding, reservation_statuses, statuses, wish
from tests.support.statements import executed

INSERT = text(
    "INSERT INTO seat_reservations (id, saga_id, correlation_id, flight_id, seat, segment, passenger, cabin, status,"
    " held_at, expires_at, ended_at)"
    " VALUES (:id, :saga, :saga, :flight, :seat, 0, 0, :cabin, :status, 1, :expires, :ended)"
)


async def insert(database: Database, flight_id: int, **changes: object) -> None:
    row = {"flight": flight_id, "seat": 68, "cabin": "ECONOMY", "status": "HELD", "expires": 2, "ended": None} | changes
    await database.write(lambda tx: tx.execute(INSERT, {"id": new_id(), "saga": new_id(), **row}))


@pytest.mark.parametrize("first", ["HELD", "CONFIRMED"])
@pytest.mark.parametrize("second", ["HELD", "CONFIRMED"])
async def test_a_seat_has_one_owner_whatever_the_code_does(
    database: Database, flight: int, first: str, second: str
) -> None:
    await insert(database, flight, status=first)
    with pytest.raises(IntegrityError):
        await insert(database, flight, status=second)


async def test_a_seat_may_have_any_number_of_former_owners(database: Database, flight: int) -> None:
    for status in ("RELEASED", "RELEASED", "EXPIRED"):
        await insert(database, flight, status=status, ended=2)
    await insert(database, flight)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"status": "SOLD"},
        {"cabin": "PREMIUM"},
        {"seat": 162},
        {"flight": 999},
        {"expires": 1},
        {"ended": 2},
        {"status": "EXPIRED"},
    ],
)
async def test_a_reservation_that_makes_no_sense_is_refused(
    database: Database, flight: int, nonsense: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError):
        await insert(database, flight, **nonsense)


async def test_seats_of_no_flight_are_refused(database: Database, flight: int) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: add_seats(tx, [flight + 999]))


async def test_seats_are_added_once(database: Database, flight: int) -> None:
    await holding(database, wish(flight, "12C"))
    assert await database.write(lambda tx: add_seats(tx, [flight])) == 0
    assert await statuses(database, flight) == {"12C": "HELD"}


async def test_a_row_that_is_not_as_its_lock_showed_it_undoes_everything(database: Database, flight: int) -> None:
    """Here a seat that somebody has meddled with; the saga's other seats stay as they were."""
    sagas = await holding(database, wish(flight, passengers=2))
    meddle = text("UPDATE seats SET status = 'BOOKED' WHERE flight_id = :flight AND seat = 19")
    await database.write(lambda tx: tx.execute(meddle, {"flight": flight}))
    with pytest.raises(StorageError, match="Moved 1 of 2 seats to BOOKED"):
        await database.write(lambda tx: confirm(tx, sagas, at=2**60))
    assert await reservation_statuses(database, sagas[0]) == ["HELD", "HELD"]


Step = Callable[[AsyncConnection], Awaitable[object]]


# PostgreSQL reads small tables whole, and rightly so.
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_no_statement_reads_a_whole_table(database: Database, flight: int) -> None:
    sagas, clock = await holding(database, wish(flight), wish(flight)), database.clock
    held = [SeatReservationStatus.HELD]
    steps: list[Step] = [
        lambda tx: hold(tx, [wish(flight), wish(flight, "9A")], clock=clock, hold_seconds=9),
        lambda tx: claim(tx, sagas, clock=clock),
        lambda tx: confirm(tx, sagas[:1], at=2**60),
        lambda tx: cancel(tx, sagas[:1], at=2**60),
        lambda tx: lapsed(tx, at=2**60, sagas_max=2),
        lambda tx: expire(tx, sagas, clock=clock),
        lambda tx: release(tx, sagas[1:], at=2**60),
        lambda tx: available_counts(tx, [flight]),
        lambda tx: seat_map(tx, [flight]),
        lambda tx: seats_by_ids(tx, [(flight, 1)]),
        lambda tx: reservations_of(tx, sagas),
        lambda tx: reservations_by_ids(tx, sagas),
        lambda tx: reservations_page(tx, ReservationQuery(held, flight), after=None, limit=2),
        lambda tx: reservations_page(tx, ReservationQuery(expires_before=2**60), after=(1, sagas[0]), limit=2),
        lambda tx: reservations_count(tx, ReservationQuery(held, flight)),
    ]

    async def plans(tx: AsyncConnection) -> list[tuple[str, str]]:
        with executed(tx) as seen:
            for step in steps:
                await step(tx)
        found: list[tuple[str, str]] = []
        for statement, parameters in seen:
            if not statement.startswith("INSERT"):
                rows = await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found.extend((row.detail, statement) for row in rows)
        return found

    details = await database.write(plans)
    assert len(details) > 2 * len(steps)
    by_index = " USING INDEX ", " USING COVERING INDEX "
    scans = [
        (detail, statement)
        for detail, statement in details
        if detail.startswith(("SCAN seats", "SCAN flight", "SCAN seat_reservations"))
        and not ("ORDER BY seat_reservations.expires_at" in statement and any(way in detail for way in by_index))
    ]
    assert scans == []
