"""Stripe's books, read at the witness: listed by time on pages, and told whole."""

from __future__ import annotations

import uuid

import pytest

from domain.clock import SECOND, wall_now
from domain.money import Money
from domain.outcome import Succeeded
from domain.payments import BooksListing, BooksUnreadError, PaymentOrder, ProviderEntry, ProviderState
from domain.payments.stripe import StripeGateway
from domain.payments.stripe_books import StripeBooks
from tests.witness import Merchant
from tests.witness.fixtures import merchant, stripe_gateway, witness

__all__ = ["merchant", "stripe_gateway", "witness"]

PRICE = Money(123_45, "USD")
FOREVER = wall_now() * 2


@pytest.fixture
def books(stripe_gateway: StripeGateway) -> StripeBooks:
    return StripeBooks(stripe_gateway)


async def paid(gateway: StripeGateway, *operations: str, correlation_id: str | None = None) -> str:
    """A payment at which these operations succeeded."""
    order = PaymentOrder(correlation_id or str(uuid.uuid4()), PRICE, "pm_card_visa")
    opened = await gateway.open(order, str(uuid.uuid4()))
    assert isinstance(opened, Succeeded), opened
    reference: str = opened.data
    for operation in operations:
        key = str(uuid.uuid4())
        match operation:
            case "authorize":
                outcome = await gateway.authorize(reference, order, key)
            case "capture":
                outcome = await gateway.capture(reference, PRICE, key)
            case "void":
                outcome = await gateway.void(reference, key)
            case _:
                outcome = await gateway.refund(reference, key)
        assert isinstance(outcome, Succeeded), outcome
    return reference


async def listed(
    books: StripeBooks, listing: BooksListing, since: int = 0, until: int = FOREVER
) -> list[ProviderEntry]:
    """All pages of the listing."""
    page = await books.page(listing, since=since, until=until)
    found = list(page.entries)
    while page.after is not None:
        page = await books.page(listing, since=since, until=until, after=page.after)
        found += page.entries
    return found


async def test_payments_are_listed_by_the_time_of_their_creation_on_pages(
    books: StripeBooks, stripe_gateway: StripeGateway, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.payments.stripe_books.PAGE_ENTRIES_MAX", 2)
    names = [await paid(stripe_gateway, "authorize") for _ in range(5)]
    await merchant.advance(3_600)
    later = await paid(stripe_gateway)
    (at,) = {entry.created_at for entry in (await books.entries([later])).values()}
    found = await listed(books, BooksListing.PAYMENTS, 0, at)
    assert sorted(entry.reference for entry in found) == sorted(names)
    assert [entry.reference for entry in await listed(books, BooksListing.PAYMENTS, at, at + 1)] == [later]
    assert await listed(books, BooksListing.PAYMENTS, at - SECOND + 1, at) == []


async def test_an_entry_tells_where_its_money_is_and_whose_it_is(
    books: StripeBooks, stripe_gateway: StripeGateway, merchant: Merchant
) -> None:
    ours = str(uuid.uuid4())
    taken = await paid(stripe_gateway, "authorize", "capture", correlation_id=ours)
    reserved = await paid(stripe_gateway, "authorize")
    released = await paid(stripe_gateway, "authorize", "void")
    back = await paid(stripe_gateway, "authorize", "capture", "refund")
    some = await paid(stripe_gateway, "authorize", "capture")
    await merchant.elsewhere(some, "refund", amount=45)
    disputed = await paid(stripe_gateway, "authorize", "capture")
    await merchant.dispute(disputed)
    won = await paid(stripe_gateway, "authorize", "capture")
    await merchant.dispute(won)
    await merchant.settle_dispute(won, won=True)
    lost = await paid(stripe_gateway, "authorize", "capture")
    await merchant.dispute(lost)
    await merchant.settle_dispute(lost, won=False)
    found = {entry.reference: entry for entry in await listed(books, BooksListing.PAYMENTS)}
    assert found == await books.entries([*found, "pi_of_nobody"])

    def sums(reference: str) -> tuple[int, int, int, int, int]:
        entry = found[reference]
        return entry.reserved, entry.captured, entry.refunded, entry.refunding, entry.disputed

    whole = PRICE.minor
    assert sums(taken) == (0, whole, 0, 0, 0)
    assert sums(reserved) == (whole, 0, 0, 0, 0)
    assert sums(released) == (0, 0, 0, 0, 0), "a release is no refund"
    assert sums(back) == (0, whole, whole, 0, 0)
    assert sums(some) == (0, whole, 45, 0, 0)
    assert sums(disputed) == (0, whole, 0, 0, whole)
    assert sums(won) == (0, whole, 0, 0, 0)
    assert sums(lost) == (0, whole, 0, 0, 0)
    assert (found[lost].charged_back, found[lost].kept, found[won].kept) == (whole, 0, whole)
    assert (found[taken].amount, found[taken].correlation_id, found[taken].is_foreign) == (PRICE, ours, False)
    assert (found[reserved].capture_before or 0) > wall_now()
    states = [found[reference].state for reference in (taken, reserved, released, back, some)]
    assert states == [
        *(ProviderState.CAPTURED, ProviderState.AUTHORIZED, ProviderState.VOIDED, ProviderState.REFUNDED),
        ProviderState.CAPTURED,
    ]


async def test_a_refund_counts_once_it_is_final_and_one_that_failed_not_at_all(
    books: StripeBooks, stripe_gateway: StripeGateway, merchant: Merchant
) -> None:
    reference = await paid(stripe_gateway, "authorize", "capture")
    await merchant.set(refunds="PEND", refund_seconds=None)
    await merchant.elsewhere(reference, "refund")
    (pending,) = await listed(books, BooksListing.REFUNDS)
    assert (pending.reference, pending.refunding, pending.kept) == (reference, PRICE.minor, 0)
    await merchant.settle_refund(reference, failed=True)
    (failed,) = await listed(books, BooksListing.REFUNDS)
    assert (failed.refunded, failed.refunding, failed.kept) == (0, 0, PRICE.minor)


async def test_disputes_are_listed_with_their_payments(
    books: StripeBooks, stripe_gateway: StripeGateway, merchant: Merchant
) -> None:
    reference = await paid(stripe_gateway, "authorize", "capture")
    assert await listed(books, BooksListing.DISPUTES) == []
    await merchant.dispute(reference)
    (entry,) = await listed(books, BooksListing.DISPUTES)
    assert (entry.reference, entry.disputed) == (reference, PRICE.minor)


async def test_books_that_cannot_be_read_are_not_empty(books: StripeBooks, merchant: Merchant) -> None:
    await merchant.set(access="REVOKED")
    with pytest.raises(BooksUnreadError, match="it answered 401"):
        await books.page(BooksListing.PAYMENTS, since=0, until=FOREVER)
    with pytest.raises(BooksUnreadError, match="it answered 401"):
        await books.entries(["pi_1", "pi_2"])


@pytest.mark.parametrize("listing", list(BooksListing))
async def test_where_stripe_does_not_know_a_pages_end_any_more_the_listing_begins_again(
    books: StripeBooks, stripe_gateway: StripeGateway, listing: BooksListing
) -> None:
    reference = await paid(stripe_gateway, "authorize", "capture", "refund")
    page = await books.page(listing, since=0, until=FOREVER, after="xx_of_another_account")
    expected = [reference] if listing in (BooksListing.PAYMENTS, BooksListing.REFUNDS) else []
    assert ([entry.reference for entry in page.entries], page.after) == (expected, None)
