"""Rates, durations and queues over all sagas."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain import saga
from schema.context import RequestInfo
from schema.enums import SagaStatus, StepName, named
from schema.errors import bad_input
from schema.scalars import Instant

__all__ = ["SagaStatistics"]


@strawberry.type(
    description=(
        "All sagas' queues in total: how many steps wait, run, are done, failed,"
        " and how many compensations wait and run."
    )
)
class QueueTotals:
    pending: int = strawberry.field(description="Steps that have not begun and will.")
    executing: int = strawberry.field(description="Steps under way, or between attempts.")
    completed: int = strawberry.field(description="Steps that are done.")
    failed: int = strawberry.field(description="Steps that failed for good.")
    compensations_pending: int = strawberry.field(description="Compensations that have not begun.")
    compensating: int = strawberry.field(description="Compensations under way, or between attempts.")
    stuck: int = strawberry.field(description="Steps and compensations that keep failing.")


@strawberry.type(description="How many sagas have one status.")
class SagaStatusCount:
    status: SagaStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(description="How many have it.")


@strawberry.type(description="How many sagas failed at one step.")
class FailedStepCount:
    step: StepName = strawberry.field(description="The step.")
    count: int = strawberry.field(description="How many failed there.")


@strawberry.type(description="Sagas that finished, or got stuck, in one stretch of time.")
class SagaBucket:
    starts_at: Instant = strawberry.field(description="When the stretch begins.")
    completed: int = strawberry.field(description="Sagas that ended COMPLETED in it.")
    compensated: int = strawberry.field(description="Sagas that ended COMPENSATED in it.")
    abandoned: int = strawberry.field(description="Sagas that ended ABANDONED in it.")
    stuck: int = strawberry.field(description="Sagas that are STUCK since.")
    duration_ms_p50: float | None = strawberry.field(
        name="durationMsP50", description="Median duration in milliseconds; null where none ended."
    )
    duration_ms_p95: float | None = strawberry.field(
        name="durationMsP95", description="95th percentile of durations in milliseconds; null where none ended."
    )


@strawberry.type(description="What became of the sagas started since a moment.")
class SagaStatistics:
    view: strawberry.Private[saga.SagaStatistics]
    since: Instant = strawberry.field(description="The moment.")
    started: int = strawberry.field(description="How many were started since.")
    by_status: list[SagaStatusCount] = strawberry.field(description="How many have each status.")
    queue: QueueTotals = strawberry.field(description="Their queues in total.")
    success_rate: float | None = strawberry.field(
        description="Completed as a share of finished, 0 to 1; null where none finished."
    )
    compensation_success_rate: float | None = strawberry.field(
        description="Compensations that succeeded as a share of those that ran, 0 to 1; null where none ran."
    )
    duration_ms_p50: float | None = strawberry.field(
        name="durationMsP50", description="Median duration of finished ones in milliseconds."
    )
    duration_ms_p95: float | None = strawberry.field(
        name="durationMsP95", description="95th percentile of the durations of finished ones in milliseconds."
    )
    failed_at: list[FailedStepCount] = strawberry.field(description="How many failed at each step.")

    @classmethod
    def of(cls, view: saga.SagaStatistics) -> SagaStatistics:
        """The domain's statistics."""
        queue = view.queue
        return cls(
            view=view,
            since=Instant(view.since),
            started=view.started,
            by_status=[SagaStatusCount(status=status, count=count) for status, count in view.by_status.items()],
            queue=QueueTotals(
                pending=queue.pending,
                executing=queue.executing,
                completed=queue.completed,
                failed=queue.failed,
                compensations_pending=queue.compensations_pending,
                compensating=queue.compensating,
                stuck=queue.stuck,
            ),
            success_rate=view.success_rate,
            compensation_success_rate=view.compensation_success_rate,
            duration_ms_p50=view.duration_ms_p50,
            duration_ms_p95=view.duration_ms_p95,
            failed_at=[
                FailedStepCount(step=named(StepName, step), count=count) for step, count in view.failed_at.items()
            ],
        )

    @strawberry.field(description="In order of time; at most 300.")
    async def buckets(
        self,
        info: RequestInfo,
        seconds: Annotated[int, strawberry.argument(description="How long each stretch is, 1 to 86400.")] = 300,
    ) -> list[SagaBucket]:
        if not 1 <= seconds <= 86_400:
            raise bad_input(f"seconds must be 1 to 86400; got {seconds}.", "seconds")
        async with info.context.services.database.reading() as connection:
            found = await saga.buckets(connection, since=self.view.since, at=self.view.at, seconds=seconds)
        return [
            SagaBucket(
                starts_at=Instant(bucket.starts_at),
                completed=bucket.completed,
                compensated=bucket.compensated,
                abandoned=bucket.abandoned,
                stuck=bucket.stuck,
                duration_ms_p50=bucket.duration_ms_p50,
                duration_ms_p95=bucket.duration_ms_p95,
            )
            for bucket in found
        ]
