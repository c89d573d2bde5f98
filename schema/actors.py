"""Who did something, as far as the viewer may know."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import actors
from schema.context import Viewer
from schema.enums import ActorRole

__all__ = ["Actor"]


@strawberry.type(
    description=(
        "Who did something. Operators see the subject; other callers see only the role, except for themselves."
    )
)
class Actor:
    role: ActorRole = strawberry.field(description="As what they acted.")
    subject: str | None = strawberry.field(
        description="As their token names them; null where no caller did it, or where it is not the viewer's to know."
    )

    @classmethod
    def of(cls, actor: actors.Actor, viewer: Viewer) -> Self:
        """The domain's actor as `viewer` may know it."""
        may_know = actor.subject is not None and viewer.may_see(actor.subject)
        return cls(role=actor.role, subject=actor.subject if may_know else None)
