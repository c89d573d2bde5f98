"""The demo timetable: 453 dated departures over the coming 30 days, there and back between real airports."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.clock import SECOND, from_datetime
from domain.flights.atlas import airport
from domain.flights.loading import Departure
from domain.flights.model import great_circle_miles

__all__ = ["DAYS", "DEPARTURES", "demo_timetable"]

DEPARTURES: Final = 453
DAYS: Final = 30
#: Routes in the order in which they fill a day; each is flown there and back.
_ROUTES: Final = (
    ("JFK", "LHR"),
    ("SFO", "NRT"),
    ("LAX", "JFK"),
    ("CDG", "FCO"),
    ("FRA", "SIN"),
    ("BOS", "ORD"),
    ("AMS", "BCN"),
    ("SYD", "AKL"),
)
_FIRST_HOURS: Final = (7, 9, 11, 13, 15, 17, 19, 21)
_CRUISE_MILES_AN_HOUR: Final = 520
_GROUND_MINUTES: Final = 35


def demo_timetable(now: int) -> list[Departure]:
    """Departures from the end of `now`'s day (microseconds, UTC) on; the same for the same day.

    Every route leaves every day, out in the morning and back in the evening; the first 453 are used.
    """
    first_day = datetime.fromtimestamp(now / SECOND, tz=UTC).date() + timedelta(days=1)
    begins_at = from_datetime(datetime.combine(first_day, time(), UTC))
    departures: list[Departure] = []
    for day in range(DAYS):
        for route, (origin, destination) in enumerate(_ROUTES):
            departures += _there_and_back(first_day + timedelta(days=day), route, origin, destination)
    # In the far east a day's first flights leave before that day has begun in UTC.
    ahead = [departure for departure in departures if departure.departs_at >= begins_at]
    return sorted(ahead, key=lambda departure: departure.departs_at)[:DEPARTURES]


def _there_and_back(day: date, route: int, origin: str, destination: str) -> list[Departure]:
    number = 101 + 10 * route
    out = _departure(f"SS{number}", origin, destination, day, time(_FIRST_HOURS[route], 5 * route))
    back = _departure(f"SS{number + 1}", destination, origin, day, time((_FIRST_HOURS[route] + 9) % 24, 5 * route))
    return [out, back]


def _departure(number: str, origin: str, destination: str, day: date, at: time) -> Departure:
    start, end = airport(origin), airport(destination)
    if start is None or end is None:
        raise LookupError(f"there is no airport {origin} or {destination}")
    miles = great_circle_miles(start, end)
    minutes = round((miles / _CRUISE_MILES_AN_HOUR * 60 + _GROUND_MINUTES) / 5) * 5
    departs_at = from_datetime(datetime.combine(day, at, ZoneInfo(start.time_zone)))
    economy = (49 + miles * 9 // 100) * 100
    return Departure(
        number=number,
        origin=origin,
        destination=destination,
        departs_at=departs_at,
        arrives_at=departs_at + minutes * 60 * SECOND,
        economy_minor=economy,
        business_minor=economy * 3,
        first_minor=economy * 5,
        currency="USD",
    )
