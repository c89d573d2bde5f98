"""Who asks for something, on whose word it is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["ADMIN_TOKEN", "COMMAND_LINE", "SCHEDULER", "Actor", "ActorRole", "Asked"]

#: What the subjects begin with that no token may claim to be: of who bears the admin token, and of who runs a
#: command beside the database.
ADMIN_TOKEN: Final = "admin-token:"
COMMAND_LINE: Final = "command-line:"


class ActorRole(StrEnum):
    """As what somebody acts."""

    CUSTOMER = "CUSTOMER"
    """A caller, for their own sagas."""
    OPERATOR = "OPERATOR"
    """A caller who may steer every saga and the scheduler."""
    PROVIDER = "PROVIDER"
    """The payment provider."""
    SCHEDULER = "SCHEDULER"
    """A job of the scheduler."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something. `subject` is the caller's; None where no caller did."""

    role: ActorRole
    subject: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """By whom something is asked for, why, and by which request; None where that was not said."""

    by: Actor
    reason: str | None = None
    request_id: str | None = None

    @property
    def is_operators(self) -> bool:
        """Whether it goes on the record of what operators did."""
        return self.by.role is ActorRole.OPERATOR


SCHEDULER: Final = Actor(ActorRole.SCHEDULER, None)
