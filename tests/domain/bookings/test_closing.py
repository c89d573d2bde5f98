"""No seat is sold that cannot be flown: a flight closes a while before it departs, and then nothing of it is sold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.bookings import FlightDeparted, SegmentWish
from domain.clock import SECOND, ManualClock
from domain.payments import ProviderState
from domain.saga import SagaStatus, SagaView, Simulation
from domain.seats import SeatReservationStatus, SeatStatus
from domain.storage import Database
from tests.domain.bookings.by_hand import ByHand, by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, World, world_of
from tests.support.statements import statements, writes

CLOSING_SECONDS: Final = 1_800
#: What a step may take, and so what a booking needs at least.
BUDGET_SECONDS: Final = 60
SLOWLY: Final = Simulation(delay_ms=1)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path, closing_seconds=CLOSING_SECONDS) as world:
        yield world


@pytest.fixture
async def hand(world: World) -> ByHand:
    return await by_hand(world)


async def departs_at(world: World, flight: int = 0) -> int:
    async with world.database.reading() as connection:
        statement = text("SELECT departs_at FROM flights WHERE id = :id")
        return int((await connection.execute(statement, {"id": world.flight_ids[flight]})).scalar_one())


async def closes_at(world: World, flight: int = 0) -> int:
    return await departs_at(world, flight) - CLOSING_SECONDS * SECOND


async def until_closing(world: World, clock: ManualClock, seconds: float, flight: int = 0) -> None:
    """Move the clock to so many seconds before the flight closes."""
    async with world.database.reading() as connection:
        now = await clock.now(connection)
    clock.offset_us += await closes_at(world, flight) - round(seconds * SECOND) - now


async def depart_at(world: World, moment: int) -> None:
    """The airline has moved the first flight's departure."""

    async def work(connection: Any) -> None:
        statement = text("UPDATE flights SET departs_at = :moment WHERE id = :id")
        await connection.execute(statement, {"moment": moment, "id": world.flight_ids[0]})

    await world.database.write(work)


async def assert_nothing_was_taken(world: World, saga: SagaView, code: str) -> None:
    assert saga.failure is not None
    assert (saga.status, saga.failure.code) == (SagaStatus.COMPENSATED, code)
    entry = await world.entry(saga)
    assert entry is None or (entry.state, entry.captures) == (ProviderState.VOIDED, 0)
    assert await world.booking(saga) is None


# ---------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (BUDGET_SECONDS - 1, "closes in 5"),
        (0, "has closed, as it departs within 30 minutes"),
        (-CLOSING_SECONDS + 30, "has closed, as it departs within 30 minutes"),
        (-CLOSING_SECONDS, "has departed."),
    ],
)
async def test_a_flight_that_closes_or_has_closed_is_refused_and_the_message_tells_which(
    world: World, clock: ManualClock, seconds: float, words: str
) -> None:
    await until_closing(world, clock, seconds)

    (refusal,) = await world.refusals(world.request())

    assert isinstance(refusal, FlightDeparted)
    assert refusal.path == ("segments", "0", "flightId")
    assert f"Flight T100 {words}" in refusal.message


async def test_while_there_is_time_enough_it_is_sold_and_held_until_it_closes(world: World, clock: ManualClock) -> None:
    await until_closing(world, clock, BUDGET_SECONDS + 30)

    saga = await world.ended(await world.book(member_number=ADA))

    assert saga.status is SagaStatus.COMPLETED
    (reservation,) = await world.reservations(saga)
    assert reservation.expires_at == await closes_at(world)


async def test_a_hold_lasts_its_time_where_the_flight_closes_later(world: World, clock: ManualClock) -> None:
    await until_closing(world, clock, HOLD_SECONDS + 60)

    (reservation,) = await world.reservations(await world.ended(await world.book()))

    assert reservation.expires_at - reservation.held_at == HOLD_SECONDS * SECOND


async def test_of_several_segments_the_earliest_closing_counts(world: World, clock: ManualClock) -> None:
    await until_closing(world, clock, BUDGET_SECONDS + 30)

    saga = await world.ended(await world.book(segments=[SegmentWish(world.flight_ids[leg]) for leg in (0, 2)]))

    held = await world.reservations(saga)
    assert [each.expires_at for each in held] == [await closes_at(world)] * 2


async def test_the_same_request_finds_its_saga_after_the_flight_has_closed(world: World, clock: ManualClock) -> None:
    request = world.request()
    saga = await world.bookings.book(request)
    assert isinstance(saga, SagaView)
    await world.ended(saga)
    await until_closing(world, clock, -1)

    again = await world.bookings.book(request)

    assert isinstance(again, SagaView)
    assert again.id == saga.id
    assert isinstance((await world.refusals(world.request()))[0], FlightDeparted)


# ---------------------------------------------------------------------- on the way


@pytest.mark.parametrize("seconds", [BUDGET_SECONDS - 1, -1, -CLOSING_SECONDS - 60])
async def test_no_seat_is_held_once_too_little_is_left(
    world: World, hand: ByHand, clock: ManualClock, seconds: float
) -> None:
    saga = await world.book(SLOWLY)
    await until_closing(world, clock, seconds)

    await assert_nothing_was_taken(world, await hand.to_the_end(saga), "FLIGHT_CLOSED")
    assert await world.reservations(saga) == ()


@pytest.mark.parametrize("step", ["AUTHORIZE_PAYMENT", "AWARD_MILES", "CONFIRM_BOOKING"])
async def test_nothing_is_captured_for_a_flight_that_has_closed_meanwhile(
    world: World, hand: ByHand, clock: ManualClock, step: str
) -> None:
    await until_closing(world, clock, HOLD_SECONDS / 2)
    saga = await world.book(SLOWLY, member_number=ADA)
    await hand.until_before(saga, step)
    await until_closing(world, clock, 0)

    await assert_nothing_was_taken(world, await hand.to_the_end(saga), "HOLD_EXPIRED")
    assert SeatStatus.BOOKED not in await world.seat_statuses()


async def test_the_pin_asks_the_flight_itself(world: World, hand: ByHand, clock: ManualClock) -> None:
    saga = await world.book(SLOWLY, member_number=ADA)
    await hand.until_before(saga, "CONFIRM_BOOKING")
    async with world.database.reading() as connection:
        now = await clock.now(connection)
    await depart_at(world, now + CLOSING_SECONDS * SECOND - 1)

    over = await hand.to_the_end(saga)

    await assert_nothing_was_taken(world, over, "FLIGHT_CLOSED")
    assert {each.status for each in await world.reservations(saga)} == {SeatReservationStatus.RELEASED}


async def test_what_was_pinned_before_the_flight_closed_is_confirmed(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_calling(saga, "CONFIRM_BOOKING")
    await until_closing(world, clock, 0)

    assert (await hand.to_the_end(saga)).status is SagaStatus.COMPLETED


async def test_departures_cost_a_statement_a_batch(world: World, database: Database) -> None:
    await world.ended(await world.book())
    with statements(writes(database), of="FROM flights") as heard:
        await world.ended(await world.book(segments=[SegmentWish(world.flight_ids[leg]) for leg in (0, 1)]))
    assert len(heard) == 2
