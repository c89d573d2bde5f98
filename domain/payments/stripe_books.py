"""Stripe's books: PaymentIntents with their charges, refunds and disputes.

::

    PAYMENTS   payment_intents.list     created[gte], created[lt], starting_after: newest first
    REFUNDS    refunds.list             the same, then each refund's PaymentIntent
    DISPUTES   disputes.list            the same, then each dispute's PaymentIntent
    CHANGES    events.list              the same, then each event's PaymentIntent; Stripe keeps events for 30 days

The bounds are fixed by `created`, so what is created while somebody pages moves nothing. A PaymentIntent
is one entry. Its charge says what was captured, but counts a refund from its request on, also the
release of an authorization: so what was given back is read from the refunds themselves, which come with
the charge. Disputes are read for a charge that was ever disputed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import stripe

from domain.clock import SECOND
from domain.payments.books import BooksListing, BooksPage, BooksUnreadError, ProviderEntry
from domain.payments.gateway import ProviderState
from domain.payments.stripe import StripeGateway
from domain.payments.stripe_amounts import money_of

__all__ = ["StripeBooks"]

T = TypeVar("T")

#: Stripe's longest page.
PAGE_ENTRIES_MAX: Final = 100
#: PaymentIntents that are read at once: this is nobody's booking, and Stripe limits the requests of an account.
READS_AT_ONCE_MAX: Final = 4
#: The name in the metadata of a PaymentIntent, as the gateway writes it.
_OURS: Final = "correlation_id"
_CHARGE: Final = "latest_charge"
_EXPANDED: Final = f"{_CHARGE}.refunds"
#: What happens to a refund or a dispute after it was made, as Stripe names it.
_CHANGES: Final = ["refund.failed", "refund.updated", "charge.refund.updated", "charge.dispute.closed"]
_NOT_FINAL: Final = frozenset({"pending", "requires_action"})
_LOST: Final = "lost"
#: Disputes that ended, or never began, without a loss. An inquiry is open: it has a deadline, too.
_HARMLESS: Final = frozenset({"won", "warning_closed", "prevented"})
_STATES: Final = {
    "requires_action": ProviderState.NEEDS_HOLDER,
    "requires_capture": ProviderState.AUTHORIZED,
    "canceled": ProviderState.VOIDED,
}


class StripeBooks:
    """Reads the account of `gateway`, by its client, while it is started."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway

    @property
    def provider(self) -> str:
        return self._gateway.name

    async def entries(self, references: Sequence[str]) -> Mapping[str, ProviderEntry]:
        wanted, found = iter(dict.fromkeys(references)), dict[str, ProviderEntry]()

        async def read_some() -> None:
            for reference in wanted:
                intent = await self._intent(reference)
                if intent is not None:
                    found[reference] = await self._entry(intent)

        readers = (read_some() for _ in range(min(READS_AT_ONCE_MAX, len(references))))
        for fault in await asyncio.gather(*readers, return_exceptions=True):
            if fault is not None:
                raise fault
        return found

    async def page(self, listing: BooksListing, *, since: int, until: int, after: str | None = None) -> BooksPage:
        bounds: dict[str, Any] = {
            "created": {"gte": -(-since // SECOND), "lt": -(-until // SECOND)},
            "limit": PAGE_ENTRIES_MAX,
        }
        services = self._gateway.services
        match listing:
            case BooksListing.PAYMENTS:
                bounds["expand"] = [f"data.{_EXPANDED}"]
                intents = await _page(services.payment_intents.list_async, bounds, after)
                return BooksPage([await self._entry(intent) for intent in intents.data], _after(intents))
            case BooksListing.REFUNDS:
                refunds = await _page(services.refunds.list_async, bounds, after)
                return BooksPage(await self._of(refunds.data), _after(refunds))
            case BooksListing.DISPUTES:
                disputes = await _page(services.disputes.list_async, bounds, after)
                return BooksPage(await self._of(disputes.data), _after(disputes))
            case BooksListing.CHANGES:
                bounds["types"] = _CHANGES
                events = await _page(services.events.list_async, bounds, after)
                return BooksPage(await self._of([event.data.object for event in events.data]), _after(events))

    async def _of(self, changes: Iterable[Any]) -> list[ProviderEntry]:
        """The entries of the payments that these refunds or disputes are of."""
        references = (getattr(change, "payment_intent", None) for change in changes)
        return list((await self.entries([each for each in references if isinstance(each, str)])).values())

    async def _intent(self, reference: str) -> Any:
        """The PaymentIntent; None if Stripe does not know it."""
        try:
            return await self._gateway.services.payment_intents.retrieve_async(reference, {"expand": [_EXPANDED]})
        except stripe.StripeError as error:
            if _is_missing(error):
                return None
            raise _unread(error) from error

    async def _entry(self, intent: Any) -> ProviderEntry:
        amount = money_of(intent.amount, intent.currency)
        correlation_id = _item(getattr(intent, "metadata", None), _OURS)
        charge: Any = getattr(intent, _CHARGE, None)
        captured = int(getattr(charge, "amount_captured", 0) or 0) if getattr(charge, "captured", False) else 0
        refunded, refunding, disputed, charged_back = 0, 0, 0, 0
        # Of another program's payments nobody asks more.
        if captured and correlation_id and charge.amount_refunded:
            refunded, refunding = await self._given_back(charge, intent.id)
        if getattr(charge, "disputed", False) and correlation_id:
            disputed, charged_back = await self._disputed(intent.id)
        reserved = int(getattr(intent, "amount_capturable", 0) or 0) if intent.status == "requires_capture" else 0

        def minor(units: int) -> int:
            return money_of(units, intent.currency).minor

        return ProviderEntry(
            intent.id,
            _state(intent.status, is_given_back=captured > 0 and refunded >= captured),
            amount,
            created_at=int(intent.created) * SECOND,
            reserved=minor(reserved),
            captured=minor(captured),
            refunded=minor(min(refunded, captured)),
            refunding=minor(min(refunding, captured - min(refunded, captured))),
            disputed=minor(disputed),
            charged_back=minor(charged_back),
            captures=1 if captured else 0,
            capture_before=_capture_before(charge) if reserved else None,
            correlation_id=correlation_id,
            is_foreign=correlation_id is None,
        )

    async def _given_back(self, charge: Any, reference: str) -> tuple[int, int]:
        """What is given back for good, and what is on its way, in Stripe's units."""
        refunds: Any = getattr(charge, "refunds", None)
        if refunds is None or refunds.has_more:
            # A charge comes with its newest refunds alone.
            refunds = await _read(
                self._gateway.services.refunds.list_async({"payment_intent": reference, "limit": PAGE_ENTRIES_MAX})
            )
        final = sum(refund.amount for refund in refunds.data if refund.status == "succeeded")
        return final, sum(refund.amount for refund in refunds.data if refund.status in _NOT_FINAL)

    async def _disputed(self, reference: str) -> tuple[int, int]:
        """What is in disputes that are open, and what is lost, in Stripe's units."""
        listed = await _read(
            self._gateway.services.disputes.list_async({"payment_intent": reference, "limit": PAGE_ENTRIES_MAX})
        )
        lost = sum(dispute.amount for dispute in listed.data if dispute.status == _LOST)
        return sum(d.amount for d in listed.data if d.status not in {*_HARMLESS, _LOST}), lost


async def _page(listed: Callable[[Any], Awaitable[Any]], bounds: Mapping[str, Any], after: str | None) -> Any:
    """The page behind `after`. Where Stripe does not know that any more, the list begins again: else it never ended.

    So it is after another key was set (of another account, or live instead of test) while somebody paged.
    """
    if after is None:
        return await _read(listed(bounds))
    try:
        return await listed({**bounds, "starting_after": after})
    except stripe.StripeError as error:
        if not _is_missing(error):
            raise _unread(error) from error
    return await _read(listed(bounds))


def _is_missing(error: stripe.StripeError) -> bool:
    return error.http_status == 404 or error.code == "resource_missing"


def _after(listed: Any) -> str | None:
    """Where the next page begins; None if there is none."""
    return str(listed.data[-1].id) if listed.has_more and listed.data else None


def _state(status: str, *, is_given_back: bool) -> ProviderState:
    if status == "succeeded":
        return ProviderState.REFUNDED if is_given_back else ProviderState.CAPTURED
    return _STATES.get(status, ProviderState.OPEN)


def _capture_before(charge: Any) -> int | None:
    card = getattr(getattr(charge, "payment_method_details", None), "card", None)
    seconds = getattr(card, "capture_before", None)
    return int(seconds) * SECOND if seconds else None


def _item(metadata: Any, name: str) -> str | None:
    value = metadata[name] if metadata is not None and name in metadata else None
    return str(value) if value else None


async def _read(call: Awaitable[T]) -> T:
    try:
        return await call
    except stripe.StripeError as error:
        raise _unread(error) from error


def _unread(error: stripe.StripeError) -> BooksUnreadError:
    """The message is ours, as Stripe's may quote what it was asked."""
    if error.http_status is None:
        return BooksUnreadError("The provider's books could not be read: it cannot be reached, or does not answer.")
    return BooksUnreadError(f"The provider's books could not be read: it answered {error.http_status}.")
