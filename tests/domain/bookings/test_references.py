"""The reference of a booking: six characters that no other booking has."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings.records import NewBooking, confirm, draw_references
from domain.money import Money
from domain.saga import SagaStatus, Simulation
from tests.domain.bookings.world import World


async def test_a_reference_that_a_booking_has_is_drawn_again(world: World) -> None:
    booked = await world.ended(await world.book())
    first = await world.booking(booked)
    undone = await world.ended(await world.book(Simulation(fail_at=("CONFIRM_BOOKING",))))
    assert first is not None
    assert undone.status is SagaStatus.COMPENSATED
    draws: Iterator[set[str]] = iter([{first.reference}, {first.reference}, {"ZZZZZ2"}])

    async def issue(connection: AsyncConnection) -> list[str]:
        new = NewBooking(undone.id, "someone", Money(100, "USD"), 0, 0)
        return await confirm(connection, [new], at=1, draw=lambda number: next(draws))

    assert await world.database.write(issue) == ["ZZZZZ2"]


def test_references_are_six_letters_and_digits_that_cannot_be_confused() -> None:
    drawn = draw_references(1_000)
    assert {len(reference) for reference in drawn} == {6}
    assert not set("".join(drawn)) & set("01IO")
    assert len(drawn) > 990
