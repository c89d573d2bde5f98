"""Bulk actions: what operators do to all sagas that match a filter."""

from __future__ import annotations

from typing import Annotated, Final, Self

import strawberry

from domain import bulk
from domain.bookings import RefusalCode
from domain.ids import canonical_uuid
from schema import ids
from schema.context import RequestInfo
from schema.enums import BulkActionKind, BulkActionStatus, StepName, named
from schema.facts import Actor
from schema.flights import Node
from schema.inputs import SagaFilter
from schema.pagination import Connection, Keyset, connection, uuid_key
from schema.payloads import InvalidInputError
from schema.scalars import Instant
from schema.statistics import SagaStatusCount
from schema.steps import instant
from schema.variables import by_plan

__all__ = [
    "BULK_ACTIONS",
    "BulkAction",
    "BulkActionConnection",
    "StartBulkActionInput",
    "StartBulkActionPayload",
    "StopBulkActionInput",
    "StopBulkActionPayload",
    "bulk_key",
]

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


@by_plan
@strawberry.input(description="What to do to all sagas that match a filter.")
class StartBulkActionInput:
    kind: BulkActionKind = strawberry.field(description="What to do to each saga.")
    filter: SagaFilter = strawberry.field(description="Which sagas. It must name something.")
    reason: str = strawberry.field(description="Why, for the record; one line.")
    step: StepName | None = strawberry.field(
        default=None,
        description="Required for SKIP. The step to give up, or whose compensation is; sagas stuck elsewhere are "
        "passed over.",
    )
    expected: int | None = strawberry.field(
        default=None, description="Refused if the filter matches a different number now."
    )
    dry_run: bool = strawberry.field(default=False, description="Only count the matches.")
    sagas_per_second: int = strawberry.field(
        default=bulk.SAGAS_PER_SECOND_DEFAULT, description=f"Its pace, 1 to {bulk.SAGAS_PER_SECOND_MAX}."
    )

    def request(self) -> bulk.BulkRequest:
        """The domain's request."""
        return bulk.BulkRequest(
            kind=self.kind,
            query=self.filter.query(None),
            filter=self.filter.as_json(),
            reason=self.reason,
            step=self.step.value if self.step is not None else None,
            expected=self.expected,
            sagas_per_second=self.sagas_per_second,
        )


@by_plan
@strawberry.input(description="A bulk action to stop.")
class StopBulkActionInput:
    id: strawberry.ID = strawberry.field(description="The bulk action's.")


StartBulkActionError = Annotated[
    InvalidInputError, strawberry.union("StartBulkActionError", description="Why a bulk action was not started.")
]


@strawberry.type(description="The bulk action that was started, or why none was.")
class StartBulkActionPayload:
    bulk_action: BulkAction | None = strawberry.field(
        description="Durable already; null after a dry run, and if nothing matches."
    )
    matched: int | None = strawberry.field(description="How many sagas match; null if they were not counted.")
    errors: list[StartBulkActionError] = strawberry.field(
        description="What the caller can mend; empty where all is well."
    )

    @classmethod
    def of(cls, answer: bulk.BulkAction | bulk.BulkMatched | bulk.BulkRefused) -> Self:
        """The domain's answer."""
        match answer:
            case bulk.BulkAction():
                return cls(bulk_action=BulkAction.of(answer), matched=answer.matched, errors=[])
            case bulk.BulkMatched(matched):
                return cls(bulk_action=None, matched=matched, errors=[])
            case bulk.BulkRefused(message, path, code, matched):
                error = InvalidInputError(message=message, path=["input", *path], code=code.value)
                return cls(bulk_action=None, matched=matched, errors=[error])


@strawberry.type(description="The bulk action as it stands, or why there is none.")
class StopBulkActionPayload:
    bulk_action: BulkAction | None = strawberry.field(description="STOPPED, unless it was over: then it is as it was.")
    errors: list[InvalidInputError] = strawberry.field(description="What the caller can mend; empty where all is well.")

    @classmethod
    def of(cls, answer: bulk.BulkAction | bulk.UnknownBulkAction) -> Self:
        """The domain's answer."""
        match answer:
            case bulk.BulkAction():
                return cls(bulk_action=BulkAction.of(answer), errors=[])
            case _:
                error = InvalidInputError(
                    message="No bulk action has this id.",
                    path=["input", "id"],
                    code=RefusalCode.BULK_ACTION_NOT_FOUND.value,
                )
                return cls(bulk_action=None, errors=[error])


def bulk_key(node_id: str) -> str | None:
    """The bulk action that a node id names, or None."""
    key = ids.key_of(node_id, "BulkAction")
    return key if key is not None and canonical_uuid(key) == key else None
