"""Escapes user input for people: on a terminal and in lines of the log.

Characters that are not printable by `str.isprintable` are replaced by their escapes: all line breaks,
control characters, escape sequences of terminals, marks that change the writing direction, lone
surrogates. So a text cannot forge a line, a colour or a title, and can always be encoded.
"""

from __future__ import annotations

__all__ = ["escaped", "shortened"]


def escaped(text: str) -> str:
    """`text` on one line of printable characters; others become escapes such as `\\n`, `\\x1b` or `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str, characters_max: int) -> str:
    """`text`; if it is too long, its beginning and the number of characters left out."""
    beyond = len(text) - characters_max
    return text if beyond <= 0 else f"{text[:characters_max]}... ({beyond} characters more)"
