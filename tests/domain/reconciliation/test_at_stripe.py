"""Stripe's books against ours, at the witness: disputes, what somebody does in the dashboard, and lapses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.clock import ManualClock
from domain.payments.stripe import StripeGateway
from domain.reconciliation import Difference
from domain.saga import SagaStatus, SagaView, Simulation
from domain.storage import Database
from tests.domain.audit.test_examination import cancelled_booking
from tests.domain.bookings.world import world_of
from tests.domain.reconciliation.office import StripeOffice
from tests.support.asking import AN_OPERATOR
from tests.witness import Merchant
from tests.witness.fixtures import merchant, witness

__all__ = ["merchant", "witness"]

DAY_SECONDS = 86_400
PRICE = 100_00


@pytest.fixture
async def office(
    database: Database, tmp_path: Path, clock: ManualClock, merchant: Merchant
) -> AsyncIterator[StripeOffice]:
    gateway = StripeGateway(merchant.api_key, api_base=merchant.witness.url, timeout_seconds=5.0)
    async with world_of(database, tmp_path, gateway=gateway) as world:
        yield StripeOffice(world, tmp_path, clock, merchant, gateway)


async def stuck(office: StripeOffice) -> tuple[SagaView, str]:
    """A saga that cannot give its authorization back."""
    saga = await office.world.book(Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",)))
    stands = await office.world.hurried(saga, office.clock, "STUCK")
    return stands, await office.reference(stands)


async def test_where_every_saga_ended_as_it_should_nothing_is_found(office: StripeOffice) -> None:
    await office.booked()
    await office.undone()
    await office.cancelled()
    await office.world.ended(await office.world.book(payment_token="pm_card_chargeDeclined"))
    assert await office.run_job() > 0
    assert await office.findings() == []


async def test_a_dispute_is_raised_and_ends_once_it_is_won(office: StripeOffice) -> None:
    _, reference = await office.booked()
    await office.run_job()
    await office.merchant.advance(DAY_SECONDS)
    office.clock.advance(DAY_SECONDS)
    await office.merchant.dispute(reference)
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference, finding.at_stake.minor) == (Difference.DISPUTED, reference, PRICE)
    await office.run_job()
    assert len(await office.findings()) == 1
    await office.merchant.settle_dispute(reference, won=True)
    await office.run_job()
    assert await office.findings() == []


async def test_a_dispute_that_is_lost_stands_against_the_booking_until_it_is_cancelled(office: StripeOffice) -> None:
    saga, reference = await office.booked()
    await office.merchant.dispute(reference)
    await office.run_job()
    await office.merchant.settle_dispute(reference, won=False)
    await office.run_job()
    assert await office.shown() == {(Difference.CHARGED_BACK, reference)}
    assert (await cancelled_booking(office.world, saga)).status is SagaStatus.COMPLETED
    await office.run_job()
    assert await office.findings() == []


async def test_a_refund_in_the_dashboard_is_found_though_its_payment_is_old(office: StripeOffice) -> None:
    _, reference = await office.booked()
    await office.run_job()
    await office.merchant.advance(9 * DAY_SECONDS)
    office.clock.advance(9 * DAY_SECONDS)
    await office.run_job()
    await office.merchant.elsewhere(reference, "refund", amount=45_00)
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference, finding.at_stake.minor) == (Difference.BOOKING_REFUNDED, reference, 45_00)


async def test_a_refund_that_fails_days_after_it_had_succeeded_is_made_again(office: StripeOffice) -> None:
    await office.merchant.set(refunds="FAIL_LATER", refund_seconds=5 * DAY_SECONDS)
    saga, reference = await office.cancelled()
    await office.run_job()
    assert await office.findings() == []
    await office.merchant.set(refunds="SUCCEED")
    # A job that runs meanwhile finds nothing, and no window has the payment or its refund any more.
    for _ in range(6):
        await office.merchant.advance(DAY_SECONDS)
        office.clock.advance(DAY_SECONDS)
        await office.run_job()
    assert await office.findings() == []
    books = await office.merchant.books()
    record = books.of(saga.correlation_id)
    assert (record.captured, record.refunded) == (PRICE, PRICE)
    assert [refund.status for refund in record.refunds] == ["failed", "succeeded"], reference


async def test_what_somebody_captured_in_the_dashboard_is_raised_once_its_saga_is_given_up(
    office: StripeOffice,
) -> None:
    saga, reference = await stuck(office)
    await office.merchant.elsewhere(reference, "capture")
    await office.run_job()
    assert await office.findings() == []
    await office.world.engine.skip(saga.correlation_id, "AUTHORIZE_PAYMENT", "taken by hand", AN_OPERATOR)
    await office.world.hurried(saga, office.clock, "ABANDONED")
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference, finding.at_stake.minor) == (Difference.UNCLAIMED_MONEY, reference, PRICE)
    books = await office.merchant.books()
    assert books.of(saga.correlation_id).refunded == 0


async def test_an_authorization_that_lapses_under_a_saga_that_does_not_end_is_raised(office: StripeOffice) -> None:
    saga, reference = await stuck(office)
    await office.run_job()
    assert await office.findings() == []
    office.clock.advance(6 * DAY_SECONDS)
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference) == (Difference.AUTHORIZATION_LAPSES, reference)
    assert finding.correlation_id == saga.correlation_id
    assert finding.detail.endswith("; the saga is STUCK")


async def test_many_payments_cost_a_few_requests(office: StripeOffice) -> None:
    for row in range(4, 16):
        await office.booked(row)
    before = (await office.merchant.books()).calls
    assert await office.run_job() == 24, "theirs, and ours"
    after = (await office.merchant.books()).calls
    assert after.total - before.total <= 6
