"""Keyset pages: opaque cursors bound to their list. A page reads one extra row; the count, and whether there is more
on the side that it was not read towards, are read only on request.

::

    @connection("saga")
    class SagaConnection(Connection[Saga]): ...      SagaConnection and SagaEdge in the SDL

    Keyset("sagas", ...)                             one list: a row's key, how to parse a cursor, how to read the rows
    await keyset_page(info, keyset, query, Wanted(first, after, last, before))

Strawberry's own generics give `Connection[Saga]` the right names, but every list the same descriptions. Its
relay.ListConnection pages by offset: an inserted row would shift all later pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import GenericAlias
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar, get_args

import strawberry
from strawberry.tools import create_type

from domain.ids import canonical_uuid
from schema import ids
from schema.arguments import Check
from schema.context import PAGE_ROWS_MAX, RequestInfo
from schema.errors import bad_input

__all__ = [
    "FIRST_DEFAULT",
    "PAGE_ROWS_MAX",
    "After",
    "Before",
    "Connection",
    "First",
    "Keyset",
    "Last",
    "Page",
    "PageInfo",
    "Wanted",
    "check_length",
    "connection",
    "cursor_of",
    "instant_and_uuid",
    "instant_or_none_and_uuid",
    "keyset_page",
    "page_check",
    "two_integers",
    "uuid_key",
]


class _LeftOut(int):
    """A default. GraphQL passes this very object if the client left the argument out: an equal number is another."""


#: The default of `first`.
FIRST_DEFAULT: Final = _LeftOut(20)
First = Annotated[
    int | None,
    strawberry.argument(description="1 to 100: so many from the start of the list or behind `after`; not with `last`."),
]
After = Annotated[str | None, strawberry.argument(description="A cursor of this list: the page begins behind it.")]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="1 to 100: so many from the end of the list or in front of `before`; not with `first` or `after`."
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(
        description="A cursor of this list: the page ends in front of it. Without `last`, the page has 20."
    ),
]
Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
N = TypeVar("N")
C = TypeVar("C", bound="Connection[Any]")


class _Side(Enum):
    """The two sides of a page."""

    NEXT = auto()
    PREVIOUS = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The arguments of a connection. A forward page has `first` and `after`, a backward one `last` and `before`."""

    first: int | None = FIRST_DEFAULT
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def towards(self) -> _Side:
        """The direction to read in, or BAD_USER_INPUT if the arguments name both."""
        is_backward = self.last is not None or self.before is not None
        is_forward = self.after is not None or not (self.first is None or self.first is FIRST_DEFAULT)
        if is_backward and is_forward:
            raise bad_input(
                "A page has either first and after, or last and before; leave the others out or null.",
                "before" if self.last is None else "last",
            )
        return _Side.PREVIOUS if is_backward else _Side.NEXT


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    page: strawberry.Private[Page[Any]]

    @strawberry.field(description="Whether more follow.")
    async def has_next_page(self) -> bool:
        return await self.page.has_more(_Side.NEXT)

    @strawberry.field(description="Whether some came before.")
    async def has_previous_page(self) -> bool:
        return await self.page.has_more(_Side.PREVIOUS)

    @strawberry.field(description="The first edge's cursor; null for an empty page.")
    def start_cursor(self) -> str | None:
        return self.page.cursors[0] if self.page.cursors else None

    @strawberry.field(description="The last edge's cursor; null for an empty page.")
    def end_cursor(self) -> str | None:
        return self.page.cursors[-1] if self.page.cursors else None


class ReadRows(Protocol[Q_contra, T_co]):
    """Reads at most `limit` rows after the position `after`, None for the start; `reverse`: of the reversed list."""

    def __call__(
        self, connection: Any, query: Q_contra, /, *, after: Any, limit: int, reverse: bool
    ) -> Awaitable[Sequence[T_co]]: ...


@dataclass(frozen=True, slots=True)
class Keyset(Generic[Q, T]):
    """The list `kind`: a row's key, the position of a key (ValueError for a wrong key), its rows and their number."""

    kind: str
    key: Callable[[T], str]
    position: Callable[[str], Any]
    rows: ReadRows[Q, T]
    count: Callable[[Any, Q], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list in its order, with their cursors. `count` and `has_more` read when they are asked."""

    rows: Sequence[T]
    cursors: Sequence[str]
    count: Callable[[], Awaitable[int]]
    has_more: Callable[[_Side], Awaitable[bool]]


async def keyset_page(
    info: RequestInfo, keyset: Keyset[Q, T], query: Q, wanted: Wanted, *, is_empty: bool = False
) -> Page[T]:
    """The wanted page of the list, or BAD_USER_INPUT. Reads nothing if the list `is_empty`.

    Without a cursor the page begins at an end of the list, and nothing lies beyond. If no row follows the cursor, all
    rows of the list lie on its other side.
    """
    towards = wanted.towards
    limit = _length(wanted, towards, info.context.services.page_rows_max)
    start = _position(keyset, wanted, towards)
    reading = info.context.services.database.reading

    async def read(after: Any, limit: int, towards: _Side) -> Sequence[T]:
        if is_empty:
            return ()
        async with reading() as connection:
            return await keyset.rows(connection, query, after=after, limit=limit, reverse=towards is _Side.PREVIOUS)

    async def count() -> int:
        if is_empty:
            return 0
        async with reading() as connection:
            return await keyset.count(connection, query)

    async def has_more(side: _Side) -> bool:
        if side is towards or start is None:
            return side is towards and len(found) > limit
        edge = keyset.position(keyset.key(found[0])) if found else None
        return bool(await read(edge, 1, side))

    found = await read(start, limit + 1, towards)
    rows = found[:limit] if towards is _Side.NEXT else found[:limit][::-1]
    return Page(rows, [cursor_of(keyset.kind, keyset.key(row)) for row in rows], count, has_more)


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
        return PageInfo(page=self.page)

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
                strawberry.field(
                    name="cursor",
                    graphql_type=str,
                    description="Pass it as `after` to go on from here, or as `before` to go back.",
                ),
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


def check_length(length: int, rows_max: int, *, default: int = FIRST_DEFAULT, argument: str = "first") -> int:
    """`length`, or BAD_USER_INPUT with the limit. The default is cut to the limit, as the client did not choose it."""
    if length == default:
        return min(length, rows_max)
    if not 1 <= length <= rows_max:
        raise bad_input(f"{argument} must be 1 to {rows_max}; got {length}.", argument, limit=rows_max)
    return length


def page_check(keyset: Callable[[Mapping[str, Any]], Keyset[Any, Any]]) -> Check:
    """Checks the arguments of a page of the list that `keyset` chooses by the arguments."""

    def check(context: Any, given: Mapping[str, Any]) -> None:
        wanted = Wanted(**{name: given[name] for name in ("first", "after", "last", "before") if name in given})
        towards = wanted.towards
        _length(wanted, towards, context.services.page_rows_max)
        _position(keyset(given), wanted, towards)

    return check


def _length(wanted: Wanted, towards: _Side, rows_max: int) -> int:
    given, argument = (wanted.first, "first") if towards is _Side.NEXT else (wanted.last, "last")
    return check_length(FIRST_DEFAULT if given is None else given, rows_max, argument=argument)


def _position(keyset: Keyset[Any, Any], wanted: Wanted, towards: _Side) -> Any:
    """The position of the cursor; None without a cursor. Raises BAD_USER_INPUT for a wrong cursor."""
    given, argument, edge = (
        (wanted.after, "after", "an endCursor") if towards is _Side.NEXT else (wanted.before, "before", "a startCursor")
    )
    if given is None:
        return None
    key = ids.key_of(given, f"cursor-{keyset.kind}")
    try:
        if key is not None:
            return keyset.position(key)
    except ValueError:
        pass
    raise bad_input(f"{argument} is not a cursor of this list; pass {edge} or an edge's cursor.", argument)


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
