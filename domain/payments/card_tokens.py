"""Card tokens in a text that others will read."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["mask_card_tokens"]

#: Card tokens look like pm_card_visa, tok_1NxT..., src_..., card_...: the holder of one may be able to charge the card.
_PREFIXES: Final = ("pm_", "tok_", "src_", "card_")
_CARD_TOKENS: Final = re.compile(r"\b(pm|tok|src|card)_\w+")


def mask_card_tokens(text: str) -> str:
    """`text` without card tokens."""
    # Plain searches first: the pattern alone would take longer than all other work for a line of the log.
    if any(prefix in text for prefix in _PREFIXES):
        return _CARD_TOKENS.sub(r"\1_[redacted]", text)
    return text
