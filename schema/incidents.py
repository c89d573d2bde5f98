"""Incidents: what needs an operator, by cause, with what is at stake."""

from __future__ import annotations

from typing import Any, Final, Self

import strawberry

from domain import incidents as domain_incidents
from schema.context import RequestInfo
from schema.enums import CompensationName, SagaStatus, StepName, named
from schema.flights import Money
from schema.pagination import FIRST_DEFAULT, After, Before, First, Keyset, Last, Wanted, keyset_page, uuid_key
from schema.sagas import SagaConnection
from schema.scalars import Instant

__all__ = ["INCIDENTS_MAX", "Incident"]

#: The worst ones; the others appear as these are mended.
INCIDENTS_MAX: Final = 50


async def _count(_connection: Any, incident: domain_incidents.Incident) -> int:
    return incident.sagas


_SAGAS_OF: Final = Keyset("sagas-of-incident", lambda row: row.id, uuid_key, domain_incidents.sagas_of, _count)


@strawberry.type(description="Stuck or parked sagas that share one cause at one step.")
class Incident:
    view: strawberry.Private[domain_incidents.Incident]
    status: SagaStatus = strawberry.field(description="STUCK or PARKED.")
    step: StepName | None = strawberry.field(
        description="The step, or the step whose compensation is stuck. Null if the sagas' place cannot be read."
    )
    compensation: CompensationName | None = strawberry.field(
        description="The compensation that is stuck; null going forward, and for PARKED sagas."
    )
    failure_code: str = strawberry.field(description="Why.")
    message: str = strawberry.field(description="The newest message of that failure.")
    sagas: int = strawberry.field(description="How many there are.")
    oldest_since: Instant = strawberry.field(description="Since when the first of them is stuck or parked.")
    newest_since: Instant = strawberry.field(description="Since when the last of them is stuck or parked.")
    money: list[Money] = strawberry.field(description="What is at stake, the most first. One entry per currency.")
    points: int = strawberry.field(description="Points and miles at stake.")
    seats: int = strawberry.field(description="Seats at stake.")
    runbook: str = strawberry.field(
        description="The section of docs/runbooks.md that says what to do; the console has it at /saga/runbook#it."
    )

    @classmethod
    def of(cls, view: domain_incidents.Incident) -> Self:
        """The domain's incident."""
        return cls(
            view=view,
            status=view.status,
            step=None if view.step is None else named(StepName, view.step),
            compensation=None if view.compensation is None else named(CompensationName, view.compensation),
            failure_code=view.failure_code,
            message=view.message,
            sagas=view.sagas,
            oldest_since=Instant(view.oldest_since),
            newest_since=Instant(view.newest_since),
            money=[Money.of(money) for money in view.money],
            points=view.points,
            seats=view.seats,
            runbook=domain_incidents.runbook_of(view.status, view.failure_code).value,
        )

    @strawberry.field(description="The sagas of this incident. The one that began first comes first.")
    async def sagas_of(
        self,
        info: RequestInfo,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> SagaConnection:
        return SagaConnection(page=await keyset_page(info, _SAGAS_OF, self.view, Wanted(first, after, last, before)))
