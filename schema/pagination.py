"""Keyset pages: opaque cursors bound to their list, one row more than asked for, a count only when asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import strawberry

from domain.ids import canonical_uuid
from schema import ids
from schema.errors import bad_input

__all__ = [
    "FIRST_DEFAULT",
    "PAGE_ROWS_MAX",
    "Page",
    "PageInfo",
    "check_after",
    "check_first",
    "cursor_of",
    "integer_key",
    "uuid_key",
]

PAGE_ROWS_MAX: Final = 100
#: What `first` is where it is left out.
FIRST_DEFAULT: Final = 20
T = TypeVar("T")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether some came before.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null for an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null for an empty page.")


class Page(Generic[T]):
    """`rows` of the list `kind` with their keys; the count is read only when it is asked for."""

    def __init__(
        self,
        kind: str,
        rows: Sequence[T],
        *,
        first: int,
        after: str | None,
        key: Callable[[T], object],
        count: Callable[[], Awaitable[int]],
    ) -> None:
        self.rows = rows[:first]
        self.cursors = [cursor_of(kind, key(row)) for row in self.rows]
        self.count = count
        self.info = PageInfo(
            has_next_page=len(rows) > first,
            has_previous_page=after is not None,
            start_cursor=self.cursors[0] if self.cursors else None,
            end_cursor=self.cursors[-1] if self.cursors else None,
        )

    def edges(self, edge: Callable[..., Any], node: Callable[[T], Any]) -> list[Any]:
        """The page's edges."""
        return [edge(cursor=cursor, node=node(row)) for cursor, row in zip(self.cursors, self.rows, strict=True)]


def cursor_of(kind: str, key: object) -> str:
    """The cursor of one row in the list `kind`."""
    return ids.encode(f"cursor-{kind}", key)


def check_first(first: int, rows_max: int, *, default: int = FIRST_DEFAULT) -> int:
    """`first`, or BAD_USER_INPUT with the limit. As many as by default, which few have asked for, are cut to it."""
    if first == default:
        return min(first, rows_max)
    if not 1 <= first <= rows_max:
        raise bad_input(f"first must be 1 to {rows_max}; got {first}.", "first", limit=rows_max)
    return first


def check_after(kind: str, after: str | None, valid: Callable[[str], Any] = str) -> Any:
    """The key that the cursor stands for, read by `valid`; None where there is no cursor; else BAD_USER_INPUT."""
    if after is None:
        return None
    key = ids.key_of(after, f"cursor-{kind}")
    try:
        if key is not None:
            return valid(key)
    except ValueError:
        pass
    raise bad_input("after is not a cursor of this list; pass an endCursor or an edge's cursor.", "after")


def uuid_key(key: str) -> str:
    """A key that is a UUID as we write it. Raises ValueError."""
    if canonical_uuid(key) != key:
        raise ValueError(key)
    return key


def integer_key(key: str) -> int:
    """A key, or a part of one, that is a number as we write it. Raises ValueError."""
    number = ids.number_of(key)
    if number is None:
        raise ValueError(key)
    return number
