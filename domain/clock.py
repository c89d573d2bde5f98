"""Time. Every instant is an integer of microseconds since 1970-01-01T00:00:00Z.

Holds and leases are judged by the database's clock, as several processes must agree on it.
A `Clock` reads it within a transaction, in a statement of its own: PostgreSQL may evaluate
`clock_timestamp()` before it waits for a row's lock, so an expiry compared in the locking
statement can be judged too early. Lock first, then ask the clock, then compare.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import BigInteger, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SECOND", "Clock", "DatabaseClock", "ManualClock", "from_datetime", "to_datetime", "wall_now"]

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRESQL_NOW: Final = select(
    literal_column("(extract(epoch from clock_timestamp()) * 1000000)::bigint", BigInteger).label("now")
)


class Clock(Protocol):
    """Reads the time that holds and leases are judged by."""

    async def now(self, connection: AsyncConnection) -> int:
        """Microseconds since the epoch, not before anything that `connection` has locked was locked."""
        ...


class DatabaseClock:
    """The database's own clock.

    On SQLite the database runs inside this process and its clock *is* this machine's, so no
    statement is spent on it; on PostgreSQL it is the server's `clock_timestamp()`.
    """

    async def now(self, connection: AsyncConnection) -> int:
        if connection.dialect.name == "sqlite":
            return wall_now()
        return int((await connection.execute(_POSTGRESQL_NOW)).scalar_one())


class ManualClock:
    """A clock that tests move: the database's time plus an offset of theirs."""

    def __init__(self) -> None:
        self.offset_us = 0

    def advance(self, seconds: float) -> None:
        """Move this clock on by `seconds`."""
        self.offset_us += round(seconds * SECOND)

    async def now(self, connection: AsyncConnection) -> int:
        return await DatabaseClock().now(connection) + self.offset_us


def wall_now() -> int:
    """This machine's time: for logs and for waits within one process, never for holds or leases on PostgreSQL."""
    return time.time_ns() // 1_000


def to_datetime(microseconds: int) -> datetime:
    """`microseconds` since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


def from_datetime(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
