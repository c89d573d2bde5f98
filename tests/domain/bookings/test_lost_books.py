"""The provider has lost what we know it had: money that we cannot find is never booked as given back."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from domain.bookings import BookingStatus
from domain.clock import ManualClock
from domain.outcome import Unknown
from domain.payments import PaymentStatus, ProviderState
from domain.saga import SagaView, Simulation
from domain.storage import Database
from tests.domain.bookings.by_hand import TURNS_MAX, ByHand, by_hand
from tests.domain.bookings.world import ADA, World
from tests.support.asking import AN_OPERATOR

#: What makes a booking go by BOOK_AND_EARN, and by BOOK_AND_REDEEM.
EARN: dict[str, Any] = {"member_number": ADA}
REDEEM: dict[str, Any] = {"member_number": ADA, "points_to_redeem": 1_000}
Lose = Callable[[], Awaitable[Callable[[], Awaitable[None]]]]


@pytest.fixture
def lose_books(database: Database, tmp_path: Path) -> Lose:
    """Empties the provider's books, as another file in their place would be; returns what brings them back."""

    async def execute(*statements: str) -> None:
        if database.dialect == "sqlite":
            with closing(sqlite3.connect(tmp_path / "sandbox.db", isolation_level=None)) as books:
                for statement in statements:
                    books.execute(statement.format(schema=""))
            return
        assert database.direct is not None
        server = await database.direct.connect()
        try:
            for statement in statements:
                await server.execute(statement.format(schema="sandbox."))
        finally:
            await server.close()

    async def bring_back() -> None:
        await execute("INSERT INTO {schema}entries SELECT * FROM kept_entries")

    async def lose() -> Callable[[], Awaitable[None]]:
        await execute(
            "CREATE TABLE kept_entries AS SELECT * FROM {schema}entries",
            "DELETE FROM {schema}entries",
            "DELETE FROM {schema}answers",
        )
        return bring_back

    return lose


async def until_stuck_or_undone(hand: ByHand, saga: SagaView, clock: ManualClock) -> SagaView:
    """The saga once it is one of the two; the time between its attempts passes at once."""
    for _ in range(TURNS_MAX):
        clock.advance(30)
        await hand.advance(saga)
        found = await hand.world.view(saga)
        if found.status in ("STUCK", "COMPENSATED"):
            return found
    raise AssertionError("the saga is neither")


def assert_stuck(saga: SagaView, step: str, code: str) -> None:
    """It is stuck at `step`, with a reason that names both sides, and our books say what they said."""
    assert saga.status == "STUCK"
    (failure,) = [
        found.failure
        for item in saga.steps
        for name, found in ((item.name, item), (item.compensation, item.undo))
        if name == step and found is not None
    ]
    assert failure is not None
    assert failure.code == code
    assert "the provider" in failure.message
    assert "Our books" in failure.message


@pytest.mark.parametrize("changes", [EARN, REDEEM], ids=["earn", "redeem"])
async def test_a_refund_of_captured_money_that_the_provider_has_never_heard_of_is_stuck(
    world: World, clock: ManualClock, lose_books: Lose, changes: dict[str, Any]
) -> None:
    saga = await world.ended(await world.book(**changes))
    booking = await world.booking(saga)
    assert booking is not None
    bring_back = await lose_books()

    cancellation = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject="someone", by="someone"
    )
    assert isinstance(cancellation, SagaView)
    stuck = await world.hurried(cancellation, clock, "STUCK", "COMPLETED")

    assert_stuck(stuck, "REFUND_PAYMENT", "PAYMENT_UNKNOWN")
    payment, kept = await world.payment(saga), await world.booking(saga)
    assert payment is not None
    assert kept is not None
    assert (payment.status, kept.status) == (PaymentStatus.CAPTURED, BookingStatus.CANCELLED)
    assert await world.entry(saga) is None

    await bring_back()
    await world.hurried(cancellation, clock, "COMPLETED", seconds=10)
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.refunds) == (ProviderState.REFUNDED, 1)


@pytest.mark.parametrize(
    ("changes", "undo"), [(EARN, "CANCEL_PAYMENT"), (REDEEM, "REFUND_PAYMENT")], ids=["earn", "redeem"]
)
async def test_the_undo_of_authorized_money_that_the_provider_has_never_heard_of_is_stuck(
    world: World, clock: ManualClock, lose_books: Lose, changes: dict[str, Any], undo: str
) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1), **changes)
    await hand.until_calling(saga, "CONFIRM_BOOKING")
    bring_back = await lose_books()

    # The capture is refused, which turns the saga round.
    found = await until_stuck_or_undone(hand, saga, clock)

    assert_stuck(found, undo, "PAYMENT_UNKNOWN")
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.AUTHORIZED
    assert await world.entry(saga) is None

    await bring_back()
    clock.advance(3_600)
    assert (await hand.to_the_end(saga)).status == "COMPENSATED"
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.voids) == (ProviderState.VOIDED, 1)


async def test_a_capture_whose_answer_was_lost_does_not_hide_that_the_money_was_authorized(
    world: World, clock: ManualClock, lose_books: Lose
) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1))
    await hand.until_calling(saga, "CONFIRM_BOOKING")
    await lose_books()
    await hand.turn(saga, Unknown("TIMEOUT", "No answer."))
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.status is PaymentStatus.UNKNOWN

    found = await until_stuck_or_undone(hand, saga, clock)

    assert_stuck(found, "CANCEL_BOOKING", "PAYMENT_UNKNOWN")


async def test_an_authorization_that_may_never_have_left_is_undone_by_a_void_that_the_provider_keeps(
    world: World, clock: ManualClock, lose_books: Lose
) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1))
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    late = hand.calls[saga.id]
    await hand.turn(saga, Unknown("TIMEOUT", "No answer."))
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)

    assert (await hand.to_the_end(saga)).status == "COMPENSATED"
    entry = await world.entry(saga)
    assert entry is not None
    assert (entry.state, entry.authorizations, entry.voids) == (ProviderState.VOIDED, 0, 1)
    answer = await late.operation.call(late.member)
    assert getattr(answer, "code", None) == "PAYMENT_VOIDED"
