"""The caller, as the token describes them."""

from __future__ import annotations

from typing import Self

import strawberry

from domain.actors import ANONYMOUS
from schema import context
from schema.enums import ViewerRole

__all__ = ["Viewer"]


@strawberry.type(description="The caller, as the token describes them.")
class Viewer:
    role: ViewerRole = strawberry.field(description="As what the caller acts.")
    subject: str | None = strawberry.field(description="The token's subject; null without a token.")
    member_numbers: list[str] = strawberry.field(
        description="The loyalty accounts that the token ties to the caller; empty where it names none."
    )
    scopes: list[str] = strawberry.field(
        description=(
            "The caller's scopes: sagas:read, sagas:mend, jobs:write, metrics:read, ..., that is also provider:write "
            "and people:read. Only an operator has any: those that the token's claim `scope` names, or all where it "
            "has no such claim."
        )
    )

    @classmethod
    def of(cls, viewer: context.Viewer) -> Self:
        """The viewer of the operation."""
        is_anonymous = viewer.subject == ANONYMOUS
        return cls(
            role=_role(viewer),
            subject=None if is_anonymous else viewer.subject,
            member_numbers=[] if viewer.member_number is None else [viewer.member_number],
            scopes=[scope.value for scope in context.Scope if viewer.may(scope)],
        )


def _role(viewer: context.Viewer) -> ViewerRole:
    if viewer.is_operator:
        return ViewerRole.OPERATOR
    return ViewerRole.ANONYMOUS if viewer.subject == ANONYMOUS else ViewerRole.CUSTOMER
