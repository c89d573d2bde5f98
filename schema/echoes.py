"""What a caller has sent is not sent back in an error: it may be a card's token, and errors are logged and forwarded.

An error says where the value stands and what it may be; the caller knows what it is. Names of
fields and types are repeated, as those are what is misspelt.
"""

from __future__ import annotations

import re
from typing import Final

from domain.payments import mask_card_tokens

__all__ = ["without_values"]

#: How graphql-core quotes values: in front of the quotation, and what may follow it.
_QUOTATIONS: Final = (
    (re.compile(r",? but encountered error '.*", re.DOTALL), "."),
    (re.compile(r"\. Did you mean ([^?]*)\? Found: .*", re.DOTALL), r". Did you mean \1?"),
    (re.compile(r",? found: .*", re.DOTALL), "."),
    (re.compile(r"( cannot represent [\w -]*value): .*?(\. Did you mean [^?]*\?)?\Z", re.DOTALL), r"\1\2"),
    (re.compile(r"Value '.*' does not exist in", re.DOTALL), "This value does not exist in"),
    (re.compile(r"\b(String|BlockString|Int|Float) ['\"].*['\"]", re.DOTALL), r"\1"),
)


def without_values(message: str) -> str:
    """The message of an error of graphql-core without the values that it quotes."""
    for pattern, rest in _QUOTATIONS:
        message = pattern.sub(rest, message)
    return mask_card_tokens(message)
