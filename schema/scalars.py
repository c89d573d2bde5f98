"""The wire forms of times, dates, decimals and UUIDs, strict both ways. Errors do not repeat the sent value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NewType

import strawberry
from graphql import GraphQLError, ValueNode
from graphql.utilities import value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from domain.clock import from_datetime, rfc_3339
from domain.ids import canonical_uuid

__all__ = ["SCALARS", "Day", "Instant", "Uuid", "write_instant"]

Instant = NewType("Instant", int)
"""An instant in microseconds since the epoch; DateTime on the wire."""
Day = NewType("Day", str)
"""A calendar date as YYYY-MM-DD; Date on the wire."""
Uuid = NewType("Uuid", str)
"""A canonical lower-case UUID; UUID on the wire."""

_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d{1,18}(\.\d{1,9})?", re.ASCII)


def write_instant(value: object) -> str:
    """An instant as it stands on the wire."""
    return rfc_3339(int(str(value)))


def _read_instant(value: object) -> Instant:
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            return Instant(from_datetime(datetime.fromisoformat(_micro(value)).astimezone(UTC)))
        except (ValueError, OverflowError):
            pass
    raise GraphQLError("DateTime must be RFC 3339 with an offset, as in 2026-11-23T08:30:00Z.")


def _micro(value: str) -> str:
    """Python reads at most six decimals of a second."""
    return re.sub(r"(\.\d{6})\d+", r"\1", value.upper())


def _read_day(value: object) -> Day:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return Day(date.fromisoformat(value).isoformat())
        except ValueError:
            pass
    raise GraphQLError("Date must be YYYY-MM-DD.")


def _read_decimal(value: object) -> Decimal:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    raise GraphQLError('Decimal must be a string such as "123.45".')


def _read_uuid(value: object) -> Uuid:
    canonical = canonical_uuid(value) if isinstance(value, str) else None
    if canonical is None:
        raise GraphQLError("UUID must be in its canonical form of 36 characters.")
    return Uuid(canonical)


def _scalar(
    name: str,
    description: str,
    specified_by: str,
    read: Callable[[object], object],
    write: Callable[[object], str] = str,
) -> ScalarDefinition:
    """A scalar whose errors point to the literal, if there is one. `specified_by`: where its text form is specified."""

    def read_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> object:
        try:
            return read(value_from_ast_untyped(node, variables))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return strawberry.scalar(
        name=name,
        description=description,
        specified_by_url=specified_by,
        serialize=write,
        parse_value=read,
        parse_literal=read_literal,
    )


_RFC: Final = "https://www.rfc-editor.org/rfc/rfc"
SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    Instant: _scalar(
        "DateTime",
        "An instant, RFC 3339, always UTC with a trailing Z.",
        f"{_RFC}3339#section-5.6",
        _read_instant,
        write_instant,
    ),
    Day: _scalar("Date", "A calendar date, YYYY-MM-DD.", f"{_RFC}3339#section-5.6", _read_day),
    Decimal: _scalar(
        "Decimal",
        "A decimal number as a string on the wire, never a float.",
        "https://www.w3.org/TR/xmlschema11-2/#decimal",
        _read_decimal,
    ),
    Uuid: _scalar("UUID", "A UUID in its canonical lower-case form.", f"{_RFC}9562#section-4", _read_uuid),
}
