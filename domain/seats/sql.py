"""Two SQL expressions that differ between the databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

__all__ = ["any_seat", "seat_bits", "seat_codes"]

_SEAT_BITS: Final = 8


def seat_codes(keys: Iterable[tuple[int, int]]) -> str:
    """(flight ID, seat) pairs as the value of an `any_seat` parameter: a JSON text with one number a pair."""
    return msgspec.json.encode([flight_id << _SEAT_BITS | seat for flight_id, seat in keys]).decode()


class any_seat(FunctionElement[bool]):
    """SQL: the row's flight and seat are one of the pairs bound to `name`, which `seat_codes` made.

    One parameter for any number of pairs; uses the index over both columns.
    """

    inherit_cache = True
    type = Boolean()
    name = "any_seat"

    def __init__(self, flight_id: ColumnElement[int], seat: ColumnElement[int], name: str) -> None:
        super().__init__(flight_id, seat, BindParameter(name, type_=Text(), required=True))

    def self_group(self, against: OperatorType | None = None) -> any_seat:
        # SQLite has no boolean type, so SQLAlchemy would write `... = 1`, which uses no index.
        return self


@compiles(any_seat, "sqlite")
def _any_seat_on_sqlite(element: any_seat, compiler: SQLCompiler, **options: Any) -> str:
    flight_id, seat, codes = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({flight_id}, {seat}) IN (SELECT value >> 8, value & 255 FROM json_each({codes}))"


@compiles(any_seat, "postgresql")
def _any_seat_on_postgresql(element: any_seat, compiler: SQLCompiler, **options: Any) -> str:
    flight_id, seat, codes = (compiler.process(clause, **options) for clause in element.clauses)
    rows = f"json_array_elements_text(CAST({codes} AS json)) AS code"
    return f"({flight_id}, {seat}) IN (SELECT code::bigint >> 8, (code::bigint & 255)::smallint FROM {rows})"


class seat_bits(FunctionElement[int]):
    """Aggregate: bit `seat - first` for every row; NULL without rows. At most 63 seats, none below `first`."""

    inherit_cache = True
    type = BigInteger()
    name = "seat_bits"

    def __init__(self, seat: ColumnElement[int], first: ColumnElement[int]) -> None:
        super().__init__(seat, first)


@compiles(seat_bits, "sqlite")
def _seat_bits_on_sqlite(element: seat_bits, compiler: SQLCompiler, **options: Any) -> str:
    seat, first = (compiler.process(clause, **options) for clause in element.clauses)
    # No row occurs twice, so the sum of the bits is their union.
    return f"sum(1 << ({seat} - {first}))"


@compiles(seat_bits, "postgresql")
def _seat_bits_on_postgresql(element: seat_bits, compiler: SQLCompiler, **options: Any) -> str:
    seat, first = (compiler.process(clause, **options) for clause in element.clauses)
    return f"bit_or(1::bigint << ({seat} - {first}))"
