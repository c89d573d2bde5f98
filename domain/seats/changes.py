"""Live seat maps: all readers of a flight share one read of its seats, and get only changed seats."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Final

from domain.loops import Loop
from domain.seats.model import Seat
from domain.seats.queries import seat_map
from domain.storage import Database

__all__ = ["SeatChanges"]

REREAD_SECONDS: Final = 1.0
#: Changes within this time share a look: this limits the looks a second.
LOOK_SECONDS_MIN: Final = 0.05
_logger = logging.getLogger("seatsaga.seats")


class _Reader:
    """One subscriber: the latest state of each seat that changed since its last look.

    Bounded by the number of seats.
    """

    __slots__ = ("bell", "changed")

    def __init__(self) -> None:
        self.changed: dict[int, Seat] = {}
        self.bell = asyncio.Event()


class _Flight:
    """A watched flight: its seats as last seen, and its readers."""

    __slots__ = ("readers", "seats")

    def __init__(self) -> None:
        self.seats: tuple[Seat, ...] = ()
        self.readers: set[_Reader] = set()


class SeatChanges:
    """Follows the seats of any number of flights for any number of readers, with one statement a look for all.

    `wake` says that seats may have changed. A look also comes about once a second, so a wake-up may be
    lost, and changes by other replicas are seen.
    """

    def __init__(self, database: Database, *, reread_seconds: float = REREAD_SECONDS) -> None:
        self._database = database
        self._flights: dict[int, _Flight] = {}
        self._bell = asyncio.Event()
        self._looking = Loop(
            "seat-changes",
            self._look,
            pause_seconds=reread_seconds,
            on_fault=_tell_fault,
            retry_seconds=reread_seconds,
            bell=self._bell,
            at_once=True,
            is_wanted=lambda: self._flights,
        )

    def wake(self) -> None:
        """Seats may have changed: look soon. Never waits."""
        if self._flights:
            self._bell.set()

    async def follow(self, flight_id: int) -> AsyncGenerator[list[Seat], None]:
        """Yield first all seats of the flight, then, again and again, the changed ones as they now stand.

        Several quick changes of one seat may be told as one; the last state is always told. Yields
        nothing for a flight without seats.
        """
        reader = _Reader()
        flight = self._flights.setdefault(flight_id, _Flight())
        flight.readers.add(reader)
        self._looking.start()
        try:
            async with self._database.reading() as connection:
                seats = (await seat_map(connection, [flight_id])).get(flight_id, ())
            if not seats:
                return
            yield list(seats)
            known = {seat.seat: seat for seat in seats}
            while True:
                await reader.bell.wait()
                reader.bell.clear()
                changed = [seat for seat in reader.changed.values() if known[seat.seat] != seat]
                reader.changed.clear()
                known |= {seat.seat: seat for seat in changed}
                if changed:
                    yield sorted(changed, key=lambda seat: seat.seat)
        finally:
            flight.readers.discard(reader)
            if not flight.readers and self._flights.get(flight_id) is flight:
                del self._flights[flight_id]

    async def close(self) -> None:
        """Stop looking; the server ends the readers."""
        await self._looking.stop()

    async def _look(self) -> None:
        async with self._database.reading() as connection:
            maps = await seat_map(connection, list(self._flights))
        for flight_id, seats in maps.items():
            flight = self._flights.get(flight_id)
            if flight is None:
                continue
            before = {seat.seat: seat for seat in flight.seats}
            flight.seats = seats
            # A reader that came since the last look may know an older state than that look saw.
            changed = [seat for seat in seats if before.get(seat.seat) != seat]
            for reader in flight.readers:
                reader.changed |= {seat.seat: seat for seat in changed}
                if reader.changed:
                    reader.bell.set()
        await asyncio.sleep(LOOK_SECONDS_MIN)


def _tell_fault(error: Exception) -> None:
    _logger.warning("The seats could not be read; trying again in a second.", exc_info=error)
