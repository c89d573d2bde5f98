"""What a check of the data says: a named rule, and what breaks it, with the ids to look at.

Each feature's `checks` module looks at its own tables; `bookings.checks` puts them side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["VIOLATIONS_MAX", "Finding", "Violation"]

#: As many violations of one check are named; that there are more is said.
VIOLATIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """What does not hold: the rule's name, the ids to look at, and what is the matter with them."""

    check: str
    subject: str
    detail: str


@dataclass(slots=True)
class Finding:
    """What one check came to. `holds` says in words what is so where nothing is found."""

    check: str
    holds: str
    violations: list[Violation] = field(default_factory=list)
    has_more: bool = False
    """Whether there are violations beyond those that are named."""

    def add(self, subject: str, detail: str) -> None:
        """Name one more violation, or only remember that there is one where enough are named."""
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(self.check, subject, detail))
        else:
            self.has_more = True
