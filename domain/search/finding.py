"""Looks up everything that a text may name, the best match first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import bookings, flights, loyalty, payments, saga
from domain.bookings import Booking, NameMatch
from domain.flights import Flight
from domain.loyalty import LoyaltyAccount
from domain.saga import SagaView
from domain.search.wanted import Wanted

__all__ = ["Hit", "find"]

Hit: TypeAlias = SagaView | Booking | Flight | LoyaltyAccount


async def find(connection: AsyncConnection, text: str, *, now: int, limit: int, names: bool) -> list[Hit]:
    """At most `limit` objects that `text` names, the best match first; `now` in microseconds.

    What the text names in full comes first: a saga, a booking, the saga of a payment; then departures, the next ones
    first; then a member; then passengers of exactly this full or family name; last what only begins so. `names`:
    whether names are looked for. A booking's saga is left out, as the booking leads to it; the saga is found by its own
    ID.
    """
    wanted = Wanted.of(text)
    if wanted is None:
        return []
    by_id = await _by_id(connection, wanted, limit)
    if wanted.is_whole_id:
        return _best(by_id, limit=limit)
    by_reference = await _by_reference(connection, wanted)
    departures = await _departures(connection, wanted, now, limit)
    members = await loyalty.accounts_by_numbers(connection, wanted.member_numbers)
    exact, begun = await _by_name(connection, wanted, limit) if names else ([], [])
    return _best(by_reference, departures, members.values(), exact, by_id, begun, limit=limit)


def _best(*ranks: Iterable[Hit], limit: int) -> list[Hit]:
    """The hits of the ranks in order, each once."""
    found: dict[tuple[type, str | int], Hit] = {}
    for hit in chain.from_iterable(ranks):
        found.setdefault((type(hit), _key(hit)), hit)
    return list(islice(found.values(), limit))


def _key(hit: Hit) -> str | int:
    return hit.member_number if isinstance(hit, LoyaltyAccount) else hit.id


async def _by_id(connection: AsyncConnection, wanted: Wanted, limit: int) -> Sequence[SagaView]:
    if wanted.id_digits is None:
        return []
    return await saga.by_beginning(connection, wanted.id_digits, limit=limit)


async def _by_reference(connection: AsyncConnection, wanted: Wanted) -> list[Hit]:
    """The booking of this reference, and the sagas whose payment has it at the provider."""
    found: list[Hit] = []
    if wanted.reference is not None:
        found += (await bookings.readable_bookings(connection, references=[wanted.reference])).values()
    saga_ids = await payments.sagas_of_reference(connection, wanted.verbatim)
    if saga_ids:
        found += (await saga.by_ids(connection, saga_ids)).values()
    return found


async def _departures(connection: AsyncConnection, wanted: Wanted, now: int, limit: int) -> list[Flight]:
    if wanted.number is None:
        return []
    return await flights.departures_of(connection, wanted.number, wanted.departs_on, now=now, limit=limit)


async def _by_name(connection: AsyncConnection, wanted: Wanted, limit: int) -> tuple[list[Hit], list[Hit]]:
    """The bookings with a passenger of this name, and those whose name begins so; sagas where there is no booking."""
    matches = [
        *(NameMatch(it, True) for it in await bookings.sagas_by_full_name(connection, wanted.verbatim, limit=limit)),
        *await bookings.sagas_by_family_name(connection, wanted.verbatim, limit=limit),
    ]
    saga_ids = [match.saga_id for match in matches]
    booked = await bookings.readable_bookings(connection, saga_ids=saga_ids)
    begun = await saga.by_ids(connection, [saga_id for saga_id in saga_ids if saga_id not in booked])
    found: dict[str, Hit] = {**begun, **booked}
    exact, beginning = (
        [found[match.saga_id] for match in matches if match.is_exact is wanted_whole and match.saga_id in found]
        for wanted_whole in (True, False)
    )
    return exact, beginning
