"""Own timetables: every bad line is named with its number and reason, and all flights are loaded or none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.clock import from_datetime
from domain.flights import COLUMNS, BadLine, Imported, ImportRefused
from domain.money import Money
from domain.storage import Database
from tests.domain.flights.timetables import csv, line, run_import, seat_rows, visible

BAD_FIELDS = {
    "unknown origin": ({"origin": "QQQ"}, "origin 'QQQ' is not a known IATA airport code"),
    "unknown destination": ({"destination": "XX"}, "destination 'XX' is not a known IATA airport code"),
    "no origin": ({"origin": ""}, "origin '' is not a known IATA airport code"),
    "nowhere to go": ({"destination": "lhr"}, "origin and destination are both LHR"),
    "arrival before departure": ({"arrives_at": "2030-07-01T04:59"}, "arrives_at is not after departs_at"),
    "arrival at departure": ({"arrives_at": "2030-07-01T05:00"}, "arrives_at is not after departs_at"),
    "departed": (
        {"departs_at": "2030-06-01T13:00", "arrives_at": "2030-06-01T16:00"},
        "departs_at is in the past",
    ),
    "no moment": ({"departs_at": "tomorrow"}, "departs_at 'tomorrow' must be ISO 8601, as 2026-12-24T18:30"),
    "no such day": ({"arrives_at": "2030-02-30T10:00"}, "arrives_at '2030-02-30T10:00' must be ISO 8601"),
    "price of nothing": ({"economy_price": "0"}, "economy_price '0' must be above zero"),
    "price below nothing": ({"business_price": "-1"}, "business_price '-1' must be above zero"),
    "price too fine": ({"first_price": "1.005"}, "first_price '1.005' must be finite and no finer than the minor unit"),
    "price too fine for yen": (
        {"economy_price": "100.5", "currency": "JPY"},
        "economy_price '100.5' must be finite and no finer than the minor unit of JPY",
    ),
    "price without end": ({"economy_price": "Infinity"}, "economy_price 'Infinity' must be finite"),
    "price that is none": ({"economy_price": "NaN"}, "economy_price 'NaN' must be finite"),
    "price in words": ({"economy_price": "cheap"}, "economy_price 'cheap' must be a number"),
    "no price": ({"economy_price": ""}, "economy_price '' must be a number"),
    "price too high": ({"economy_price": "10000000.01"}, "at most 10,000,000.00 USD"),
    "currency in small letters": ({"currency": "usd"}, "currency 'usd' must be three capital letters"),
    "no currency": ({"currency": ""}, "currency '' must be three capital letters"),
    "number too long": ({"number": "SS1234567"}, "number 'SS1234567' must be 2 to 8 letters and digits"),
    "number with a space": ({"number": "SS 1"}, "number 'SS 1' must be 2 to 8 letters and digits"),
    "number in another script": ({"number": "SS١٢"}, "number 'SS١٢' must be 2 to 8 letters and digits"),
}


async def reasons(database: Database, content: bytes, now: int) -> list[BadLine]:
    """Why the file is refused, with nothing of it loaded."""
    answer = await run_import(database, content, now)
    assert isinstance(answer, ImportRefused)
    assert await visible(database) == []
    assert await seat_rows(database) == 0
    return list(answer.lines)


@pytest.fixture
def backend() -> str:
    """What is wrong with a line is found before any database is asked: one of them will do."""
    return "sqlite"


@pytest.mark.parametrize(("changes", "reason"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
async def test_a_bad_field_is_named_and_nothing_is_loaded(
    database: Database, now: int, changes: dict[str, str], reason: str
) -> None:
    content = csv(line(number="SS1"), line(**changes), line(number="SS2"))
    (bad,) = await reasons(database, content, now)
    assert bad.number == 3
    assert reason in bad.reason


@pytest.mark.parametrize("price", ["1e999999", "-1e999999", "1e-999999", "100.000000000000000000000000000001"])
async def test_a_price_beyond_all_bounds_is_a_bad_line_too(database: Database, now: int, price: str) -> None:
    (bad,) = await reasons(database, csv(line(), line(number="SS901", economy_price=price)), now)
    assert bad.number == 3
    assert bad.reason.startswith(f"economy_price '{price}' must be")


async def test_a_departure_beyond_the_last_year_is_a_bad_line_too(database: Database, now: int) -> None:
    moments = {"departs_at": "9999-12-31T23:00-12:00", "arrives_at": "9999-12-31T23:30-12:00"}
    (bad,) = await reasons(database, csv(line(), line(number="SS901", **moments)), now)
    assert bad.number == 3
    assert bad.reason.startswith("departs_at")


async def test_every_bad_line_is_named_in_the_order_of_the_file(database: Database, now: int) -> None:
    content = csv(
        line(number="SS1"),
        line(number="SS2", origin="QQQ"),
        line(number="SS3"),
        line(number="SS4", economy_price="free"),
        "SS5,LHR",
        line(number="SS1"),
        line(number="SS6", currency="$"),
    )
    bad = await reasons(database, content, now)
    assert [(each.number, each.reason) for each in bad] == [
        (3, "origin 'QQQ' is not a known IATA airport code"),
        (5, "economy_price 'free' must be a number"),
        (6, f"2 values for {len(COLUMNS)} columns"),
        (7, "SS1 on 2030-07-01 is in line 2 already"),
        (8, "currency '$' must be three capital letters"),
    ]


async def test_a_number_twice_on_a_local_date_is_refused(database: Database, now: int) -> None:
    content = csv(line(), line(number="ss900", departs_at="2030-07-01T23:30", arrives_at="2030-07-02T02:30"))
    assert await reasons(database, content, now) == [BadLine(3, "SS900 on 2030-07-01 is in line 2 already")]


async def test_the_date_of_a_repeat_is_the_local_one(database: Database, now: int) -> None:
    """Both leave Auckland on 1 July in UTC, but on two days of its own."""
    content = csv(
        line(origin="AKL", destination="SYD", departs_at="2030-07-01T01:00+00:00", arrives_at="2030-07-01T04:00+00:00"),
        line(origin="AKL", destination="SYD", departs_at="2030-07-01T13:00+00:00", arrives_at="2030-07-01T16:00+00:00"),
    )
    assert await run_import(database, content, now) == Imported(2)
    assert [flight.departs_on for flight in await visible(database)] == ["2030-07-01", "2030-07-02"]


async def test_one_number_flies_every_day(database: Database, now: int) -> None:
    content = csv(line(), line(departs_at="2030-07-02T10:00", arrives_at="2030-07-02T13:00"))
    assert await run_import(database, content, now) == Imported(2)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_missing_column_is_named(database: Database, now: int, column: str) -> None:
    content = csv(line()).replace(column.encode(), b"other", 1)
    bad = await reasons(database, content, now)
    assert BadLine(1, f"the column {column} is missing") in bad
    assert [each.number for each in bad] == [1, 1]
    assert "there is no column 'other'" in bad[1].reason


async def test_a_column_that_is_there_twice_is_named(database: Database, now: int) -> None:
    content = csv(line()).replace(b"origin", b"origin,origin", 1)
    assert await reasons(database, content, now) == [BadLine(1, "the column origin is there twice")]


@pytest.mark.parametrize(
    ("content", "number", "reason"),
    [
        (b"", 1, "the file is empty"),
        (b"\n\n  \n", 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, "the file is empty"),
        (csv(), 1, "there is no flight below the columns' names"),
        (csv(line(), line(number="\0")).replace(b"\0", b"\xff"), 3, "not UTF-8"),
        (csv(line()).decode().encode("utf-16"), 1, "not UTF-8"),
        (csv(line(), '"SS901' + line()), 3, "not CSV"),
    ],
    ids=["empty", "blank", "byte order mark alone", "no flight", "bad UTF-8", "UTF-16", "open quote"],
)
async def test_a_file_that_is_no_timetable_is_refused(
    database: Database, now: int, content: bytes, number: int, reason: str
) -> None:
    (bad,) = await reasons(database, content, now)
    assert bad.number == number
    assert bad.reason.startswith(reason)


async def test_a_timetable_is_read_as_people_write_it(database: Database, now: int) -> None:
    """Other order of columns, capital headers, spaces, blank lines, Windows' line ends and byte order mark."""
    content = (
        "\ufeffOrigin, NUMBER,destination,currency,departs_at,arrives_at,economy_price,business_price,first_price\r\n"
        "\r\n"
        ' jfk ,ba178,LHR,USD,2030-07-01T20:00,2030-07-02T08:00,"100",200.5,300.50\r\n'
        "NRT,JL2,SFO,JPY,2030-07-02T00:30,2030-07-01T17:30,90000,180000,270000\r\n"
    ).encode()
    assert await run_import(database, content, now) == Imported(2)
    tokyo, new_york = await visible(database)
    assert (new_york.number, new_york.origin, new_york.destination) == ("BA178", "JFK", "LHR")
    assert new_york.departs_at == from_datetime(datetime(2030, 7, 2, 0, 0, tzinfo=UTC))
    assert new_york.arrives_at == from_datetime(datetime(2030, 7, 2, 7, 0, tzinfo=UTC))
    assert new_york.departs_on == "2030-07-01"
    assert new_york.fares == {
        "ECONOMY": Money(100_00, "USD"),
        "BUSINESS": Money(200_50, "USD"),
        "FIRST": Money(300_50, "USD"),
    }
    assert 3_400 < new_york.distance_miles < 3_500
    assert tokyo.departs_at == from_datetime(datetime(2030, 7, 1, 15, 30, tzinfo=UTC))
    assert tokyo.duration_minutes == 9 * 60
    assert tokyo.departs_on == "2030-07-02"
    assert tokyo.fares["ECONOMY"] == Money(90_000, "JPY")
