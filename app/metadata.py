"""Gathers the tables of all features. Besides a feature itself, only this module may import its tables."""

from __future__ import annotations

from app import releases
from domain.bookings import tables as bookings
from domain.bulk import tables as bulk
from domain.events import tables as events
from domain.flights import tables as flights
from domain.guard import tables as guard
from domain.jobs import tables as jobs
from domain.loyalty import tables as loyalty
from domain.operators import tables as operators
from domain.payments import tables as payments
from domain.reconciliation import tables as reconciliation
from domain.saga import tables as saga
from domain.seats import tables as seats
from domain.storage import metadata

__all__ = ["FEATURES", "metadata", "releases"]

#: Importing a feature has added its tables to `metadata`.
FEATURES = (bookings, bulk, events, flights, guard, jobs, loyalty, operators, payments, reconciliation, saga, seats)
