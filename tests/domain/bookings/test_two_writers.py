"""Two processes' worth of engines on one PostgreSQL: the fence holds, nobody deadlocks, everything adds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text, update

from domain import loyalty
from domain.bookings import SegmentWish
from domain.clock import ManualClock
from domain.events import EventType
from domain.payments import ProviderState
from domain.saga import SagaStatus, SagaView, Simulation
from domain.saga.executor import Executor
from domain.saga.tables import sagas
from domain.saga.work import Completion, Work
from domain.seats import SeatReservationStatus, SeatStatus
from domain.storage import Database
from tests.domain.bookings.by_hand import by_hand
from tests.domain.bookings.world import ADA, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.sequences import EARN
from tests.support.turning import turned
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])
GRACE = "SS0000007"
SECONDS_MAX = 60


@pytest.fixture
async def other(world: World, database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[World]:
    """A second replica with connections of its own; the first has made the flights."""
    second = Database(database.url, clock=clock)
    async with world_of(second, tmp_path) as other:
        yield other
    await second.close()


async def deadlocks(database: Database) -> int:
    statement = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with database.reading() as connection:
        return int((await connection.execute(statement)).scalar_one())


async def test_two_writers_on_the_same_seats_and_accounts_never_deadlock_and_add_up(world: World, other: World) -> None:
    # Journeys over the same two flights in both orders, the same two members, some undone half-way.
    there, back = SegmentWish(world.flight_ids[0]), SegmentWish(world.flight_ids[1])
    fates = [None, Simulation(fail_at=("AWARD_MILES",)), None, Simulation(fail_at=("CONFIRM_BOOKING",))]

    async def book(number: int) -> SagaView:
        where = (world, other)[number % 2]
        fate = fates[number // 2 % 4]
        points = 100 if number % 3 == 0 else 0
        if points and fate is not None and "AWARD_MILES" in fate.fail_at:
            fate = Simulation(fail_at=("PROCESS_PAYMENT",))
        return await where.book(
            fate,
            segments=[there, back] if number % 4 < 2 else [there],
            passengers=[JOHN, JANE],
            member_number=(ADA, GRACE)[number % 2],
            points_to_redeem=points,
        )

    begun = await asyncio.gather(*(book(number) for number in range(96)))
    # Each steers sagas that the other one owns.
    await asyncio.gather(
        *(
            (other, world)[number % 2].bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
            for number, saga in enumerate(begun)
            if number % 8 == 7
        )
    )
    over = [await world.ended(saga, SECONDS_MAX) for saga in begun]
    assert {saga.status for saga in over} == {SagaStatus.COMPLETED, SagaStatus.COMPENSATED}
    assert await deadlocks(world.database) == 0
    await assert_seats_are_exact(world, over)
    await assert_money_is_exact(world, over)
    await assert_points_are_exact(world, over)


async def assert_seats_are_exact(world: World, over: list[SagaView]) -> None:
    booked: dict[int, list[str]] = {}
    for saga in over:
        reservations = await world.reservations(saga)
        expected = SeatReservationStatus.CONFIRMED if saga.status is SagaStatus.COMPLETED else None
        for item in reservations:
            if expected is not None:
                assert item.status is expected
                booked.setdefault(item.flight_id, []).append(item.number)
            else:
                assert item.status is SeatReservationStatus.RELEASED
    for number, flight_id in enumerate(world.flight_ids[:2]):
        taken = booked.get(flight_id, [])
        assert len(taken) == len(set(taken))
        assert (await world.seat_statuses(number)).count(SeatStatus.BOOKED) == len(taken)
        assert (await world.seat_statuses(number)).count(SeatStatus.AVAILABLE) == 162 - len(taken)


async def assert_money_is_exact(world: World, over: list[SagaView]) -> None:
    for saga in over:
        entry = await world.entry(saga)
        if saga.status is SagaStatus.COMPLETED:
            assert entry is not None
            assert (entry.state, entry.captures, entry.refunds) == (ProviderState.CAPTURED, 1, 0)
        elif entry is not None:
            assert entry.captures == entry.refunds
            assert entry.state in (ProviderState.VOIDED, ProviderState.REFUNDED)


async def assert_points_are_exact(world: World, over: list[SagaView]) -> None:
    bookings = {saga.id: await world.booking(saga) for saga in over}
    for number in (ADA, GRACE):
        account = await world.account(number)
        balance, seen = account.balance, 0
        points: dict[str | None, int] = {}
        after = None
        async with world.database.reading() as connection:
            while page := await loyalty.entries_page(connection, number, after=after, limit=100):
                for entry in page:
                    assert entry.balance_after == balance
                    balance -= entry.points
                    points[entry.saga_id] = points.get(entry.saga_id, 0) + entry.points
                    seen += 1
                after = page[-1].id
            assert seen == await loyalty.entries_count(connection, number)
        assert (account.pending, balance) == (0, 0)
        for saga_id, total in points.items():
            if saga_id is not None:
                booking = bookings[saga_id]
                assert total == (booking.miles_awarded - booking.points_redeemed if booking else 0)


async def test_a_saga_that_was_taken_over_in_the_middle_of_its_call_is_written_by_its_new_owner_alone(
    world: World, other: World
) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1), member_number=ADA)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    order = hand.calls[saga.id]
    outcome = await hand.answer(saga)
    # Takeover while the answer is on its way.
    await other.database.write(
        lambda connection: connection.execute(
            update(sagas).values(replica=other.engine.replica.id, epoch=sagas.c.epoch + 1)
        )
    )
    late = Completion(order.epoch, order.direction, order.position, order.member.attempt, outcome)
    before = await world.history(saga)
    result = await turned(hand.executor, [Work(saga.id, late)])
    assert result.over == {saga.id}
    assert await world.history(saga) == before
    other.engine.runner._ready[saga.id] = Work(saga.id, orphaned=True)
    other.engine.runner._bell.set()
    assert (await other.ended(saga)).status is SagaStatus.COMPLETED
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.authorizations, entry.captures) == (1, 1)


async def test_two_executors_that_drive_the_same_saga_at_the_same_time_do_each_step_once(
    world: World, other: World
) -> None:
    for each in (world, other):
        await by_hand(each)
    booked = [await world.book(Simulation(delay_ms=1), member_number=ADA) for _ in range(4)]
    ids = [saga.id for saga in booked]
    # The worst that a broken lease could do: both believe that they own it.
    executors = [Executor(each.database, each.engine.definitions, world.engine.replica.id) for each in (world, other)]

    async def drive(executor: Executor) -> None:
        done: list[Work] = [Work(saga_id) for saga_id in ids]
        while done:
            result = await turned(executor, done)
            answers = []
            for order in result.calls:
                outcome = await order.operation.call(order.member)
                answers.append(
                    Work(
                        order.member.saga_id,
                        Completion(order.epoch, order.direction, order.position, order.member.attempt, outcome),
                    )
                )
            calling = {work.saga_id for work in answers}
            done = answers + result.unsettled + [Work(saga_id) for saga_id in result.due if saga_id not in calling]

    async def all_over() -> bool:
        await asyncio.gather(*(drive(executor) for executor in executors))
        found = [await world.view(saga) for saga in booked]
        return all(saga.status is SagaStatus.COMPLETED for saga in found)

    await eventually(all_over)
    for saga in booked:
        log = await world.history(saga)
        assert [event.sequence for event in log] == list(range(1, len(log) + 1))
        assert [event.type for event in log].count(EventType.STEP_COMPLETED) == len(EARN.steps)
        entry = await world.entry(saga)
        assert entry is not None
        assert (entry.authorizations, entry.captures) == (1, 1)
    assert (await world.seat_statuses()).count(SeatStatus.BOOKED) == 4
    assert await deadlocks(world.database) == 0
