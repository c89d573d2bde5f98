"""Own timetables: every bad line is named with its number and reason, and all flights are loaded or none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.clock import from_datetime
from domain.flights import COLUMNS, FILE_BYTES_MAX, BadLine, FlightQuery, Imported, ImportRefused
from domain.flights.model import plain_number
from domain.money import Money
from domain.storage import Database
from tests.domain.flights.timetables import csv, line, many, run_import, seat_rows, visible

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
    assert await reasons(database, content, now) == [BadLine(1, "the column origin appears twice")]


@pytest.mark.parametrize(
    ("content", "number", "reason"),
    [
        (b"", 1, "the file is empty"),
        (b"\n\n  \n", 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, "the file is empty"),
        (csv(), 1, "the file has no flights below the columns' names"),
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


# ---------------------------------------------------------------------- what tells flights apart


async def test_leading_zeros_make_no_other_flight_and_another_origin_does(database: Database, now: int) -> None:
    content = csv(
        line(number="BA0178"), line(number="BA178"), line(number="BA178", origin="EDI"), line(number="BA178D")
    )
    assert await reasons(database, content, now) == [BadLine(3, "BA178 on 2030-07-01 is in line 2 already")]
    content = csv(line(number="BA0178"), line(number="BA178", origin="EDI"), line(number="BA178D"))
    assert await run_import(database, content, now) == Imported(3)
    numbers = [(flight.number, flight.origin) for flight in await visible(database)]
    assert sorted(numbers) == [("BA178", "EDI"), ("BA178", "LHR"), ("BA178D", "LHR")]
    assert len(await visible(database, FlightQuery(number="BA00178"))) == 2


@pytest.mark.parametrize(
    ("number", "plain"),
    [
        ("BA0178", "BA178"),
        ("BAW0178", "BAW178"),
        ("9E03301", "9E3301"),
        ("U20012A", "U212A"),
        ("B60000", "B60"),
        ("BA178", "BA178"),
        ("ABCDE", "ABCDE"),
    ],
)
def test_a_number_is_plain_without_its_leading_zeros(number: str, plain: str) -> None:
    assert plain_number(number) == plain
    assert plain_number(plain) == plain


# ---------------------------------------------------------------------- clocks that are put


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"origin": "CPH", "departs_at": "2031-03-30T02:30", "arrives_at": "2031-03-30T12:00"},
            "departs_at '2031-03-30T02:30:00' does not exist in CPH, where clocks go forward;"
            " it is 2031-03-30T03:30:00+02:00",
        ),
        (
            {"origin": "CPH", "departs_at": "2030-10-27T02:30", "arrives_at": "2030-10-27T12:00"},
            "departs_at '2030-10-27T02:30:00' occurs twice in CPH, where clocks go back;"
            " add its offset: 2030-10-27T02:30:00+02:00 or 2030-10-27T02:30:00+01:00",
        ),
        (
            {"departs_at": "2030-11-02T23:00", "arrives_at": "2030-11-03T01:30"},
            "arrives_at '2030-11-03T01:30:00' occurs twice in JFK, where clocks go back;"
            " add its offset: 2030-11-03T01:30:00-04:00 or 2030-11-03T01:30:00-05:00",
        ),
    ],
)
async def test_a_time_that_is_skipped_or_repeated_is_named(
    database: Database, now: int, changes: dict[str, str], reason: str
) -> None:
    assert await reasons(database, csv(line(**changes)), now) == [BadLine(2, reason)]


async def test_with_its_offset_a_repeated_time_is_one(database: Database, now: int) -> None:
    first = line(origin="CPH", departs_at="2030-10-27T02:30+02:00", arrives_at="2030-10-27T12:00")
    second = line(number="SS2", origin="CPH", departs_at="2030-10-27T02:30+01:00", arrives_at="2030-10-27T12:00")
    assert await run_import(database, csv(first, second), now) == Imported(2)
    early, late = await visible(database)
    assert late.departs_at - early.departs_at == 3_600_000_000


# ---------------------------------------------------------------------- what is no CSV of ours


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
async def test_another_delimiter_is_named_once(database: Database, now: int, delimiter: str, name: str) -> None:
    content = csv(line(), line(number="SS2")).replace(b",", delimiter.encode())
    said = f"the columns are separated by {name}; save the file with commas"
    assert await reasons(database, content, now) == [BadLine(1, said)]


async def test_what_is_no_csv_is_named_where_it_begins_and_the_next_line_is_read(database: Database, now: int) -> None:
    huge = "x" * 200_000
    content = csv(
        line(number="SS1"),
        '"SS2"x,LHR',
        line(number=huge),
        line(number="A" * 1_000),
        line(number="SS\0"),
        line(number="SS6", origin="QQQ"),
    )
    bad = await reasons(database, content, now)
    assert [each.number for each in bad] == [3, 4, 5, 6, 7]
    assert bad[0].reason.startswith("not CSV: ")
    assert bad[1].reason.startswith("not CSV: field larger than")
    assert bad[2].reason == f"number '{'A' * 40}'... must be 2 to 8 letters and digits"
    assert bad[3].reason == r"number 'SS\x00' must be 2 to 8 letters and digits"
    assert max(len(each.reason) for each in bad) < 200


async def test_an_open_quote_is_named_where_it_opens(database: Database, now: int) -> None:
    content = csv(line(number="SS1"), '"SS2,LHR', *(line(number=f"SS{number}") for number in range(3, 20)))
    (bad,) = await reasons(database, content, now)
    assert bad.number == 3
    assert bad.reason.startswith("not CSV: ")


async def test_a_wrong_first_line_ends_the_check(database: Database, now: int) -> None:
    (bad,) = await reasons(database, b'"number"x,origin\n' + csv(line()), now)
    assert (bad.number, bad.reason[:8]) == (1, "not CSV:")


async def test_a_hundred_faults_are_named_and_the_others_counted(database: Database, now: int) -> None:
    content = csv(*(line(number=f"SS{number}", origin="QQQ") for number in range(1, 251)))
    answer = await run_import(database, content, now)
    assert isinstance(answer, ImportRefused)
    assert ([each.number for each in answer.lines], answer.more) == (list(range(2, 102)), 150)


async def test_of_known_flights_and_faults_the_first_hundred_lines_are_named(database: Database, now: int) -> None:
    assert await run_import(database, many(150), now) == Imported(150)
    content = many(150) + "\n".join(line(number=f"SS{place}", origin="QQQ") for place in range(100)).encode()
    answer = await run_import(database, content, now)
    assert isinstance(answer, ImportRefused)
    assert ([each.number for each in answer.lines], answer.more) == (list(range(2, 102)), 150)
    assert answer.lines[0].reason == "SS1000 on 2030-07-01 is in the database already"


async def test_a_file_without_end_is_one_line(database: Database, now: int) -> None:
    (bad,) = await reasons(database, b"\n" * (FILE_BYTES_MAX + 1), now)
    assert bad == BadLine(1, "the file is larger than 100,000,000 bytes; split it")
