"""The caller, as the token describes them."""

from __future__ import annotations

from typing import Annotated, Final, Self

import strawberry

from domain import bookings
from domain.actors import ANONYMOUS
from schema import context
from schema.arguments import checked
from schema.context import RequestInfo
from schema.enums import ViewerRole
from schema.inputs import BookingFilter
from schema.pagination import (
    FIRST_DEFAULT,
    After,
    Before,
    First,
    Keyset,
    Last,
    Wanted,
    keyset_page,
    page_check,
    uuid_key,
)
from schema.sagas import BookingConnection

__all__ = ["BOOKINGS_CHECK", "Viewer", "list_bookings"]

_BOOKINGS: Final = Keyset("bookings", lambda row: row.id, uuid_key, bookings.bookings_page, bookings.bookings_count)
BOOKINGS_CHECK: Final = page_check(lambda given: _BOOKINGS)


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

    @strawberry.field(
        description="The caller's own bookings, newest first, also for an operator.", metadata=checked(BOOKINGS_CHECK)
    )
    async def bookings(
        self,
        info: RequestInfo,
        filter: Annotated[BookingFilter | None, strawberry.argument(description="Which ones.")] = None,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> BookingConnection:
        return await list_bookings(info, info.context.viewer.subject, filter, Wanted(first, after, last, before))

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


async def list_bookings(
    info: RequestInfo, subject: str | None, filter: BookingFilter | None, wanted: Wanted
) -> BookingConnection:
    """A page of the bookings of `subject`, or of everybody if None."""
    every = bookings.BookingQuery(subject=subject)
    if filter is None:
        return BookingConnection(page=await keyset_page(info, _BOOKINGS, every, wanted))
    database = info.context.services.database
    now = 0 if filter.is_upcoming is None else await database.read(database.clock.now)
    query = filter.query(subject, at=now)
    page = await keyset_page(info, _BOOKINGS, query or every, wanted, is_empty=query is None)
    return BookingConnection(page=page)


def _role(viewer: context.Viewer) -> ViewerRole:
    if viewer.is_operator:
        return ViewerRole.OPERATOR
    return ViewerRole.ANONYMOUS if viewer.subject == ANONYMOUS else ViewerRole.CUSTOMER
