"""Pages of an ordered list, by the key of the last row that was read (keyset pagination)."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_

__all__ = ["page_of"]

S = TypeVar("S", bound=Select[*tuple[Any, ...]])


def page_of(
    statement: S,
    *key: ColumnElement[Any],
    after: Any,
    limit: int,
    descending: bool = False,
    reverse: bool = False,
) -> S:
    """At most `limit` rows in the order of `key`, a unique key, from the one after the key `after` on.

    `reverse` reads the same list from its end: then the rows come in the opposite order, too. An index of the key
    serves both directions.
    """
    is_down = descending is not reverse
    if after is not None:
        place, position = (
            (tuple_(*key), tuple_(*after, types=[column.type for column in key])) if len(key) > 1 else (key[0], after)
        )
        statement = statement.where(place < position if is_down else place > position)
    return statement.order_by(*(column.desc() if is_down else column for column in key)).limit(limit)
