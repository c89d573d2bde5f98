"""No seat is sold that cannot be flown: a flight closes a while before it departs, and then nothing of it is sold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.actors import Actor, ActorRole
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


async def now(world: World) -> int:
    async with world.database.reading() as connection:
        return await world.database.clock.now(connection)


async def until_closing(world: World, clock: ManualClock, seconds: float, flight: int = 0) -> None:
    """Move the clock to so many seconds before the flight closes."""
    clock.offset_us += await closes_at(world, flight) - round(seconds * SECOND) - await now(world)


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
    ("seconds", "words", "code"),
    [
        (BUDGET_SECONDS - 1, "closes in 5", "FLIGHT_CLOSED"),
        (0, "has closed, as it departs within 30 minutes", "FLIGHT_CLOSED"),
        (-CLOSING_SECONDS + 30, "has closed, as it departs within 30 minutes", "FLIGHT_CLOSED"),
        (-CLOSING_SECONDS, "has departed.", "FLIGHT_DEPARTED"),
    ],
)
async def test_a_flight_that_closes_or_has_closed_is_refused_and_the_message_tells_which(
    world: World, clock: ManualClock, seconds: float, words: str, code: str
) -> None:
    await until_closing(world, clock, seconds)

    (refusal,) = await world.refusals(world.request())

    assert isinstance(refusal, FlightDeparted)
    assert (refusal.path, refusal.code) == (("segments", "0", "flightId"), code)
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


async def test_to_hold_first_and_pay_later_needs_time_for_both_calls(world: World, clock: ManualClock) -> None:
    await until_closing(world, clock, 2 * BUDGET_SECONDS - 1)
    (refusal,) = await world.refusals(world.request(pay_later=True))
    assert isinstance(refusal, FlightDeparted)
    assert refusal.code == "FLIGHT_CLOSED"
    assert isinstance(await world.bookings.book(world.request()), SagaView)


# ---------------------------------------------------------------------- on the way


async def test_a_wait_ends_before_the_flight_closes(world: World, clock: ManualClock) -> None:
    await until_closing(world, clock, 5 * BUDGET_SECONDS)

    saga = await world.reached(await world.book(pay_later=True), "WAITING")

    assert saga.awaiting is not None
    assert saga.awaiting.until == await closes_at(world) - 2 * BUDGET_SECONDS * SECOND
    clock.offset_us += saga.awaiting.until - await now(world)
    await assert_nothing_was_taken(world, await world.ended(saga), "HOLD_EXPIRED")


async def test_a_held_seat_is_not_paid_for_if_its_flight_was_moved_and_has_closed(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    await depart_at(world, await now(world) + CLOSING_SECONDS * SECOND - 1)
    by = Actor(ActorRole.CUSTOMER, "someone")
    paid = await world.bookings.pay_for_hold(saga.correlation_id, "pm_card_visa", subject="someone", by=by)
    assert isinstance(paid, SagaView)

    await assert_nothing_was_taken(world, await hand.to_the_end(saga), "FLIGHT_CLOSED")
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures) == (1, 0)


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
    await depart_at(world, await now(world) + CLOSING_SECONDS * SECOND - 1)

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
