"""Starting and stopping bulk actions: inputs and payloads."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from domain import bulk
from domain.bookings import RefusalCode
from schema.bulk_actions import BulkAction
from schema.context import Viewer
from schema.enums import BulkActionKind, StepName
from schema.inputs import SagaFilter
from schema.payloads import InvalidInputError, facts_of
from schema.scalars import Uuid
from schema.variables import by_plan

__all__ = [
    "StartBulkActionInput",
    "StartBulkActionPayload",
    "StopBulkActionInput",
    "StopBulkActionPayload",
]


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

    idempotency_key: Uuid | None = strawberry.field(
        default=None,
        description="Made by the client, so that a start can be repeated after a lost answer: the same key with the "
        "same input returns the action that was started. Ignored by a dry run.",
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
            key=self.idempotency_key,
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
                facts = facts_of(answer.facts)
                error = InvalidInputError(message=message, path=["input", *path], code=code.value, facts=facts)
                return cls(bulk_action=None, matched=matched, errors=[error])


@strawberry.type(description="The bulk action as it stands, or why there is none.")
class StopBulkActionPayload:
    bulk_action: BulkAction | None = strawberry.field(
        description="STOPPED, unless it was over: then it is as it was. Null where it is somebody else's, for callers "
        "without sagas:read."
    )
    errors: list[InvalidInputError] = strawberry.field(description="What the caller can mend; empty where all is well.")

    @classmethod
    def of(cls, answer: bulk.BulkAction | bulk.UnknownBulkAction, viewer: Viewer) -> Self:
        """The domain's answer, as far as `viewer` may see it: without sagas:read, only an action of their own."""
        match answer:
            case bulk.BulkAction():
                return cls(bulk_action=BulkAction.shown(answer, viewer), errors=[])
            case _:
                error = InvalidInputError(
                    message="No bulk action has this id.",
                    path=["input", "id"],
                    code=RefusalCode.BULK_ACTION_NOT_FOUND.value,
                    facts=[],
                )
                return cls(bulk_action=None, errors=[error])
