"""Airports and flights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.clock import SECOND
from domain.money import Money

__all__ = ["Airport", "Flight", "great_circle_miles", "plain_number"]

#: Miles that a cabin earns for a mile flown, in halves: 1, 1.5, 2.
_EARNING_HALVES: Final = {"ECONOMY": 2, "BUSINESS": 3, "FIRST": 4}
_EARTH_RADIUS_MILES: Final = 3_958.8


@dataclass(frozen=True, slots=True)
class Airport:
    """An airport: IATA code, ISO country, IANA time zone, position in degrees."""

    code: str
    name: str
    city: str
    country: str
    time_zone: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Flight:
    """One dated departure. `fares` is the price of one seat by cabin name; instants in microseconds."""

    id: int
    number: str
    origin: str
    destination: str
    departs_at: int
    arrives_at: int
    departs_on: str
    distance_miles: int
    fares: Mapping[str, Money]
    currency: str

    @property
    def duration_minutes(self) -> int:
        """The time from departure to arrival."""
        return (self.arrives_at - self.departs_at) // (60 * SECOND)

    def miles(self, cabin: str) -> int:
        """One passenger's miles in `cabin`: great-circle miles times 1, 1.5 or 2, half a mile rounded up."""
        return (self.distance_miles * _EARNING_HALVES[cabin] + 1) // 2


def great_circle_miles(origin: Airport, destination: Airport) -> int:
    """The distance along the surface of a spherical earth, in statute miles. Source: haversine formula."""
    first, second = math.radians(origin.latitude), math.radians(destination.latitude)
    half_latitude = (second - first) / 2
    half_longitude = math.radians(destination.longitude - origin.longitude) / 2
    chord = math.sin(half_latitude) ** 2 + math.cos(first) * math.cos(second) * math.sin(half_longitude) ** 2
    return round(2 * _EARTH_RADIUS_MILES * math.asin(math.sqrt(chord)))


#: Carrier (two characters by IATA, three letters by ICAO), number, suffix.
_PARTS: Final = re.compile(r"(?P<carrier>[A-Z]{3}|[A-Z0-9]{2})0*(?P<number>[0-9]+)(?P<suffix>[A-Z]*)", re.ASCII)


def plain_number(text: str) -> str:
    """A flight number without the leading zeros of its number: BA0178 and BA178 are the same flight, BA178.

    Any text without this form (carrier, number, perhaps a suffix) stays as it is.
    """
    parts = _PARTS.fullmatch(text)
    return text if parts is None else f"{parts['carrier']}{parts['number']}{parts['suffix']}"
