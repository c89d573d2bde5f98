"""Bulk actions as operators watch them."""

from __future__ import annotations

from typing import Final, Self

import strawberry

from domain import bulk
from domain.ids import canonical_uuid
from schema import ids
from schema.context import RequestInfo, Viewer
from schema.enums import BulkActionKind, BulkActionStatus, StepName, named
from schema.facts import Actor
from schema.flights import Node
from schema.pagination import Connection, Keyset, connection, uuid_key
from schema.scalars import Instant
from schema.statistics import SagaStatusCount
from schema.steps import instant

__all__ = ["BULK_ACTIONS", "BulkAction", "BulkActionConnection", "bulk_key"]

BULK_ACTIONS: Final = Keyset("bulk-actions", lambda row: row.id, uuid_key, bulk.actions_page, bulk.actions_count)


@strawberry.type(description="How many sagas a bulk action passed over for one reason.")
class BulkPassedOver:
    reason: str = strawberry.field(description="For a person.")
    sagas: int = strawberry.field(description="How many.")


@strawberry.type(
    description="An operator's action on all sagas that matched a filter when it started; also its report."
)
class BulkAction(Node):
    view: strawberry.Private[bulk.BulkAction]
    kind: BulkActionKind = strawberry.field(description="What is done to each saga.")
    status: BulkActionStatus = strawberry.field(description="Where it stands.")
    reason: str = strawberry.field(description="Why, as the operator said.")
    filter: str = strawberry.field(description="The filter as it was given, as JSON.")
    step: StepName | None = strawberry.field(description="Of SKIP: the step that is given up; null otherwise.")
    sagas_per_second: int = strawberry.field(description="Its pace.")
    started_at: Instant = strawberry.field(description="When it was accepted.")
    finished_at: Instant | None = strawberry.field(description="When it was DONE or STOPPED; null until then.")
    matched: int = strawberry.field(description="How many sagas matched the filter at the start.")
    done: int = strawberry.field(description="How many sagas were retried, skipped, cancelled or unparked.")
    passed_over: int = strawberry.field(
        description="Sagas that had nothing left to retry, skip or cancel when their turn came."
    )

    @classmethod
    def of(cls, view: bulk.BulkAction) -> Self:
        """The domain's action."""
        return cls(
            id=strawberry.ID(ids.encode("BulkAction", view.id)),
            view=view,
            kind=named(BulkActionKind, view.kind),
            status=view.status,
            reason=view.reason,
            filter=view.filter,
            step=None if view.step is None else named(StepName, view.step),
            sagas_per_second=view.sagas_per_second,
            started_at=Instant(view.started_at),
            finished_at=instant(view.finished_at),
            matched=view.matched,
            done=view.done,
            passed_over=view.passed_over,
        )

    @classmethod
    def shown(cls, view: bulk.BulkAction | None, viewer: Viewer) -> Self | None:
        """The action as far as `viewer` may see it: without sagas:read, only one of their own."""
        if view is None or viewer.sees_only not in (None, view.by.subject):
            return None
        return cls.of(view)

    @strawberry.field(description="Who started it.")
    def by(self, info: RequestInfo) -> Actor:
        return Actor.of(self.view.by, info.context.viewer)

    @strawberry.field(
        description="The current status of the sagas that were handled. Those passed over are not among them."
    )
    async def by_status(self, info: RequestInfo) -> list[SagaStatusCount]:
        found = await info.context.loaders.bulk_statuses.load(self.view.id) or {}
        return [SagaStatusCount(status=status, count=number) for status, number in sorted(found.items())]

    @strawberry.field(description="Why sagas were passed over, the most frequent reason first; at most 20.")
    async def passed_over_because(self, info: RequestInfo) -> list[BulkPassedOver]:
        found = await info.context.loaders.bulk_passed_over.load(self.view.id) or []
        return [BulkPassedOver(reason=each.why, sagas=each.sagas) for each in found]


@connection("bulk action")
class BulkActionConnection(Connection[BulkAction]):
    pass


def bulk_key(node_id: str) -> str | None:
    """The bulk action that a node id names, or None."""
    key = ids.key_of(node_id, "BulkAction")
    return key if key is not None and canonical_uuid(key) == key else None
