"""The days: what goes wrong, and what is asked for meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from tests.witness import Merchant

__all__ = ["DAYS", "Day", "Orders", "Outcome"]


class Orders(msgspec.Struct, frozen=True):
    """What a contestant is told: where it serves, and what is asked of it.

    The `cancellations` are of bookings made before anything went wrong. They are asked for a moment after the new
    `bookings`, or `at_once` with them. After `seconds_max`, by its own clock, a contestant says how things stand.
    """

    folder: str
    settings: dict[str, Any]
    bookings: int
    cancellations: int
    at_once: bool
    seconds_max: float
    calm: bool = False
    alone: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """How a contestant has lived through a day. The lists hold correlation IDs, `refused` were so at the door.

    `calls`: requests that it has made, and `calls_away` those of them before the provider came back. `seconds`: until
    the last new booking ended; `cancelled_seconds`: until the last cancellation did, since it was asked for.
    `since_back`: from the provider's return until all had ended.
    """

    refused: int
    booked: list[str]
    undone: list[str]
    cancelled: list[str]
    open: int
    failures: dict[str, int]
    calls: int
    seconds: float
    cancelled_seconds: float
    calls_away: int = 0
    since_back: float = 0.0
    rate_limited: int = 0
    charged_wrongly: int = 0
    """Sagas that were charged and not booked, or charged twice, or booked and not charged."""

    def figures(self) -> dict[str, Any]:
        """As numbers, without the IDs."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return {name: len(value) if isinstance(value, list) else value for name, value in found.items()}


class Day(msgspec.Struct, frozen=True):
    """`begin` makes the provider what it is that day. It is away from the start for `away_seconds`.

    `speed`: how much faster than ours the contestant's clock runs; all seconds but those of the provider's answers are
    of that clock.
    """

    name: str
    bookings: int
    cancellations: int
    begin: Callable[[Merchant], Awaitable[None]]
    away_seconds: float = 0.0
    at_once: bool = False
    speed: int = 1
    seconds_max: float = 240.0


async def _nothing(merchant: Merchant) -> None:
    """It is only away."""


async def _slow(merchant: Merchant) -> None:
    await merchant.set(answer_seconds=3.0)


async def _slower(merchant: Merchant) -> None:
    await merchant.set(answer_seconds=7.9)


async def _limited(merchant: Merchant) -> None:
    await merchant.set(requests_per_second=25)


#: In this order; days in one group are lived at the same time.
DAYS: Final = (
    (Day("3 s an answer", 500, 5, _slow),),
    (
        Day("7.9 s an answer", 500, 5, _slower, seconds_max=300.0),
        Day("away for two hours", 50, 50, _nothing, 7_200.0, at_once=True, speed=24, seconds_max=12_000.0),
    ),
    (Day("25 requests a second", 200, 0, _limited, seconds_max=150.0), Day("away for 4 s", 20, 0, _nothing, 4.0)),
)
