"""Many writers on the same seats: nothing is sold twice, nobody waits for anybody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import ManualClock
from domain.outcome import Busy
from domain.seats import (
    CabinClass,
    Closed,
    FlightWish,
    Held,
    ReservationQuery,
    SeatReservationStatus,
    SeatUnavailable,
    SeatWish,
    cabin_seats,
    cancel,
    claim,
    confirm,
    expire,
    hold,
    release,
    reservations_page,
    seat_map,
)
from domain.storage import Database
from tests.domain.seats.scenes import HOLD_SECONDS, journey

T = TypeVar("T")
TURNS_MAX = 300
RESERVATIONS_MAX = 5_000


@pytest.fixture
async def processes(database: Database, clock: ManualClock) -> AsyncIterator[tuple[Database, Database]]:
    """One database as two processes see it, each with connections of its own."""
    other = Database(database.url, clock=clock)
    yield database, other
    await other.close()


async def test_two_writers_sell_every_seat_once_and_never_deadlock(
    processes: tuple[Database, Database], flights: tuple[int, ...]
) -> None:
    ours, theirs = ([party(flights[:2], seed=f"{writer} {number}") for number in range(40)] for writer in "AB")
    decided = await asyncio.gather(
        *(hold_until_decided(database, wishes) for database, wishes in zip(processes, (ours, theirs), strict=True))
    )
    answers = {**decided[0], **decided[1]}
    held = [answer for answer in answers.values() if isinstance(answer, Held)]
    sold = [(seat.flight_id, seat.seat) for answer in held for seat in answer.seats]
    assert len(answers) == 80
    assert len(sold) == len(set(sold)) > 100
    assert any(isinstance(answer, SeatUnavailable) for answer in answers.values())
    assert await owners(processes[0], flights) == sorted(sold)


async def test_seats_agree_with_their_reservations_after_any_mixture_of_writers(
    processes: tuple[Database, Database], flights: tuple[int, ...], clock: ManualClock
) -> None:
    sagas: list[str] = []

    async def meddle(database: Database, seed: str) -> None:
        chance = random.Random(seed)
        for number in range(40):
            wishes = [party(flights[:1], seed=f"{seed} {number} {which}") for which in range(3)]
            sagas.extend(asked.saga_id for asked in wishes)
            some = chance.sample(sagas, min(len(sagas), 9))
            work: Callable[[AsyncConnection], Awaitable[object]] = chance.choice(
                [
                    lambda tx, wishes=wishes: hold(tx, wishes, clock=clock, hold_seconds=chance.choice([1, 900])),
                    lambda tx, some=some: claim(tx, some, clock=clock),
                    lambda tx, some=some: confirm(tx, some, at=2**60),
                    lambda tx, some=some: release(tx, some, at=2**60),
                    lambda tx, some=some: cancel(tx, some, at=2**60),
                    lambda tx, some=some: expire(tx, some, clock=clock),
                ]
            )
            await once(database, work)
            clock.advance(seconds=0.5)

    await asyncio.gather(meddle(processes[0], "A"), meddle(processes[1], "B"))
    await owners(processes[0], flights)


def party(flights: tuple[int, ...], *, seed: str) -> SeatWish:
    """One to three people who leave the choice to us, or choose, on one flight or on several in either order."""
    chance = random.Random(seed)
    passengers = chance.randint(1, 3)
    segments = []
    for flight_id in chance.sample(flights, chance.randint(1, len(flights))):
        cabin = chance.choice([CabinClass.ECONOMY, CabinClass.ECONOMY, CabinClass.BUSINESS, CabinClass.FIRST])
        chosen = tuple(chance.sample(cabin_seats(cabin), passengers)) if chance.random() < 0.3 else None
        segments.append(FlightWish(flight_id, cabin, chosen))
    return journey(*segments, passengers=passengers)


async def hold_until_decided(database: Database, wishes: list[SeatWish]) -> dict[str, Held | SeatUnavailable]:
    """Every wish, eight to a transaction, again as long as it is busy."""
    decided: dict[str, Held | SeatUnavailable] = {}
    due = list(wishes)
    for _ in range(TURNS_MAX):
        batch, due = due[:8], due[8:]

        async def work(
            tx: AsyncConnection, batch: list[SeatWish] = batch
        ) -> list[Held | SeatUnavailable | Closed | Busy]:
            return await hold(tx, batch, clock=database.clock, hold_seconds=HOLD_SECONDS)

        for asked, answer in zip(batch, await once(database, work), strict=True):
            if isinstance(answer, Busy):
                due.append(asked)
            else:
                assert not isinstance(answer, Closed), "these flights never close"
                decided[asked.saga_id] = answer
        if not due:
            return decided
    raise AssertionError(f"Busy for ever: {len(due)} of {len(wishes)}.")


async def once(database: Database, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work`, which a deadlock or a serialization failure would make run again."""
    runs = 0

    async def counted(connection: AsyncConnection) -> T:
        nonlocal runs
        runs += 1
        return await work(connection)

    answer = await database.write(counted)
    assert runs == 1, "the transaction lost a race and was repeated"
    return answer


async def owners(database: Database, flights: tuple[int, ...]) -> list[tuple[int, int]]:
    """Every owned seat; and that each seat has the status which its one live reservation gives it."""
    live = [status for status in SeatReservationStatus if status.is_live]
    async with database.reading() as connection:
        reservations = await reservations_page(connection, ReservationQuery(live), after=None, limit=RESERVATIONS_MAX)
        maps = await seat_map(connection, flights)
    owned = {each.key: each.status.seat_status for each in reservations}
    assert len(owned) == len(reservations)
    assert owned == {seat.key: seat.status for seats in maps.values() for seat in seats if seat.status != "AVAILABLE"}
    return sorted((key.flight_id, key.seat) for key in owned)
