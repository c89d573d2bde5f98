"""The record of operator actions."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import operators
from schema import ids
from schema.bulk import BulkAction
from schema.context import RequestInfo
from schema.enums import OperatorActionKind, named
from schema.facts import Actor
from schema.flights import Node
from schema.pagination import Connection, connection
from schema.sagas import Saga, load_saga
from schema.scalars import Instant

__all__ = ["OperatorAction", "OperatorActionConnection"]


@strawberry.type(description="One entry of the append-only record: who did what, when and why.")
class OperatorAction(Node):
    view: strawberry.Private[operators.OperatorAction]
    at: Instant = strawberry.field(description="When, by the database's clock.")
    kind: OperatorActionKind = strawberry.field(description="What was done.")
    reason: str | None = strawberry.field(description="Why, where that was said.")
    job: str | None = strawberry.field(description="Of an action on a job: its id.")
    request_id: str | None = strawberry.field(description="The X-Request-ID of the request; null for a command.")
    before: str | None = strawberry.field(description="The state before and after, one line each. This: before.")
    after: str | None = strawberry.field(description="As before, but how the saga or the job stood then.")

    @classmethod
    def of(cls, view: operators.OperatorAction) -> Self:
        """The domain's entry."""
        return cls(
            id=strawberry.ID(ids.encode("OperatorAction", view.id)),
            view=view,
            at=Instant(view.at),
            kind=named(OperatorActionKind, view.kind),
            reason=view.reason,
            job=view.job_id,
            request_id=view.request_id,
            before=view.before,
            after=view.after,
        )

    @strawberry.field(description="Who did it.")
    def by(self, info: RequestInfo) -> Actor:
        return Actor.of(self.view.by, info.context.viewer)

    @strawberry.field(description="The bulk action that was started or stopped, or that did this to the saga.")
    async def bulk_action(self, info: RequestInfo) -> BulkAction | None:
        key = self.view.bulk_action_id
        found = None if key is None else await info.context.loaders.bulk_action.load(key)
        return None if found is None else BulkAction.of(found)

    @strawberry.field(description="Of an action on a saga: the saga as it stands now.")
    async def saga(self, info: RequestInfo) -> Saga | None:
        return None if self.view.saga_id is None else await load_saga(info, self.view.saga_id)


@connection("entry", page="A page of what operators did.")
class OperatorActionConnection(Connection[OperatorAction]):
    pass
