"""Every statement that bookings cause is answered by an index, so that a file full of history is no slower."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from domain.bookings import BookingQuery, BookingStatus, InventoryLimits, bookings_page
from domain.clock import ManualClock
from domain.saga import Simulation
from domain.storage import Database
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.statements import executed

#: Tables that stay small whatever happens: processes, flights and their loads, airports.
SMALL = {"replicas", "flights", "flight_loads", "airports", "job_controls"}
#: The rows that a bulk statement brings with it, and those of a subquery that a limit has ended.
GIVEN = {"v", "last_to_end"}
#: Walks along an index in its order, which a limit ends.
ORDERED = re.compile(r"SCAN \w+ USING (COVERING )?INDEX")
GROWING = re.compile(r"SCAN (\w+)")


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_no_statement_of_a_booking_reads_a_growing_table_from_end_to_end(
    world: World, clock: ManualClock
) -> None:
    with executed(world.database) as seen:
        booked = await world.ended(await world.book(member_number=ADA, passengers=[JOHN, JANE]))
        await world.ended(await world.book(member_number=ADA, points_to_redeem=100))
        await world.ended(await world.book(Simulation(fail_at=("CONFIRM_BOOKING",)), member_number=ADA))
        cancelled = await world.book(Simulation(delay_ms=300))
        await world.bookings.cancel_saga(cancelled.correlation_id, subject=None, asked=AN_OPERATOR)
        await world.ended(cancelled)
        booking = await world.booking(booked)
        assert booking is not None
        await world.bookings.cancel_booking(
            booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
        )
        lapsing = await world.book(Simulation(delay_ms=2_000))
        clock.advance(HOLD_SECONDS)
        await world.bookings.release_expired()
        await world.engine.runner.recover()
        await world.ended(lapsing)
    assert len(dict(seen)) > 40
    plans = explain(world.database, dict(seen))
    whole = [
        (detail, statement)
        for detail, statement in plans
        if (found := GROWING.match(detail))
        and found[1] not in SMALL | GIVEN
        and not ORDERED.match(detail)
        and "VIRTUAL TABLE" not in detail
        and "CONSTANT ROW" not in detail
    ]
    assert whole == []


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_a_caller_has_in_flight_is_counted_without_what_is_over(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, holds_per_caller_max=18) as world:
        with executed(database) as seen:
            await world.book(Simulation(delay_ms=300))
    plans = [
        detail
        for detail, statement in explain(database, dict(seen))
        if statement.startswith("SELECT sagas.id, sagas.subject, sagas.definition") and "SEARCH sagas" in detail
    ]
    assert plans == ["SEARCH sagas USING INDEX ix_sagas_in_flight (subject=? AND finished_at=?)"]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_a_caller_has_bought_and_failed_at_is_found_by_its_own_indexes(
    database: Database, tmp_path: Path
) -> None:
    async with world_of(database, tmp_path, limits=InventoryLimits(seats=9, failures=3)) as world:
        with executed(database) as seen:
            await world.ended(await world.book())
            await world.book()
    plans = [
        detail
        for detail, statement in explain(database, dict(seen))
        if ("FROM caller_seats" in statement or "COMPENSATED" in statement) and "SEARCH" in detail
    ]
    assert sorted(plans) == [
        "SEARCH bookings USING INDEX sqlite_autoindex_bookings_3 (saga_id=?)",
        "SEARCH caller_seats USING PRIMARY KEY (caller_flight=?)",
        "SEARCH sagas USING INDEX ix_sagas_undone (subject=? AND finished_at>?)",
    ]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "query",
    [
        BookingQuery(subject="someone", is_upcoming=True, at=1),
        BookingQuery(is_upcoming=False, at=1),
        BookingQuery(flight_id=1, statuses=[BookingStatus.CONFIRMED]),
        BookingQuery(member_number=ADA, is_upcoming=True, at=1),
    ],
)
async def test_a_list_of_bookings_reads_no_growing_table_from_end_to_end(
    database: Database, query: BookingQuery
) -> None:
    with executed(database) as seen:
        async with database.reading() as connection:
            await bookings_page(connection, query, after=None, limit=21)
    for detail, _ in explain(database, dict(seen)):
        found = GROWING.match(detail)
        assert found is None or found[1] in SMALL or ORDERED.match(detail), detail


def explain(database: Database, statements: dict[str, Any]) -> list[tuple[str, str]]:
    """Every line of every plan, with its statement."""
    found = []
    connection = sqlite3.connect(str(database.url.database))
    for statement, parameters in statements.items():
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found += [(str(row[3]), statement) for row in rows]
    connection.close()
    return found
