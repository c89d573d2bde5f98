"""Time. Every instant is an integer of microseconds since 1970-01-01T00:00:00Z.

Holds and leases use the database's clock, as several processes must agree on it.
A `Clock` reads it within a transaction, in its own statement: PostgreSQL may evaluate
`clock_timestamp()` before it waits for a row's lock, so a comparison within the locking
statement can use a time that is too early. Lock first, then read the clock, then compare.

Clocks get set: by hand, by NTP, by a virtual machine that resumes. So no wait depends on them: waits are monotonic. A
stored due time counts as due now if it is further ahead than its own longest wait allows. A `ClockWatch` notices that
a clock was set, logs it and counts it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import BigInteger, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.telemetry import Telemetry

__all__ = [
    "CLOCKS",
    "SECOND",
    "STEP_NOTICED_US",
    "Clock",
    "ClockStepped",
    "ClockWatch",
    "DatabaseClock",
    "ManualClock",
    "from_datetime",
    "monotonic_now",
    "rfc_3339",
    "to_datetime",
    "wall_now",
]

SECOND: Final = 1_000_000
#: The clocks that are watched: this machine's, and that of a database server.
CLOCKS: Final = ("machine", "database")
#: A clock that gains or loses more than this between two looks counts as set.
STEP_NOTICED_US: Final = SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRESQL_NOW: Final = select(
    literal_column("(extract(epoch from clock_timestamp()) * 1000000)::bigint", BigInteger).label("now")
)
_logger = logging.getLogger("seatsaga.clock")


class Clock(Protocol):
    """Reads the time for holds and leases."""

    async def now(self, connection: AsyncConnection) -> int:
        """Microseconds since the epoch, read after `connection` got all the locks that it holds."""
        ...


class DatabaseClock:
    """The database's own clock.

    SQLite runs inside this process, so its clock is this machine's and needs no statement.
    On PostgreSQL it is the server's `clock_timestamp()`.
    """

    async def now(self, connection: AsyncConnection) -> int:
        if connection.dialect.name == "sqlite":
            return wall_now()
        return int((await connection.execute(_POSTGRESQL_NOW)).scalar_one())


class ManualClock:
    """A clock that tests move: the database's time plus an offset."""

    def __init__(self) -> None:
        self.offset_us = 0

    def advance(self, seconds: float) -> None:
        """Move this clock on by `seconds`."""
        self.offset_us += round(seconds * SECOND)

    async def now(self, connection: AsyncConnection) -> int:
        return await DatabaseClock().now(connection) + self.offset_us


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """Telemetry: `clock` was set by this many seconds; negative if it was set back."""

    clock: str
    seconds: float


class ClockWatch:
    """Notices that the clock of this name was set, by comparison with the monotonic clock; reports each step once."""

    def __init__(self, clock: str, telemetry: Telemetry) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._ahead: tuple[int, int] | None = None

    def look(self, now: int, *, asked_at: int | None = None) -> int:
        """Return by how many microseconds the clock was set since the last look; 0 if it was not. The clock says `now`.

        `asked_at`: the monotonic time before the clock was read, if reading it takes time.
        """
        answered_at = monotonic_now()
        asked_at = answered_at if asked_at is None else asked_at
        # The lowest and the highest possible lead of the clock over the monotonic one.
        least, most = now - answered_at, now - asked_at
        before, self._ahead = self._ahead or (least, most), (least, most)
        step = max(0, least - before[1]) or min(0, most - before[0])
        if abs(step) <= STEP_NOTICED_US:
            return 0
        way = "forwards" if step > 0 else "back"
        _logger.warning(
            "The %s's clock was set %s by %s; waits go on as they were.",
            self._clock,
            way,
            timedelta(seconds=round(abs(step) / SECOND)),
        )
        self._telemetry.emit(ClockStepped(self._clock, step / SECOND))
        return step


def monotonic_now() -> int:
    """Microseconds of a clock that cannot be set; only differences have a meaning."""
    return time.monotonic_ns() // 1_000


def wall_now() -> int:
    """This machine's time: for logs and for waits within one process, never for holds or leases on PostgreSQL."""
    return time.time_ns() // 1_000


def rfc_3339(microseconds: int) -> str:
    """An instant as text in UTC: 2026-11-23T08:30:00Z."""
    return to_datetime(microseconds).isoformat().replace("+00:00", "Z")


def to_datetime(microseconds: int) -> datetime:
    """`microseconds` since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


def from_datetime(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
