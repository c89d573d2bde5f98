"""Imports of timetables from a CSV file: every line is checked first, and all lines are loaded or none.

Columns, by name in the first line and in any order:

=================  =====================================================================
number             the flight number: letters and digits, at most 8 characters; without leading zeros
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
import heapq
import io
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Text, bindparam, select

from domain.actors import Asked
from domain.clock import from_datetime
from domain.flights.atlas import airport
from domain.flights.loading import Departure, FlightsThereError, load
from domain.flights.loads import SeatKeeper, hidden_loads, is_over, remove_remains, wait_for_doubtful
from domain.flights.model import plain_number
from domain.flights.tables import flights
from domain.money import Money
from domain.storage import Database, any_of

__all__ = ["COLUMNS", "FILE_BYTES_MAX", "BadLine", "ImportRefused", "Imported", "import_flights"]

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
#: The number of faults that are named; the others are only counted.
FAULTS_NAMED_MAX: Final = 100
#: At most this much of a wrong value is shown.
_SHOWN_CHARACTERS_MAX: Final = 40
#: The number of flights that one statement looks up.
_LOOKED_FOR_MAX: Final = 1_000
PRICE_MINOR_MAX: Final = 10_000_000_00
_NUMBER: Final = re.compile(r"[A-Z0-9]{2,8}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_OTHER_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_there = (
    select(flights.c.number, flights.c.origin, flights.c.departs_on, flights.c.load_id)
    .where(any_of(flights.c.number, "numbers"))
    .where(flights.c.departs_on.between(bindparam("first_on", type_=Text), bindparam("last_on", type_=Text)))
)

#: The identity of a flight: local date, number without leading zeros, origin.
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, 1-based, that cannot be loaded, and the reason."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """All `flights` are loaded and visible."""

    flights: int


@dataclass(frozen=True, slots=True)
class ImportRefused:
    """Nothing was loaded; `lines` are the first hundred wrong lines, and there are `more`."""

    lines: tuple[BadLine, ...]
    more: int = 0


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
    cleaning: Callable[[int, int], None] | None = None,
    asked: Asked | None = None,
) -> Imported | ImportRefused:
    """Load the flights of a CSV file's `content`, all or none. `now` in microseconds: departed flights are faults.

    A file with a fault is refused before anything is written or removed. The content is read twice,
    first to check and then to load, so that only the identity of each flight is kept in memory.
    `cleaning` is called with (done, of how many) while remains of earlier loads are removed. `asked`: the operator, if
    it is an operator's action.
    """
    survey = _survey(content, now)
    await _look_for_known(database, survey)
    if survey.faults:
        return survey.refusal()
    await remove_remains(database, remove_seats=remove_seats, progress=cleaning)
    try:
        loaded = await load(
            database,
            _Timetable(content, now, len(survey.lines)),
            add_seats=add_seats,
            progress=progress,
            asked=asked,
        )
    except FlightsThereError:
        await _look_for_known(database, survey)
        if not survey.faults:
            survey.add(
                BadLine(1, "another load has added some of these flights and removed them; import the file again")
            )
        return survey.refusal()
    return Imported(loaded)


@dataclass(frozen=True, slots=True)
class _Timetable:
    """The departures of a file without faults, read one by one on demand."""

    content: bytes
    now: int
    departures: int

    def __len__(self) -> int:
        return self.departures

    def __iter__(self) -> Iterator[Departure]:
        return (found for _, found in _read(self.content, self.now) if isinstance(found, Departure))


class _Survey:
    """The content of a file: its flights, each with its line, and its faults, counted."""

    def __init__(self) -> None:
        self.lines: dict[_Key, int] = {}
        self.faults = 0
        self._named: list[BadLine] = []

    def add(self, fault: BadLine) -> None:
        """Add one fault."""
        self.faults += 1
        if len(self._named) < FAULTS_NAMED_MAX:
            self._named.append(fault)

    def add_known(self, known: dict[int, str]) -> None:
        """Add lines whose flights exist already; the message by line."""
        self.faults += len(known)
        first = heapq.nsmallest(FAULTS_NAMED_MAX, known)
        named = [*self._named, *(BadLine(line, known[line]) for line in first)]
        self._named = sorted(named, key=lambda fault: fault.number)[:FAULTS_NAMED_MAX]

    def refusal(self) -> ImportRefused:
        """The refusal with all faults, for people."""
        return ImportRefused(tuple(self._named), self.faults - len(self._named))


def _survey(content: bytes, now: int) -> _Survey:
    """Check every line."""
    survey = _Survey()
    for line, found in _read(content, now):
        if isinstance(found, Departure):
            key = (sys.intern(found.departs_on), sys.intern(found.number), sys.intern(found.origin))
            first = survey.lines.setdefault(key, line)
            if first != line:
                survey.add(BadLine(line, f"{found.number} on {found.departs_on} is in line {first} already"))
        else:
            survey.add(BadLine(line, found))
    return survey


def _read(content: bytes, now: int) -> Iterator[tuple[int, Departure | str]]:
    """Each line with content, with its flight or its fault."""
    if len(content) > FILE_BYTES_MAX:
        yield 1, f"the file is larger than {FILE_BYTES_MAX:,} bytes; split it"
        return
    try:
        content.decode()
    except UnicodeDecodeError as error:
        yield content.count(b"\n", 0, error.start) + 1, "not UTF-8; save the file as UTF-8"
        return
    header: list[str] | None = None
    line, flights_found, faults_found = 1, 0, 0
    for line, cells in _records(content):
        if isinstance(cells, str):
            faults_found += 1
            yield line, cells
            if header is None:
                return
        elif not any(cell.strip() for cell in cells):
            continue
        elif header is None:
            header = [cell.strip().lower() for cell in cells]
            faults = _check_header(header)
            if faults:
                yield from ((line, fault) for fault in faults)
                return
        else:
            try:
                departure: Departure | str = _departure(header, cells, now)
                flights_found += 1
            except _BadValue as fault:
                departure = str(fault)
                faults_found += 1
            yield line, departure
    if header is None and not faults_found:
        yield 1, f"the file is empty; its first line names the columns: {','.join(COLUMNS)}"
    elif not flights_found and not faults_found:
        yield line, "the file has no flights below the columns' names"


def _records(content: bytes) -> Iterator[tuple[int, list[str] | str]]:
    """The file's records, each with its first line; invalid CSV gives a reason, and reading continues with the next."""
    # Piece by piece: a text is up to four times as large as its bytes.
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            yield begins, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield begins, f"not CSV: {error}"


def _check_header(header: Sequence[str]) -> list[str]:
    if len(header) == 1:
        for delimiter, name in _OTHER_DELIMITERS.items():
            if delimiter in header[0]:
                return [f"the columns are separated by {name}; save the file with commas"]
    faults = [f"the column {column} is missing" for column in COLUMNS if column not in header]
    faults += [
        f"there is no column {_shown(column)}; known are {', '.join(COLUMNS)}"
        for column in header
        if column not in COLUMNS
    ]
    faults += [f"the column {column} appears twice" for column in COLUMNS if header.count(column) > 1]
    return faults


def _departure(header: Sequence[str], cells: Sequence[str], now: int) -> Departure:
    if len(cells) != len(header):
        raise _BadValue(f"{len(cells)} values for {len(header)} columns")
    line = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
    number = line["number"].upper()
    if not _NUMBER.fullmatch(number):
        raise _BadValue(f"number {_shown(line['number'])} must be 2 to 8 letters and digits")
    origin, destination = _airport(line, "origin"), _airport(line, "destination")
    if origin == destination:
        raise _BadValue(f"origin and destination are both {origin}")
    departs_at, arrives_at = _moment(line, "departs_at", origin), _moment(line, "arrives_at", destination)
    if arrives_at <= departs_at:
        raise _BadValue("arrives_at is not after departs_at")
    if departs_at <= now:
        raise _BadValue("departs_at is in the past")
    if not _CURRENCY.fullmatch(line["currency"]):
        raise _BadValue(f"currency {_shown(line['currency'])} must be three capital letters")
    return Departure(
        plain_number(number),
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
        raise _BadValue(f"{column} {_shown(line[column])} is not a known IATA airport code")
    return code


def _moment(line: Mapping[str, str], column: str, code: str) -> int:
    try:
        moment = datetime.fromisoformat(line[column])
    except ValueError:
        raise _BadValue(f"{column} {_shown(line[column])} must be ISO 8601, as 2026-12-24T18:30") from None
    try:
        in_utc = (moment if moment.tzinfo is not None else _at(moment, column, code)).astimezone(UTC)
    except OverflowError:
        in_utc = None
    # A date in the calendar's last year does not exist in every time zone.
    if in_utc is None or in_utc.year == MAXYEAR:
        raise _BadValue(f"{column} {_shown(line[column])} is out of range")
    return from_datetime(in_utc)


def _at(local: datetime, column: str, code: str) -> datetime:
    """A local time at an airport; it must exist exactly once: not skipped or repeated by a change of the clocks."""
    place = airport(code)
    if place is None:
        raise LookupError(f"there is no airport {code}")
    first = local.replace(tzinfo=ZoneInfo(place.time_zone))
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) == local:
        raise _BadValue(
            f"{column} {local.isoformat()!r} occurs twice in {code}, where clocks go back;"
            f" add its offset: {first.isoformat()} or {second.isoformat()}"
        )
    raise _BadValue(
        f"{column} {local.isoformat()!r} does not exist in {code}, where clocks go forward;"
        f" it is {first.astimezone(UTC).astimezone(first.tzinfo).isoformat()}"
    )


def _price(line: Mapping[str, str], column: str) -> int:
    try:
        money = Money.of(Decimal(line[column]), line["currency"])
    except InvalidOperation:
        raise _BadValue(f"{column} {_shown(line[column])} must be a number") from None
    if money is None:
        raise _BadValue(
            f"{column} {_shown(line[column])} must be finite and no finer than the minor unit of {line['currency']}"
        )
    if not 0 < money.minor <= PRICE_MINOR_MAX:
        raise _BadValue(
            f"{column} {_shown(line[column])} must be above zero and at most {Money(PRICE_MINOR_MAX, line['currency'])}"
        )
    return money.minor


def _shown(value: str) -> str:
    """A wrong value, quoted, and shortened to the room in a line."""
    return repr(value) if len(value) <= _SHOWN_CHARACTERS_MAX else repr(value[:_SHOWN_CHARACTERS_MAX]) + "..."


async def _look_for_known(database: Database, survey: _Survey) -> None:
    """Add a fault for each flight that exists already, or that another process is loading.

    Flights of a dead load are no fault. Whether a load is alive shows within seconds.
    """
    known = await _known(database, survey.lines)
    loads = {load_id for load_id in known.values() if load_id is not None}
    if loads and not survey.faults:
        await wait_for_doubtful(database, sorted(loads))
        known = await _known(database, survey.lines)
    hidden = await hidden_loads(database)
    now = await database.read(database.clock.now)
    said: dict[int, str] = {}
    for key, load_id in known.items():
        owner = hidden.get(load_id) if load_id else None
        if owner is None:
            said[survey.lines[key]] = f"{key[1]} on {key[0]} is in the database already"
        elif not is_over(owner, now):
            said[survey.lines[key]] = f"{key[1]} on {key[0]} is being loaded by {owner.owner}"
    survey.add_known(said)


async def _known(database: Database, keys: Collection[_Key]) -> dict[_Key, str | None]:
    """Those of `keys` whose flights are in the database, each with its load, or None."""
    found: dict[_Key, str | None] = {}
    # By date, so that a statement's flights are close together, in any order of the file.
    coming = iter(sorted(keys))
    while some := list(islice(coming, _LOOKED_FOR_MAX)):
        wanted = set(some)
        values = {"numbers": sorted({key[1] for key in some}), "first_on": some[0][0], "last_on": some[-1][0]}
        async with database.reading() as connection:
            rows = await connection.execute(_there, values)
        found |= {key: row.load_id for row in rows if (key := (row.departs_on, row.number, row.origin)) in wanted}
    return found
