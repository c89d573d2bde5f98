"""What the steps of the bookings do is kept as data with their events, and their messages are made from it."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import SegmentWish
from domain.events import EventType
from domain.facts import (
    BookingFacts,
    Facts,
    FlightSeats,
    LoyaltyFacts,
    PaymentFacts,
    SeatFacts,
    WaitFacts,
    decode,
    encode,
)
from domain.saga import SagaView, Simulation
from domain.storage import Database
from tests.domain.bookings.world import ADA, JANE, JOHN, World


@pytest.fixture
def flight(world: World) -> int:
    return world.flight_ids[0]


async def facts_by_step(world: World, saga: SagaView) -> dict[str, Facts | None]:
    """The facts of what each step and compensation came to, all of which have the step's summary for their message."""
    found = {}
    for event in await world.history(saga):
        if event.type in (EventType.STEP_COMPLETED, EventType.COMPENSATION_COMPLETED, EventType.STEP_FAILED):
            found[event.compensation or event.step or ""] = event.facts
            if event.facts is not None and event.failure is None:
                assert event.message == event.facts.sentence
    return found


async def test_a_booking_tells_its_seats_its_money_its_miles_and_its_reference(world: World, flight: int) -> None:
    saga = await world.ended(await world.book(member_number=ADA, passengers=[JOHN, JANE]))
    payment, booking = await world.payment(saga), await world.booking(saga)
    assert payment is not None
    assert booking is not None
    told = {step: facts for step, facts in (await facts_by_step(world, saga)).items() if facts is not None}
    assert told == {
        "RESERVE_SEAT": SeatFacts("HELD", (FlightSeats(flight, "T100", "ECONOMY", ("4A", "4B")),)),
        "AUTHORIZE_PAYMENT": PaymentFacts(200_00, "USD", "AUTHORIZED", payment.reference),
        "AWARD_MILES": LoyaltyFacts(ADA, miles=booking.miles_awarded),
        "CONFIRM_BOOKING": BookingFacts(booking.reference),
    }
    messages = [event.message for event in await world.history(saga) if event.facts is not None]
    assert messages == [
        "seats 4A, 4B held",
        f"200.00 USD authorized, {payment.reference}",
        f"{booking.miles_awarded:,} miles",
        f"booking {booking.reference}",
    ]


async def test_a_journey_tells_the_seats_of_each_flight(world: World) -> None:
    out, back, _ = world.flight_ids
    saga = await world.ended(await world.book(segments=[SegmentWish(out), SegmentWish(back)], passengers=[JOHN, JANE]))
    assert (await facts_by_step(world, saga))["RESERVE_SEAT"] == SeatFacts(
        "HELD",
        (FlightSeats(out, "T100", "ECONOMY", ("4A", "4B")), FlightSeats(back, "T101", "ECONOMY", ("4A", "4B"))),
    )


async def test_what_is_undone_tells_what_was_given_back(world: World, flight: int) -> None:
    redeemed = await world.ended(
        await world.book(
            Simulation(fail_at=("CONFIRM_BOOKING",)), member_number=ADA, points_to_redeem=1_000, passengers=[JOHN]
        )
    )
    payment = await world.payment(redeemed)
    assert payment is not None
    found = await facts_by_step(world, redeemed)
    assert found["CANCEL_SEAT"] == SeatFacts("RELEASED", (FlightSeats(flight, "T100", "ECONOMY", ("4A",)),))
    assert found["REFUND_PAYMENT"] == PaymentFacts(90_00, "USD", "VOIDED", payment.reference)
    assert found["REFUND_LOYALTY_POINTS"] == LoyaltyFacts(ADA, points=1_000)
    assert found["DEDUCT_LOYALTY_POINTS"] == LoyaltyFacts(ADA, points=-1_000)
    earned = await world.ended(await world.book(Simulation(fail_at=("CONFIRM_BOOKING",)), member_number=ADA))
    found = await facts_by_step(world, earned)
    assert isinstance(awarded := found["AWARD_MILES"], LoyaltyFacts)
    assert found["REVERSE_MILES"] == LoyaltyFacts(ADA, miles=-awarded.miles)


async def test_a_declined_card_is_told_with_its_payment(world: World) -> None:
    saga = await world.ended(await world.book(payment_token="pm_card_chargeDeclined"))
    payment = await world.payment(saga)
    assert payment is not None
    declined = PaymentFacts(100_00, "USD", "DECLINED", payment.reference)
    assert (await facts_by_step(world, saga))["AUTHORIZE_PAYMENT"] == declined


@pytest.mark.parametrize("points", [0, 1_000])
async def test_a_cancellation_tells_what_came_back(world: World, flight: int, points: int) -> None:
    made = await world.ended(await world.book(member_number=ADA, points_to_redeem=points))
    booking, payment = await world.booking(made), await world.payment(made)
    assert booking is not None
    assert payment is not None
    begun = await world.bookings.cancel_booking(
        booking.reference, by="someone", subject="someone", correlation_id=str(uuid.uuid4()), simulation=None
    )
    assert isinstance(begun, SagaView)
    found = await facts_by_step(world, await world.ended(begun))
    assert found == {
        "CANCEL_BOOKING": BookingFacts(booking.reference, "CANCELLING"),
        "REFUND_PAYMENT": PaymentFacts(payment.amount.minor, "USD", "REFUNDED", payment.reference),
        "RESTORE_LOYALTY": LoyaltyFacts(ADA, miles=-booking.miles_awarded, points=points, posted=True),
        "CANCEL_SEAT": SeatFacts("RELEASED", (FlightSeats(flight, "T100", "ECONOMY", ("4A",)),)),
    }


async def test_what_is_tried_again_tells_when(world: World) -> None:
    saga = await world.ended(await world.book(Simulation(lose_answer_at=("AUTHORIZE_PAYMENT",))))
    [retrying] = [event for event in await world.history(saga) if event.type is EventType.STEP_RETRYING]
    assert isinstance(retrying.facts, WaitFacts)
    assert 0 < retrying.facts.until - retrying.at < 1_000_000


async def test_the_feed_and_the_log_tell_the_same_facts(world: World) -> None:
    saga = await world.book(member_number=ADA)
    live = [event async for event in world.engine.follow(saga.id)]
    assert live == await world.history(saga)
    assert {type(event.facts) for event in live} >= {SeatFacts, PaymentFacts, LoyaltyFacts, BookingFacts}


async def test_events_without_facts_and_with_a_newer_releases_are_read_all_the_same(world: World) -> None:
    saga = await world.ended(await world.book())
    await spoil(world.database, saga.id, 3, None)
    await spoil(world.database, saga.id, 5, '{"type":"upgrade","lounge":true}')
    await spoil(world.database, saga.id, 7, "{")
    log = await world.history(saga)
    assert [event.facts for event in log if event.sequence in (3, 5, 7)] == [None, None, None]
    assert log[2].message == "seat 4A held"


async def spoil(database: Database, saga_id: str, sequence: int, facts: str | None) -> None:
    async def work(connection: AsyncConnection) -> None:
        statement = text("UPDATE saga_events SET facts = :facts WHERE saga_id = :saga AND sequence = :sequence")
        await connection.execute(statement, {"facts": facts, "saga": saga_id, "sequence": sequence})

    await database.write(work)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (SeatFacts("RELEASED", (FlightSeats(1, "T1", "FIRST", ("1A",)),)), "1 seat released"),
        (SeatFacts("RELEASED", (FlightSeats(1, "T1", "FIRST", ("1A", "1B")),)), "2 seats released"),
        (PaymentFacts(1_00, "USD", "VOIDED", "pi_1"), "pi_1 voided"),
        (LoyaltyFacts(ADA, miles=1_240), "1,240 miles"),
        (LoyaltyFacts(ADA, miles=-1_240, posted=True), "1,240 miles reversed"),
        (LoyaltyFacts(ADA, miles=-10, points=500), "10 miles reversed, 500 points returned"),
        (LoyaltyFacts(ADA, points=-500), "500 points redeemed"),
        (BookingFacts("KDCPZH", "CANCELLING"), "booking KDCPZH is being cancelled"),
        (WaitFacts(1), None),
    ],
)
def test_facts_are_one_sentence_and_come_back_as_they_were_stored(facts: Facts, sentence: str | None) -> None:
    assert facts.sentence == sentence
    assert decode(encode(facts)) == facts


def test_a_field_that_only_a_newer_release_has_is_passed_over() -> None:
    assert decode('{"type":"booking","reference":"KDCPZH","lounge":true}') == BookingFacts("KDCPZH")
