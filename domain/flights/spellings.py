"""Airports and flight numbers as people write them: `zrh `, `Zürich`, `SS 101`, `ss-0101`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from domain.flights.atlas import airport
from domain.flights.model import Airport, plain_number

__all__ = ["UnknownAirport", "airport_code", "flight_number"]

NEAREST_MAX: Final = 5
#: Longer than the name of any airport.
TEXT_CHARACTERS_MAX: Final = 100
#: How like a name a text must be to be a misspelling of it, 0 to 1.
_LIKENESS_MIN: Final = 0.6
_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_BETWEEN: Final = re.compile(r"[\s\-\u2010-\u2015/.]+")
#: As people write letters that are not on their keyboard.
_TRANSCRIBED: Final = {"ae": "a", "oe": "o", "ue": "u"}


@dataclass(frozen=True, slots=True)
class UnknownAirport:
    """The text names no airport, or several; `nearest` are the codes that it may mean, the likeliest first."""

    nearest: tuple[str, ...]


def flight_number(text: str) -> str:
    """The flight number in its plain form: SS101 for `ss 101`, `SS-0101`. Other text only loses spaces and hyphens."""
    return plain_number(_BETWEEN.sub("", text).upper())


def airport_code(text: str, known: Iterable[Airport] = ()) -> str | UnknownAirport:
    """The IATA code that the text means: itself, or of the only one of `known` airports in that city, or of that name.

    A code of an airport without flights is none of `known`, and is a code all the same.
    """
    code = text.strip().upper()
    if _CODE.fullmatch(code) and airport(code) is not None:
        return code
    wanted, airports = set(_foldings(text[:TEXT_CHARACTERS_MAX])), list(known)
    named = [each.code for each in airports if wanted & {each.code.lower(), *_names(each)}]
    if len(named) == 1:
        return named[0]
    likely = sorted((-_likeness(wanted, each), each.code) for each in airports)
    near = [each for likeness, each in likely if -likeness >= _LIKENESS_MIN]
    return UnknownAirport(tuple(named or near)[:NEAREST_MAX])


def _likeness(wanted: set[str], airport: Airport) -> float:
    """How like the text is to the code, city or name, 0 to 1. Only if both begin alike: tables of airports are long."""
    names = [airport.code.lower(), *_names(airport)]
    pairs = ((text, name) for text in wanted for name in names if text[0] == name[0])
    return max((SequenceMatcher(None, text, name).ratio() for text, name in pairs), default=0.0)


def _names(airport: Airport) -> Iterator[str]:
    for name in (airport.city, airport.name):
        yield from _foldings(name)


def _foldings(text: str) -> Iterator[str]:
    """The text without accents, spaces and case; and so with ae, oe, ue as one letter."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    folded = "".join(each for each in decomposed if each.isalnum())
    if folded:
        yield folded
        for letters, letter in _TRANSCRIBED.items():
            folded = folded.replace(letters, letter)
        yield folded
