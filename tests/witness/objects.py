"""Stripe's objects as far as they matter to us, and how each is shown in JSON."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Charge", "Dispute", "Event", "Intent", "Json", "Refund", "new_id"]

Json = dict[str, Any]


def new_id(prefix: str) -> str:
    """An id as Stripe makes them."""
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass
class Charge:
    """One try to charge a card. `captured` is the amount taken; `released`: the authorization was given up."""

    intent: Intent
    created: int
    failed: bool = False
    captured: int | None = None
    released: bool = False
    capture_before: int = 0
    disputed: bool = False
    id: str = field(default_factory=lambda: new_id("ch"))

    def shown(self, refunded: int) -> Json:
        """With `refunded`, the amount of its refunds that have not failed."""
        amount = self.intent.amount
        given_back = amount if self.released else refunded
        return {
            "id": self.id,
            "object": "charge",
            "amount": amount,
            "amount_captured": self.captured or 0,
            "amount_refunded": given_back,
            "captured": self.captured is not None,
            "created": self.created,
            "currency": self.intent.currency,
            "disputed": self.disputed,
            "livemode": False,
            "metadata": self.intent.metadata,
            "paid": not self.failed,
            "payment_intent": self.intent.id,
            "payment_method": self.intent.payment_method,
            "payment_method_details": {"type": "card", "card": {"capture_before": self.capture_before or None}},
            "refunded": given_back > 0 and given_back >= (self.captured or amount),
            "status": "failed" if self.failed else "succeeded",
        }


@dataclass
class Intent:
    """A PaymentIntent, and the counts of what was done to it."""

    amount: int
    currency: str
    created: int
    capture_method: str
    metadata: dict[str, str]
    payment_method: str | None
    status: str
    charge: Charge | None = None
    error: Json | None = None
    cancellation_reason: str | None = None
    canceled_at: int | None = None
    authorizations: int = 0
    captures: int = 0
    id: str = field(default_factory=lambda: new_id("pi"))

    def __post_init__(self) -> None:
        self.secret = f"{self.id}_secret_{secrets.token_hex(12)}"

    def shown(self, charge: Json | str | None) -> Json:
        """With its latest charge, or only that charge's id."""
        charged = self.charge
        received = charged.captured if charged and charged.captured else 0
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount if self.status == "requires_capture" else 0,
            "amount_received": received,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": self.secret,
            "created": self.created,
            "currency": self.currency,
            "last_payment_error": self.error,
            "latest_charge": charge,
            "livemode": False,
            "metadata": self.metadata,
            "next_action": {"type": "use_stripe_sdk"} if self.status == "requires_action" else None,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "status": self.status,
        }


@dataclass
class Refund:
    """A refund; `ends` is what it becomes once it is settled."""

    charge: Charge
    amount: int
    created: int
    status: str
    ends: str
    metadata: dict[str, str]
    failure_reason: str | None = None
    id: str = field(default_factory=lambda: new_id("re"))

    def shown(self) -> Json:
        """As Stripe shows it."""
        return {
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "charge": self.charge.id,
            "created": self.created,
            "currency": self.charge.intent.currency,
            "failure_reason": self.failure_reason,
            "metadata": self.metadata,
            "payment_intent": self.charge.intent.id,
            "reason": None,
            "status": self.status,
        }


@dataclass
class Dispute:
    """A holder's bank takes the money back until the dispute is decided."""

    charge: Charge
    amount: int
    created: int
    reason: str
    status: str = "needs_response"
    id: str = field(default_factory=lambda: new_id("dp"))

    def shown(self) -> Json:
        """As Stripe shows it."""
        return {
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "charge": self.charge.id,
            "created": self.created,
            "currency": self.charge.intent.currency,
            "livemode": False,
            "metadata": {},
            "payment_intent": self.charge.intent.id,
            "reason": self.reason,
            "status": self.status,
        }


@dataclass
class Event:
    """News of an object, as it was then."""

    type: str
    created: int
    object: Json
    id: str = field(default_factory=lambda: new_id("evt"))

    def shown(self) -> Json:
        """As Stripe shows and sends it."""
        return {
            "id": self.id,
            "object": "event",
            "api_version": None,
            "created": self.created,
            "data": {"object": self.object},
            "livemode": False,
            "type": self.type,
        }
