"""Airports, dated departures, and the loads that bring them in."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from domain.storage import Id, Micros, metadata

__all__ = ["airports", "flight_loads", "flights"]

airports = Table(
    "airports",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
)

flights = Table(
    "flights",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("number", Text, nullable=False),
    Column("origin", Text, ForeignKey("airports.code"), nullable=False),
    Column("destination", Text, ForeignKey("airports.code"), nullable=False),
    Column("departs_at", Micros, nullable=False),
    Column("arrives_at", Micros, nullable=False),
    #: The date of departure in the origin's local time, YYYY-MM-DD; searches use it.
    Column("departs_on", Text, nullable=False),
    Column("distance_miles", Integer, nullable=False),
    Column("economy_minor", BigInteger, nullable=False),
    Column("business_minor", BigInteger, nullable=False),
    Column("first_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    #: Set until the flight's load has ended; the flight is invisible until that load is revealed.
    Column("load_id", Id),
    # An index, not a constraint: SQLite can change a constraint only by copying the table.
    Index("uq_flights_departure", "number", "departs_on", "origin", unique=True),
    Index("ix_flights_route", "origin", "destination", "departs_on"),
    Index("ix_flights_departs_at", "departs_at", "id"),
    Index(
        "ix_flights_load_id",
        "load_id",
        "id",
        sqlite_where=text("load_id IS NOT NULL"),
        postgresql_where=text("load_id IS NOT NULL"),
    ),
)

flight_loads = Table(
    "flight_loads",
    metadata,
    Column("id", Id, primary_key=True),
    #: The source of the load (a LoadSource), and its process, for people.
    Column("source", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("flights_expected", Integer, nullable=False),
    Column("started_at", Micros, nullable=False),
    #: By the database's clock; each chunk renews it.
    Column("heartbeat_at", Micros, nullable=False),
    #: Set once its flights are visible.
    Column("revealed_at", Micros),
    #: Set once no process loads it any more; from then on its owner cannot add flights.
    Column("abandoned_at", Micros),
)
