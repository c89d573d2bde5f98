"""One caller with declined cards blocks a whole cabin; measures how often others still find a seat in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from app.limit_settings import LimitSettings, caller_limits
from bench.world import HOLD_SECONDS, bench_on, books_of, fill
from domain import seats
from domain.bookings import BookFlight, Bookings, InventoryLimits, Passenger, SegmentWish
from domain.outcome import Outcome
from domain.saga import SagaEngine, SagaView
from domain.seats import CabinClass
from sandbox import SandboxGateway

__all__ = ["Hoarder", "hoarder"]

PLAY_SECONDS: Final = 30.0
#: What a provider takes to decline a card.
DECLINE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.05
#: Together all seats of FIRST, however many of a party are refused.
PARTIES: Final = (9, 3, 2, 1)
DECLINED: Final = "pm_card_chargeDeclined"


class Hoarder(msgspec.Struct, frozen=True):
    """In which share of the others' looks there was a FIRST seat, and how many bookings the hoarder began."""

    found: float
    begun: int


class _SlowGateway(SandboxGateway):
    """A provider that takes its time to answer."""

    async def authorize(self, *arguments: Any, **options: Any) -> Outcome:
        await asyncio.sleep(DECLINE_SECONDS)
        return await super().authorize(*arguments, **options)


async def hoarder(folder: Path, *, limited: bool) -> Hoarder:
    """A hoarder and others who look, on a file of their own, with the limits of auth `jwt` or without any."""
    flight_id = (await fill(folder))[0]
    limits = InventoryLimits()
    if limited:
        limits = caller_limits(LimitSettings.model_validate({}), "jwt", hold_seconds=HOLD_SECONDS).inventory
    async with bench_on(folder, _SlowGateway(books_of(folder)), limits=limits) as bench:
        begun = 0

        async def hoard(party: int) -> None:
            nonlocal begun
            while True:
                saga = await _ask(bench.bookings, flight_id, party)
                if saga is None:
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                begun += 1
                async for _ in bench.engine.follow(saga.id):
                    pass

        hoarding = [asyncio.create_task(hoard(party)) for party in PARTIES]
        looks = await _look(bench.engine, flight_id)
        for task in hoarding:
            task.cancel()
        await asyncio.gather(*hoarding, return_exceptions=True)
        return Hoarder(sum(looks) / len(looks), begun)


async def _ask(bookings: Bookings, flight_id: int, party: int) -> SagaView | None:
    request = BookFlight(
        subject="hoarder",
        segments=[SegmentWish(flight_id, CabinClass.FIRST)],
        passengers=[Passenger("Han", "Hoarder")] * party,
        payment_token=DECLINED,
    )
    answer = await bookings.book(request)
    return answer if isinstance(answer, SagaView) else None


async def _look(engine: SagaEngine, flight_id: int) -> list[bool]:
    """Whether there was a FIRST seat, again and again."""
    looks = []
    for _ in range(round(PLAY_SECONDS / LOOK_SECONDS)):
        await asyncio.sleep(LOOK_SECONDS)
        async with engine.database.reading() as connection:
            available = await seats.available_counts(connection, [flight_id])
        looks.append(available[flight_id][CabinClass.FIRST] > 0)
    return looks
