"""Checks whether the provider's books agree with our payments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from domain.audit.findings import Finding
from domain.audit.payments import known_references
from domain.audit.rules import Dossier, RecordedBooking, paid_statuses
from domain.bookings import BookingStatus, bookings_of_sagas
from domain.payments import BooksListing, ProviderBooks, ProviderEntry, ProviderState
from domain.storage import Database

__all__ = ["ProviderFindings"]

#: Before and after everything in any books.
_ALWAYS: Final = {"since": 0, "until": 2**62}
_WITH_US: Final = (ProviderState.AUTHORIZED, ProviderState.CAPTURED, ProviderState.REFUND_PENDING)


class ProviderFindings:
    """Compares the provider's books with our payments."""

    def __init__(self, database: Database, books: ProviderBooks) -> None:
        self.agrees = Finding("provider-charges", "The provider has taken every booking's money once, and no other's.")
        self.known = Finding("provider-known", "Every charge at the provider has a payment of ours.")
        self._database = database
        self._books = books

    async def compare(self, dossiers: Sequence[Dossier]) -> None:
        """Check the provider's entries for the payments of sagas that are over."""
        paid = {
            dossier.payment.reference: dossier
            for dossier in dossiers
            if dossier.is_over
            and dossier.payment
            and dossier.payment.reference
            and dossier.payment.provider == self._books.provider
        }
        entries = await self._books.entries(list(paid))
        given_back = []
        for reference, dossier in paid.items():
            entry = entries.get(reference)
            if dossier.booking is None:
                details = _judge_without_booking(dossier, reference, entry)
            elif dossier.booking.status is BookingStatus.CONFIRMED and entry and entry.state is ProviderState.REFUNDED:
                given_back.append(dossier)
                continue
            else:
                details = _judge_with_booking(dossier, dossier.booking, reference, entry)
            for detail in details:
                self.agrees.add(dossier.subject, detail)
        if given_back:
            await self._judge_given_back(given_back)

    async def find_unknown(self) -> None:
        """Find references in the books that we do not know: ours are durable before any money moves."""
        after, has_more = None, True
        while has_more:
            page = await self._books.page(BooksListing.PAYMENTS, **_ALWAYS, after=after)
            charged = [entry.reference for entry in page.entries if entry.has_money and not entry.is_foreign]
            async with self._database.reading() as connection:
                known = await known_references(connection, charged)
            for reference in charged:
                if reference not in known:
                    self.known.add(f"reference {reference}", "the provider has money on it, and we have no payment")
            after, has_more = page.after, page.after is not None

    async def _judge_given_back(self, dossiers: Sequence[Dossier]) -> None:
        """Check money given back for confirmed bookings: their cancellations may have begun meanwhile."""
        async with self._database.reading() as connection:
            now = await bookings_of_sagas(connection, [dossier.id for dossier in dossiers])
        for dossier in dossiers:
            booking = now.get(dossier.id)
            if booking is not None and booking.status is BookingStatus.CONFIRMED:
                reference = dossier.payment.reference if dossier.payment else None
                self.agrees.add(dossier.subject, f"booking {booking.reference} is CONFIRMED, and {reference} REFUNDED")


def _judge_without_booking(dossier: Dossier, reference: str, entry: ProviderEntry | None) -> Iterator[str]:
    if entry is not None and entry.state in _WITH_US:
        yield f"it has no booking, and {reference} is {entry.state.value} at the provider"


def _judge_with_booking(
    dossier: Dossier, booking: RecordedBooking, reference: str, entry: ProviderEntry | None
) -> Iterator[str]:
    if entry is None:
        yield f"booking {booking.reference} is paid by {reference}, which the provider does not know"
        return
    if entry.captures != 1:
        yield f"{reference} was captured {entry.captures} times, for booking {booking.reference}"
    if dossier.payment is not None and entry.amount != dossier.payment.amount:
        yield f"{reference} is for {entry.amount} at the provider, and for {dossier.payment.amount} with us"
    # What is disputed is the bank's to decide; reconciliation reports it.
    if not entry.disputed and entry.state.value not in {status.value for status in paid_statuses(dossier)}:
        yield f"booking {booking.reference} is {booking.status.value}, and {reference} {entry.state.value}"
