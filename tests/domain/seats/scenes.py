"""Short words for what these tests do to real rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import new_id
from domain.outcome import Busy
from domain.seats import (
    CabinClass,
    Closed,
    FlightWish,
    Held,
    SeatUnavailable,
    SeatWish,
    hold,
    reservations_of,
    seat_index,
    seat_map,
    seat_number,
)
from domain.storage import Database

T = TypeVar("T")
HOLD_SECONDS = 900


def wish(
    flight_id: int, chosen: str | None = None, *, cabin: CabinClass = CabinClass.ECONOMY, passengers: int = 1
) -> SeatWish:
    """A new saga's wish for one segment; `chosen` are seat numbers with blanks between."""
    seats = tuple(index for number in chosen.split() if (index := seat_index(number)) is not None) if chosen else None
    return journey(FlightWish(flight_id, cabin, seats), passengers=len(seats) if seats else passengers)


def journey(*segments: FlightWish, passengers: int = 1) -> SeatWish:
    """A new saga's wish for several segments."""
    return SeatWish(new_id(), new_id(), segments, passengers)


async def hold_all(
    database: Database, *wishes: SeatWish, hold_seconds: int = HOLD_SECONDS
) -> list[Held | SeatUnavailable | Closed | Busy]:
    return await database.write(lambda tx: hold(tx, wishes, clock=database.clock, hold_seconds=hold_seconds))


async def holding(database: Database, *wishes: SeatWish, hold_seconds: int = HOLD_SECONDS) -> list[str]:
    """Hold what is wished for, which must succeed; returns the sagas."""
    answers = await hold_all(database, *wishes, hold_seconds=hold_seconds)
    assert all(isinstance(answer, Held) for answer in answers), answers
    return [wish.saga_id for wish in wishes]


async def now(database: Database) -> int:
    async with database.reading() as connection:
        return await database.clock.now(connection)


async def statuses(database: Database, flight_id: int) -> dict[str, str]:
    """The seats of a flight that are not AVAILABLE, by number; and that they are as their reservations say."""
    async with database.reading() as connection:
        seats = (await seat_map(connection, [flight_id]))[flight_id]
    assert all((seat.hold_expires_at is not None) == (seat.status == "HELD") for seat in seats)
    return {seat.number: seat.status.value for seat in seats if seat.status != "AVAILABLE"}


async def reservation_statuses(database: Database, saga_id: str) -> list[str]:
    async with database.reading() as connection:
        return [each.status.value for each in (await reservations_of(connection, [saga_id]))[saga_id]]


def seat_numbers(answer: object) -> list[str]:
    assert isinstance(answer, Held), answer
    return [seat_number(seat.seat) for seat in answer.seats]


@asynccontextmanager
async def left_open(database: Database, work: Callable[[AsyncConnection], Awaitable[object]]) -> AsyncIterator[None]:
    """A transaction that has done `work` and is not committed before the body ends."""
    worked, may_commit = asyncio.Event(), asyncio.Event()

    async def linger(connection: AsyncConnection) -> None:
        await work(connection)
        worked.set()
        await may_commit.wait()

    transaction = asyncio.create_task(database.write(linger))
    waiting = asyncio.create_task(worked.wait())
    await asyncio.wait({transaction, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if transaction.done():
            transaction.result()
        yield
    finally:
        waiting.cancel()
        may_commit.set()
        await transaction


def one(answers: Sequence[T]) -> T:
    (answer,) = answers
    return answer
