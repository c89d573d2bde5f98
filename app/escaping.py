"""Text that somebody typed, where a person reads it: on a terminal, and in a line of the log.

What `str.isprintable` does not call printable is shown by its escape: line breaks of every kind,
control characters, the escape sequences of terminals, marks that turn the direction of writing,
lone surrogates. So a text makes no line, no colour and no title, and can always be encoded.
"""

from __future__ import annotations

__all__ = ["escaped", "shortened"]


def escaped(text: str) -> str:
    """`text` on one line of printable characters: `\\n`, `\\x1b` or `\\u202e` stand for what is not one."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str, characters_max: int) -> str:
    """`text`, or so much of its beginning, and how much is left out."""
    beyond = len(text) - characters_max
    return text if beyond <= 0 else f"{text[:characters_max]}... ({beyond} characters more)"
