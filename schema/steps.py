"""Failures, steps, their compensations, and the queue of a saga."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import bookings, events, saga
from schema import ids
from schema.enums import CompensationName, FailureAdvice, StepName, StepStatus, named
from schema.flights import Node
from schema.scalars import Instant

__all__ = ["Failure", "SagaStep", "StepQueue", "StepUndo"]


def instant(value: int | None) -> Instant | None:
    """An instant, or None if it has not happened."""
    return None if value is None else Instant(value)


@strawberry.type(description="Why something failed.")
class Failure:
    code: str = strawberry.field(
        description=(
            "Stable and machine-readable: PAYMENT_DECLINED, SEAT_UNAVAILABLE, HOLD_EXPIRED, INSUFFICIENT_POINTS, "
            "SIMULATED, CANCELLED, TIMEOUT, ..."
        )
    )
    message: str = strawberry.field(description="For a person.")
    step: StepName | None = strawberry.field(description="At which step; null where it was at none.")

    @strawberry.field(
        description="What to offer the customer once the saga has ended with it, or waits for another card."
    )
    def advice(self) -> FailureAdvice:
        return bookings.advice_on(self.code)

    @classmethod
    def of(cls, failure: events.Failure | None) -> Self | None:
        """The domain's failure, if there is one."""
        if failure is None:
            return None
        step = named(StepName, failure.step) if failure.step is not None else None
        return cls(code=failure.code, message=failure.message, step=step)


@strawberry.type(description="How far the undoing of a step is.")
class StepUndo:
    name: CompensationName = strawberry.field(description="The compensation.")
    status: StepStatus = strawberry.field(description="PENDING, EXECUTING, RETRYING, COMPLETED, SKIPPED or STUCK.")
    attempt: int = strawberry.field(description="1-based; 0 before the first.")
    next_attempt_at: Instant | None = strawberry.field(
        description="When the next attempt is due; null unless RETRYING or STUCK."
    )
    started_at: Instant | None = strawberry.field(description="When its first attempt began.")
    finished_at: Instant | None = strawberry.field(description="When it was done.")
    summary: str | None = strawberry.field(description="One line for a person.")
    failure: Failure | None = strawberry.field(description="Why the last attempt failed.")

    @classmethod
    def of(cls, undo: saga.UndoView | None) -> Self | None:
        """The domain's undo, if there is one."""
        if undo is None:
            return None
        return cls(
            name=named(CompensationName, undo.name),
            status=undo.status,
            attempt=undo.attempt,
            next_attempt_at=instant(undo.next_attempt_at),
            started_at=instant(undo.started_at),
            finished_at=instant(undo.finished_at),
            summary=undo.summary,
            failure=Failure.of(undo.failure),
        )


@strawberry.type(description="One step's way forward, and its undoing beside it.")
class SagaStep(Node):
    index: int = strawberry.field(description="0-based place in the saga.")
    name: StepName = strawberry.field(description="The step.")
    status: StepStatus = strawberry.field(description="Where it stands.")
    attempt: int = strawberry.field(description="1-based; 0 before the first.")
    next_attempt_at: Instant | None = strawberry.field(
        description="When the next attempt is due; null unless RETRYING or STUCK."
    )
    started_at: Instant | None = strawberry.field(description="When its first attempt began.")
    finished_at: Instant | None = strawberry.field(description="When it was done, or failed for good.")
    summary: str | None = strawberry.field(
        description="One line for a person: seat 12C, authorization pi_..., 1,240 miles."
    )
    failure: Failure | None = strawberry.field(description="Why it, or its last attempt, failed.")
    undo: StepUndo | None = strawberry.field(
        description="Null until the step is to be undone, and for a step that is never undone."
    )
    compensation: CompensationName | None = strawberry.field(
        description="The compensation that would undo it; null for a step that is never undone."
    )

    @classmethod
    def of(cls, step: saga.StepView) -> Self:
        """The domain's step."""
        return cls(
            id=strawberry.ID(ids.encode("SagaStep", f"{step.saga_id}/{step.index}")),
            index=step.index,
            name=named(StepName, step.name),
            status=step.status,
            attempt=step.attempt,
            next_attempt_at=instant(step.next_attempt_at),
            started_at=instant(step.started_at),
            finished_at=instant(step.finished_at),
            summary=step.summary,
            failure=Failure.of(step.failure),
            undo=StepUndo.of(step.undo),
            compensation=named(CompensationName, step.compensation) if step.compensation is not None else None,
        )


@strawberry.type(
    description=(
        "The saga's queue as it stands: what waits, what runs, what is done, what will be undone (last in, first out)."
    )
)
class StepQueue:
    pending: list[StepName] = strawberry.field(description="Steps that have not begun and will.")
    executing: StepName | None = strawberry.field(description="The step that is under way.")
    completed: list[StepName] = strawberry.field(description="Steps that are done.")
    failed: list[StepName] = strawberry.field(description="Steps that failed for good.")
    compensations: list[CompensationName] = strawberry.field(
        description="Still to run, in the order in which they will."
    )
    compensating: CompensationName | None = strawberry.field(description="The compensation that is under way.")
    compensated: list[CompensationName] = strawberry.field(description="Compensations that are done, in their order.")

    @classmethod
    def of(cls, queue: saga.StepQueue) -> Self:
        """The domain's queue."""
        return cls(
            pending=[named(StepName, name) for name in queue.pending],
            executing=named(StepName, queue.executing) if queue.executing else None,
            completed=[named(StepName, name) for name in queue.completed],
            failed=[named(StepName, name) for name in queue.failed],
            compensations=[named(CompensationName, name) for name in queue.compensations],
            compensating=named(CompensationName, queue.compensating) if queue.compensating else None,
            compensated=[named(CompensationName, name) for name in queue.compensated],
        )
