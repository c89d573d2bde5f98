"""Loads: who brings flights in, whether they are alive, and the removal of their remains.

::

    begin ──▶ LOADING ── each chunk beats ──▶ LOADING ── reveal ──▶ REVEALED ── flags cleared ──▶ row removed
                 │                               ▲
                 └─ no heartbeat for 15 s, ──────┘ (a beat of its owner finds this and fails)
                    or its owner gave up ──▶ ABANDONED ── flights removed in chunks ──▶ row removed

A load is a row with a heartbeat by the database's clock. Every transaction of its owner first
renews the heartbeat, and fails if the load was abandoned. So the remains of a dead load can be
removed while others load, and a paused process that resumes adds nothing to it.

One update of the load's row makes all its flights visible, in any number. Their own flags are
cleared afterwards in chunks. All work here is done in chunks: others write in between.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from sqlalchemy import BigInteger, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.errors import LoadLostError
from domain.flights.tables import flight_loads, flights
from domain.ids import new_id
from domain.operators import Entry, record_entry
from domain.storage import AnyRow, Database, Query, TransactionWork, any_of

__all__ = [
    "LoadSource",
    "SeatKeeper",
    "abandon",
    "add_chunk",
    "begin",
    "chunk_pause",
    "clear_flags",
    "hidden_loads",
    "is_over",
    "remove_remains",
    "reveal",
    "wait_for_doubtful",
]

T = TypeVar("T")
#: Flights a transaction: with 162 seats each, small enough that other writers hardly wait.
CHUNK_FLIGHTS: Final = 50
#: Flights a transaction that changes none of their seats.
CLEARED_FLIGHTS: Final = 500
#: A load without a heartbeat for this time has no owner any more. An owner beats several times a second.
LAPSE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.5
#: The pause between two chunks, as a multiple of the last chunk's time: on SQLite, others can write only then.
_PAUSE_SHARE: Final = 2.0

SeatKeeper = Callable[[AsyncConnection, Sequence[int]], Awaitable[object]]
"""Adds, or removes, the seats of flights within a transaction."""

_f = flights.c
_l = flight_loads.c
_beat = (
    update(flight_loads)
    .where(_l.id == bindparam("load"), _l.abandoned_at.is_(None))
    .values(heartbeat_at=bindparam("now", type_=BigInteger))
)
_abandon = (
    update(flight_loads)
    .where(_l.id == bindparam("load"), _l.revealed_at.is_(None), _l.abandoned_at.is_(None))
    .values(abandoned_at=bindparam("now", type_=BigInteger))
)
_count = select(func.count()).where(_f.load_id == bindparam("load"))
_reveal = update(flight_loads).where(_l.id == bindparam("load")).values(revealed_at=bindparam("now", type_=BigInteger))
_hidden = Query(
    select(_l.id, _l.source, _l.owner, _l.heartbeat_at, _l.abandoned_at).where(_l.revealed_at.is_(None)).order_by(_l.id)
)
_of_load = (
    select(_f.id)
    .where(_f.load_id == bindparam("load"), _f.id > bindparam("after", type_=BigInteger))
    .order_by(_f.id)
    .limit(bindparam("flights_max", type_=BigInteger))
    .with_for_update(skip_locked=True)
)
_reset = update(flights).where(any_of(_f.id, "ids")).values(load_id=None)
_remove = delete(flights).where(any_of(_f.id, "ids"))
_forget = delete(flight_loads).where(_l.id == bindparam("load"), ~exists().where(_f.load_id == _l.id))


class LoadSource(StrEnum):
    """The source of a load."""

    START = "START"
    """`serve`, which fills an empty database; the lock of the file prevents two at once."""
    SEED = "SEED"
    """`seatsaga seed`."""
    FILE = "FILE"
    """`seatsaga import-flights`."""


async def begin(database: Database, source: LoadSource, flights_expected: int) -> str:
    """Begin a load of this many flights; return its ID."""
    load_id = new_id()

    async def work(connection: AsyncConnection) -> None:
        now = await database.clock.now(connection)
        await connection.execute(
            insert(flight_loads).values(
                id=load_id,
                source=source.value,
                owner=f"process {os.getpid()} on {socket.gethostname()}",
                flights_expected=flights_expected,
                started_at=now,
                heartbeat_at=now,
            )
        )

    await database.write(work)
    return load_id


async def add_chunk(database: Database, load_id: str, work: TransactionWork[T]) -> T:
    """Run `work` in a transaction of the load's owner; return its result. Raises LoadLostError if it was abandoned."""

    async def within(connection: AsyncConnection) -> T:
        await _keep(connection, database, load_id)
        return await work(connection)

    return await database.write(within)


async def reveal(database: Database, load_id: str, flights_expected: int, entry: Entry | None = None) -> None:
    """Make the load's flights visible, all at once, and record `entry`.

    Raises LoadLostError if there are fewer or more than expected.
    """

    async def work(connection: AsyncConnection) -> None:
        now = await _keep(connection, database, load_id)
        found = (await connection.execute(_count, {"load": load_id})).scalar_one()
        if found != flights_expected:
            raise LoadLostError(
                f"of {flights_expected:,} flights that were loaded, {found:,} are there; nothing is shown."
                " Load them again."
            )
        await connection.execute(_reveal, {"load": load_id, "now": now})
        if entry is not None:
            await record_entry(connection, entry, at=now)

    await database.write(work)


async def clear_flags(database: Database, load_id: str) -> None:
    """After `reveal`: clear the flights' flags, and remove the load."""
    await _in_chunks(database, load_id, CLEARED_FLIGHTS, _clear)


async def abandon(database: Database, load_id: str) -> None:
    """Abandon the load for its owner: its flights may be removed at once."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(_abandon, {"load": load_id, "now": await database.clock.now(connection)})

    await database.write(work)


async def hidden_loads(database: Database) -> dict[str, AnyRow]:
    """The loads with invisible flights, by ID: source, owner, heartbeat_at, and abandoned_at if it is over."""
    return {row.id: row for row in await database.read(_hidden)}


async def wait_for_doubtful(database: Database, load_ids: Sequence[str]) -> None:
    """Wait until each of these loads has a new heartbeat (it is alive), or has ended or lapsed: 15 s at most.

    A killed process leaves a load that looks alive.
    """
    first = await hidden_loads(database)
    doubtful = {load_id for load_id in load_ids if load_id in first}
    while doubtful:
        now = await database.read(database.clock.now)
        seen = await hidden_loads(database)
        doubtful = {
            load_id
            for load_id in doubtful & seen.keys()
            if seen[load_id].heartbeat_at == first[load_id].heartbeat_at and not is_over(seen[load_id], now)
        }
        if doubtful:
            await asyncio.sleep(_LOOK_SECONDS)


async def remove_remains(
    database: Database,
    *,
    remove_seats: SeatKeeper,
    alone: LoadSource | None = None,
    flights_max: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Remove flights of dead loads, with their seats, and finish revealed loads; return how many flights were removed.

    In bounded chunks, with room for other writers in between; at most about `flights_max` flights.
    `alone`: only loads of this source, and certainly no process of it is alive.
    """
    removed = 0

    async def remove(connection: AsyncConnection, ids: Sequence[int]) -> None:
        await remove_seats(connection, ids)
        await connection.execute(_remove, {"ids": ids})

    for load_id, is_revealed, expected in await database.write(lambda connection: _ended(connection, database, alone)):
        if is_revealed:
            await clear_flags(database, load_id)
            continue
        left = None if flights_max is None else flights_max - removed
        removed += await _in_chunks(database, load_id, CHUNK_FLIGHTS, remove, left, progress, expected)
        if flights_max is not None and removed >= flights_max:
            break
    return removed


async def _ended(
    connection: AsyncConnection, database: Database, alone: LoadSource | None
) -> list[tuple[str, bool, int]]:
    """Abandon lapsed loads; return the loads without an owner, each with whether it is revealed, and its size."""
    now = await database.clock.now(connection)
    before = now - round(LAPSE_SECONDS * SECOND)
    mine = _l.heartbeat_at < before if alone is None else _l.source == alone.value
    # Locked first and checked afterwards: a load whose owner is writing at this moment is alive.
    lapsed = select(_l.id).where(mine, _l.revealed_at.is_(None)).order_by(_l.id).with_for_update(skip_locked=True)
    await connection.execute(
        update(flight_loads).where(_l.id.in_(lapsed), mine, _l.abandoned_at.is_(None)).values(abandoned_at=now)
    )
    over = or_(_l.abandoned_at.is_not(None), _l.revealed_at.is_not(None) & (_l.heartbeat_at < before))
    chosen = over if alone is None else over & (_l.source == alone.value)
    rows = await connection.execute(select(_l.id, _l.revealed_at, _l.flights_expected).where(chosen).order_by(_l.id))
    return [(row.id, row.revealed_at is not None, row.flights_expected) for row in rows]


async def _in_chunks(
    database: Database,
    load_id: str,
    chunk_flights: int,
    work: Callable[[AsyncConnection, Sequence[int]], Awaitable[None]],
    flights_max: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    expected: int = 0,
) -> int:
    """Run `work` on the load's flights, by their IDs, until none is left; then remove the load. Returns how many."""
    done, after = 0, 0
    while flights_max is None or done < flights_max:

        async def chunk(connection: AsyncConnection, after: int = after) -> list[int]:
            found = await connection.execute(_of_load, {"load": load_id, "after": after, "flights_max": chunk_flights})
            ids = list(found.scalars())
            if ids:
                await work(connection, ids)
            else:
                await connection.execute(_forget, {"load": load_id})
            return ids

        began = time.monotonic()
        ids = await database.write(chunk)
        if not ids:
            break
        done, after = done + len(ids), ids[-1]
        if progress is not None:
            progress(done, max(done, expected))
        await chunk_pause(database, time.monotonic() - began)
    return done


async def _clear(connection: AsyncConnection, ids: Sequence[int]) -> None:
    await connection.execute(_reset, {"ids": ids})


async def _keep(connection: AsyncConnection, database: Database, load_id: str) -> int:
    """Renew the load's heartbeat; return the time. Raises LoadLostError if it was abandoned."""
    now = await database.clock.now(connection)
    if not (await connection.execute(_beat, {"load": load_id, "now": now})).rowcount:
        raise LoadLostError(
            f"this process showed no life for {LAPSE_SECONDS:g} s, and its load was abandoned. Load it again."
        )
    return now


def is_over(load: AnyRow, now: int) -> bool:
    """Whether no process works on this one of the `hidden_loads` any more."""
    return load.abandoned_at is not None or load.heartbeat_at < now - round(LAPSE_SECONDS * SECOND)


async def chunk_pause(database: Database, took_seconds: float) -> None:
    """Leave room for others after a chunk: SQLite has one writer, and waiting writers retry only from time to time."""
    if database.dialect == "sqlite":
        await asyncio.sleep(took_seconds * _PAUSE_SHARE)
