"""Gathers every feature's tables: the one module besides a feature itself that may see them."""

from __future__ import annotations

import domain.bookings.tables
import domain.events.tables
import domain.flights.tables
import domain.jobs.tables
import domain.loyalty.tables
import domain.payments.tables
import domain.saga.tables
import domain.seats.tables
from domain.storage import metadata

__all__ = ["metadata"]
