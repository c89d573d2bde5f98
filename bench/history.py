"""Fills a file with a long life: a large timetable, and finished sagas, copies of some that the engine has finished.

Both are bulk SQL, minutes for gigabytes. The copies have new IDs, as the product makes them: ordered by time where it
orders them, random where a client or a provider chooses them. They happened in the past, one after another; each has
its own confirmed seats on a flight of that timetable, in random order over all flights. All indexes are in place while
rows come in, so they have the size that they get in use.
"""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Final

from domain.bookings import REFERENCE_ALPHABET, REFERENCE_LENGTH
from domain.flights.atlas import airport
from domain.seats import SEATS, CabinClass, cabin_seats

__all__ = ["add_flights", "add_history", "file_bytes_by_table"]

#: 42 airports have 1,722 routes; each has one flight a day.
_AIRPORTS: Final = (
    "ATL BOS CDG CPH DEL DFW DOH DUB DXB EWR EZE FCO FRA GRU HEL HKG HND IAD ICN IST JFK JNB LAX LHR LIS MAD MEX MIA"
    " MUC MXP NBO ORD OSL SEA SFO SIN SVO SYD VIE WAW YYZ ZRH"
)
#: Sagas of the past follow one another at this distance.
_APART_MICROS: Final = 2_000_000
_CACHE_KIB: Final = 2_097_152
_ORIGINALS_MAX: Final = 512
#: Larger than any timetable and prime, so multiples of it visit all flights in an order that looks random.
_STRIDE: Final = 982_451_653
#: As SQL: a UUIDv7 of a time in milliseconds.
_ID_AT: Final = (
    "printf('%08x-%04x-7%03x-8%03x-%012x', {0} >> 16, {0} & 65535, copies.number & 4095, random() & 4095,"
    " random() & 281474976710655)"
)
#: Every table that has rows for each saga; the column by which its own IDs are ordered; and values that are not copied.
_COPIED: Final = {
    "sagas": ("started_at", {"id": "copies.saga", "correlation_id": "copies.correlation"}),
    "saga_steps": ("", {}),
    "saga_events": ("", {}),
    "saga_labels": (
        "",
        {"label": "CASE WHEN label LIKE 'flight:%' THEN 'flight:' || copies.flight ELSE label END"},
    ),
    "passengers": ("", {}),
    "payments": ("created_at", {"reference": "'pi_' || lower(hex(randomblob(16)))"}),
    "loyalty_entries": ("at", {}),
    # One letter longer than the product's, so that none is taken.
    "bookings": ("created_at", {"reference": "copies.reference"}),
    "seat_reservations": ("held_at", {"flight_id": "copies.flight", "seat": "copies.seat"}),
}


def add_flights(path: Path, flights: int) -> list[int]:
    """Add `flights` with all their seats to the migrated file at `path`; returns their IDs.

    They depart from tomorrow on, in order, one a day on each route.
    """
    with _filling(path) as connection:
        _add_airports(connection)
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM flights").fetchone()
        connection.executemany(
            "INSERT INTO flights (id, number, origin, destination, departs_at, arrives_at, departs_on, distance_miles,"
            " economy_minor, business_minor, first_minor, currency)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 3442, 10000, 30000, 50000, 'USD')",
            _departures(last + 1, flights),
        )
        connection.execute(
            "INSERT INTO seats WITH RECURSIVE numbers (seat) AS (VALUES (0) UNION ALL SELECT seat + 1 FROM numbers"
            f" WHERE seat < {SEATS - 1}) SELECT id, seat, 'AVAILABLE' FROM flights CROSS JOIN numbers WHERE id > ?",
            (last,),
        )
        return list(range(last + 1, last + 1 + flights))


def _add_airports(connection: sqlite3.Connection) -> None:
    known = [place for place in map(airport, _AIRPORTS.split()) if place is not None]
    connection.executemany(
        "INSERT OR IGNORE INTO airports VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(p.code, p.name, p.city, p.country, p.time_zone, p.latitude, p.longitude) for p in known],
    )


def _departures(first_id: int, flights: int) -> Iterator[tuple[object, ...]]:
    routes = list(permutations(_AIRPORTS.split(), 2))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(flights):
        day, route = divmod(number, len(routes))
        at = midnight + timedelta(days=1 + day, minutes=route % 1_440)
        departs_at = round(at.timestamp()) * 1_000_000
        name = f"G{route:04d}"
        yield (first_id + number, name, *routes[route], departs_at, departs_at + 25_200_000_000, str(at.date()))


def add_history(path: Path, sagas: int, flight_ids: list[int]) -> None:
    """Add `sagas` finished ones to the migrated file at `path`, in which some have finished.

    Each books its own seat of one of `flight_ids`, ECONOMY, as a copied saga has one passenger.
    """
    with _filling(path) as connection:
        connection.execute(
            "CREATE TEMP TABLE done AS SELECT id, started_at FROM sagas WHERE status = 'COMPLETED'"
            f" ORDER BY id DESC LIMIT {_ORIGINALS_MAX}"
        )
        originals = connection.execute("SELECT id, started_at FROM done").fetchall()
        connection.execute(
            "CREATE TEMP TABLE copies (number INTEGER PRIMARY KEY, original TEXT, shift INTEGER, saga TEXT,"
            " correlation TEXT, reference TEXT, flight INTEGER, seat INTEGER)"
        )
        connection.executemany(
            "INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _copies(originals, sagas, flight_ids)
        )
        for table, (ordered_by, others) in _COPIED.items():
            _copy(connection, table, ordered_by, others)
        connection.execute(
            "UPDATE seats SET status = 'BOOKED' FROM (SELECT flight, seat FROM copies ORDER BY flight, seat) AS sold"
            " WHERE seats.flight_id = sold.flight AND seats.seat = sold.seat"
        )


def _copies(originals: list[tuple[str, int]], sagas: int, flight_ids: list[int]) -> Iterator[tuple[object, ...]]:
    seats = cabin_seats(CabinClass.ECONOMY)
    for number in range(sagas):
        saga_id, started_at = originals[number % len(originals)]
        shift = (number - sagas) * _APART_MICROS
        flight = flight_ids[number * _STRIDE % len(flight_ids)]
        seat = seats[number // len(flight_ids)]
        own_id = _id_at(started_at + shift, number)
        yield number, saga_id, shift, own_id, str(uuid.uuid4()), _reference(number), flight, seat


def _reference(number: int) -> str:
    letters, number = "", number * _STRIDE
    for _ in range(REFERENCE_LENGTH + 1):
        number, letter = divmod(number, len(REFERENCE_ALPHABET))
        letters += REFERENCE_ALPHABET[letter]
    return letters


def _id_at(micros: int, number: int) -> str:
    """A UUIDv7 of that time."""
    value = (micros // 1_000) << 80 | 0x7 << 76 | (number & 0xFFF) << 64 | 0b10 << 62 | random.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _copy(connection: sqlite3.Connection, table: str, ordered_by: str, others: dict[str, str]) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    key = "id" if table == "sagas" else "saga_id"

    def value(column: str) -> str:
        if column in others:
            return others[column]
        if column == "id":
            return _ID_AT.format(f"({ordered_by} + copies.shift) / 1000")
        if column in ("saga_id", "correlation_id"):
            return f"copies.{column.removesuffix('_id')}"
        return f"{column} + copies.shift" if column == "at" or column.endswith("_at") else f"original.{column}"

    connection.execute(f"CREATE TEMP TABLE original AS SELECT * FROM {table} WHERE {key} IN (SELECT id FROM done)")
    connection.execute(f"CREATE INDEX temp.original_of ON original ({key})")
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(map(value, columns))}"
        f" FROM copies CROSS JOIN original ON original.{key} = copies.original ORDER BY copies.number"
    )
    connection.execute("DROP TABLE temp.original")


@contextmanager
def _filling(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one large transaction that need not survive a crash."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "foreign_keys = OFF",
            "ignore_check_constraints = ON",
            "secure_delete = OFF",
            "temp_store = MEMORY",
            f"cache_size = -{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN EXCLUSIVE")
        yield connection
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def file_bytes_by_table(path: Path) -> dict[str, int]:
    """The bytes of the file at `path` by table, each with its indexes, the largest first."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(
            connection.execute(
                "SELECT tbl_name, sum(pgsize) AS bytes FROM dbstat JOIN sqlite_schema USING (name)"
                " WHERE aggregate = TRUE GROUP BY tbl_name ORDER BY bytes DESC"
            ).fetchall()
        )
