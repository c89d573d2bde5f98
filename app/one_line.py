"""Turns an expected error of a command into its one-line message."""

from __future__ import annotations

import sqlite3

from seatsaga_client import ApiError
from sqlalchemy.exc import DBAPIError

from app.client import ServerError, remedied
from domain.errors import SeatsagaError
from domain.storage import REMEDY, damage_of

__all__ = ["in_one_line"]


def in_one_line(error: Exception) -> str | None:
    """One line that says what is wrong, where, and what to do; None for a fault of our own."""
    if isinstance(error, SeatsagaError | ServerError):
        return str(error)
    if isinstance(error, ApiError):
        return remedied(error)
    if not isinstance(error, OSError | DBAPIError | sqlite3.Error):
        return None
    damage = damage_of(error)
    if damage is not None:
        return f"the database is damaged or cannot be used ({damage}). To go on, {REMEDY}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, sqlite3.Error) or isinstance(cause, sqlite3.OperationalError):
        return f"the database cannot be used ({cause})."
    return None
