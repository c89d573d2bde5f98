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
        " and how many compensations wait and run. Counted of all sagas that are not over, whenever they started."
    )
)
class QueueTotals:
    pending: int = strawberry.field(description="Steps that have not begun and will.")
    executing: int = strawberry.field(description="Steps under way, or between attempts.")
    completed: int = strawberry.field(description="Steps that are done, also of the sagas that ended since.")
    failed: int = strawberry.field(description="Steps that failed for good, also of the sagas that ended since.")
    compensations_pending: int = strawberry.field(description="Compensations that have not begun.")
    compensating: int = strawberry.field(description="Compensations under way, or between attempts.")
    stuck: int = strawberry.field(description="Steps and compensations that keep failing.")


@strawberry.type(description="How many sagas have one status.")
class SagaStatusCount:
    status: SagaStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(
        description=(
            "COMPLETED, COMPENSATED, ABANDONED: how many ended with it since."
            " Any other: how many have it now, whenever they started."
        )
    )


@strawberry.type(description="How many sagas failed at one step.")
class FailedStepCount:
    step: StepName = strawberry.field(description="The step.")
    count: int = strawberry.field(
        description="How many failed there, of the sagas that ended since and of those that are not over now."
    )


@strawberry.type(description="Sagas that finished, or got stuck, in one stretch of time.")
class SagaBucket:
    starts_at: Instant = strawberry.field(description="When the stretch begins.")
    completed: int = strawberry.field(description="Sagas that ended COMPLETED in it.")
    compensated: int = strawberry.field(description="Sagas that ended COMPENSATED in it.")
    abandoned: int = strawberry.field(description="Sagas that ended ABANDONED in it.")
    stuck: int = strawberry.field(
        description=(
            "Sagas that became STUCK in it, whatever became of them later. One that stays stuck counts once, however"
            " often it is retried. One that went on, or that an operator had retried, counts again when it gets stuck."
        )
    )
    duration_ms_p50: float | None = strawberry.field(
        name="durationMsP50", description="Median duration in milliseconds, at most 2 % wrong; null where none ended."
    )
    duration_ms_p95: float | None = strawberry.field(
        name="durationMsP95",
        description="95th percentile of durations in milliseconds, at most 2 % wrong; null where none ended.",
    )


@strawberry.type(
    description=(
        "What became of sagas since a moment. A saga belongs to the minute in which it ended, whenever it started;"
        " one that is not over is counted now. Times are told in whole minutes, UTC."
    )
)
class SagaStatistics:
    view: strawberry.Private[saga.SagaStatistics]
    since: Instant = strawberry.field(description="The moment, rounded down to the minute.")
    started: int = strawberry.field(description="How many were started since.")
    finished: int = strawberry.field(description="How many ended since, one way or another: what `successRate` counts.")
    unfinished: int = strawberry.field(
        description="How many are not over now, whenever they started: what `successRate` leaves out."
    )
    got_stuck: int = strawberry.field(
        description="How often a saga became STUCK since, whatever became of it later; see `SagaBucket.stuck`."
    )
    by_status: list[SagaStatusCount] = strawberry.field(
        description="How many ended since with each status that is terminal, and how many have each other now."
    )
    queue: QueueTotals = strawberry.field(description="All queues in total.")
    success_rate: float | None = strawberry.field(
        description=(
            "Completed as a share of finished, 0 to 1; null where none finished."
            " Leaves out every saga that is not over, and so each that is STUCK or PARKED: see `unfinished`."
        )
    )
    compensation_success_rate: float | None = strawberry.field(
        description=(
            "Compensations that succeeded as a share of those that ran, 0 to 1; null where none ran."
            " Counts the sagas that ended since and those that are not over now. Skipped and stuck ones did not"
            " succeed; ones that still wait or are retried are left out."
        )
    )
    duration_ms_p50: float | None = strawberry.field(
        name="durationMsP50", description="Median duration of finished ones in milliseconds, at most 2 % wrong."
    )
    duration_ms_p95: float | None = strawberry.field(
        name="durationMsP95",
        description="95th percentile of the durations of finished ones in milliseconds, at most 2 % wrong.",
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
            finished=view.finished,
            unfinished=view.unfinished,
            got_stuck=view.got_stuck,
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

    @strawberry.field(
        description=(
            "In order of time; at most 300. The first is the stretch that `since` is in, and is counted whole."
        )
    )
    async def buckets(
        self,
        info: RequestInfo,
        seconds: Annotated[
            int,
            strawberry.argument(
                description=(
                    "How long each stretch is, 1 to 86400. Rounded up to whole minutes, from 300 on to whole five"
                    " minutes, from 3600 on to whole hours."
                )
            ),
        ] = 300,
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
