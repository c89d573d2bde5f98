"""Who asks for something, on whose word it is done, and why: one line of text that is kept for good."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "ADMIN_TOKEN",
    "COMMAND_LINE",
    "REASON_CHARACTERS_MAX",
    "SCHEDULER",
    "Actor",
    "ActorRole",
    "Asked",
    "reason_fault",
]

#: What the subjects begin with that no token may claim to be: of who bears the admin token, and of who runs a
#: command beside the database.
ADMIN_TOKEN: Final = "admin-token:"
COMMAND_LINE: Final = "command-line:"
REASON_CHARACTERS_MAX: Final = 500


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


def reason_fault(reason: str) -> str | None:
    """What is wrong with `reason` and what to do about it, as one sentence; None where it can be kept."""
    if not reason.strip():
        return f"The reason must not be blank; give one of 1 to {REASON_CHARACTERS_MAX} characters."
    if len(reason) > REASON_CHARACTERS_MAX:
        return f"The reason must have at most {REASON_CHARACTERS_MAX} characters; it has {len(reason)}."
    if not reason.isprintable():
        return "The reason must not hold line breaks or control characters; give one line of text."
    return None
