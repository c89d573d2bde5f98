"""The provider's books against ours: nothing is found where all is well, each difference once, and what is safe is
mended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from sqlalchemy import select

from domain.bookings import BookingStatus
from domain.clock import SECOND
from domain.money import Money
from domain.operators import ActionQuery, page_actions
from domain.outcome import Succeeded
from domain.payments import BooksListing, BooksPage, BooksUnreadError, PaymentOrder, ProviderBooks, ProviderState
from domain.reconciliation import Difference, Ending, Reconciliation, open_totals
from domain.reconciliation.tables import payment_findings
from domain.saga import SagaView, Simulation
from sandbox import Fault, FaultKind
from tests.domain.audit.test_examination import cancelled_booking
from tests.domain.reconciliation.office import LATER_SECONDS, Office
from tests.support.asking import AN_OPERATOR, operator

_Asked = tuple[BooksListing, str | None]
YEAR_SECONDS = 365 * 86_400
STRANGE = "pi_strange"
PRICE = Money(123_45, "USD")


async def strange_money(office: Office, reference: str = STRANGE) -> str:
    """Money of a saga that is not in our database, as after a restore."""
    order = PaymentOrder("01900000-0000-7000-8000-000000000001", PRICE, "pm_card_visa")
    gateway = office.world.gateway
    assert isinstance(await gateway.authorize(reference, order, f"{reference}:authorize"), Succeeded)
    assert isinstance(await gateway.capture(reference, PRICE, f"{reference}:capture"), Succeeded)
    return reference


async def state_of(office: Office, reference: str) -> ProviderState:
    outcome = await office.world.gateway.read(reference)
    assert isinstance(outcome, Succeeded)
    state: ProviderState = outcome.data.state
    return state


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What the reconciliation has said."""
    return [record for record in caplog.records if record.name == "seatsaga.reconciliation"]


# ---------------------------------------------------------------- all is well


async def test_where_every_saga_ended_as_it_should_nothing_is_found(office: Office) -> None:
    await office.booked()
    await office.undone()
    await office.cancelled()
    await office.world.ended(await office.world.book(payment_token="pm_card_chargeDeclined"))
    assert await office.run_job() > 0
    assert await office.findings() == []


async def test_a_saga_that_has_not_ended_is_no_difference_and_is_judged_once_it_has(office: Office) -> None:
    saga = await office.world.book(Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",)))
    await office.world.hurried(saga, office.clock, "STUCK")
    reference = await office.reference(saga)
    # It was made before the windows of all walks to come: only its saga's end leads to it.
    await office.elsewhere(reference, "created_at = 1, changed_at = 1")
    await office.run_job()
    assert await office.findings() == []
    await office.world.engine.skip(saga.correlation_id, "AUTHORIZE_PAYMENT", "voided by hand", AN_OPERATOR)
    await office.world.hurried(saga, office.clock, "ABANDONED")
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference) == (Difference.UNCLAIMED_MONEY, reference)
    assert finding.detail == "the saga is ABANDONED; 100.00 USD reserved"
    assert await state_of(office, reference) is ProviderState.AUTHORIZED, "somebody has decided to leave it"


class BusyBooks:
    """Books at which `then` happens as soon as the provider has been asked for its payments."""

    def __init__(self, books: ProviderBooks, then: Callable[[], Awaitable[object]]) -> None:
        self.provider = books.provider
        self.entries = books.entries
        self._books = books
        self._then = then

    async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
        page = await self._books.page(listing, since=since, until=until, after=after)
        if listing is BooksListing.PAYMENTS:
            await self._then()
        return page


async def test_what_ends_while_the_provider_is_asked_is_left_to_a_later_walk(office: Office) -> None:
    saga, reference = await office.booked()

    @asynccontextmanager
    async def books() -> AsyncIterator[ProviderBooks]:
        async with office.books() as books:
            yield BusyBooks(books, lambda: cancelled_booking(office.world, saga))

    office.clock.advance(LATER_SECONDS)
    assert await Reconciliation(office.world.database, office.world.gateway, books).turn() == 1
    assert await office.findings() == []
    # That walk is over for the payment, and what is wrong now is found by the end of the cancellation.
    await office.elsewhere(reference, "state = 'CAPTURED', refunds = 0, created_at = 1")
    await office.run_job()
    assert await state_of(office, reference) is ProviderState.REFUNDED


# ---------------------------------------------------------------- what differs


@pytest.mark.parametrize(
    ("change", "kind", "at_stake"),
    [
        ("state = 'REFUNDED', refunds = 1", Difference.BOOKING_REFUNDED, 100_00),
        ("state = 'VOIDED', captures = 0", Difference.BOOKING_UNPAID, 100_00),
        ("state = 'AUTHORIZED', captures = 0", Difference.BOOKING_UNPAID, 100_00),
        ("reference = 'pi_gone', correlation_id = ''", Difference.BOOKING_UNPAID, 100_00),
        ("amount = 90000", Difference.OTHER_AMOUNT, 800_00),
        ("currency = 'EUR'", Difference.OTHER_AMOUNT, 100_00),
    ],
)
async def test_a_booking_whose_money_is_not_as_it_should_be_is_raised_and_left_to_a_person(
    office: Office, change: str, kind: Difference, at_stake: int
) -> None:
    saga, reference = await office.booked()
    await office.elsewhere(reference, change)
    before = await office.world.booking(saga)
    await office.run_job()
    found = {finding.kind: finding for finding in await office.findings() if finding.reference == reference}
    assert found.keys() == {kind}
    assert (found[kind].at_stake.minor, found[kind].saga_id) == (at_stake, saga.id)
    assert found[kind].correlation_id == saga.correlation_id
    assert before is not None
    assert before.status is BookingStatus.CONFIRMED
    assert before.reference in found[kind].detail
    assert await office.world.booking(saga) == before


async def test_money_that_our_books_do_not_know_is_raised_and_never_given_back(office: Office) -> None:
    await strange_money(office)
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.reference, finding.at_stake) == (Difference.UNKNOWN_MONEY, STRANGE, PRICE)
    assert finding.correlation_id == "01900000-0000-7000-8000-000000000001"
    assert await state_of(office, STRANGE) is ProviderState.CAPTURED


async def test_a_second_payment_of_a_saga_is_told_from_a_saga_that_is_not_there(office: Office) -> None:
    saga, _ = await office.booked()
    order = PaymentOrder(saga.correlation_id, PRICE, "pm_card_visa")
    await office.world.gateway.authorize(STRANGE, order, "a second one")
    await office.run_job()
    (finding,) = await office.findings()
    assert finding.detail == "123.45 USD reserved; its saga has another payment"


# ---------------------------------------------------------------- what is mended


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("state = 'CAPTURED', captures = 1", ProviderState.REFUNDED),
        ("state = 'AUTHORIZED'", ProviderState.VOIDED),
        ("state = 'NEEDS_HOLDER', secret = 'pi_1_secret_1'", ProviderState.VOIDED),
    ],
)
async def test_what_belongs_to_a_compensated_saga_is_given_back(
    office: Office, change: str, state: ProviderState, caplog: pytest.LogCaptureFixture
) -> None:
    saga, reference = await office.undone()
    await office.elsewhere(reference, change)
    with caplog.at_level(logging.INFO, "seatsaga.reconciliation"):
        await office.run_job()
    assert await state_of(office, reference) is state
    assert await office.findings() == []
    first, last = (record.getMessage() for record in ours(caplog))
    assert first.startswith("The provider's books differ: ")
    assert reference in first
    assert last.startswith(f"Payment {reference} of saga {saga.correlation_id}: {state.value}, as its saga is undone.")
    assert await ending_of(office, reference) is Ending.MENDED


async def test_the_money_of_a_cancelled_booking_is_given_back(office: Office) -> None:
    _, reference = await office.cancelled()
    await office.elsewhere(reference, "state = 'CAPTURED', refunds = 0")
    await office.run_job()
    assert await state_of(office, reference) is ProviderState.REFUNDED
    assert await office.findings() == []


async def test_a_walk_that_only_looks_gives_nothing_back(office: Office) -> None:
    _, reference = await office.undone()
    await office.elsewhere(reference, "state = 'CAPTURED', captures = 1")
    office.clock.advance(LATER_SECONDS)
    tally = await office.reconciliation().walk(None, mends=False)
    assert await state_of(office, reference) is ProviderState.CAPTURED
    assert [finding.kind for finding in tally.new] == [Difference.UNCLAIMED_MONEY]
    assert await office.shown() == {(Difference.UNCLAIMED_MONEY, reference)}
    asked = operator("grace", "They wait for it.")
    mended = await office.reconciliation().walk(None, mends=True, asked=asked)
    assert [finding.reference for finding in mended.mended] == [reference]
    (entry,) = await office.world.database.read(
        lambda connection: page_actions(connection, ActionQuery(), after=None, limit=2)
    )
    assert (entry.kind, entry.by, entry.reason) == ("MEND_PAYMENT", asked.by, asked.reason)
    assert entry.before == f"payment {reference}: {mended.mended[0].at_stake} at stake"
    assert entry.after == f"payment {reference}: REFUNDED"
    assert entry.saga_id is not None


async def test_a_refund_that_is_refused_is_tried_again_by_the_next_run_under_a_new_key(office: Office) -> None:
    _, reference = await office.undone()
    await office.elsewhere(reference, "state = 'CAPTURED', captures = 1")
    # One for each phase that comes to it in this run.
    for _ in range(2):
        office.world.gateway.faults.add(Fault("refund", FaultKind.SERVER_ERROR))
    await office.run_job()
    (finding,) = await office.findings()
    assert (finding.kind, finding.round) == (Difference.UNCLAIMED_MONEY, 3)
    await office.run_job()
    assert await state_of(office, reference) is ProviderState.REFUNDED
    assert await office.findings() == []


async def ending_of(office: Office, reference: str) -> Ending:
    """How the newest finding at this payment ended."""
    async with office.world.database.reading() as connection:
        statement = select(payment_findings.c.ending).where(payment_findings.c.reference == reference)
        return Ending((await connection.execute(statement)).scalars().all()[-1])


# ---------------------------------------------------------------- findings begin and end


async def test_a_finding_is_said_once_stays_while_it_is_seen_and_ends_when_the_books_agree(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    _, reference = await office.booked()
    await office.elsewhere(reference, "state = 'REFUNDED', refunds = 1")
    with caplog.at_level(logging.INFO, "seatsaga.reconciliation"):
        await office.run_job()
        (first,) = await office.findings()
        await office.run_job()
        (second,) = await office.findings()
        assert (second.id, second.first_seen_at) == (first.id, first.first_seen_at)
        assert second.last_seen_at - first.last_seen_at >= LATER_SECONDS * SECOND
        async with office.world.database.reading() as connection:
            (totals,) = await open_totals(connection)
        assert (totals.kind, totals.findings) == (Difference.BOOKING_REFUNDED, 1)
        assert totals.at_stake == Money(100_00, "USD")
        assert len(ours(caplog)) == 1
        await office.elsewhere(reference, "state = 'CAPTURED', refunds = 0")
        await office.run_job()
    assert await office.findings() == []
    assert await ending_of(office, reference) is Ending.AGREES
    assert [record.levelname for record in ours(caplog)] == ["WARNING", "INFO"]


async def test_a_finding_stays_while_its_booking_is_being_cancelled(office: Office) -> None:
    saga, reference = await office.booked()
    await office.elsewhere(reference, "state = 'REFUNDED', refunds = 1")
    await office.run_job()
    booking = await office.world.booking(saga)
    assert booking is not None
    begun = await office.world.bookings.cancel_booking(
        booking.reference,
        correlation_id=None,
        simulation=Simulation(fail_at=("REFUND_PAYMENT",)),
        subject="someone",
        by="someone",
    )
    assert isinstance(begun, SagaView)
    await office.world.hurried(begun, office.clock, "STUCK")
    await office.run_job()
    assert await office.shown() == {(Difference.BOOKING_REFUNDED, reference)}, "nothing is known of it meanwhile"
    await office.world.engine.retry(begun.correlation_id)
    await office.world.hurried(begun, office.clock, "COMPLETED")
    await office.run_job()
    assert await office.findings() == []


# ---------------------------------------------------------------- the walk


class Pages:
    """Books that note which pages they were asked for, and cannot be read at some."""

    def __init__(
        self, books: ProviderBooks, asked: list[tuple[BooksListing, str | None]], fails_at: int | None
    ) -> None:
        self.provider = books.provider
        self.entries = books.entries
        self._books = books
        self._asked = asked
        self._fails_at = fails_at

    async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
        self._asked.append((listing, after))
        if len(self._asked) == self._fails_at:
            raise BooksUnreadError("away")
        return await self._books.page(listing, since=since, until=until, after=after)


async def test_a_walk_goes_on_at_the_page_at_which_it_was_interrupted(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.reading.PAGE_ENTRIES_MAX", 2)
    for number in range(5):
        await strange_money(office, f"pi_{number}")
    office.clock.advance(LATER_SECONDS)
    asked: list[_Asked] = []
    fails_at: int | None = 3

    @asynccontextmanager
    async def books() -> AsyncIterator[ProviderBooks]:
        async with office.books() as books:
            yield Pages(books, asked, fails_at)

    reconciliation = Reconciliation(office.world.database, office.world.gateway, books)
    assert [await reconciliation.turn(), await reconciliation.turn()] == [2, 2]
    with pytest.raises(BooksUnreadError):
        await reconciliation.turn()
    fails_at = None
    again = Reconciliation(office.world.database, office.world.gateway, books)
    assert [await again.turn(), await again.turn()] == [1, 0]
    payments = [after for listing, after in asked if listing is BooksListing.PAYMENTS]
    assert payments[0] is None
    assert payments[2] == payments[3], "the page that could not be read is read again"
    assert len(set(payments)) == 3, "and no other"
    assert len(await office.findings()) == 5


async def test_the_windows_of_walks_join_and_the_newest_minutes_are_left(office: Office) -> None:
    await strange_money(office, "pi_old")
    office.clock.advance(LATER_SECONDS)
    windows: list[tuple[int, int]] = []

    class Windows:
        def __init__(self, books: ProviderBooks) -> None:
            self.provider = books.provider
            self.entries = books.entries
            self._books = books

        async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
            if listing is BooksListing.PAYMENTS:
                windows.append((since, until))
            return await self._books.page(listing, since=since, until=until, after=after)

    @asynccontextmanager
    async def books() -> AsyncIterator[ProviderBooks]:
        async with office.books() as books:
            yield Windows(books)

    reconciliation = Reconciliation(office.world.database, office.world.gateway, books)
    for _ in range(3):
        while await reconciliation.turn():
            pass
        office.clock.advance(3_600)
    async with office.world.database.reading() as connection:
        now = await office.world.database.clock.now(connection)
    assert len(windows) == 3
    for (_, until), (since, _) in pairwise(windows):
        assert since == until - 60 * SECOND, "a clock that is a minute behind makes no gap"
    assert now - windows[-1][1] >= (3_600 + 300) * SECOND


@pytest.mark.parametrize("walks_ahead", [1, 2])
async def test_a_clock_that_was_a_year_ahead_for_a_while_leaves_no_gap(office: Office, walks_ahead: int) -> None:
    # The provider's clock is not moved: what it makes now must come after the first walk's window.
    office.clock.advance(-LATER_SECONDS)
    await office.run_job()
    office.clock.advance(YEAR_SECONDS)
    for _ in range(walks_ahead):
        await office.run_job()
    office.clock.advance(-YEAR_SECONDS)
    await strange_money(office)
    await office.run_job()
    assert len(await office.findings()) == 1


async def test_one_of_two_replicas_takes_a_page_and_nothing_is_found_twice(office: Office) -> None:
    await strange_money(office)
    office.clock.advance(LATER_SECONDS)
    turns = await asyncio.gather(*(office.reconciliation().turn() for _ in range(4)))
    assert sum(turns) <= 2, "the page, and the finding again"
    await office.run_job()
    assert len(await office.findings()) == 1


async def test_while_the_provider_may_not_be_asked_nothing_is_done(office: Office) -> None:
    await strange_money(office)
    office.clock.advance(LATER_SECONDS)
    assert await office.reconciliation(may_ask=lambda: False).turn() == 0
    assert await office.findings() == []
    assert await office.run_job() > 0
    assert len(await office.findings()) == 1
