"""Flight numbers: one flight has one number, however many zeros somebody writes into it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["plain_number"]

#: Carrier (two characters by IATA, three letters by ICAO), number, suffix.
_PARTS: Final = re.compile(r"(?P<carrier>[A-Z]{3}|[A-Z0-9]{2})0*(?P<number>[0-9]+)(?P<suffix>[A-Z]*)", re.ASCII)


def plain_number(text: str) -> str:
    """A flight number without the leading zeros of its number: BA0178 and BA178 are one flight's, BA178.

    Anything that is not a carrier, a number and perhaps a suffix stays as it is.
    """
    parts = _PARTS.fullmatch(text)
    return text if parts is None else f"{parts['carrier']}{parts['number']}{parts['suffix']}"
