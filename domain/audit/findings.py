"""The result of an audit: rules that hold or are violated, with the ids to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["NAMED_MAX", "SLICE_SAGAS_MAX", "Finding", "Listing", "Note", "Slice", "Violation", "look", "within"]

#: At most this many violations of one rule, or notes of one kind, are named; the result says if there are more.
NAMED_MAX: Final = 100
SLICE_SAGAS_MAX: Final = 5_000
_LOWEST: Final = "00000000-0000-0000-0000-000000000000"
_HIGHEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation: the rule's name, the IDs to look at, and the fault."""

    check: str
    subject: str
    detail: str


@dataclass(slots=True)
class Finding:
    """The result of one rule; `holds` is the sentence for a rule without violations."""

    check: str
    holds: str
    violations: list[Violation] = field(default_factory=list)
    has_more: bool = False

    def add(self, subject: str, detail: str) -> None:
        """Name one more violation; if enough are named, only remember that there are more."""
        if len(self.violations) < NAMED_MAX:
            self.violations.append(Violation(self.check, subject, detail))
        else:
            self.has_more = True


@dataclass(frozen=True, slots=True)
class Note:
    """A fact that an operator may want to know; not a violation."""

    subject: str
    detail: str


@dataclass(slots=True)
class Listing:
    """Notes of one kind; `means` says what they have in common."""

    topic: str
    means: str
    notes: list[Note] = field(default_factory=list)
    has_more: bool = False

    def add(self, subject: str, detail: str) -> None:
        """Add one more note; if there are enough, only remember that there are more."""
        if len(self.notes) < NAMED_MAX:
            self.notes.append(Note(subject, detail))
        else:
            self.has_more = True


@dataclass(frozen=True, slots=True)
class Slice:
    """The sagas with an ID above `after` and up to `upto`, whether or not there are any."""

    after: str = _LOWEST
    upto: str = _HIGHEST

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters for `within`."""
        return {"after": self.after, "upto": self.upto}


def within(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """SQL: the saga id in `column` belongs to the slice whose `parameters` are bound."""
    return (column > bindparam("after", type_=column.type)) & (column <= bindparam("upto", type_=column.type))


async def look(
    connection: AsyncConnection,
    finding: Finding | Listing,
    statement: Select[Any],
    tell: Callable[[Row[*tuple[Any, ...]]], tuple[str, str]],
) -> None:
    """Add the result of `tell` for each row of `statement`; reads no more rows than can be named."""
    for row in await connection.execute(statement.limit(NAMED_MAX + 1)):
        finding.add(*tell(row))
