"""Card tokens and client secrets in a text that others will read."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["mask_payment_secrets"]

#: Card tokens look like pm_card_visa, tok_1NxT..., src_..., card_...: the holder of one may be able to charge the card.
_PREFIXES: Final = ("pm_", "tok_", "src_", "card_")
_CARD_TOKENS: Final = re.compile(r"\b(pm|tok|src|card)_\w+")
#: pi_3Nx..._secret_Yt...: its bearer can answer for the holder of the card.
_CLIENT_SECRETS: Final = re.compile(r"_secret_\w+")


def mask_payment_secrets(text: str) -> str:
    """`text` without card tokens and client secrets."""
    # Plain searches first: the pattern alone would take longer than all other work for a line of the log.
    if any(prefix in text for prefix in _PREFIXES):
        text = _CARD_TOKENS.sub(r"\1_[redacted]", text)
    if "_secret_" in text:
        text = _CLIENT_SECRETS.sub("_secret_[redacted]", text)
    return text
