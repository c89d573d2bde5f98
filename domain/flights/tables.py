"""Airports and dated departures."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text

from domain.storage import Id, Micros, metadata

__all__ = ["airports", "flights"]

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
    #: The date of departure in the origin's local time, YYYY-MM-DD: what people search by.
    Column("departs_on", Text, nullable=False),
    Column("distance_miles", Integer, nullable=False),
    Column("economy_minor", BigInteger, nullable=False),
    Column("business_minor", BigInteger, nullable=False),
    Column("first_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    #: Set while the load that brings the flight is under way; until it is cleared nobody sees it.
    Column("load_id", Id),
    UniqueConstraint("number", "departs_on"),
    Index("ix_flights_route", "origin", "destination", "departs_on"),
    Index("ix_flights_departs_at", "departs_at", "id"),
    Index(
        "ix_flights_load_id",
        "load_id",
        sqlite_where=text("load_id IS NOT NULL"),
        postgresql_where=text("load_id IS NOT NULL"),
    ),
)
