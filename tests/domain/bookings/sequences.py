"""What happens in each scenario of each saga, event by event, and the golden file that keeps it.

Run as a program, this writes the golden file anew, on a database of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from app.migrations import upgrade
from domain.bookings import scenarios_of
from domain.events import SagaEvent
from domain.saga import SagaView, Simulation
from domain.storage import Database
from tests.domain.bookings.world import ADA, World, world_of

__all__ = ["GOLDEN", "sequences"]

GOLDEN: Final = Path(__file__).with_name("golden") / "sequences.txt"


async def sequences(world: World) -> str:
    """Every scenario under a headline, its events a line each."""
    return "\n".join([text async for text in _sequences(world)])


async def _sequences(world: World) -> AsyncIterator[str]:
    for definition in world.definitions.current:
        title = f"{definition.name} version {definition.version}"
        scenarios = scenarios_of(definition)
        points = 1_000 if any(scenario.redeems for scenario in scenarios) else 0
        for scenario in scenarios:
            simulation = Simulation(fail_at=(scenario.fail_at,) if scenario.fail_at is not None else ())
            saga = await world.book(simulation, member_number=ADA, points_to_redeem=points)
            assert saga.definition == definition.name
            fate = f", {scenario.fail_at} fails" if scenario.fail_at is not None else ""
            yield await _told(world, saga, title + fate)
    booked = await world.ended(await world.book(member_number=ADA))
    booking = await world.booking(booked)
    assert booking is not None
    cancellation = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject=booking.subject, by=booking.subject
    )
    assert isinstance(cancellation, SagaView)
    yield await _told(world, cancellation, f"{cancellation.definition} version {cancellation.version}")


async def _told(world: World, saga: SagaView, headline: str) -> str:
    ended = await world.ended(saga)
    return "\n".join([headline, *(f"  {_line(event)}" for event in await world.history(ended)), ""])


def _line(event: SagaEvent) -> str:
    name = event.compensation or event.step
    return event.type.value if name is None else f"{event.type.value} {name}"


async def _write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/seatsaga.db"
        await upgrade(url)
        database = Database(url)
        try:
            async with world_of(database, Path(folder)) as world:
                GOLDEN.write_text(await sequences(world))
        finally:
            await database.close()


if __name__ == "__main__":
    asyncio.run(_write())
