"""The payment provider as operators see it, and the breaker before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

import strawberry

from domain.actors import REASON_FACTS, Asked
from domain.bookings import RefusalCode
from domain.guard import Guard, InvalidReason
from schema.context import RequestInfo
from schema.enums import BreakerState
from schema.payloads import InvalidInputError, facts_of
from schema.scalars import Instant
from schema.steps import Failure

__all__ = ["PaymentProvider", "PaymentProviderPayload", "steer_provider"]


@strawberry.type(
    description=(
        "The payment provider, and the breaker before it. Each replica has a breaker of its own, with its share of the "
        "limits; this is the one of the replica that answers. A pause is for all replicas."
    )
)
class PaymentProvider:
    name: str = strawberry.field(description="stripe or sandbox.")
    breaker: BreakerState = strawberry.field(description="Whether calls are sent.")
    since: Instant = strawberry.field(description="Since when the breaker is in this state, by this replica's clock.")
    reason: str | None = strawberry.field(
        description="Why it is not CLOSED: what an operator said, or the provider's newest failure."
    )
    calls_in_flight: int = strawberry.field(description="Calls of this replica that are out.")
    calls_waiting: int = strawberry.field(description="Sagas of this replica that stand in line for a call.")
    calls_per_second_max: float | None = strawberry.field(
        description=(
            "Calls per second allowed now; null if unlimited. This replica's share of what is set, or less while the "
            "provider refuses more; a call counts as often as it sends a request."
        )
    )
    last_failure: Failure | None = strawberry.field(
        description="The newest failure of a call, also if it was passing; null if there was none since the start."
    )

    @classmethod
    def of(cls, guard: Guard) -> Self:
        """The guard as it stands."""
        standing, failure = guard.standing, guard.standing.last_failure
        return cls(
            name=guard.provider,
            breaker=standing.state,
            since=Instant(standing.since),
            reason=standing.reason,
            calls_in_flight=standing.places,
            calls_waiting=sum(standing.waiting.values()),
            calls_per_second_max=standing.per_second,
            last_failure=None if failure is None else Failure(code=failure.code, message=failure.message, step=None),
        )


@strawberry.type(description="The provider as it stands now, or why nothing was done.")
class PaymentProviderPayload:
    provider: PaymentProvider | None = strawberry.field(description="As it stands.")
    errors: list[InvalidInputError] = strawberry.field(description="What the caller can mend; empty where all is well.")


async def steer_provider(
    info: RequestInfo, steer: Callable[[Asked], Awaitable[InvalidReason | None]], asked: Asked
) -> PaymentProviderPayload:
    """Do what an operator asks for, and answer how the provider stands then."""
    fault = await steer(asked)
    if fault is not None:
        return PaymentProviderPayload(
            provider=None,
            errors=[
                InvalidInputError(
                    message=fault.message,
                    path=["input", "reason"],
                    code=RefusalCode.REASON_INVALID.value,
                    facts=facts_of(REASON_FACTS),
                )
            ],
        )
    return PaymentProviderPayload(provider=PaymentProvider.of(info.context.services.provider.guard), errors=[])
