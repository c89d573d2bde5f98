"""What is found under a text, and in which order."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from sqlalchemy import Executable, update
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import Booking, Passenger, fill_family_names
from domain.bookings.tables import bookings, passengers
from domain.clock import SECOND, wall_now
from domain.flights import Flight
from domain.loyalty import LoyaltyAccount
from domain.saga import SagaView
from domain.search import Hit, find
from tests.domain.bookings.world import ADA, World
from tests.support.statements import executed, plan, statements

HOUR = 3600 * SECOND
DECLINED = "pm_card_chargeDeclined"
ABSENT = "8c1f2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b"
WHOLE = re.compile(r"(SCAN|Seq Scan on) (sagas|passengers|bookings|payments|flights)\b")


async def found(world: World, text: str, *, limit: int = 20, names: bool = True, now: int | None = None) -> list[str]:
    """What is found, as one word each."""
    moment = wall_now() if now is None else now
    async with world.database.reading() as connection:
        return [word(hit) for hit in await find(connection, text, now=moment, limit=limit, names=names)]


def word(hit: Hit) -> str:
    match hit:
        case SagaView():
            return hit.correlation_id
        case Booking():
            return hit.reference
        case Flight():
            return f"{hit.number} {hit.departs_on}"
        case LoyaltyAccount():
            return hit.member_number


async def booked(world: World, *family_names: str, **changes: Any) -> str:
    """The reference of a new booking for people of these names."""
    people = [Passenger("Ada", name) for name in family_names]
    booking = await world.booking(await world.ended(await world.book(passengers=people, **changes)))
    assert booking is not None
    return booking.reference


async def declined(world: World, family_name: str, **changes: Any) -> str:
    """The correlation ID of a saga that ended without a booking."""
    people = [Passenger("Ada", family_name)]
    return (await world.ended(await world.book(passengers=people, payment_token=DECLINED, **changes))).correlation_id


async def change(world: World, *statements: Executable) -> None:
    async def work(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(statement)

    await world.database.write(work)


async def test_each_kind_of_text_finds_what_it_names(world: World) -> None:
    reference = await booked(world, "Lovelace")
    refused = await declined(world, "Byron")
    saga = await world.engine.saga(refused)
    assert saga is not None
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.reference is not None
    await world.add_flight("SS100", "LHR", "JFK", 30)
    (out,) = await found(world, "SS100")

    assert await found(world, reference.lower()) == [reference]
    assert await found(world, refused) == [refused]
    assert await found(world, f"  {refused.upper()} ") == [refused]
    assert await found(world, refused[:13]) == [refused]
    assert await found(world, payment.reference) == [refused]
    assert await found(world, ADA.lower()) == [ADA]
    assert await found(world, "lovelace") == [reference]
    assert await found(world, "Byron") == [refused]
    assert await found(world, "byr") == [refused]
    assert out.startswith("SS100 ")
    assert await found(world, out) == [out]
    assert await found(world, "ss 0100") == [out]


async def test_what_there_is_not_is_not_found(world: World) -> None:
    for text in (
        str(uuid.uuid4()),
        "AAAAAA",
        "Nobody",
        "SS100 2001-01-01",
        "SS999",
        "SS9999999",
        "pi_none",
        "%",
        "_",
        "",
    ):
        assert await found(world, text) == []


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("garcia", "García"), ("oneill", "O'Neill"), ("strasse", "Straße"), ("orsted", "Ørsted"), ("Mueller", "Müller")],
)
async def test_a_name_is_found_as_people_type_it(world: World, typed: str, stored: str) -> None:
    reference = await booked(world, stored)

    assert await found(world, typed) == [reference]
    assert await found(world, stored) == [reference]
    (shown,) = (await passengers_named(world)).values()
    assert shown == stored, "the name is kept as it was sent"


async def test_a_full_name_is_found_in_either_order_and_the_given_name_may_be_cut_short(world: World) -> None:
    async def named(given: str, family: str) -> str:
        booking = await world.booking(await world.ended(await world.book(passengers=[Passenger(given, family)])))
        assert booking is not None
        return booking.reference

    ana, eva = await named("Ana María", "García"), await named("Eva", "García")
    cruz = await named("Ana", "de la Cruz")
    for text in ("Ana García", "garcia, ana", "ANA MARIA GARCIA", "García Ana María"):
        assert await found(world, text) == [ana], text
    assert await found(world, "ana de la cruz") == [cruz]
    assert await found(world, "garcia") == [eva, ana]
    assert await found(world, "Bob García") == []
    assert await found(world, "Ana García", names=False) == []


async def passengers_named(world: World) -> dict[str, str]:
    async with world.database.reading() as connection:
        return {row.saga_id: row.family_name for row in await connection.execute(passengers.select())}


async def test_exact_names_come_before_those_that_only_begin_so_and_the_newest_first(world: World) -> None:
    longer, first, other, second = [await booked(world, name) for name in ("Smithers", "Smith", "Smyth", "SMITH")]

    assert await found(world, "smith") == [second, first, longer]
    assert await found(world, "sm") == [second, first, longer, other]
    assert await found(world, "smith", limit=2) == [second, first]


async def test_a_booking_is_found_once_however_many_of_its_passengers_have_the_name(world: World) -> None:
    family = await booked(world, "Smith", "Smithson", "Smith")
    other = await booked(world, "Smithson")

    assert await found(world, "smith") == [family, other]
    assert await found(world, "smith", limit=1) == [family]


async def test_references_come_before_flights_members_names_and_beginnings_of_ids(world: World) -> None:
    await world.add_flight("AB234C", "LHR", "JFK", 90)
    exact, longer = [await booked(world, name) for name in ("AB234C", "AB234CD")]
    begun = await declined(world, "Other", correlation_id=f"ab234c{str(uuid.uuid4())[6:]}")
    reference = await booked(world, "Another")
    await change(
        world,
        update(bookings).where(bookings.c.reference == reference).values(reference="AB234C"),
        sql("INSERT INTO loyalty_accounts (member_number, name, balance, pending) VALUES ('AB234C', 'Ada', 0, 0)"),
    )

    hits = await found(world, "ab234c")

    assert [hits[0], hits[2:]] == ["AB234C", ["AB234C", exact, begun, longer]]
    assert hits[1].startswith("AB234C 2")


async def test_the_next_departures_of_a_number_come_first_and_then_the_last_ones(world: World) -> None:
    for hours in (30, 60, 90):
        await world.add_flight("SS200", "LHR", "JFK", hours)
    dates = [hit.split()[1] for hit in await found(world, "SS200")]
    assert dates == sorted(set(dates))
    assert len(dates) == 3

    # Between the second departure and the third.
    then = wall_now() + 70 * HOUR
    assert [hit.split()[1] for hit in await found(world, "SS200", now=then)] == [dates[2], dates[1], dates[0]]
    assert [hit.split()[1] for hit in await found(world, "SS200", now=then, limit=2)] == [dates[2], dates[1]]


async def test_names_are_not_looked_for_without_the_right_to_see_them(world: World) -> None:
    reference = await booked(world, "Lovelace")

    with statements(world.database) as asked:
        assert await found(world, "lovelace", names=False) == []
    assert not any("passengers" in statement for statement in asked)
    assert await found(world, reference, names=False) == [reference]


async def test_a_booking_that_this_release_cannot_read_is_found_as_its_saga(world: World) -> None:
    reference = await booked(world, "Lovelace")
    other = await booked(world, "Lovelace")
    unchecked = {
        "sqlite": "PRAGMA ignore_check_constraints = ON",
        "postgresql": "ALTER TABLE bookings DROP CONSTRAINT ck_bookings_status",
    }
    newer = update(bookings).where(bookings.c.reference == reference).values(status="NEWER")
    await change(world, sql(unchecked[world.database.dialect]), newer)

    first, second = await found(world, "lovelace")
    assert first == other
    assert uuid.UUID(second)
    assert await found(world, reference) == []


@pytest.mark.parametrize(
    "text",
    ["\x00", "a\x00b", "\ud800x", "'; DROP TABLE passengers; --", "%%%", "\\", "x" * 200, "\U0010ffff", "ﷺ" * 90],
)
async def test_hostile_text_finds_nothing_and_breaks_nothing(world: World, text: str) -> None:
    await booked(world, "Lovelace")

    assert await found(world, text) == []


# ---------------------------------------------------------------------- rows of the release before


async def test_names_that_the_release_before_wrote_are_found_once_they_are_filled(world: World) -> None:
    references = [await booked(world, name, "Smith") for name in ("García", "O'Neill")]
    await change(world, update(passengers).values(family_folded=None))
    assert await found(world, "garcia") == []

    assert await world.database.write(fill_family_names) == 4
    assert await world.database.write(fill_family_names) == 0

    assert await found(world, "garcia") == references[:1]
    assert await found(world, "smith") == references[::-1]


# ---------------------------------------------------------------------- plans


@pytest.mark.parametrize("text", [ABSENT, "8c1f", "AAAAAA", "SS100", "SS100 2030-01-01", ADA, "pi_1", "Mueller", "s"])
async def test_every_statement_of_a_search_goes_by_an_index_and_sorts_nothing_that_grows(
    world: World, text: str
) -> None:
    await booked(world, "Müller")
    await world.add_flight("SS100", "LHR", "JFK", 30)
    with executed(world.database, "^SELECT") as seen:
        await found(world, text)

    for statement, parameters in seen:
        lines = await plan_by_indexes(world, statement, parameters)
        assert not any(WHOLE.search(line) for line in lines), (statement, lines)
        if "FROM passengers" in statement:
            assert_in_the_order_of_the_index(lines)


async def test_the_rows_to_be_filled_are_read_in_the_order_of_the_index(world: World) -> None:
    await booked(world, "Müller")
    await change(world, update(passengers).values(family_folded=None))
    with executed(world.database, "^SELECT.*passengers") as seen:
        await world.database.write(fill_family_names)

    ((statement, parameters),) = seen
    lines = await plan_by_indexes(world, statement.partition("FOR UPDATE")[0], parameters)
    assert_in_the_order_of_the_index(lines)


def assert_in_the_order_of_the_index(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert re.search(r"(?i)using .*ix_passengers_family_folded", text), text
    assert re.search(r"SEARCH passengers .*\(family_folded|Index Cond: .*family_folded", text), text
    assert not any("TEMP B-TREE" in line or "Sort" in line for line in lines), lines


async def plan_by_indexes(world: World, statement: str, parameters: Any) -> list[str]:
    """The plan, on PostgreSQL as for large tables: these are small, and would be read whole."""
    if world.database.dialect == "sqlite":
        return await plan(world.database, statement, parameters)
    async with world.database.reading() as connection:
        await connection.execute(sql("SET LOCAL enable_seqscan = off"))
        await connection.execute(sql("SET LOCAL enable_sort = off"))
        return [str(row[-1]) for row in await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
