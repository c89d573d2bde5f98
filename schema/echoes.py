"""What a caller has sent is not sent back in an error: it may be a card's token, and errors are logged and forwarded.

An error says where the value stands and what it may be; the caller knows what it is. Names of
fields and types are repeated where they are short, as those are what is misspelt.

graphql-core quotes a value at the end of what it has to say. So its message is cut where the
first quotation begins. What stands before that is ours, or a name, which has no spaces and so
cannot look like a quotation. Nothing here takes longer than the message is long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from domain.payments import mask_card_tokens

__all__ = ["without_tokens", "without_values"]

NAME_CHARACTERS_MAX: Final = 64
MESSAGE_CHARACTERS_MAX: Final = 500
#: What stands in front of a quoted value, and what is written instead of both.
_VALUES: Final = (
    (", but encountered error '", "."),
    (", found: ", "."),
    ("? Found: ", "?"),
)
_UNFIT: Final = " cannot represent "
_UNFIT_VALUE: Final = " value: "
_UNLISTED: Final = ("Value '", "' does not exist in '")
#: What stands in front of the text of a token, or of a part of it, in a syntax error, and what is left of it.
_TOKENS: Final = (
    (" String '", " String."),
    (" BlockString '", " BlockString."),
    (" Int '", " Int."),
    (" Float '", " Float."),
    (", did you mean '0.", "."),
    (" sequence: '", " sequence."),
)
_LONG_NAME: Final = re.compile(rf"\w{{{NAME_CHARACTERS_MAX + 1},}}")


def without_values(message: str) -> str:
    """The message of an error of graphql-core about a document or a variable, without the values that it quotes."""
    message = _without_unlisted(message)
    unfit = message.find(_UNFIT)
    if unfit >= 0 and (place := message.find(_UNFIT_VALUE, unfit)) >= 0:
        message = message[: place + len(_UNFIT_VALUE) - 2]
    return _bounded(_cut(message, _VALUES))


def without_tokens(message: str) -> str:
    """The message of a syntax error of graphql-core, without the text of tokens other than short names."""
    return _bounded(_cut(message, _TOKENS))


def _cut(message: str, marks: Sequence[tuple[str, str]]) -> str:
    """The message up to the first of the marks that is in it, and what is to be left of that one."""
    found = [(place, rest) for mark, rest in marks if (place := message.find(mark)) >= 0]
    if not found:
        return message
    place, rest = min(found)
    return message[:place] + rest


def _without_unlisted(message: str) -> str:
    """Of a value that an enum does not have, the enum's name comes last: a value may hold the same words."""
    before, after = _UNLISTED
    place, rest = message.find(before), message.rfind(after)
    if not 0 <= place < rest or not (place == 0 or message.startswith(": ", place - 2)):
        return message
    return f"{message[:place]}This value does not exist in '{message[rest + len(after) :]}"


def _bounded(message: str) -> str:
    return mask_card_tokens(_LONG_NAME.sub("…", message[:MESSAGE_CHARACTERS_MAX]))
