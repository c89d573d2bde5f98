"""What a text may name. Text comes from people: pasted with quotes or invisible characters, in any case."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from domain.bookings import REFERENCE_ALPHABET, REFERENCE_LENGTH

__all__ = ["TEXT_CHARACTERS_MAX", "Wanted"]

#: Longer than any name or reference.
TEXT_CHARACTERS_MAX: Final = 200
#: Shorter beginnings of an ID would match words, and too much.
_ID_DIGITS_MIN: Final = 4
_ID_DIGITS: Final = 32
#: Also the quotes and the ellipsis of word processors.
_AROUND: Final = " \"'`<>(){}[],;:.#\u2018\u2019\u201c\u201d\u2026"
_DATE: Final = re.compile(r"(?<![0-9A-Z])([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])", re.ASCII)
_NUMBER: Final = re.compile(r"(?:[A-Z]{3}|[A-Z0-9]{2})[0-9]{1,4}[A-Z]?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None: the text cannot be one.

    `id_digits`: a correlation ID or its beginning, hexadecimal, without hyphens. `verbatim`: the text as it was
    written, for a reference whose form the provider decides. `departs_on`: the local date of the flight `number`.
    """

    verbatim: str
    id_digits: str | None = None
    reference: str | None = None
    number: str | None = None
    departs_on: str | None = None

    @classmethod
    def of(cls, text: str) -> Self | None:
        """What the text may name; None if nothing: it has no visible character."""
        plain = _cleaned(text)
        if not plain:
            return None
        number, departs_on = _flight(plain.upper())
        return cls(plain, _id_digits(plain.lower()), _reference(plain.upper()), number, departs_on)

    @property
    def is_whole_id(self) -> bool:
        """Whether the text is a complete correlation ID, hence nothing else."""
        return self.id_digits is not None and len(self.id_digits) == _ID_DIGITS

    @property
    def member_numbers(self) -> list[str]:
        """The member numbers that the text may be."""
        return sorted({self.verbatim, self.verbatim.upper()})


def _cleaned(text: str) -> str:
    """The text without invisible characters, with single spaces, and without quotes or brackets around it."""
    spaced = " ".join(text.split())
    return "".join(each for each in spaced if unicodedata.category(each)[0] != "C").strip(_AROUND)


def _id_digits(text: str) -> str | None:
    text = text.removeprefix("urn:uuid:")
    digits = text.replace("-", "")
    if not _ID_DIGITS_MIN <= len(digits) <= _ID_DIGITS or not set(digits) <= set("0123456789abcdef"):
        return None
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return digits if text.rstrip("-") in (digits, "-".join(part for part in parts if part)) else None


def _reference(text: str) -> str | None:
    return text if len(text) == REFERENCE_LENGTH and set(text) <= set(REFERENCE_ALPHABET) else None


def _flight(text: str) -> tuple[str | None, str | None]:
    """Number and date: SS101, SS 101, SS101 2026-12-01, SS101/2026-12-01; None where there is none."""
    found = _DATE.search(text)
    departs_on = found and found[1]
    if found is not None:
        try:
            date.fromisoformat(found[1])
        except ValueError:
            return None, None
        text = f"{text[: found.start()]} {text[found.end() :]}"
    number = re.sub(r"[ /\-\u2010-\u2015.]", "", text)
    return (number, departs_on) if _NUMBER.fullmatch(number) else (None, None)
