"""The port to a provider's books: what it has of each payment, listed by time and read by reference. It only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.errors import SeatsagaError
from domain.money import Money
from domain.payments.gateway import ProviderState

__all__ = ["BooksListing", "BooksPage", "BooksUnreadError", "ProviderBooks", "ProviderEntry"]


class BooksUnreadError(SeatsagaError):
    """The provider's books could not be read now. The message says why; nothing was changed."""


class BooksListing(StrEnum):
    """What a page of the books lists, each by the time at which it happened."""

    PAYMENTS = "PAYMENTS"
    """Payments."""
    REFUNDS = "REFUNDS"
    """Payments of which money was given back in that time, whenever they were made."""
    DISPUTES = "DISPUTES"
    """Payments that their cards' holders have disputed in that time."""
    CHANGES = "CHANGES"
    """Payments of which a refund or a dispute has changed in that time: a refund may fail days later."""


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A payment in the provider's books. Amounts are minor units of the currency of `amount`.

    `amount`: what it is for. `reserved`: authorized and not captured. `captured`: taken, also if it was given back
    later. `refunded`: given back for good. `refunding`: on the way back, without a final answer yet. `disputed`: in
    disputes that are open. `charged_back`: given back to the card's holder by their bank, in disputes that are lost.
    """

    reference: str
    state: ProviderState
    amount: Money
    created_at: int = 0
    """In microseconds by the provider's clock; 0 if it is not known."""
    reserved: int = 0
    captured: int = 0
    refunded: int = 0
    refunding: int = 0
    disputed: int = 0
    charged_back: int = 0
    captures: int = 0
    """How often a capture took effect."""
    capture_before: int | None = None
    """When the provider lets the authorization lapse, in microseconds; None if it does not say."""
    correlation_id: str | None = None
    """The correlation ID that we gave it; None if it has none."""
    is_foreign: bool = False
    """Nothing in it says that it is ours: another program uses the same account."""

    @property
    def kept(self) -> int:
        """The money that was taken, and is neither given back nor on its way."""
        return max(0, self.captured - self.refunded - self.refunding - self.charged_back)

    @property
    def has_money(self) -> bool:
        """Whether money is reserved or taken, and not on its way back."""
        return self.reserved > 0 or self.kept > 0


@dataclass(frozen=True, slots=True)
class BooksPage:
    """One page of a listing. `after` continues it; None: there is no more."""

    entries: Sequence[ProviderEntry]
    after: str | None


class ProviderBooks(Protocol):
    """Reads the books of one provider, each time in their present state. Raises BooksUnreadError."""

    @property
    def provider(self) -> str:
        """The provider's name, as stored with each payment."""
        ...

    async def entries(self, references: Sequence[str]) -> Mapping[str, ProviderEntry]:
        """The entries of these references, by reference; unknown references are left out."""
        ...

    async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
        """A page of what was created from `since` on and before `until`, in microseconds.

        `after`: as the page before gave it. While the bounds stay the same, the pages together list all of
        it once, also if they are asked for by several processes, with days in between.
        """
        ...
