"""The context of one operation: its viewer, the services, and its own loaders."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from strawberry.types import Info

from domain.actors import Actor, ActorRole, Asked
from domain.bookings import Bookings
from domain.bulk import BulkActions
from domain.guard import GuardWatch
from domain.saga import SagaEngine
from domain.seats import SeatChanges
from domain.storage import Database
from schema.errors import forbidden
from schema.loaders import Loaders
from schema.turns import Pace

__all__ = [
    "GUEST_FIELDS",
    "PAGE_ROWS_MAX",
    "RequestContext",
    "RequestInfo",
    "Scope",
    "Services",
    "Viewer",
    "may_see_account",
    "may_use_account",
    "require_scope",
]

PAGE_ROWS_MAX: Final = 100
#: The root fields that anybody may ask for over HTTP, also where all others need a token.
GUEST_FIELDS: Final = frozenset({"guestBooking"})


class Scope(StrEnum):
    """A right of operators. Each is needed for itself: none includes another."""

    SAGAS_READ = "sagas:read"
    """See everybody's sagas, bookings and accounts, statistics, incidents, and the record of operator actions."""
    SAGAS_MEND = "sagas:mend"
    """Retry, skip, cancel and settle everybody's sagas, one or many; act for a customer."""
    JOBS_WRITE = "jobs:write"
    """Run, pause and resume the scheduler's jobs, and change their intervals."""
    METRICS_READ = "metrics:read"
    """Read /metrics."""
    PROVIDER_WRITE = "provider:write"
    """Pause and resume the payment provider."""
    PEOPLE_READ = "people:read"
    """See names and dates of birth of everybody whose objects may be seen, and search by names."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """The authenticated caller. A customer sees only their own objects; an operator with sagas:read sees all.

    `granted`: the scopes that an operator's token has. They grant nothing without the operator role.
    `is_trusted`: the inventory limits do not apply to this caller, as for an operator who may mend.
    """

    subject: str
    is_operator: bool
    member_number: str | None = None
    is_trusted: bool = False
    granted: frozenset[Scope] = frozenset(Scope)

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes that the viewer has: an operator's only."""
        return self.granted if self.is_operator else frozenset()

    def may(self, *one_of: Scope) -> bool:
        """Whether the viewer has one of these scopes."""
        return not self.scopes.isdisjoint(one_of)

    @property
    def sees_only(self) -> str | None:
        """The subject whose objects the viewer may see; None: everybody's."""
        return None if self.may(Scope.SAGAS_READ) else self.subject

    @property
    def acts_only_for(self) -> str | None:
        """The subject for whom the viewer may pay, confirm and cancel; None: for everybody."""
        return None if self.may(Scope.SAGAS_MEND) else self.subject

    @property
    def names_only(self) -> str | None:
        """The subject whose passengers' names the viewer may see; None: all that the viewer's other rights show."""
        return None if not self.is_operator or self.may(Scope.PEOPLE_READ) else self.subject

    @property
    def actor(self) -> Actor:
        """The viewer as the actor of an action."""
        return Actor(ActorRole.OPERATOR if self.is_operator else ActorRole.CUSTOMER, self.subject)

    def may_see(self, subject: str) -> bool:
        """Whether the viewer may see objects of `subject`."""
        return self.may(Scope.SAGAS_READ) or self.subject == subject


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
    bulk: BulkActions
    accounts_are_open: bool = True
    page_rows_max: int = PAGE_ROWS_MAX


@dataclass(slots=True)
class RequestContext:
    """The context of one operation.

    `note_correlation` receives the sagas that the operation concerns, for the log. `resume_after`: the
    last sequence that the client has seen, if it sent one outside the document's `after`. `request_id`:
    the id of the operation's request. `base_path`: what stands before the paths of this server's own pages.
    `answer_by`: by `time.perf_counter`, when a resolver that waits must return; None: no limit.
    `count_guest` is called for every look-up by a guest, and refuses one too many.
    """

    services: Services
    viewer: Viewer
    note_correlation: Callable[[str], None] = lambda correlation_id: None
    resume_after: int = 0
    request_id: str | None = None
    base_path: str = ""
    answer_by: float | None = None
    count_guest: Callable[[], None] = lambda: None
    pace: Pace = field(init=False, default_factory=Pace)
    _loaders: Loaders | None = field(init=False, default=None)

    @property
    def loaders(self) -> Loaders:
        """The loaders of this operation, made once it needs one."""
        if self._loaders is None:
            viewer, database = self.viewer, self.services.database
            self._loaders = Loaders(database, viewer.sees_only, self.pace, names_only=viewer.names_only)
        return self._loaders

    @property
    def asked(self) -> Asked:
        """The caller, for the record of operator actions."""
        return Asked(self.viewer.actor, request_id=self.request_id)

    @property
    def audience(self) -> Hashable:
        """A key: callers with the same key get the same answer to the same operation at the same moment."""
        return self.viewer, self.base_path

    def seconds_to_wait(self, seconds: float) -> float:
        """`seconds`, or fewer if the answer is expected sooner."""
        return seconds if self.answer_by is None else max(0.0, min(seconds, self.answer_by - time.perf_counter()))

    def address(self, url: str | None) -> str | None:
        """The URL as the client reaches it: a page of this server, given by its path, is beneath the base path."""
        return f"{self.base_path}{url}" if url is not None and url.startswith("/") else url

    def refresh(self) -> None:
        """Forget everything loaded, so that each frame of a subscription reads current data."""
        self._loaders = None


RequestInfo = Info[RequestContext, None]


def require_scope(info: RequestInfo, *one_of: Scope) -> None:
    """Raise FORBIDDEN unless the viewer is an operator with one of these scopes."""
    if not info.context.viewer.may(*one_of):
        raise forbidden(info.field_name, one_of)


def may_see_account(info: RequestInfo, member_number: str) -> bool:
    """Whether the viewer may see this loyalty account."""
    return _may_reach_account(info, member_number, Scope.SAGAS_READ)


def may_use_account(info: RequestInfo, member_number: str) -> bool:
    """Whether the viewer's bookings may use this loyalty account."""
    return _may_reach_account(info, member_number, Scope.SAGAS_MEND)


def _may_reach_account(info: RequestInfo, member_number: str, scope: Scope) -> bool:
    viewer = info.context.viewer
    return info.context.services.accounts_are_open or viewer.may(scope) or viewer.member_number == member_number
