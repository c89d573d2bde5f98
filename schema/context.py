"""The context of one operation: its viewer, the services, and its own loaders."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from strawberry.types import Info

from domain.actors import Actor, ActorRole, Asked
from domain.bookings import Bookings
from domain.guard import GuardWatch
from domain.saga import SagaEngine
from domain.seats import SeatChanges
from domain.storage import Database
from schema.errors import forbidden
from schema.loaders import Loaders
from schema.turns import Pace

__all__ = [
    "PAGE_ROWS_MAX",
    "RequestContext",
    "RequestInfo",
    "Services",
    "Viewer",
    "may_see_account",
    "require_operator",
]

PAGE_ROWS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Viewer:
    """The authenticated caller. A customer sees only their own objects; an operator sees all.

    `is_trusted`: the inventory limits do not apply to this caller, as for an operator.
    """

    subject: str
    is_operator: bool
    member_number: str | None = None
    is_trusted: bool = False

    @property
    def scope(self) -> str | None:
        """The subject whose objects the viewer may see; None: everybody's."""
        return None if self.is_operator else self.subject

    @property
    def actor(self) -> Actor:
        """The viewer as the actor of an action."""
        return Actor(ActorRole.OPERATOR if self.is_operator else ActorRole.CUSTOMER, self.subject)

    def may_see(self, subject: str) -> bool:
        """Whether the viewer may see objects of `subject`."""
        return self.is_operator or self.subject == subject


@dataclass(frozen=True, slots=True)
class Services:
    """The services that resolvers call. `accounts_are_open`: everyone may see every loyalty account (auth none).

    `provider`: the guard before the payment provider.
    `page_rows_max`: the limit of rows in a page, at most PAGE_ROWS_MAX.
    """

    database: Database
    engine: SagaEngine
    bookings: Bookings
    seat_changes: SeatChanges
    provider: GuardWatch
    accounts_are_open: bool = True
    page_rows_max: int = PAGE_ROWS_MAX


@dataclass(slots=True)
class RequestContext:
    """The context of one operation.

    `note_correlation` receives the sagas that the operation concerns, for the log. `resume_after`: the
    last sequence that the client has seen, if it sent one outside the document's `after`. `request_id`:
    the id of the operation's request.
    """

    services: Services
    viewer: Viewer
    note_correlation: Callable[[str], None] = lambda correlation_id: None
    resume_after: int = 0
    request_id: str | None = None
    pace: Pace = field(init=False, default_factory=Pace)
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.refresh()

    @property
    def asked(self) -> Asked:
        """The caller, for the record of operator actions."""
        return Asked(self.viewer.actor, request_id=self.request_id)

    @property
    def audience(self) -> Hashable:
        """A key: callers with the same key get the same answer to the same operation at the same moment."""
        return self.viewer

    def refresh(self) -> None:
        """Forget everything loaded, so that each frame of a subscription reads current data."""
        self.loaders = Loaders(self.services.database, self.viewer.scope, self.pace)


RequestInfo = Info[RequestContext, None]


def require_operator(info: RequestInfo) -> None:
    """Raise FORBIDDEN unless the viewer is an operator."""
    if not info.context.viewer.is_operator:
        raise forbidden(info.field_name)


def may_see_account(info: RequestInfo, member_number: str) -> bool:
    """Whether the viewer may see this loyalty account."""
    viewer = info.context.viewer
    return info.context.services.accounts_are_open or viewer.is_operator or viewer.member_number == member_number
