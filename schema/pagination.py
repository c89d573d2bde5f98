"""Keyset pages: opaque cursors bound to their list; a page reads one extra row, and a count only on request.

::

    @connection("saga")
    class SagaConnection(Connection[Saga]): ...      SagaConnection and SagaEdge in the SDL

    Keyset("sagas", ...)                             one list: a row's key, how to parse a cursor, how to read the rows
    await keyset_page(info, keyset, query, first, after)

Strawberry's own generics give `Connection[Saga]` the right names, but every list the same descriptions. Its
relay.ListConnection pages by offset: an inserted row would shift all later pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Final, Generic, Protocol, TypeVar, get_args

import strawberry
from strawberry.tools import create_type

from domain.ids import canonical_uuid
from schema import ids
from schema.context import PAGE_ROWS_MAX, RequestInfo
from schema.errors import bad_input

__all__ = [
    "FIRST_DEFAULT",
    "PAGE_ROWS_MAX",
    "Connection",
    "Keyset",
    "Page",
    "PageInfo",
    "check_after",
    "check_first",
    "connection",
    "cursor_of",
    "instant_and_uuid",
    "instant_or_none_and_uuid",
    "keyset_page",
    "two_integers",
    "uuid_key",
]

#: The default of `first`.
FIRST_DEFAULT: Final = 20
Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
N = TypeVar("N")
C = TypeVar("C", bound="Connection[Any]")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether some came before.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null for an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null for an empty page.")


class ReadRows(Protocol[Q_contra, T_co]):
    """Reads at most `limit` rows after the position `after` (None: from the start)."""

    def __call__(self, connection: Any, query: Q_contra, /, *, after: Any, limit: int) -> Awaitable[Sequence[T_co]]: ...


@dataclass(frozen=True, slots=True)
class Keyset(Generic[Q, T]):
    """The list `kind`: a row's key, the position of a key (ValueError for a wrong key), its rows and their number."""

    kind: str
    key: Callable[[T], str]
    position: Callable[[str], Any]
    rows: ReadRows[Q, T]
    count: Callable[[Any, Q], Awaitable[int]]


class Page(Generic[T]):
    """At most `first` of the list's rows with their cursors. The count is read only on request."""

    def __init__(
        self,
        keyset: Keyset[Any, T],
        rows: Sequence[T],
        *,
        first: int,
        after: str | None,
        count: Callable[[], Awaitable[int]],
    ) -> None:
        self.rows = rows[:first]
        self.cursors = [cursor_of(keyset.kind, keyset.key(row)) for row in self.rows]
        self.count = count
        self.info = PageInfo(
            has_next_page=len(rows) > first,
            has_previous_page=after is not None,
            start_cursor=self.cursors[0] if self.cursors else None,
            end_cursor=self.cursors[-1] if self.cursors else None,
        )


async def keyset_page(
    info: RequestInfo,
    keyset: Keyset[Q, T],
    query: Q,
    first: int,
    after: str | None,
    *,
    is_empty: bool = False,
) -> Page[T]:
    """The page of `first` rows that follow the cursor `after`, or BAD_USER_INPUT. Reads nothing if it `is_empty`."""
    limit = check_first(first, info.context.services.page_rows_max)
    position = check_after(keyset, after)
    reading = info.context.services.database.reading
    found: Sequence[T] = ()
    if not is_empty:
        async with reading() as connection:
            found = await keyset.rows(connection, query, after=position, limit=limit + 1)

    async def count_all() -> int:
        if is_empty:
            return 0
        async with reading() as connection:
            return await keyset.count(connection, query)

    return Page(keyset, found, first=limit, after=after, count=count_all)


@strawberry.type
class Connection(Generic[N]):
    """A page of nodes of the GraphQL type `N`. `N.of` converts rows; `connection` adds the edges."""

    page: strawberry.Private[Page[Any]]

    @strawberry.field
    def edges(self) -> list[str]:
        """A placeholder that fixes the field's place in the SDL; `connection` replaces it."""
        raise NotImplementedError

    @strawberry.field(description="Where the page stands.")
    def page_info(self) -> PageInfo:
        return self.page.info

    @strawberry.field(description="How many there are in all; read only when asked for.")
    async def total_count(self) -> int:
        return await self.page.count()


def connection(one: str, *, page: str | None = None) -> Callable[[type[C]], type[C]]:
    """Make a subclass of Connection[N] a type of the SDL, and an edge NEdge for it.

    `one` is what the descriptions call a node; `page` is the type's own description, if "A page of ...s." is not.
    """
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"

    def make(cls: type[C]) -> type[C]:
        (node,) = get_args(vars(cls)["__orig_bases__"][0])
        edge = create_type(
            f"{node.__name__}Edge",
            [
                strawberry.field(name="cursor", graphql_type=str, description="Pass it as `after` to go on from here."),
                strawberry.field(name="node", graphql_type=node, description=f"The {one}."),
            ],
            description=f"{'An' if one[0] in 'aeiou' else 'A'} {one} in its list.",
        )

        def edges(self: C) -> Any:
            cursors, rows = self.page.cursors, self.page.rows
            return [edge(cursor=cursor, node=node.of(row)) for cursor, row in zip(cursors, rows, strict=True)]

        own = strawberry.field(edges, graphql_type=GenericAlias(list, (edge,)), description=f"The page's {many}.")
        cls.edges = own  # type: ignore[method-assign]
        return strawberry.type(cls, description=page or f"A page of {many}.")

    return make


def cursor_of(kind: str, key: object) -> str:
    """The cursor of one row in the list `kind`."""
    return ids.encode(f"cursor-{kind}", key)


def check_first(first: int, rows_max: int, *, default: int = FIRST_DEFAULT) -> int:
    """`first`, or BAD_USER_INPUT with the limit. The default is cut to the limit, as the client did not choose it."""
    if first == default:
        return min(first, rows_max)
    if not 1 <= first <= rows_max:
        raise bad_input(f"first must be 1 to {rows_max}; got {first}.", "first", limit=rows_max)
    return first


def check_after(keyset: Keyset[Any, Any], after: str | None) -> Any:
    """The position of the cursor; None without a cursor. Raises BAD_USER_INPUT for a wrong cursor."""
    if after is None:
        return None
    key = ids.key_of(after, f"cursor-{keyset.kind}")
    try:
        if key is not None:
            return keyset.position(key)
    except ValueError:
        pass
    raise bad_input("after is not a cursor of this list; pass an endCursor or an edge's cursor.", "after")


# ---------------------------------------------------------------------- keys; each raises ValueError


def uuid_key(key: str) -> str:
    """A key that is a canonical UUID."""
    if canonical_uuid(key) != key:
        raise ValueError(key)
    return key


def two_integers(key: str) -> tuple[int, int]:
    """A key of two canonical numbers."""
    first, second = key.split("/")
    return _integer(first), _integer(second)


def instant_and_uuid(key: str) -> tuple[int, str]:
    """A key of an instant and the row's own id."""
    instant, own_id = key.split("/")
    return _integer(instant), uuid_key(own_id)


def instant_or_none_and_uuid(key: str) -> tuple[int | None, str]:
    """A key of an instant, or nothing, and the row's own id."""
    instant, own_id = key.split("/")
    return _integer(instant) if instant else None, uuid_key(own_id)


def _integer(key: str) -> int:
    number = ids.number_of(key)
    if number is None:
        raise ValueError(key)
    return number
