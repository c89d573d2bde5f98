"""Flights: dated departures between real airports, their fares, and the loading of timetables.

A flight is one dated departure. Searches use the date in the origin's local time, kept in a column
of its own. A timetable is loaded in bounded chunks behind a flag and becomes visible by one update:
all of it or nothing (`loads`). A flight's identity is carrier, number without leading zeros, suffix,
origin and local date. Seats belong to another feature; the caller of a load passes the functions
that add and remove them.
"""

from domain.flights.imports import COLUMNS, FILE_BYTES_MAX, BadLine, Imported, ImportRefused, import_flights
from domain.flights.loading import Departure, load, local_date
from domain.flights.loads import LoadSource, SeatKeeper, remove_remains
from domain.flights.model import Airport, Flight, great_circle_miles
from domain.flights.queries import (
    FlightQuery,
    airports_by_codes,
    airports_with_departures,
    all_airports,
    departing_after,
    departures_by_ids,
    departures_of,
    flights_by_ids,
    flights_count,
    flights_page,
    has_none,
    legs,
)
from domain.flights.seed import extend_demo, seed_flights
from domain.flights.spellings import UnknownAirport, airport_code, flight_number
from domain.flights.timetable import DAYS, DEPARTURES, demo_timetable

__all__ = [
    "COLUMNS",
    "DAYS",
    "DEPARTURES",
    "FILE_BYTES_MAX",
    "Airport",
    "BadLine",
    "Departure",
    "Flight",
    "FlightQuery",
    "ImportRefused",
    "Imported",
    "LoadSource",
    "SeatKeeper",
    "UnknownAirport",
    "airport_code",
    "airports_by_codes",
    "airports_with_departures",
    "all_airports",
    "demo_timetable",
    "departing_after",
    "departures_by_ids",
    "departures_of",
    "extend_demo",
    "flight_number",
    "flights_by_ids",
    "flights_count",
    "flights_page",
    "great_circle_miles",
    "has_none",
    "import_flights",
    "legs",
    "load",
    "local_date",
    "remove_remains",
    "seed_flights",
]
