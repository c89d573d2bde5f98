"""A hold lives 15 minutes and never longer, but for the pin: which alone decides expiry against confirm."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import SegmentWish, TooLateToCancel
from domain.clock import SECOND, ManualClock
from domain.errors import PassedOverError
from domain.events import EventType
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import SeatReservationStatus, SeatStatus
from domain.storage import Database
from tests.domain.bookings.by_hand import ByHand, by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.triggers import refuse_updates
from tests.support.waiting import Gate

#: One microsecond-sized pause keeps every step in a turn of its own.
SLOWLY = Simulation(delay_ms=1)


@pytest.fixture
async def hand(world: World) -> ByHand:
    return await by_hand(world)


async def statuses(world: World, saga: SagaView) -> set[SeatReservationStatus]:
    return {reservation.status for reservation in await world.reservations(saga)}


def failure_of(saga: SagaView) -> tuple[SagaStatus, str]:
    assert saga.failure is not None
    return saga.status, saga.failure.code


# ---------------------------------------------------------------------- the job


async def test_the_job_expires_the_hold_of_a_saga_that_hangs_before_its_pivot(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY, member_number=ADA)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    clock.advance(HOLD_SECONDS)
    assert await world.bookings.release_expired() == 1
    # The seat is for sale again at once, whatever becomes of the call.
    assert await statuses(world, saga) == {SeatReservationStatus.EXPIRED}
    assert (await world.seat_statuses()).count(SeatStatus.AVAILABLE) == 162
    assert (await hand.told(saga))[-1] is EventType.HOLD_EXPIRED
    # The call settles first, and then everything is undone: an answered authorization is voided.
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.captures) == (ProviderState.VOIDED, 0)
    assert await statuses(world, saga) == {SeatReservationStatus.EXPIRED}
    account = await world.account()
    assert (account.balance, account.pending) == (50_000, 0)


async def test_a_lapsed_hold_is_released_once(world: World, hand: ByHand, clock: ManualClock) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    clock.advance(HOLD_SECONDS - 1)
    assert await world.bookings.release_expired() == 0
    clock.advance(1)
    sweeps = await asyncio.gather(*(world.bookings.release_expired() for _ in range(4)))
    assert sum(sweeps) == 1
    assert (await hand.told(saga)).count(EventType.HOLD_EXPIRED) == 1


async def test_the_hold_is_freed_though_its_owner_is_dead_and_whoever_takes_over_compensates(
    world: World, hand: ByHand, clock: ManualClock, database: Database, tmp_path: Path
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    clock.advance(HOLD_SECONDS)
    other = Database(database.url, clock=clock)
    async with world_of(other, tmp_path) as survivor:
        await survivor.bookings.release_expired()
        over = await survivor.ended(saga)
        assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
        payment = await survivor.payment(saga)
        assert payment is not None
        assert payment.status is PaymentStatus.VOIDED
    await other.close()


async def test_all_holds_of_a_saga_expire_together_and_the_limit_counts_sagas(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    legs = [SegmentWish(world.flight_ids[0]), SegmentWish(world.flight_ids[1])]
    parties = [await world.book(SLOWLY, segments=legs, passengers=[JOHN, JANE]) for _ in range(3)]
    for saga in parties:
        await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    clock.advance(HOLD_SECONDS)
    assert await world.bookings.release_expired(sagas_max=2) == 3 * 4
    for saga in parties:
        assert await statuses(world, saga) == {SeatReservationStatus.EXPIRED}
    assert (await world.seat_statuses(0)).count(SeatStatus.AVAILABLE) == 162
    assert (await world.seat_statuses(1)).count(SeatStatus.AVAILABLE) == 162


async def test_a_saga_that_compensates_with_difficulty_does_not_keep_its_seats(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",), delay_ms=1)
    saga = await world.book(simulation, member_number=ADA)
    while (await world.view(saga)).status is not SagaStatus.STUCK:
        clock.advance(5)
        await hand.advance(saga)
    assert await statuses(world, saga) == {SeatReservationStatus.HELD}
    clock.advance(HOLD_SECONDS)
    assert await world.bookings.release_expired() == 1
    assert await statuses(world, saga) == {SeatReservationStatus.EXPIRED}
    # It is being undone already, so there is nothing to tell it.
    assert EventType.HOLD_EXPIRED not in await hand.told(saga)


# ---------------------------------------------------------------------- the deadline


async def test_the_work_of_a_step_that_the_hold_would_not_outlast_does_not_begin(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    budget = world.definitions.book_and_earn.steps[1].policy.budget_seconds
    clock.advance(HOLD_SECONDS - budget + 1)
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert over.steps[1].status is StepStatus.FAILED
    assert await world.payment(saga) is None


async def test_a_step_that_the_hold_outlasts_begins(world: World, hand: ByHand, clock: ManualClock) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    budget = world.definitions.book_and_earn.steps[1].policy.budget_seconds
    clock.advance(HOLD_SECONDS - budget - 5)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    assert (await world.view(saga)).steps[1].status is StepStatus.EXECUTING


async def test_retries_do_not_outlive_the_hold(world: World, hand: ByHand, clock: ManualClock) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AWARD_MILES")
    clock.advance(HOLD_SECONDS)
    # Nobody has swept: that the hold has lapsed is enough.
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")


# ---------------------------------------------------------------------- the race with the pin


async def test_the_pin_came_first_so_the_job_leaves_the_hold_and_the_booking_is_made(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY, member_number=ADA)
    await hand.until_calling(saga, "CONFIRM_BOOKING")
    clock.advance(HOLD_SECONDS * 2)
    assert await world.bookings.release_expired() == 0
    assert isinstance(
        await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR), TooLateToCancel
    )
    over = await hand.to_the_end(saga)
    assert over.status is SagaStatus.COMPLETED
    assert await statuses(world, saga) == {SeatReservationStatus.CONFIRMED}
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.state is ProviderState.CAPTURED


async def test_the_job_came_first_so_the_confirm_is_refused_and_nothing_is_charged(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY, member_number=ADA)
    await hand.until_before(saga, "CONFIRM_BOOKING")
    clock.advance(HOLD_SECONDS)
    assert await world.bookings.release_expired() == 1
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.captures) == (ProviderState.VOIDED, 0)
    assert await world.booking(saga) is None


async def test_an_expired_hold_never_confirms_though_nobody_has_swept_it(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "CONFIRM_BOOKING")
    clock.advance(HOLD_SECONDS)
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert over.steps[3].attempt <= 1
    entry = await world.entry(saga)
    assert entry is not None
    assert entry.captures == 0


async def test_confirm_and_job_at_the_same_time_have_exactly_one_winner(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    won = []
    for _ in range(6):
        saga = await world.book(SLOWLY)
        await hand.until_before(saga, "CONFIRM_BOOKING")
        clock.advance(HOLD_SECONDS - 0.002)

        async def lapse_and_sweep() -> int:
            clock.advance(0.002)
            return await world.bookings.release_expired()

        _, swept = await asyncio.gather(hand.turn(saga), lapse_and_sweep())
        swept += await world.bookings.release_expired()
        over = await hand.to_the_end(saga)
        entry = await world.entry(saga)
        assert entry is not None
        if over.status is SagaStatus.COMPLETED:
            assert swept == 0
            assert await statuses(world, saga) == {SeatReservationStatus.CONFIRMED}
            assert entry.state is ProviderState.CAPTURED
        else:
            assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
            assert await statuses(world, saga) <= {SeatReservationStatus.EXPIRED, SeatReservationStatus.RELEASED}
            assert entry.state is ProviderState.VOIDED
        won.append(over.status)
    assert len(won) == 6


async def test_a_confirm_that_waits_for_a_lock_past_the_expiry_is_refused(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "CONFIRM_BOOKING")
    locked, let_go = Gate(), Gate()

    async def hold_the_rows(connection: AsyncConnection) -> None:
        if world.database.dialect == "postgresql":
            await connection.execute(text("SELECT id FROM seat_reservations FOR UPDATE"))
        locked.open()
        await let_go.passed()

    other = asyncio.create_task(world.database.write(hold_the_rows))
    await locked.passed()
    # In time when it sets out; on SQLite it waits for the writer, on PostgreSQL it comes back another time.
    confirming = asyncio.create_task(hand.turn(saga))
    if world.database.dialect == "postgresql":
        await confirming
        assert saga.id not in hand.calls
    clock.advance(HOLD_SECONDS)
    let_go.open()
    await other
    await confirming
    over = await hand.to_the_end(saga)
    assert failure_of(over) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert await world.booking(saga) is None


@pytest.mark.parametrize("kept", [SeatReservationStatus.CONFIRMED, SeatReservationStatus.RELEASED])
async def test_the_job_touches_holds_alone(
    world: World, hand: ByHand, clock: ManualClock, kept: SeatReservationStatus
) -> None:
    fails = ("CONFIRM_BOOKING",) if kept is SeatReservationStatus.RELEASED else ()
    saga = await world.book(Simulation(fail_at=fails, delay_ms=1))
    over = await hand.to_the_end(saga)
    clock.advance(HOLD_SECONDS * 3)
    assert await world.bookings.release_expired() == 0
    assert await statuses(world, saga) == {kept}
    assert await world.view(saga) == over


# ---------------------------------------------------------------------- a clock that is set back


async def test_a_hold_does_not_outlast_its_length_though_the_clock_is_set_back(
    world: World, hand: ByHand, clock: ManualClock
) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    (before,) = await world.reservations(saga)
    clock.advance(-7_200)
    assert await world.bookings.release_expired() == 0
    (after,) = await world.reservations(saga)
    assert after.status is SeatReservationStatus.HELD
    # It is only ever shortened, and its saga's deadline with it.
    assert after.expires_at < before.expires_at - 7_100 * SECOND
    async with world.database.reading() as connection:
        assert (await connection.execute(text("SELECT deadline_at FROM sagas"))).scalar_one() == after.expires_at
    clock.advance(HOLD_SECONDS)
    assert await world.bookings.release_expired() == 1
    assert failure_of(await hand.to_the_end(saga)) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")


async def test_a_hold_that_has_begun_is_left_as_it_is(world: World, hand: ByHand, clock: ManualClock) -> None:
    saga = await world.book(SLOWLY)
    await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    before = await world.reservations(saga)
    clock.advance(HOLD_SECONDS / 2)
    await world.bookings.release_expired()
    clock.advance(-HOLD_SECONDS / 4)
    await world.bookings.release_expired()
    assert await world.reservations(saga) == before


# ---------------------------------------------------------------------- a hold that cannot be expired


async def test_a_hold_that_cannot_be_expired_is_named_and_keeps_no_other_seat(
    world: World, hand: ByHand, clock: ManualClock, database: Database
) -> None:
    sagas = [await world.book(SLOWLY) for _ in range(7)]
    for saga in sagas:
        await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    bad = sagas[3]
    clock.advance(HOLD_SECONDS)
    await refuse_updates(database, "seat_reservations", "saga_id", bad.id)

    with pytest.raises(PassedOverError, match="no such update") as caught:
        await world.bookings.release_expired()

    assert caught.value.done == 6
    assert list(caught.value.faults) == [bad.id]
    for saga in sagas:
        expected = SeatReservationStatus.HELD if saga is bad else SeatReservationStatus.EXPIRED
        assert await statuses(world, saga) == {expected}


async def test_many_holds_that_cannot_be_expired_do_not_hide_the_others_behind_the_limit(
    world: World, hand: ByHand, clock: ManualClock, database: Database
) -> None:
    sagas = [await world.book(SLOWLY) for _ in range(5)]
    for saga in sagas:
        await hand.until_before(saga, "AUTHORIZE_PAYMENT")
    clock.advance(HOLD_SECONDS)
    for saga in sagas[:4]:
        await refuse_updates(database, "seat_reservations", "saga_id", saga.id)

    with pytest.raises(PassedOverError) as caught:
        await world.bookings.release_expired(sagas_max=2)

    assert (caught.value.done, set(caught.value.faults)) == (1, {saga.id for saga in sagas[:4]})
    assert await statuses(world, sagas[4]) == {SeatReservationStatus.EXPIRED}
