"""The seat map: 27 rows of six seats, and the rows of each cabin.

Inside the code a seat is a number from 0 to 161, `(row - 1) * 6 + letter`; for people it is
printed as row and letter, 12C. All flights have the same map.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

__all__ = ["LETTERS", "ROWS", "SEATS", "CabinClass", "cabin_seats", "cabins_of", "seat_index", "seat_number"]

ROWS: Final = 27
LETTERS: Final = "ABCDEF"
SEATS: Final = ROWS * len(LETTERS)

_NUMBER: Final = re.compile(r"([1-9][0-9]?)([A-Fa-f])", re.ASCII)


class CabinClass(StrEnum):
    """The cabin of a ticket. FIRST and BUSINESS share rows 1-2: such a seat sells once, as either."""

    ECONOMY = "ECONOMY"
    """Rows 4-27, 144 seats, allocated front to back."""
    BUSINESS = "BUSINESS"
    """Rows 1-3, 18 seats, allocated from row 3 first so that FIRST keeps its rows as long as possible."""
    FIRST = "FIRST"
    """Rows 1-2, 12 seats, allocated front to back."""


_ROWS_IN_ORDER: Final[dict[CabinClass, tuple[int, ...]]] = {
    CabinClass.ECONOMY: tuple(range(4, ROWS + 1)),
    CabinClass.BUSINESS: (3, 1, 2),
    CabinClass.FIRST: (1, 2),
}
_SEATS_IN_ORDER: Final = {
    cabin: tuple((row - 1) * len(LETTERS) + letter for row in rows for letter in range(len(LETTERS)))
    for cabin, rows in _ROWS_IN_ORDER.items()
}
_CABINS_OF_SEAT: Final = tuple(
    tuple(cabin for cabin in CabinClass if seat in _SEATS_IN_ORDER[cabin]) for seat in range(SEATS)
)
_NUMBERS: Final = tuple(f"{row}{letter}" for row in range(1, ROWS + 1) for letter in LETTERS)


def seat_number(index: int) -> str:
    """The seat as printed on a boarding pass, row and letter: 12C."""
    return _NUMBERS[index]


def seat_index(number: str) -> int | None:
    """The index of the seat that `number` names, in upper or lower case; None if no aircraft has it (28A, 1G, 01A)."""
    match = _NUMBER.fullmatch(number)
    if match is None or int(match[1]) > ROWS:
        return None
    return (int(match[1]) - 1) * len(LETTERS) + LETTERS.index(match[2].upper())


def cabin_seats(cabin: CabinClass) -> tuple[int, ...]:
    """Every seat that `cabin` can sell, in allocation order."""
    return _SEATS_IN_ORDER[cabin]


def cabins_of(index: int) -> tuple[CabinClass, ...]:
    """Every cabin in which the seat can be sold."""
    return _CABINS_OF_SEAT[index]
