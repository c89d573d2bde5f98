"""All known airports. Source: the `airportsdata` package, read once on first use."""

from __future__ import annotations

from functools import cache
from typing import Any

import airportsdata

from domain.flights.model import Airport

__all__ = ["airport"]


@cache
def _atlas() -> dict[str, Any]:
    atlas: dict[str, Any] = dict(airportsdata.load("IATA"))
    return atlas


@cache
def airport(code: str) -> Airport | None:
    """The airport with this IATA code, or None."""
    found = _atlas().get(code)
    if found is None:
        return None
    return Airport(
        code=code,
        name=str(found["name"]),
        city=str(found["city"]),
        country=str(found["country"]),
        time_zone=str(found["tz"]),
        latitude=float(str(found["lat"])),
        longitude=float(str(found["lon"])),
    )
