"""What one caller may have of a cabin, may buy of a flight, and may try again: on however many replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import BookFlight, InventoryLimits, LimitExceeded, SegmentWish, TooManyHolds
from domain.bookings.caller_limits import CALLERS_FAULTS
from domain.clock import ManualClock
from domain.events import EventType
from domain.payments import DECLINES, stripe
from domain.saga import SagaStatus, SagaView, Simulation
from domain.seats import CabinClass
from domain.storage import Database
from sandbox import ledger
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JANE, JOHN, World, begun, until_the_passengers, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.statements import statements, transactions, writes

#: Longer than any of these tests: what has begun stays in flight until it is cancelled.
FOR_LONG: Final = Simulation(delay_ms=5_000)
#: Of 12 FIRST seats, 18 BUSINESS and 144 ECONOMY ones: 6, 9, 72.
HALF: Final = InventoryLimits(cabin_percent=50)
FEW_SEATS: Final = InventoryLimits(seats=4, cancelled_seconds=3_600)
FEW_FAILURES: Final = InventoryLimits(failures=3, wait_seconds_max=30)
DECLINED: Final = "pm_card_chargeDeclined"
AN_HOUR: Final = 3_600


@asynccontextmanager
async def replicas(
    database: Database, clock: ManualClock, tmp_path: Path, limits: InventoryLimits
) -> AsyncIterator[tuple[World, World]]:
    """Two of them, each with connections of its own."""
    second = Database(database.url, clock=clock)
    try:
        async with world_of(database, tmp_path, limits=limits) as one, world_of(second, tmp_path, limits=limits) as two:
            yield one, two
    finally:
        await second.close()


@pytest.fixture
def limits() -> InventoryLimits:
    """What the tests' world allows; a test names its own by parameter."""
    return InventoryLimits()


@pytest.fixture
async def world(database: Database, tmp_path: Path, limits: InventoryLimits) -> AsyncIterator[World]:
    async with world_of(database, tmp_path, limits=limits) as world:
        yield world


def under(limits: InventoryLimits) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limits", [limits], ids=["limited"])


def asking(world: World, cabin: CabinClass, people: int, seats: str | None = None, **changes: Any) -> BookFlight:
    """A booking that takes its time, of any seats of the cabin or of these."""
    segment = SegmentWish(world.flight_ids[0], cabin, tuple(seats.split()) if seats else None)
    return replace(world.request(simulation=FOR_LONG, segments=[segment], passengers=(JOHN,) * people), **changes)


async def too_many(world: World, request: BookFlight) -> TooManyHolds:
    (refusal,) = await world.refusals(request)
    assert isinstance(refusal, TooManyHolds), refusal
    assert refusal.path == ("segments", "0")
    return refusal


async def too_soon(world: World, request: BookFlight) -> LimitExceeded:
    (refusal,) = await world.refusals(request)
    assert isinstance(refusal, LimitExceeded), refusal
    return refusal


# ---------------------------------------------------------------------- a share of a cabin

FIRST, BUSINESS, ECONOMY = CabinClass.FIRST, CabinClass.BUSINESS, CabinClass.ECONOMY


@under(HALF)
async def test_a_caller_holds_a_share_of_a_cabin_and_leaves_the_rest_to_others(world: World) -> None:
    await begun(world, asking(world, FIRST, 6))

    refusal = await too_many(world, asking(world, FIRST, 1))

    assert refusal.limit == 6
    assert refusal.message == (
        "You hold 6 of the 6 seats in FIRST of flight T100 that one caller may hold at once; 1 more are too many."
    )
    assert refusal.retry_after_seconds is not None
    assert HOLD_SECONDS - 60 <= refusal.retry_after_seconds <= HOLD_SECONDS
    await begun(world, asking(world, FIRST, 6, subject="someone else"))
    await begun(world, asking(world, ECONOMY, 9))
    assert isinstance(await world.bookings.book(asking(world, FIRST, 1), is_limited=False), SagaView)


@under(HALF)
@pytest.mark.parametrize(
    ("first", "then", "limit"),
    [
        ((BUSINESS, 6, None), (FIRST, 1, None), 6),
        ((FIRST, 6, None), (BUSINESS, 1, None), 6),
        ((FIRST, 6, None), (BUSINESS, 6, "3A 3B 3C 3D 3E 3F"), 9),
        ((BUSINESS, 6, "1A 1B 1C 2A 2B 2C"), (FIRST, 1, None), 6),
        ((BUSINESS, 5, "1A 1B 1C 2A 2B"), (FIRST, 2, "2E 2F"), 6),
        ((BUSINESS, 6, "3A 3B 3C 3D 3E 3F"), (FIRST, 6, None), 9),
        ((BUSINESS, 6, "3A 3B 3C 3D 3E 3F"), (FIRST, 3, None), None),
        ((FIRST, 3, None), (BUSINESS, 3, "3A 3B 3C"), None),
        ((ECONOMY, 9, None), (BUSINESS, 6, None), None),
    ],
)
async def test_a_seat_counts_in_every_cabin_that_could_have_sold_it(
    world: World, first: tuple[Any, ...], then: tuple[Any, ...], limit: int | None
) -> None:
    await begun(world, asking(world, *first))

    if limit is None:
        await begun(world, asking(world, *then))
    else:
        assert (await too_many(world, asking(world, *then))).limit == limit


@under(HALF)
async def test_what_is_confirmed_leaves_its_share_free(world: World) -> None:
    await world.ended(await begun(world, asking(world, FIRST, 6, simulation=None)))
    await begun(world, asking(world, FIRST, 6, simulation=None))


@under(InventoryLimits(cabin_percent=1))
async def test_a_share_is_one_seat_at_least(world: World) -> None:
    await begun(world, asking(world, FIRST, 1))
    assert (await too_many(world, asking(world, FIRST, 1))).limit == 1


# ---------------------------------------------------------------------- what is bought


async def bought(world: World, people: int, **changes: Any) -> SagaView:
    saga = await world.ended(await begun(world, asking(world, ECONOMY, people, simulation=None, **changes)))
    assert saga.status is SagaStatus.COMPLETED
    return saga


async def cancelled(world: World, saga: SagaView) -> None:
    booking = await world.booking(saga)
    assert booking is not None
    answer = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject=saga.subject, by=saga.subject
    )
    assert isinstance(answer, SagaView)
    assert (await world.ended(answer)).status is SagaStatus.COMPLETED


@under(FEW_SEATS)
async def test_a_caller_buys_so_many_seats_of_a_flight_for_as_long_as_the_bookings_stand(
    world: World, clock: ManualClock
) -> None:
    await bought(world, 2)
    await bought(world, 2)

    refusal = await too_many(world, asking(world, ECONOMY, 1))

    assert (refusal.limit, refusal.retry_after_seconds) == (4, None)
    assert refusal.message == (
        "You have 4 of the 4 seats of flight T100 that one caller may buy, with those cancelled lately;"
        " 1 more are too many."
    )
    await bought(world, 4, subject="someone else")
    await bought(world, 4, segments=[SegmentWish(world.flight_ids[1])])
    assert isinstance(await world.bookings.book(asking(world, ECONOMY, 5), is_limited=False), SagaView)
    clock.advance(2 * AN_HOUR)
    await too_many(world, asking(world, ECONOMY, 1))


@under(FEW_SEATS)
async def test_what_is_bought_and_cancelled_again_and_again_counts_for_a_while(
    world: World, clock: ManualClock
) -> None:
    for _ in range(2):
        await cancelled(world, await bought(world, 2))

    refusal = await too_many(world, asking(world, ECONOMY, 1))

    assert refusal.retry_after_seconds is not None
    assert AN_HOUR - 60 <= refusal.retry_after_seconds <= AN_HOUR
    clock.advance(refusal.retry_after_seconds)
    await bought(world, 2)


@under(FEW_SEATS)
async def test_what_is_in_flight_counts_as_bought_and_what_comes_to_nothing_does_not(world: World) -> None:
    running = await begun(world, asking(world, ECONOMY, 4))
    assert (await too_many(world, asking(world, ECONOMY, 1))).retry_after_seconds is not None
    await world.bookings.cancel_saga(running.correlation_id, subject=None, asked=AN_OPERATOR)
    await world.ended(running)

    await bought(world, 4)


# ---------------------------------------------------------------------- what keeps failing


async def failed(world: World, **changes: Any) -> SagaView:
    request = asking(world, ECONOMY, 1, simulation=None, payment_token=DECLINED)
    saga = await world.ended(await begun(world, replace(request, **changes)))
    assert saga.status is SagaStatus.COMPENSATED
    return saga


@under(FEW_FAILURES)
async def test_each_failure_after_the_first_few_doubles_the_wait_up_to_its_limit(
    world: World, clock: ManualClock
) -> None:
    for _ in range(3):
        await failed(world)
    waits = []
    for _ in range(5):
        refusal = await too_soon(world, asking(world, ECONOMY, 1))
        assert refusal.limit == 3
        waits.append(refusal.retry_after_seconds)
        clock.advance(refusal.retry_after_seconds)
        await failed(world)

    assert [round(wait / 5) * 5 for wait in waits] == [5, 10, 20, 30, 30]
    assert isinstance(await world.bookings.book(asking(world, ECONOMY, 1, subject="someone else")), SagaView)
    assert isinstance(await world.bookings.book(asking(world, ECONOMY, 1), is_limited=False), SagaView)


@under(FEW_FAILURES)
async def test_each_card_that_is_declined_on_a_hold_counts_while_the_hold_stands(world: World) -> None:
    saga = await world.reached(
        await begun(world, asking(world, ECONOMY, 1, simulation=None, payment_token=None, pay_later=True)),
        SagaStatus.WAITING,
    )
    for _ in range(3):
        before = (await world.view(saga)).sequence
        await world.bookings.pay_for_hold(saga.correlation_id, DECLINED, subject=saga.subject, by=AN_OPERATOR.by)
        await world.reached_event(saga, EventType.STEP_WAITING, after=before)

    assert (await too_soon(world, asking(world, ECONOMY, 1))).limit == 3
    assert isinstance(await world.bookings.book(asking(world, ECONOMY, 1, subject="someone else")), SagaView)


@under(FEW_FAILURES)
async def test_failures_are_forgotten_after_an_hour(world: World, clock: ManualClock) -> None:
    for _ in range(3):
        await failed(world)
    await too_soon(world, asking(world, ECONOMY, 1))

    clock.advance(AN_HOUR)

    for _ in range(2):
        await failed(world)
    await begun(world, asking(world, ECONOMY, 1))


@under(FEW_FAILURES)
async def test_who_has_failed_does_not_try_many_at_once(world: World, clock: ManualClock) -> None:
    await failed(world)
    answers = await asyncio.gather(*(world.bookings.book(asking(world, ECONOMY, 1)) for _ in range(6)))
    begun_at_once = [answer for answer in answers if isinstance(answer, SagaView)]
    assert len(begun_at_once) == 2, "with the one that has failed, as many as may fail"
    for saga in begun_at_once:
        await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
        await world.ended(saga)
    clock.advance(30)

    answers = await asyncio.gather(*(world.bookings.book(asking(world, ECONOMY, 1)) for _ in range(6)))

    assert sum(isinstance(answer, SagaView) for answer in answers) == 1


@under(FEW_FAILURES)
async def test_a_caller_is_not_slowed_by_what_others_do(world: World) -> None:
    for number in range(6):
        await begun(world, asking(world, FIRST, 2, subject=f"other {number}", simulation=None))
    for _ in range(4):
        saga = await world.ended(await begun(world, asking(world, FIRST, 2, simulation=None)))
        assert saga.failure is not None
        assert saga.failure.code == "SEAT_UNAVAILABLE"

    await begun(world, asking(world, ECONOMY, 1))


@under(FEW_FAILURES)
async def test_the_same_request_finds_its_saga_and_it_is_undone_though_its_caller_has_to_wait(world: World) -> None:
    request = asking(world, ECONOMY, 1, simulation=None, payment_token=DECLINED)
    first = await world.ended(await begun(world, request))
    hanging = await begun(world, asking(world, ECONOMY, 1, simulation=Simulation(delay_ms=300), member_number=ADA))
    await failed(world)
    await world.bookings.cancel_saga(hanging.correlation_id, subject=None, asked=AN_OPERATOR)
    assert (await world.ended(hanging)).status is SagaStatus.COMPENSATED
    await too_soon(world, asking(world, ECONOMY, 1))

    assert (await begun(world, request)).id == first.id


@under(FEW_FAILURES)
async def test_neither_a_restart_nor_another_replica_ends_the_wait(
    world: World, database: Database, clock: ManualClock, tmp_path: Path, limits: InventoryLimits
) -> None:
    for _ in range(3):
        await failed(world)
    await world.engine.close()

    async with world_of(database, tmp_path, limits=limits) as again:
        await too_soon(again, asking(again, ECONOMY, 1))


def test_every_card_that_a_provider_declines_is_its_callers_fault() -> None:
    """But for a bank that could not be asked."""
    declined = {*ledger._DECLINED.values(), *stripe._DECLINED.values()}
    assert declined - set(CALLERS_FAULTS) == {"ISSUER_UNAVAILABLE"}
    assert declined <= set(DECLINES)


@under(InventoryLimits(holds=6, cabin_percent=50, seats=9, failures=3))
@pytest.mark.parametrize("context", ["{}", "{oops"])
async def test_a_row_that_cannot_be_read_does_not_stop_its_callers_next_booking(
    world: World, database: Database, context: str
) -> None:
    saga = await begun(world, asking(world, ECONOMY, 1))

    async def spoil(connection: AsyncConnection) -> None:
        await connection.execute(
            text("UPDATE sagas SET context = :context WHERE id = :id"), {"context": context, "id": saga.id}
        )

    await database.write(spoil)

    await begun(world, asking(world, ECONOMY, 1))


# ---------------------------------------------------------------------- replicas


@pytest.mark.parametrize(
    ("limits", "cabin", "people", "let_in"),
    [(HALF, FIRST, 2, 3), (FEW_SEATS, ECONOMY, 2, 2), (InventoryLimits(holds=6), ECONOMY, 2, 3)],
    ids=["cabin", "bought", "flight"],
)
async def test_replicas_let_in_together_what_one_alone_would(
    database: Database,
    clock: ManualClock,
    tmp_path: Path,
    limits: InventoryLimits,
    cabin: CabinClass,
    people: int,
    let_in: int,
) -> None:
    async with replicas(database, clock, tmp_path, limits) as both:
        for round_ in range(6):
            asked = [
                world.bookings.book(asking(world, cabin, people, subject=f"caller {round_}"))
                for _ in range(4)
                for world in both
            ]
            answers = await asyncio.gather(*asked)
            assert sum(isinstance(answer, SagaView) for answer in answers) == let_in
            for answer in answers:
                if isinstance(answer, SagaView):
                    await both[0].bookings.cancel_saga(answer.correlation_id, subject=None, asked=AN_OPERATOR)


async def test_replicas_slow_a_caller_together(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    async with replicas(database, clock, tmp_path, FEW_FAILURES) as both:
        await failed(both[0])
        await failed(both[1])
        asked = [world.bookings.book(asking(world, ECONOMY, 1)) for _ in range(4) for world in both]
        answers = await asyncio.gather(*asked)
    assert sum(isinstance(answer, SagaView) for answer in answers) == 1


# ---------------------------------------------------------------------- what it costs


@pytest.mark.parametrize(("backend", "more"), [("sqlite", 3), ("postgresql", 4)])
async def test_all_limits_cost_a_few_statements_a_group(database: Database, tmp_path: Path, more: int) -> None:
    async def asked(limits: InventoryLimits) -> list[str]:
        async with world_of(database, tmp_path, limits=limits) as world:
            # The first lets everything be prepared that is prepared once.
            await begun(world, asking(world, ECONOMY, 1))
            with transactions(writes(database)) as heard:
                people = [asking(world, ECONOMY, 1, subject=f"{number}") for number in range(20)]
                await asyncio.gather(*map(world.bookings.book, people))
                return until_the_passengers(heard)

    without = await asked(InventoryLimits())
    limited = await asked(InventoryLimits(holds=6, cabin_percent=50, seats=9, failures=3))
    assert len(limited) - len(without) == more


async def test_bookings_without_limits_write_nothing_for_them(world: World, database: Database) -> None:
    with statements(writes(database), of="caller_seats|hold_gates") as heard:
        await world.ended(await world.book(passengers=[JOHN, JANE]))
    assert heard == []
