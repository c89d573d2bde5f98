"""Fills a file with finished sagas: copies of sagas that the engine has finished, with new ids and times."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Final

__all__ = ["add_finished"]

CHUNK_SAGAS: Final = 5_000
#: Every table that has rows for each saga, and what of it names the saga, itself, or must be unique.
_COPIED: Final = {
    "sagas": {"id": "saga", "correlation_id": "correlation"},
    "saga_steps": {"saga_id": "saga"},
    "saga_events": {"saga_id": "saga", "correlation_id": "correlation"},
    "saga_labels": {"saga_id": "saga"},
    "passengers": {"saga_id": "saga"},
    "payments": {"id": "own", "saga_id": "saga", "correlation_id": "correlation", "reference": "own"},
    "loyalty_entries": {"id": "own", "saga_id": "saga", "correlation_id": "correlation"},
    "bookings": {"id": "own", "saga_id": "saga", "reference": "short"},
    "seat_reservations": {
        "id": "own",
        "saga_id": "saga",
        "correlation_id": "correlation",
        "status": "released",
        "ended_at": "held",
    },
}


def add_finished(path: Path, sagas: int) -> None:
    """Add `sagas` finished ones to the migrated file at `path`, in which some have finished; returns when all are in.

    Reservations are copied as RELEASED, since a seat has but one owner.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("own_id", 0, lambda: str(uuid.uuid4()))
    connection.create_function("short_id", 0, lambda: uuid.uuid4().hex[:12].upper())
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("CREATE TEMP TABLE originals AS SELECT id, correlation_id FROM sagas WHERE finished_at NOT NULL")
    connection.execute(
        "CREATE TEMP TABLE copies (original TEXT, saga TEXT, correlation TEXT, PRIMARY KEY (original, saga))"
        " WITHOUT ROWID"
    )
    (originals,) = connection.execute("SELECT count(*) FROM originals").fetchone()
    done = 0
    while done < sagas:
        connection.execute("BEGIN")
        for _ in range(max(1, CHUNK_SAGAS // originals)):
            wanted = min(originals, sagas - done)
            connection.execute(
                "INSERT INTO copies SELECT id, own_id(), own_id() FROM originals LIMIT ?",
                (wanted,),
            )
            done += wanted
        for table, special in _COPIED.items():
            _copy(connection, table, special)
        connection.execute("DELETE FROM copies")
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _copy(connection: sqlite3.Connection, table: str, special: dict[str, str]) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    value = {
        "saga": "copies.saga",
        "correlation": "copies.correlation",
        "own": "own_id()",
        "short": "short_id()",
        "released": "'RELEASED'",
        "held": "original.held_at",
    }
    chosen = [value[special[column]] if column in special else f"original.{column}" for column in columns]
    key = "id" if table == "sagas" else "saga_id"
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)}"
        f" FROM copies JOIN {table} AS original ON original.{key} = copies.original"
    )
