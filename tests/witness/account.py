"""One merchant's account at Stripe: what each operation does to its objects, without any HTTP.

::

    create ─▶ requires_confirmation ─confirm─▶ requires_capture ─capture─▶ succeeded ─refund─▶
                     │    ▲                        │     └─lapse─▶ canceled
                     │    └─declined, refused─ requires_action (asks the card's holder)
                     └─cancel─▶ canceled
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.witness.cards import NUMBERS, TOKENS, Card
from tests.witness.objects import Charge, Dispute, Event, Intent, Json, Refund, new_id

__all__ = ["Account", "Rejected"]

CANCELABLE: Final = frozenset(
    {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
)
CONFIRMABLE: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
AUTHORIZATION_SECONDS: Final = 7 * 86_400
REFUND_STATUS: Final = {"SUCCEED": "succeeded", "PEND": "pending", "FAIL_LATER": "succeeded"}


class Rejected(Exception):
    """Stripe's 4xx."""

    def __init__(self, status: int, kind: str, code: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"type": kind, "code": code, "message": message, **more}}


def missing(what: str, named: object, param: str | None = None) -> Rejected:
    """There is no such object."""
    status = 400 if param else 404
    return Rejected(status, "invalid_request_error", "resource_missing", f"No such {what}: '{named}'", param=param)


def unexpected(intent: Intent, wanted: str) -> Rejected:
    """The intent's state does not allow it."""
    message = f"This PaymentIntent could not be {wanted} because it has a status of {intent.status}."
    return Rejected(400, "invalid_request_error", "payment_intent_unexpected_state", message)


@dataclass
class Account:
    """The objects, and a clock that can be moved. `tell` hears each event once it has happened."""

    tell: Callable[[Event], None] = lambda event: None
    refunds_end: str = "SUCCEED"
    refund_seconds: float | None = None
    authorization_seconds: float = AUTHORIZATION_SECONDS
    ahead_seconds: float = 0.0
    intents: dict[str, Intent] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=lambda: dict(TOKENS))

    @property
    def now(self) -> float:
        """Seconds since 1970 by this account's clock."""
        return time.time() + self.ahead_seconds

    # ------------------------------------------------------------------ payments

    def card(self, number: str) -> Json:
        """A new token for a card with this number."""
        card = NUMBERS.get(number)
        if card is None:
            raise Rejected(402, "card_error", "incorrect_number", "Your card number is incorrect.")
        token = new_id("pm")
        self.cards[token] = card
        return {"id": token, "object": "payment_method", "type": "card", "card": {"last4": number[-4:]}}

    def open(self, wish: Mapping[str, Any]) -> Json:
        """A PaymentIntent, not confirmed unless that is asked for."""
        amount, currency, token = wish.get("amount"), wish.get("currency"), wish.get("payment_method")
        if not str(amount).isdecimal() or not currency:
            raise Rejected(400, "invalid_request_error", "parameter_missing", "Missing required param: amount.")
        if token is not None:
            self._known(token)
        intent = Intent(
            int(str(amount)),
            currency,
            int(self.now),
            wish.get("capture_method", "automatic"),
            dict(wish.get("metadata", {})),
            token,
            "requires_confirmation" if token else "requires_payment_method",
        )
        self.intents[intent.id] = intent
        self._news("payment_intent.created", self.show(intent))
        return self.confirm(intent.id, {}) if wish.get("confirm") == "true" else self.show(intent)

    def confirm(self, reference: str, wish: Mapping[str, Any]) -> Json:
        """Authorize, ask the holder, or decline. An intent that asks already goes on, unless it gets another card."""
        intent = self.intent(reference)
        if intent.status not in CONFIRMABLE:
            raise unexpected(intent, "confirmed")
        token = wish.get("payment_method", intent.payment_method)
        if token is None:
            raise Rejected(400, "invalid_request_error", "parameter_missing", "Provide a payment method to confirm.")
        card = self._known(token)
        if intent.status == "requires_action" and token == intent.payment_method:
            return self.show(intent)
        intent.payment_method, intent.error = token, None
        if not card.asks:
            return self._charge(intent, card)
        intent.status = "requires_action"
        self._news("payment_intent.requires_action", self.show(intent))
        return self.show(intent)

    def authenticate(self, reference: str, secret: str, *, approves: bool) -> Json:
        """The holder's answer."""
        intent = self.intent(reference)
        if secret != intent.secret:
            raise missing("payment_intent", reference)
        if intent.status != "requires_action":
            raise unexpected(intent, "authenticated")
        assert intent.payment_method is not None
        if approves:
            return self._charge(intent, self._known(intent.payment_method))
        self._declined(intent, "payment_intent_authentication_failure", None, "invalid_request_error")
        return self.show(intent)

    def capture(self, reference: str, wish: Mapping[str, Any]) -> Json:
        """Take the money, or a part of it."""
        intent = self.intent(reference)
        if intent.status != "requires_capture" or intent.charge is None:
            raise unexpected(intent, "captured")
        amount = int(wish.get("amount_to_capture", intent.amount))
        if amount > intent.amount:
            raise Rejected(400, "invalid_request_error", "amount_too_large", "More than was authorized.")
        intent.status, intent.charge.captured = "succeeded", amount
        intent.captures += 1
        self._news("charge.captured", self.show_charge(intent.charge))
        self._news("payment_intent.succeeded", self.show(intent))
        if self.cards[str(intent.payment_method)].disputed:
            self.dispute(reference)
        return self.show(intent)

    def cancel(self, reference: str, reason: str | None = None) -> Json:
        """Give it up; a captured one cannot be."""
        intent = self.intent(reference)
        if intent.status not in CANCELABLE:
            raise unexpected(intent, "canceled")
        if intent.status == "requires_capture" and intent.charge is not None:
            intent.charge.released = True
            self._news("charge.refunded", self.show_charge(intent.charge))
        intent.status, intent.cancellation_reason, intent.canceled_at = "canceled", reason, int(self.now)
        self._news("payment_intent.canceled", self.show(intent))
        return self.show(intent)

    def intent(self, reference: str) -> Intent:
        """The intent with this id."""
        if reference not in self.intents:
            raise missing("payment_intent", reference)
        return self.intents[reference]

    # ------------------------------------------------------------------ refunds and disputes

    def refund(self, wish: Mapping[str, Any]) -> Json:
        """Give back all that is left of a captured charge, or `amount` of it."""
        charge = self._charged(wish)
        left = (charge.captured or 0) - self.refunded(charge)
        if charge.captured is None:
            raise Rejected(
                400, "invalid_request_error", "charge_not_captured", "There is no captured charge to refund."
            )
        if charge.disputed:
            raise Rejected(400, "invalid_request_error", "charge_disputed", "The charge was charged back.")
        if left <= 0:
            raise Rejected(400, "invalid_request_error", "charge_already_refunded", "Has already been refunded.")
        amount = int(wish.get("amount", left))
        if not 0 < amount <= left:
            raise Rejected(400, "invalid_request_error", "amount_too_large", "More than is left of the charge.")
        ends = self.cards[str(charge.intent.payment_method)].refund or self.refunds_end
        status = REFUND_STATUS[ends]
        refund = Refund(
            charge,
            amount,
            int(self.now),
            status,
            "failed" if ends == "FAIL_LATER" else "succeeded",
            dict(wish.get("metadata", {})),
        )
        self.refunds[refund.id] = refund
        self._news("refund.created", refund.shown())
        self._news("charge.refunded", self.show_charge(charge))
        return refund.shown()

    def settle_refund(self, refund: Refund, status: str) -> None:
        """The bank has decided."""
        if refund.status == status:
            return
        refund.status = status
        refund.failure_reason = "lost_or_stolen_card" if status == "failed" else None
        for kind in ("refund.failed" if status == "failed" else "refund.updated", "charge.refund.updated"):
            self._news(kind, refund.shown())

    def refunds_of(self, reference: str) -> list[Refund]:
        """Of one intent, oldest first."""
        return [refund for refund in self.refunds.values() if refund.charge.intent.id == reference]

    def refunded(self, charge: Charge) -> int:
        """What its refunds that have not failed give back, also those that are pending."""
        live = ("succeeded", "pending")
        return sum(each.amount for each in self.refunds.values() if each.charge is charge and each.status in live)

    def dispute(self, reference: str, reason: str = "fraudulent") -> Dispute:
        """The holder's bank takes the money back for now."""
        charge = self._charged({"payment_intent": reference})
        dispute = Dispute(charge, charge.captured or 0, int(self.now), reason)
        charge.disputed = True
        self.disputes[dispute.id] = dispute
        for kind in ("created", "funds_withdrawn"):
            self._news(f"charge.dispute.{kind}", dispute.shown())
        return dispute

    def settle_dispute(self, reference: str, *, won: bool) -> None:
        """The bank has decided about the disputes of this intent."""
        for dispute in self.disputes.values():
            if dispute.charge.intent.id == reference and dispute.status not in ("won", "lost"):
                dispute.status = "won" if won else "lost"
                dispute.charge.disputed = not won
                if won:
                    self._news("charge.dispute.funds_reinstated", dispute.shown())
                self._news("charge.dispute.closed", dispute.shown())

    # ------------------------------------------------------------------ time

    def advance(self, seconds: float) -> None:
        """Move the clock; what falls due happens."""
        self.ahead_seconds += seconds
        self.let_fall_due()

    def let_fall_due(self) -> None:
        """Settle refunds whose time has come; let authorizations lapse."""
        for refund in self.refunds.values():
            ends_at = None if self.refund_seconds is None else refund.created + self.refund_seconds
            if ends_at is not None and ends_at <= self.now and refund.status in ("pending", "succeeded"):
                self.settle_refund(refund, refund.ends)
        for intent in self.intents.values():
            charge = intent.charge
            if intent.status == "requires_capture" and charge is not None and charge.capture_before <= self.now:
                self.cancel(intent.id, "automatic")

    # ------------------------------------------------------------------ how things are shown

    def show(self, intent: Intent, *, expanded: bool = False, with_refunds: bool = False) -> Json:
        """The intent; with its charge in full if that was asked for, and the charge's refunds."""
        charge = intent.charge
        if charge is None:
            return intent.shown(None)
        if not expanded:
            return intent.shown(charge.id)
        shown = self.show_charge(charge)
        if with_refunds:
            refunds = [refund.shown() for refund in reversed(self.refunds_of(intent.id))]
            shown["refunds"] = {"object": "list", "data": refunds[:10], "has_more": len(refunds) > 10}
        return intent.shown(shown)

    def show_charge(self, charge: Charge) -> Json:
        """The charge with what was given back of it."""
        return charge.shown(self.refunded(charge))

    # ------------------------------------------------------------------ within

    def _known(self, token: str) -> Card:
        if token not in self.cards:
            raise missing("PaymentMethod", token, "payment_method")
        return self.cards[token]

    def _charged(self, wish: Mapping[str, Any]) -> Charge:
        if "charge" in wish:
            if wish["charge"] not in self.charges:
                raise missing("charge", wish["charge"], "charge")
            return self.charges[wish["charge"]]
        reference = wish.get("payment_intent")
        if reference not in self.intents:
            raise missing("payment_intent", reference, "payment_intent")
        charge = self.intents[reference].charge
        if charge is None:
            raise Rejected(
                400, "invalid_request_error", None, "This PaymentIntent does not have a successful charge to refund."
            )
        return charge

    def _charge(self, intent: Intent, card: Card) -> Json:
        charge = Charge(intent, int(self.now), failed=card.decline is not None)
        self.charges[charge.id] = intent.charge = charge
        if card.decline is not None:
            error = self._declined(intent, "card_declined", card.decline, "card_error")
            self._news("charge.failed", self.show_charge(charge))
            raise Rejected(402, **error, payment_intent=self.show(intent))
        charge.capture_before = int(self.now + self.authorization_seconds)
        intent.status = "requires_capture"
        intent.authorizations += 1
        self._news("charge.succeeded", self.show_charge(charge))
        if intent.capture_method == "automatic":
            return self.capture(intent.id, {})
        self._news("payment_intent.amount_capturable_updated", self.show(intent))
        return self.show(intent)

    def _declined(self, intent: Intent, code: str, decline: str | None, kind: str) -> Json:
        """The intent needs another card; returns why, as arguments of `Rejected`."""
        intent.status, intent.payment_method = "requires_payment_method", None
        if decline in ("expired_card", "incorrect_cvc", "processing_error"):
            code = decline
        why = {"code": code, "message": "The card was declined.", "decline_code": decline}
        intent.error = {"type": kind, **why}
        self._news("payment_intent.payment_failed", self.show(intent))
        return {"kind": kind, **why}

    def _news(self, kind: str, shown: Json) -> None:
        event = Event(kind, int(self.now), shown)
        self.events[event.id] = event
        self.tell(event)
