"""Pages of a list, forwards and backwards, while rows are added."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, insert, select

from domain.storage import page_of

Row = tuple[int, int]
ROWS = Table("rows", MetaData(), Column("moment", Integer), Column("id", Integer))
#: Few moments, so that many rows share one.
rows = st.tuples(st.integers(0, 3), st.integers(0, 10_000))


def add(connection: Connection, new: Sequence[Row]) -> None:
    if new:
        connection.execute(insert(ROWS), [{"moment": moment, "id": number} for moment, number in new])


def walk(connection: Connection, added: list[list[Row]], *, limit: int, descending: bool, reverse: bool) -> list[Row]:
    """All rows of the list, page after page; before each page some rows of `added` are added."""
    found: list[Row] = []
    after: Row | None = None
    while True:
        statement = page_of(
            select(ROWS), ROWS.c.moment, ROWS.c.id, after=after, limit=limit, descending=descending, reverse=reverse
        )
        page: list[Row] = [(row.moment, row.id) for row in connection.execute(statement)]
        if not page:
            return found
        found, after = found + page, page[-1]
        add(connection, added.pop() if added else [])


@given(
    st.lists(rows, unique_by=lambda row: row[1]),
    st.lists(st.lists(rows, max_size=3), max_size=5),
    st.integers(1, 4),
    st.booleans(),
)
def test_a_walk_backwards_is_the_reverse_of_one_forwards_whatever_is_added(
    first: list[Row], added: list[list[Row]], limit: int, descending: bool
) -> None:
    known = {number for _, number in first}
    added = [[(moment, number + 20_000 * turn) for moment, number in new] for turn, new in enumerate(added, 1)]
    added = [list({number: (moment, number) for moment, number in new}.values()) for new in added]
    with create_engine("sqlite://").connect() as connection:
        ROWS.create(connection)
        add(connection, first)
        backwards = walk(connection, added, limit=limit, descending=descending, reverse=True)
        forwards = walk(connection, [], limit=limit, descending=descending, reverse=False)

    assert backwards == sorted(set(backwards), reverse=not descending)
    assert [row for row in backwards if row[1] in known] == [row for row in forwards if row[1] in known][::-1]
    assert forwards == sorted(set(forwards), reverse=descending)
    assert known <= {number for _, number in forwards}
