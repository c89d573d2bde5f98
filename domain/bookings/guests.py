"""Finds a booking for a guest, who names its reference and a passenger."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings.model import Booking
from domain.bookings.names import folded, spellings
from domain.bookings.records import readable_bookings
from domain.bookings.tables import passengers
from domain.bookings.validation import NAME_CHARACTERS_MAX
from domain.storage import Id, Query, any_of

__all__ = ["booking_of_guest", "written_reference"]

#: Names no saga.
_NO_SAGA: Final = "00000000-0000-0000-0000-000000000000"
_p = passengers.c
# Also those whose folded name says nothing: it is not filled yet, or the passenger has only a given name.
_named = Query(
    select(_p.family_folded, _p.family_name, _p.given_name).where(
        _p.saga_id == bindparam("saga", type_=Id),
        or_(any_of(_p.family_folded, "names"), _p.family_folded.is_(None), _p.family_folded == ""),
    )
)


def written_reference(text: str) -> str:
    """A booking's reference as it is stored, from a person's spelling: `k7q 2mx` is K7Q2MX."""
    return "".join(text.split()).upper()


async def booking_of_guest(connection: AsyncConnection, reference: str, family_name: str) -> Booking | None:
    """The booking with this reference, if one of its passengers has this family name.

    A passenger who has only one name is found by it. A wrong name and an unknown reference take the same two
    statements, so that the time does not tell one from the other.
    """
    names = spellings(family_name) if len(family_name) <= NAME_CHARACTERS_MAX else ()
    bookings = await readable_bookings(connection, references=[written_reference(reference)])
    found = next(iter(bookings.values()), None)
    people = await _named(connection, saga=_NO_SAGA if found is None else found.saga_id, names=list(names))
    is_named = any((row.family_folded or folded(row.family_name or row.given_name)) in names for row in people)
    return found if is_named else None
