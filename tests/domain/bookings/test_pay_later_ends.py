"""How a hold ends that nobody pays for: by its time, by a cancel, by the sweep; and what is kept until then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.actors import Actor, ActorRole
from domain.bookings import InventoryLimits, TooManyHolds, awaited
from domain.clock import SECOND, ManualClock
from domain.events import EventType
from domain.money import Money
from domain.payments import ProviderState
from domain.saga import SagaStatus, SagaView
from domain.seats import SeatReservationStatus, SeatStatus
from domain.storage import Database
from tests.domain.bookings.by_hand import by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR

VISA: Final = "pm_card_visa"
SOMEONE: Final = Actor(ActorRole.CUSTOMER, "someone")
#: Between the deadline of a wait and the end of the saga.
LATE_SECONDS_MAX: Final = 5


async def held(world: World, **changes: Any) -> SagaView:
    return await world.reached(await world.book(pay_later=True, **changes), SagaStatus.WAITING)


async def pay(world: World, saga: SagaView, token: str = VISA) -> Any:
    return await world.bookings.pay_for_hold(saga.correlation_id, token, subject="someone", by=SOMEONE)


def failure_of(saga: SagaView) -> tuple[SagaStatus, str]:
    assert saga.failure is not None
    return saga.status, saga.failure.code


async def assert_all_is_given_back(world: World, saga: SagaView, balance: int) -> None:
    assert SeatStatus.HELD not in await world.seat_statuses()
    assert (await world.account()).balance == balance
    entry = await world.entry(saga)
    assert entry is None or entry.state in (ProviderState.OPEN, ProviderState.VOIDED)


async def test_a_cancel_gives_seats_and_points_back_at_once(world: World) -> None:
    balance = (await world.account()).balance
    saga = await held(world, member_number=ADA, points_to_redeem=500)

    await world.bookings.cancel_saga(saga.correlation_id, subject="someone", asked=AN_OPERATOR)

    assert failure_of(await world.ended(saga)) == (SagaStatus.COMPENSATED, "CANCELLED")
    assert {seat.status for seat in await world.reservations(saga)} == {SeatReservationStatus.RELEASED}
    await assert_all_is_given_back(world, saga, balance)


@pytest.mark.parametrize("tries", [0, 1])
async def test_the_deadline_undoes_everything_in_time_though_no_job_runs(
    database: Database, tmp_path: Path, tries: int
) -> None:
    """By the database's own clock, with nothing that moves it. No scheduler is there."""
    async with world_of(database, tmp_path, hold_seconds=4) as world:
        balance = (await world.account()).balance
        saga = await held(world, member_number=ADA, points_to_redeem=500)
        assert saga.awaiting is not None
        for _ in range(tries):
            await pay(world, saga, "pm_card_chargeDeclined")
            await world.reached_event(saga, EventType.STEP_WAITING, after=saga.sequence)

        ended = await world.ended(saga)

        assert failure_of(ended) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
        assert ended.finished_at is not None
        late = (ended.finished_at - saga.awaiting.until) / SECOND
        assert 0 <= late <= LATE_SECONDS_MAX
        assert {seat.status for seat in await world.reservations(saga)} == {SeatReservationStatus.RELEASED}
        expired = [event for event in await world.history(saga) if event.type is EventType.HOLD_EXPIRED]
        assert [(event.step, event.actor) for event in expired] == [("PROCESS_PAYMENT", None)]
        await assert_all_is_given_back(world, saga, balance)


async def test_the_sweep_frees_what_a_saga_holds_whose_owner_stands_still(world: World, clock: ManualClock) -> None:
    balance = (await world.account()).balance
    hand = await by_hand(world)
    saga = await world.book(pay_later=True, member_number=ADA, points_to_redeem=500)
    await hand.until_waiting(saga)
    clock.advance(HOLD_SECONDS)

    assert await world.bookings.release_expired() == 1

    assert SeatStatus.HELD not in await world.seat_statuses()
    assert failure_of(await hand.to_the_end(saga)) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert (await hand.told(saga)).count(EventType.HOLD_EXPIRED) == 1
    assert {seat.status for seat in await world.reservations(saga)} == {SeatReservationStatus.EXPIRED}
    await assert_all_is_given_back(world, saga, balance)


async def test_a_card_that_was_accepted_too_late_for_its_calls_charges_nothing(
    world: World, clock: ManualClock
) -> None:
    hand = await by_hand(world)
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    assert isinstance(await pay(world, saga), SagaView)
    clock.advance(HOLD_SECONDS - 30)

    assert failure_of(await hand.to_the_end(saga)) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert await world.entry(saga) is None
    assert VISA not in (await world.view(saga)).context


async def test_a_hold_is_not_lost_with_the_process_that_took_it(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path) as world:
        saga = await held(world)
    async with world_of(database, tmp_path) as later:
        assert isinstance(await pay(later, saga), SagaView)
        assert (await later.ended(saga)).status is SagaStatus.COMPLETED


async def test_the_fare_is_the_one_of_the_hold(world: World) -> None:
    saga = await held(world)

    async def dearer(connection: Any) -> None:
        await connection.execute(text("UPDATE flights SET economy_minor = economy_minor * 2"))

    await world.database.write(dearer)
    assert (await world.ended(await world.book())).status is SagaStatus.COMPLETED
    assert isinstance(await pay(world, saga), SagaView)
    await world.ended(saga)

    entry = await world.entry(saga)
    booking = await world.booking(saga)
    assert entry is not None
    assert booking is not None
    assert (entry.amount, booking.total) == (100_00, Money(100_00))


async def test_what_waits_counts_against_its_callers_limit(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, holds_per_caller_max=2) as world:
        saga = await held(world, passengers=(JOHN, JANE))
        (refusal,) = await world.refusals(world.request())
        assert isinstance(refusal, TooManyHolds)
        assert refusal.retry_after_seconds is not None
        assert refusal.retry_after_seconds <= HOLD_SECONDS

        await world.bookings.cancel_saga(saga.correlation_id, subject="someone", asked=AN_OPERATOR)
        await world.ended(saga)
        await held(world)


async def test_after_a_failure_holds_that_wait_keep_nobody_from_another(database: Database, tmp_path: Path) -> None:
    """They might fail too, but not within seconds: a caller would have to wait for the end of the holds."""
    async with world_of(database, tmp_path, limits=InventoryLimits(failures=3)) as world:
        await world.ended(await world.book(payment_token="pm_card_chargeDeclined"))
        for _ in range(3):
            await held(world)


async def test_many_holds_wait_and_each_is_paid_for_with_its_own_card(world: World) -> None:
    sagas = await asyncio.gather(*(held(world) for _ in range(12)))
    cards = ["pm_card_visa", "pm_card_mastercard", "pm_card_chargeDeclined"]
    await asyncio.gather(*(pay(world, saga, cards[number % 3]) for number, saga in enumerate(sagas)))
    for number, saga in enumerate(sagas):
        if number % 3 == 2:
            found = await world.reached(saga, SagaStatus.WAITING)
            again = awaited(found)
            assert again is not None
            assert again.last_failure is not None
            await pay(world, saga)
        assert (await world.ended(saga)).status is SagaStatus.COMPLETED
    entries = [await world.entry(saga) for saga in sagas]
    assert [(entry.authorizations, entry.captures) for entry in entries if entry is not None] == [(1, 1)] * 12
