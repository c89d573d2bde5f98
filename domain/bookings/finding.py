"""Finds bookings by a passenger's name, and fills the column that this needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Integer, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings.names import folded, spellings
from domain.bookings.tables import passengers
from domain.bookings.validation import PASSENGERS_MAX
from domain.storage import BulkUpdate, Bytewise, Query

__all__ = ["FILLED_PASSENGERS_MAX", "NameMatch", "fill_family_names", "sagas_by_family_name", "sagas_by_full_name"]

#: The passengers that one turn fills at most: a write of a few milliseconds.
FILLED_PASSENGERS_MAX: Final = 500
#: A full name is taken apart at each space: a name with more words is not looked for.
FULL_NAME_WORDS_MAX: Final = 5
#: Given names have no index: of each family name, the newest passengers are compared.
FULL_NAME_PASSENGERS_MAX: Final = 500
#: Above every character that a folded name may have.
_LAST_CHARACTER: Final = "\U0010ffff"

_p = passengers.c
_rows = bindparam("rows", type_=Integer)
_named = Query(
    select(_p.saga_id)
    .where(_p.family_folded == bindparam("name", type_=Bytewise))
    .order_by(_p.saga_id.desc())
    .limit(_rows)
)
_family = Query(
    select(_p.saga_id, _p.given_name)
    .where(_p.family_folded == bindparam("name", type_=Bytewise))
    .order_by(_p.saga_id.desc())
    .limit(FULL_NAME_PASSENGERS_MAX)
)
# Backwards through the index, so that of each name the newest come first.
_longer = Query(
    select(_p.family_folded, _p.saga_id)
    .where(
        _p.family_folded > bindparam("name", type_=Bytewise),
        _p.family_folded < bindparam("end", type_=Bytewise),
    )
    .order_by(_p.family_folded.desc(), _p.saga_id.desc())
    .limit(_rows)
)
_unfilled = Query(
    select(_p.saga_id, _p.position, _p.family_name)
    .where(_p.family_folded.is_(None))
    # By both columns: PostgreSQL does not know that the first is the same in all of these rows, and would sort them.
    .order_by(_p.family_folded.desc(), _p.saga_id.desc())
    .limit(FILLED_PASSENGERS_MAX)
    .with_for_update(skip_locked=True)
)
_fill = BulkUpdate(
    passengers, key=(_p.saga_id, _p.position), change=(_p.family_folded,), guard="passengers.family_folded IS NULL"
)


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A booking's saga with a passenger of the name; not `is_exact` if the name only begins so."""

    saga_id: str
    is_exact: bool


async def sagas_by_family_name(connection: AsyncConnection, name: str, *, limit: int) -> list[NameMatch]:
    """The sagas with a passenger whose family name is `name`, the newest first, then those whose name begins so.

    A statement for each spelling and one for longer names, all by the index of folded names: their cost does not grow
    with the number of passengers.
    """
    names = spellings(name)
    if not names:
        return []
    # All passengers of a booking may have the name.
    rows = limit * PASSENGERS_MAX
    found: dict[str, bool] = {}
    for spelling in names:
        found |= dict.fromkeys(await _named.column(connection, name=spelling, rows=rows), True)
    longer = await _longer(connection, name=names[0], end=names[0] + _LAST_CHARACTER, rows=rows)
    for row in sorted(longer, key=lambda row: row.family_folded):
        found.setdefault(row.saga_id, False)
    return [NameMatch(saga_id, is_exact) for saga_id, is_exact in found.items()][:limit]


async def sagas_by_full_name(connection: AsyncConnection, name: str, *, limit: int) -> list[str]:
    """The sagas with a passenger whose given and family name are `name`, in either order, at most `limit`.

    The given name may be cut short. Looks at the newest FULL_NAME_PASSENGERS_MAX passengers of each family name that
    the text may end or begin with, by the index of folded names.
    """
    words = name.replace(",", " ").split()
    if not 2 <= len(words) <= FULL_NAME_WORDS_MAX:
        return []
    found: dict[str, None] = {}
    for cut in range(1, len(words)):
        first, last = " ".join(words[:cut]), " ".join(words[cut:])
        for given, family in ((first, last), (last, first)):
            wanted = folded(given)
            for spelling in spellings(family) if wanted else ():
                rows = await _family(connection, name=spelling)
                found |= dict.fromkeys(row.saga_id for row in rows if folded(row.given_name).startswith(wanted))
    return list(found)[:limit]


async def fill_family_names(connection: AsyncConnection) -> int:
    """Fill the folded names of some passengers that have none; return how many rows were read.

    Other transactions' rows are passed over, so that replicas fill at the same time.
    """
    rows: Sequence[tuple[str, int, str]] = [tuple(row) for row in await _unfilled(connection)]
    await _fill(connection, [(saga_id, position, folded(name)) for saga_id, position, name in rows])
    return len(rows)
