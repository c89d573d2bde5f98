"""The result of an audit: rules that hold or are violated, with the ids to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, bindparam
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["NAMED_MAX", "SLICE_SAGAS_MAX", "Finding", "Listing", "Note", "Slice", "Violation", "look", "within"]

#: As many violations of one rule, or notes of one kind, are named; that there are more is said.
NAMED_MAX: Final = 100
SLICE_SAGAS_MAX: Final = 5_000
_LOWEST: Final = "00000000-0000-0000-0000-000000000000"
_HIGHEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True)
class Violation:
    """What does not hold: the rule's name, the ids to look at, and what is the matter with them."""

    check: str
    subject: str
    detail: str


@dataclass(slots=True)
class Finding:
    """What one rule came to; `holds` says in words what is so where there is no violation."""

    check: str
    holds: str
    violations: list[Violation] = field(default_factory=list)
    has_more: bool = False

    def add(self, subject: str, detail: str) -> None:
        """Name one more violation, or only remember that there is one where enough are named."""
        if len(self.violations) < NAMED_MAX:
            self.violations.append(Violation(self.check, subject, detail))
        else:
            self.has_more = True


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody may want to know, and is no violation."""

    subject: str
    detail: str


@dataclass(slots=True)
class Listing:
    """Notes of one kind; `means` says in words what they have in common."""

    topic: str
    means: str
    notes: list[Note] = field(default_factory=list)
    has_more: bool = False

    def add(self, subject: str, detail: str) -> None:
        """Put one more note down, or only remember that there is one where enough are."""
        if len(self.notes) < NAMED_MAX:
            self.notes.append(Note(subject, detail))
        else:
            self.has_more = True


@dataclass(frozen=True, slots=True)
class Slice:
    """The sagas whose id is above `after` and up to `upto`, whether or not there are any."""

    after: str = _LOWEST
    upto: str = _HIGHEST

    @property
    def parameters(self) -> dict[str, str]:
        """As `within` wants them."""
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
    """Add what `tell` says of each row of `statement`, which selects what is to be named; no more are read than are."""
    for row in await connection.execute(statement.limit(NAMED_MAX + 1)):
        finding.add(*tell(row))
