"""Stripe's test cards, by token and by number: https://docs.stripe.com/testing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["NUMBERS", "TOKENS", "Card", "RefundEnd"]

RefundEnd = str
"""How a refund ends: SUCCEED (at once), PEND (pending, then succeeded) or FAIL_LATER (succeeded, then failed)."""


@dataclass(frozen=True)
class Card:
    """What a card does: `decline` is Stripe's decline code; `asks` for its holder first."""

    decline: str | None = None
    asks: bool = False
    refund: RefundEnd | None = None
    disputed: bool = False


_DECLINED: Final = {
    "chargeDeclined": "generic_decline",
    "chargeCustomerFail": "generic_decline",
    "chargeDeclinedInsufficientFunds": "insufficient_funds",
    "chargeDeclinedLostCard": "lost_card",
    "chargeDeclinedStolenCard": "stolen_card",
    "chargeDeclinedExpiredCard": "expired_card",
    "chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "chargeDeclinedProcessingError": "processing_error",
}

TOKENS: Final[dict[str, Card]] = {
    **{f"pm_card_{name}": Card() for name in ("visa", "mastercard", "amex", "us")},
    **{f"pm_card_{name}": Card(decline=code) for name, code in _DECLINED.items()},
    **{f"pm_card_visa_{name}": Card(decline=code) for name, code in _DECLINED.items()},
    "pm_card_threeDSecure2Required": Card(asks=True),
    "pm_card_authenticationRequired": Card(asks=True),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(asks=True, decline="insufficient_funds"),
    "pm_card_pendingRefund": Card(refund="PEND"),
    "pm_card_refundFail": Card(refund="FAIL_LATER"),
    "pm_card_createDispute": Card(disputed=True),
}

NUMBERS: Final[dict[str, Card]] = {
    "4242424242424242": Card(),
    "4000000000000002": Card(decline="generic_decline"),
    "4000000000000341": Card(decline="generic_decline"),
    "4000000000009995": Card(decline="insufficient_funds"),
    "4000002500003155": Card(asks=True),
    "4000002760003184": Card(asks=True),
    "4000008400001629": Card(asks=True, decline="generic_decline"),
    "4000000000007726": Card(refund="PEND"),
    "4000000000005126": Card(refund="FAIL_LATER"),
    "4000000000000259": Card(disputed=True),
}
