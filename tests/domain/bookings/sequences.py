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
from domain.actors import Actor, ActorRole
from domain.bookings import CardConfirmationAwaited, PaymentAwaited, Scenario, awaited, scenarios_of
from domain.events import SagaEvent
from domain.saga import SagaDefinition, SagaStatus, SagaView, Simulation
from domain.storage import Database
from sandbox import HOLDER_PATH
from tests.domain.bookings.world import ADA, World, world_of

__all__ = ["GOLDEN", "POINTS", "play", "sequences"]

GOLDEN: Final = Path(__file__).with_name("golden") / "sequences.txt"
POINTS: Final = 1_000


async def sequences(world: World) -> str:
    """Every scenario under a headline, its events a line each."""
    return "\n".join([text async for text in _sequences(world)])


async def _sequences(world: World) -> AsyncIterator[str]:
    for definition in world.definitions.current:
        title = f"{definition.name} version {definition.version}"
        for scenario in scenarios_of(definition):
            saga = await play(world, definition, scenario)
            fate = f", {scenario.name}" if scenario.name != "success" else ""
            yield await _told(world, saga, title + fate)
    booked = await world.ended(await world.book(member_number=ADA))
    booking = await world.booking(booked)
    assert booking is not None
    cancellation = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject=booking.subject, by=booking.subject
    )
    assert isinstance(cancellation, SagaView)
    yield await _told(world, cancellation, f"{cancellation.definition} version {cancellation.version}")


async def play(world: World, definition: SagaDefinition, scenario: Scenario) -> SagaView:
    """The saga of a scenario, once its customer has done all that they do."""
    cards = list(scenario.cards)
    saga = await world.book(
        Simulation(fail_at=(scenario.fail_at,) if scenario.fail_at is not None else ()),
        member_number=ADA,
        points_to_redeem=POINTS if any(each.redeems for each in scenarios_of(definition)) else 0,
        pay_later=scenario.pays_later,
        payment_token=cards.pop(0) if cards and not scenario.pays_later else None,
    )
    assert saga.definition == definition.name
    for card in cards:
        waiting = await world.reached(saga, SagaStatus.WAITING)
        assert isinstance(awaited(waiting), PaymentAwaited)
        by = Actor(ActorRole.CUSTOMER, saga.subject)
        paid = await world.bookings.pay_for_hold(saga.correlation_id, card, subject=saga.subject, by=by)
        assert isinstance(paid, SagaView), paid
    if scenario.holder_approves is not None:
        asks = awaited(await world.reached(saga, SagaStatus.WAITING))
        assert isinstance(asks, CardConfirmationAwaited)
        assert asks.confirmation.url is not None
        secret = asks.confirmation.url.removeprefix(HOLDER_PATH)
        await world.gateway.hear(secret, approves=scenario.holder_approves)
        await world.bookings.confirm_card(saga.correlation_id, subject=saga.subject)
    return saga


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
