"""The search box: what there is under a text."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import strawberry

from domain import search
from domain.bookings import Booking as BookingView
from domain.flights import Flight as FlightView
from domain.saga import SagaView
from schema.context import RequestInfo, Scope
from schema.errors import bad_input
from schema.flights import Flight
from schema.loyalty import LoyaltyAccount
from schema.pagination import check_length
from schema.sagas import Booking, Saga

__all__ = ["SearchHit", "find"]

SearchHit: TypeAlias = Annotated[
    Saga | Booking | Flight | LoyaltyAccount,
    strawberry.union("SearchHit", description="What a search finds."),
]


async def find(info: RequestInfo, text: str, first: int) -> list[SearchHit]:
    """What `text` names, the best match first; by family names only with people:read."""
    if len(text) > search.TEXT_CHARACTERS_MAX:
        limit = search.TEXT_CHARACTERS_MAX
        raise bad_input(f"text must have at most {limit} characters; it has {len(text)}.", "text", limit=limit)
    services, viewer = info.context.services, info.context.viewer
    limit = check_length(first, services.page_rows_max)
    clock, names = services.database.clock, viewer.may(Scope.PEOPLE_READ)
    async with services.database.reading() as connection:
        now = await clock.now(connection)
        hits = await search.find(connection, text, now=now, limit=limit, names=names)
    return [_shown(hit) for hit in hits]


def _shown(hit: search.Hit) -> SearchHit:
    match hit:
        case SagaView():
            return Saga.of(hit)
        case BookingView():
            return Booking.of(hit)
        case FlightView():
            return Flight.of(hit)
        case _:
            return LoyaltyAccount.of(hit)
