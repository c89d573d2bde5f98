"""A refund is booked once the provider has finished it: until then its step waits, and a failed one is made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import payments
from domain.audit import SweepSchedule, examine
from domain.bookings import BookingStatus, StepName
from domain.bookings.awaiting import REFUND
from domain.bookings.definitions import BookingDefinitions
from domain.clock import SECOND, ManualClock, wall_now
from domain.events import EventType
from domain.outcome import Refused, Succeeded
from domain.payments import Payment, PaymentChanged, PaymentStatus, ProviderPayment, ProviderState, note
from domain.saga import NotAwaited, SagaDefinition, SagaStatus, SagaView, StepStatus, StepView
from domain.seats import SeatStatus
from domain.storage import Server
from sandbox import Entry, Fault, FaultKind, SqliteBooks
from sandbox.ledger import REFUND_SECONDS
from sandbox.reading import reading
from tests.domain.bookings.test_cancel_booking import booked, booking_of, cancelled, entry_of
from tests.domain.bookings.world import ADA, World
from tests.support.asking import AN_OPERATOR
from tests.support.waiting import eventually

PENDING, FAILING = "pm_card_pendingRefund", "pm_card_refundFail"
REFUND_PAYMENT = StepName.REFUND_PAYMENT


@pytest.fixture(autouse=True)
def provider_clock(world: World) -> None:
    """The provider's clock stands still, until a test lets a refund end."""
    world.gateway._now = lambda: 0


def let_refunds_end(world: World) -> None:
    """Those that are pending at the provider end now, and none that is asked for afterwards."""
    world.gateway._now = lambda: REFUND_SECONDS * SECOND


async def status_of(world: World, saga: SagaView) -> PaymentStatus:
    payment = await world.payment(saga)
    assert payment is not None
    return payment.status


async def waits(world: World, saga: SagaView) -> StepView:
    """The saga's refund, once it waits for the provider."""
    return (await world.step_reached(saga, REFUND_PAYMENT, StepStatus.WAITING)).steps[-1]


async def is_sound(world: World) -> None:
    """Doctor finds nothing, here or in the provider's books."""
    books = world.gateway.books
    where = books._path if isinstance(books, SqliteBooks) else Server(world.database.url)
    async with reading(where) as provider:
        found = await examine(world.database, books=provider, sweep=SweepSchedule(interval_seconds=30))
    assert [violation for finding in found.findings for violation in finding.violations] == []


async def look(world: World, saga: SagaView) -> None:
    await world.engine.say(saga.correlation_id, REFUND)


async def kinds(world: World, saga: SagaView) -> list[EventType]:
    return [event.type for event in await world.history(saga)]


# ---------------------------------------------------------------- cancelled bookings


async def test_a_booking_is_cancelled_at_once_and_its_refund_is_pending_meanwhile(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    step = await waits(world, cancellation)
    assert (await booking_of(world, saga)).status is BookingStatus.CANCELLED
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}
    assert (await world.account()).balance == 50_000
    assert (await world.view(cancellation)).status is SagaStatus.RUNNING
    assert step.summary == "the refund is accepted; its end is waited for"
    payment = await world.payment(saga)
    assert payment is not None
    assert (payment.status, payment.refunded.minor) == (PaymentStatus.REFUND_PENDING, 0)
    await is_sound(world)

    let_refunds_end(world)
    await look(world, cancellation)
    ended = await world.ended(cancellation)
    assert ended.status is SagaStatus.COMPLETED
    payment = await world.payment(saga)
    assert payment is not None
    assert (payment.status, payment.refunded) == (PaymentStatus.REFUNDED, payment.amount)
    entry = await entry_of(world, saga)
    assert (entry.state, entry.captures, entry.refunds) == (ProviderState.REFUNDED, 1, 1)
    assert (await kinds(world, cancellation)).count(EventType.STEP_WAITING) == 1
    await is_sound(world)


async def test_a_pending_refund_is_looked_at_by_itself_and_seldomer_with_time(world: World, clock: ManualClock) -> None:
    _, booking = await booked(world, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    looks: list[int] = []
    read = world.gateway.read

    async def counted(reference: str) -> object:
        looks.append(1)
        return await read(reference)

    world.gateway.read = counted  # type: ignore[method-assign, assignment]
    # No more in all than the wait may last.
    for hours in (1, 12, 24):
        before, steps = len(looks), iter(range(8))

        async def looked(hours: int = hours, before: int = before, steps: Iterator[int] = steps) -> bool:
            if next(steps, None) is not None:
                clock.advance(hours * 3600)
            return len(looks) > before

        await eventually(looked)
    await waits(world, cancellation)
    let_refunds_end(world)
    clock.advance(24 * 3600)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED


async def test_no_word_of_a_customer_ends_the_wait_for_a_refund(world: World) -> None:
    _, booking = await booked(world, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    assert isinstance(await world.engine.say(cancellation.correlation_id, REFUND, '"paid"'), NotAwaited)
    assert (await world.view(cancellation)).awaiting is None


async def test_a_refund_that_fails_is_stuck_once_and_made_again_in_a_new_round(world: World) -> None:
    saga, booking = await booked(world, member_number=ADA, payment_token=FAILING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    let_refunds_end(world)
    await look(world, cancellation)
    stuck = await world.reached(cancellation, SagaStatus.STUCK)
    failure = stuck.steps[-1].failure
    assert failure is not None
    assert failure.code == "REFUND_FAILED"
    assert await status_of(world, saga) is PaymentStatus.CAPTURED
    assert (await booking_of(world, saga)).status is BookingStatus.CANCELLED
    await is_sound(world)

    await world.bookings.retry_saga(cancellation.correlation_id, asked=AN_OPERATOR)
    # At once: under the key of the round before, the provider would only repeat what it said first.
    assert (await waits(world, cancellation)).attempt == 2
    assert await status_of(world, saga) is PaymentStatus.REFUND_PENDING
    world.gateway._now = lambda: 2 * REFUND_SECONDS * SECOND
    await look(world, cancellation)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    entry = await entry_of(world, saga)
    assert (entry.state, entry.refunds) == (ProviderState.REFUNDED, 1)
    assert await status_of(world, saga) is PaymentStatus.REFUNDED
    assert (await kinds(world, cancellation)).count(EventType.SAGA_STUCK) == 1
    await is_sound(world)


async def test_a_failed_refund_is_made_again_by_the_slow_retry_too(world: World, clock: ManualClock) -> None:
    saga, booking = await booked(world, payment_token=FAILING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    let_refunds_end(world)
    await look(world, cancellation)
    await world.reached(cancellation, SagaStatus.STUCK)
    clock.advance(3600)
    await waits(world, cancellation)
    world.gateway._now = lambda: 2 * REFUND_SECONDS * SECOND
    clock.advance(3600)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    assert (await entry_of(world, saga)).refunds == 1


async def test_a_refund_that_fails_at_once_is_stuck_at_once(world: World) -> None:
    saga, booking = await booked(world)
    refund, keys = world.gateway.refund, []

    async def failing(reference: str, key: str) -> object:
        keys.append(key)
        if len(keys) == 1:
            return Refused("REFUND_FAILED", "The card is closed.", key_spent=True)
        return await refund(reference, key)

    world.gateway.refund = failing  # type: ignore[method-assign, assignment]
    cancellation = await cancelled(world, booking.reference)
    await world.reached(cancellation, SagaStatus.STUCK)
    assert len(keys) == 1
    assert await status_of(world, saga) is PaymentStatus.CAPTURED
    await world.bookings.retry_saga(cancellation.correlation_id, asked=AN_OPERATOR)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    assert [key.rsplit(":", 1)[1] for key in keys] == ["1", "2"]
    assert (await kinds(world, cancellation)).count(EventType.SAGA_STUCK) == 1


async def test_looks_that_come_together_or_late_change_nothing(world: World) -> None:
    saga, booking = await booked(world, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    for _ in range(5):
        await look(world, cancellation)
    assert (await waits(world, cancellation)).attempt == 1
    let_refunds_end(world)
    await look(world, cancellation)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    await look(world, cancellation)
    assert (await entry_of(world, saga)).refunds == 1


async def test_a_look_whose_answer_is_lost_waits_on(world: World) -> None:
    _, booking = await booked(world, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    world.gateway.faults.add(Fault("read", FaultKind.TIMEOUT_BEFORE_EFFECT))
    await look(world, cancellation)

    async def asked() -> bool:
        return not world.gateway.faults._waiting

    await eventually(asked)
    assert (await waits(world, cancellation)).attempt == 1
    let_refunds_end(world)
    await look(world, cancellation)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED


# ---------------------------------------------------------------- compensations


async def uncertain_capture(world: World, card: str) -> SagaView:
    """A booking that turns round after its money was taken, as no answer to the capture comes."""
    world.gateway.faults.add(Fault("capture", FaultKind.TIMEOUT_AFTER_EFFECT, times=10_000))
    return await world.book(member_number=ADA, payment_token=card)


async def undo_waits(world: World, saga: SagaView) -> SagaView:
    async def check() -> SagaView:
        found = await world.view(saga)
        undo = found.steps[-1].undo
        assert undo is not None, found
        assert undo.status is StepStatus.WAITING, found
        return found

    return await eventually(check)


async def test_a_compensation_waits_for_its_refund_and_nothing_is_compensated_before(
    world: World, clock: ManualClock
) -> None:
    saga = await uncertain_capture(world, PENDING)
    await world.hurried(saga, clock, SagaStatus.COMPENSATING, seconds=5)
    found = await undo_waits(world, saga)
    assert found.status is SagaStatus.COMPENSATING
    assert await status_of(world, saga) is PaymentStatus.REFUND_PENDING
    assert EventType.COMPENSATION_WAITING in await kinds(world, saga)
    await is_sound(world)
    let_refunds_end(world)
    await look(world, saga)
    assert (await world.ended(saga)).status is SagaStatus.COMPENSATED
    entry = await entry_of(world, saga)
    assert (entry.state, entry.captures, entry.refunds) == (ProviderState.REFUNDED, 1, 1)
    assert await status_of(world, saga) is PaymentStatus.REFUNDED
    assert (await world.account()).balance == 50_000
    await is_sound(world)


async def test_a_compensation_whose_refund_fails_is_stuck_until_the_next_one_succeeds(
    world: World, clock: ManualClock
) -> None:
    saga = await uncertain_capture(world, FAILING)
    await world.hurried(saga, clock, SagaStatus.COMPENSATING, seconds=5)
    await undo_waits(world, saga)
    let_refunds_end(world)
    await look(world, saga)
    await world.reached(saga, SagaStatus.STUCK)
    assert await status_of(world, saga) is PaymentStatus.CAPTURED
    await is_sound(world)
    await world.bookings.retry_saga(saga.correlation_id, asked=AN_OPERATOR)
    await undo_waits(world, saga)
    world.gateway._now = lambda: 2 * REFUND_SECONDS * SECOND
    await look(world, saga)
    assert (await world.ended(saga)).status is SagaStatus.COMPENSATED
    assert (await entry_of(world, saga)).refunds == 1


# ---------------------------------------------------------------- what only a bank does


async def test_a_cancellation_of_a_disputed_payment_waits_for_the_bank(world: World) -> None:
    saga, booking = await booked(world)
    shown = ProviderState.DISPUTED
    read = world.gateway.read

    async def disputed(reference: str) -> object:
        await read(reference)
        return Succeeded(data=ProviderPayment(reference, shown))

    world.gateway.read = disputed  # type: ignore[method-assign, assignment]
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    assert await status_of(world, saga) is PaymentStatus.DISPUTED
    await is_sound(world)
    shown = ProviderState.CHARGED_BACK
    await look(world, cancellation)
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED
    assert await status_of(world, saga) is PaymentStatus.DISPUTED
    assert (await entry_of(world, saga)).refunds == 0


# ---------------------------------------------------------------- the versions before


def before(definitions: BookingDefinitions, name: str, version: int) -> SagaDefinition:
    return next(each for each in definitions.retired if (each.name, each.version) == (name, version))


def test_the_versions_before_wait_for_no_refund_and_keep_their_steps(world: World) -> None:
    """Their sagas run on with this release: nothing of the definitions that they began with may change."""
    assert {(each.name, each.version): each.fingerprint for each in world.definitions.retired} == {
        ("BOOK_AND_EARN", 1): "8ccc7fe496e2ddea",
        ("BOOK_AND_REDEEM", 1): "228314f15f72a71a",
        ("BOOK_AND_EARN", 2): "05faba47e4641246",
        ("BOOK_AND_REDEEM", 2): "5e302f4f7464f108",
        ("CANCEL_BOOKING", 1): "f26cea55c60d26d0",
    }


async def test_a_cancellation_of_the_version_before_tries_until_its_refund_has_ended(
    world: World, clock: ManualClock
) -> None:
    saga, booking = await booked(world, payment_token=FAILING)
    old = before(world.definitions, "CANCEL_BOOKING", 1)
    world.bookings._definitions = replace(world.definitions, cancel_booking=old)
    cancellation = await cancelled(world, booking.reference)
    assert cancellation.version == 1
    await world.step_reached(cancellation, REFUND_PAYMENT, StepStatus.RETRYING)
    assert await status_of(world, saga) is PaymentStatus.REFUND_PENDING
    world.gateway._now = wall_now
    ended = await world.hurried(cancellation, clock, SagaStatus.COMPLETED, seconds=60)
    assert ended.status is SagaStatus.COMPLETED
    entry: Entry = await entry_of(world, saga)
    assert (entry.state, entry.refunds) == (ProviderState.REFUNDED, 1)
    assert await status_of(world, saga) is PaymentStatus.REFUNDED


# ---------------------------------------------------------------- news of a payment, by a webhook


async def news_of(world: World, saga: SagaView, says: PaymentStatus | None = None) -> Payment | None:
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.reference is not None
    return await world.bookings.look_now(payment.reference, says)


async def test_news_of_a_pending_refund_makes_its_saga_look(world: World) -> None:
    saga, booking = await booked(world, payment_token=PENDING)
    cancellation = await cancelled(world, booking.reference)
    await waits(world, cancellation)
    let_refunds_end(world)
    # It says no more than our records.
    assert await news_of(world, saga, PaymentStatus.REFUND_PENDING) is None
    assert (await waits(world, cancellation)).status is StepStatus.WAITING
    assert await news_of(world, saga, PaymentStatus.REFUNDED) is None
    assert (await world.ended(cancellation)).status is SagaStatus.COMPLETED


async def test_news_of_a_pending_refund_makes_the_saga_that_undoes_look(world: World, clock: ManualClock) -> None:
    saga = await uncertain_capture(world, PENDING)
    await world.hurried(saga, clock, SagaStatus.COMPENSATING, seconds=5)
    await undo_waits(world, saga)
    let_refunds_end(world)
    assert await news_of(world, saga) is None
    assert (await world.ended(saga)).status is SagaStatus.COMPENSATED


async def watched(world: World, payment: Payment) -> PaymentChanged | None:
    """Reads the payment, and notes what the provider shows."""
    assert payment.reference is not None
    found = await world.gateway.read(payment.reference)
    assert isinstance(found, Succeeded)
    return await note(world.database, payment, found.data)


async def test_what_no_saga_waits_for_is_read_and_noted_on_the_payment(world: World) -> None:
    saga, _ = await booked(world)
    payment = await news_of(world, saga)
    assert payment is not None
    assert await watched(world, payment) is None
    assert payment.reference is not None
    await world.gateway.refund(payment.reference, "by hand, in the dashboard")
    changed = await watched(world, payment)
    assert changed == PaymentChanged(PaymentStatus.CAPTURED, PaymentStatus.REFUNDED)
    assert await status_of(world, saga) is PaymentStatus.REFUNDED
    assert await watched(world, payment) is None


async def test_what_a_saga_has_written_meanwhile_is_newer_than_what_was_read(world: World) -> None:
    saga, _ = await booked(world)
    payment = await news_of(world, saga)
    assert payment is not None
    read = world.gateway.read

    async def slowly(reference: str) -> object:
        async def mark(connection: AsyncConnection) -> None:
            # A refund that has failed meanwhile: the status is as it was.
            for number, status in enumerate((PaymentStatus.REFUND_PENDING, PaymentStatus.CAPTURED), 1):
                await payments.mark(connection, [(saga.id, status)], at=payment.updated_at + number)

        await world.database.write(mark)
        await read(reference)
        return Succeeded(data=ProviderPayment(reference, ProviderState.DISPUTED))

    world.gateway.read = slowly  # type: ignore[method-assign, assignment]
    assert await watched(world, payment) is None
    assert await status_of(world, saga) is PaymentStatus.CAPTURED
