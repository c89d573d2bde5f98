"""Own timetables, from a CSV file: every line is checked first, and all of them are loaded or none.

Columns, by name in the first line and in any order:

=================  =====================================================================
number             the flight number: letters and digits, at most 8 characters
origin             an IATA airport code
destination        another one
departs_at         ISO 8601; without an offset, the origin's local time
arrives_at         ISO 8601; without an offset, the destination's local time
economy_price      in major units, above zero, no finer than the currency's minor unit
business_price     likewise
first_price        likewise
currency           three capital letters, as USD
=================  =====================================================================
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import from_datetime
from domain.flights.atlas import airport
from domain.flights.loading import Departure, SeatKeeper, load, remove_remains
from domain.flights.tables import flights
from domain.money import Money
from domain.storage import Database, any_of

__all__ = ["COLUMNS", "BadLine", "ImportRefused", "Imported", "import_flights"]

COLUMNS: Final = (
    "number",
    "origin",
    "destination",
    "departs_at",
    "arrives_at",
    "economy_price",
    "business_price",
    "first_price",
    "currency",
)
FILE_BYTES_MAX: Final = 100_000_000
PRICE_MINOR_MAX: Final = 10_000_000_00
_NUMBER: Final = re.compile(r"[A-Z0-9]{2,8}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_known_numbers = select(flights.c.number, flights.c.departs_on).where(any_of(flights.c.number, "numbers"))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, 1-based, that cannot be loaded, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """All `flights` are loaded and visible."""

    flights: int


@dataclass(frozen=True, slots=True)
class ImportRefused:
    """Nothing was loaded; `lines` names every line that is wrong."""

    lines: tuple[BadLine, ...]


class _BadValue(ValueError):
    """One field of a line is wrong; the message says how."""


async def import_flights(
    database: Database,
    content: bytes,
    *,
    now: int,
    add_seats: SeatKeeper,
    remove_seats: SeatKeeper,
    progress: Callable[[int, int], None] | None = None,
) -> Imported | ImportRefused:
    """Load the flights of a CSV file's `content`, all or none. `now` in microseconds: nothing that has departed."""
    departures, bad = _read(content, now)
    await remove_remains(database, remove_seats=remove_seats)
    async with database.reading() as connection:
        bad += await _already_there(connection, departures)
    if bad:
        return ImportRefused(tuple(sorted(bad, key=lambda line: line.number)))
    loaded = await load(database, list(departures.values()), add_seats=add_seats, progress=progress)
    return Imported(loaded)


def _read(content: bytes, now: int) -> tuple[dict[int, Departure], list[BadLine]]:
    """Departures by line number, and what is wrong."""
    if len(content) > FILE_BYTES_MAX:
        return {}, [BadLine(1, f"the file is larger than {FILE_BYTES_MAX:,} bytes; split it")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return {}, [BadLine(line, "not UTF-8; save the file as UTF-8")]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    departures: dict[int, Departure] = {}
    bad: list[BadLine] = []
    seen: dict[tuple[str, str], int] = {}
    header: list[str] | None = None
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip().lower() for cell in cells]
                faults = _check_header(header)
                if faults:
                    return {}, [BadLine(line, fault) for fault in faults]
                continue
            try:
                departure = _departure(header, cells, now)
                key = (departure.number, departure.departs_on)
                if key in seen:
                    raise _BadValue(f"{key[0]} on {key[1]} is in line {seen[key]} already")
                seen[key] = line
                departures[line] = departure
            except _BadValue as fault:
                bad.append(BadLine(line, str(fault)))
    except csv.Error as error:
        bad.append(BadLine(reader.line_num, f"not CSV: {error}"))
    if header is None:
        bad.append(BadLine(1, f"the file is empty; its first line names the columns: {','.join(COLUMNS)}"))
    elif not departures and not bad:
        bad.append(BadLine(reader.line_num, "there is no flight below the columns' names"))
    return departures, bad


def _check_header(header: Sequence[str]) -> list[str]:
    faults = [f"the column {column} is missing" for column in COLUMNS if column not in header]
    faults += [
        f"there is no column {column!r}; known are {', '.join(COLUMNS)}" for column in header if column not in COLUMNS
    ]
    faults += [f"the column {column} is there twice" for column in COLUMNS if header.count(column) > 1]
    return faults


def _departure(header: Sequence[str], cells: Sequence[str], now: int) -> Departure:
    if len(cells) != len(header):
        raise _BadValue(f"{len(cells)} values for {len(header)} columns")
    line = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
    number = line["number"].upper()
    if not _NUMBER.fullmatch(number):
        raise _BadValue(f"number {line['number']!r} must be 2 to 8 letters and digits")
    origin, destination = _airport(line, "origin"), _airport(line, "destination")
    if origin == destination:
        raise _BadValue(f"origin and destination are both {origin}")
    departs_at, arrives_at = _moment(line, "departs_at", origin), _moment(line, "arrives_at", destination)
    if arrives_at <= departs_at:
        raise _BadValue("arrives_at is not after departs_at")
    if departs_at <= now:
        raise _BadValue("departs_at is in the past")
    if not _CURRENCY.fullmatch(line["currency"]):
        raise _BadValue(f"currency {line['currency']!r} must be three capital letters")
    return Departure(
        number,
        origin,
        destination,
        departs_at,
        arrives_at,
        _price(line, "economy_price"),
        _price(line, "business_price"),
        _price(line, "first_price"),
        line["currency"],
    )


def _airport(line: Mapping[str, str], column: str) -> str:
    code = line[column].upper()
    if airport(code) is None:
        raise _BadValue(f"{column} {line[column]!r} is not a known IATA airport code")
    return code


def _moment(line: Mapping[str, str], column: str, code: str) -> int:
    try:
        moment = datetime.fromisoformat(line[column])
    except ValueError:
        raise _BadValue(f"{column} {line[column]!r} must be ISO 8601, as 2026-12-24T18:30") from None
    place = airport(code)
    if moment.tzinfo is None and place is not None:
        moment = moment.replace(tzinfo=ZoneInfo(place.time_zone))
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:
        in_utc = None
    # The calendar's last year is no date in every time zone.
    if in_utc is None or in_utc.year == MAXYEAR:
        raise _BadValue(f"{column} {line[column]!r} is out of range")
    return from_datetime(in_utc)


def _price(line: Mapping[str, str], column: str) -> int:
    try:
        money = Money.of(Decimal(line[column]), line["currency"])
    except InvalidOperation:
        raise _BadValue(f"{column} {line[column]!r} must be a number") from None
    if money is None:
        raise _BadValue(
            f"{column} {line[column]!r} must be finite and no finer than the minor unit of {line['currency']}"
        )
    if not 0 < money.minor <= PRICE_MINOR_MAX:
        raise _BadValue(
            f"{column} {line[column]!r} must be above zero and at most {Money(PRICE_MINOR_MAX, line['currency'])}"
        )
    return money.minor


async def _already_there(connection: AsyncConnection, departures: Mapping[int, Departure]) -> list[BadLine]:
    numbers = sorted({departure.number for departure in departures.values()})
    rows = await connection.execute(_known_numbers, {"numbers": numbers})
    known = {(row.number, row.departs_on) for row in rows}
    return [
        BadLine(line, f"{departure.number} on {departure.departs_on} is in the database already")
        for line, departure in departures.items()
        if (departure.number, departure.departs_on) in known
    ]
