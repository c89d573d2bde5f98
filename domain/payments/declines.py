"""Why a card is refused: one code for each reason that a customer can do something about.

A bank that suspects a fraud does not want its customer to be told so: that, and whatever else a bank does not explain,
is PAYMENT_DECLINED. The providers' own words for these reasons are their adapters'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.outcome import Refused

__all__ = ["CARD_NOT_CONFIRMED", "CARD_REFUSALS", "DECLINES", "declined", "is_of_card"]

#: A card's code, and the message.
DECLINES: Final[Mapping[str, str]] = {
    "AUTHENTICATION_REQUIRED": "The card requires its holder's confirmation.",
    "CARD_ADDRESS_INCORRECT": "The address or postal code is not the card holder's.",
    "CARD_EXPIRED": "The card has expired.",
    "CARD_EXPIRY_INVALID": "The card's expiry date is invalid.",
    "CARD_LIMIT_EXCEEDED": "The card has reached the limit of its amount or its payments.",
    "CARD_LOST": "The card was reported lost.",
    "CARD_NOT_SUPPORTED": "The card does not support this payment or its currency.",
    "CARD_NUMBER_INCORRECT": "The card number is incorrect.",
    "CARD_STOLEN": "The card was reported stolen.",
    "INCORRECT_CVC": "The card's security code is incorrect.",
    "INSUFFICIENT_FUNDS": "The card has insufficient funds.",
    "ISSUER_UNAVAILABLE": "The card's bank could not be asked.",
    "PAYMENT_DECLINED": "The card was declined.",
    "PROCESSING_ERROR": "The card could not be processed.",
}
CARD_NOT_CONFIRMED: Final = Refused("CARD_NOT_CONFIRMED", "The card's holder did not confirm the payment.")
#: Every code that says something about the card: nothing is reserved.
CARD_REFUSALS: Final = frozenset({*DECLINES, CARD_NOT_CONFIRMED.code, "CARD_TOKEN_UNKNOWN", "PAYMENT_REJECTED"})


def declined(code: str) -> Refused:
    """The refusal of a card with this code of DECLINES."""
    return Refused(code, DECLINES[code])


def is_of_card(refused: Refused) -> bool:
    """Whether an authorization was refused because of its card: nothing is reserved, and another card may be tried."""
    return refused.code in CARD_REFUSALS and not refused.passing
