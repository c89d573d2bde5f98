"""The actor of a request: the person or the part of the system that asks for it, and the reason (kept for good)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "ADMIN_TOKEN",
    "ANONYMOUS",
    "COMMAND_LINE",
    "REASON_CHARACTERS_MAX",
    "REASON_FACTS",
    "SCHEDULER",
    "Actor",
    "ActorRole",
    "Asked",
    "reason_fault",
]

#: Prefixes of the subjects that no token may claim: the bearer of the admin token, and a command that runs beside the
#: database.
ADMIN_TOKEN: Final = "admin-token:"
COMMAND_LINE: Final = "command-line:"
#: The subject of all callers without a token.
ANONYMOUS: Final = "anonymous"
REASON_CHARACTERS_MAX: Final = 500


class ActorRole(StrEnum):
    """The role in which an actor acts."""

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
    """The person or part that did something. `subject` is the caller's; None if no caller did it."""

    role: ActorRole
    subject: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The actor of a request, the reason and the request's ID. A field is None if it was not given.

    `bulk_action_id`: the bulk action that carries the request out, if one does.
    """

    by: Actor
    reason: str | None = None
    request_id: str | None = None
    bulk_action_id: str | None = None

    @property
    def is_operators(self) -> bool:
        """Whether the request goes into the record of operator actions."""
        return self.by.role is ActorRole.OPERATOR


SCHEDULER: Final = Actor(ActorRole.SCHEDULER, None)


#: Every value in a fault of a reason.
REASON_FACTS: Final = {"min": 1, "max": REASON_CHARACTERS_MAX}


def reason_fault(reason: str, name: str = "reason") -> str | None:
    """The fault of `reason` and its remedy, as one sentence; None if the reason is valid. `name`: what it is called."""
    if not reason.strip():
        return f"The {name} must not be blank; give one of 1 to {REASON_CHARACTERS_MAX} characters."
    if len(reason) > REASON_CHARACTERS_MAX:
        return f"The {name} must have at most {REASON_CHARACTERS_MAX} characters."
    if not reason.isprintable():
        return f"The {name} must not hold line breaks or control characters; give one line of text."
    return None
