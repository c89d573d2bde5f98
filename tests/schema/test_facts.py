"""What an event tells is data for every client, and nothing where it cannot be."""

from __future__ import annotations

from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import SegmentWish
from domain.saga import SagaView
from tests.domain.bookings.world import ADA, JANE, JOHN
from tests.schema.api import OTHER, OWNER, Api

_FACTS: Final = """type message facts { __typename
  ... on SeatFacts { flightId flightNumber seats cabinClass seatStatus: status others { flightNumber seats } }
  ... on PaymentFacts { amount { amount currency } status providerReference }
  ... on LoyaltyFacts { memberNumber points pendingPoints }
  ... on BookingFacts { reference }
  ... on WaitFacts { until } }"""
_HISTORY: Final = f"query($id: UUID!) {{ saga(correlationId: $id) {{ events {{ {_FACTS} }} }} }}"
_FOLLOW: Final = f"subscription($id: UUID!) {{ sagaEvents(correlationId: $id) {{ {_FACTS} }} }}"


async def told(api: Api, saga: SagaView) -> list[dict[str, Any]]:
    """The saga's events, as read."""
    found: list[dict[str, Any]] = (await api.read(_HISTORY, id=saga.correlation_id))["saga"]["events"]
    return found


async def test_a_round_trip_is_told_as_data_alike_read_and_followed(api: Api) -> None:
    out, back, _ = api.world.flight_ids
    booked = await api.world.book(
        member_number=ADA, segments=[SegmentWish(out), SegmentWish(back)], passengers=[JOHN, JANE]
    )
    async with api.subscribe(_FOLLOW, id=booked.correlation_id) as stream:
        await stream.rest()
        followed = [answer.good["sagaEvents"] for answer in stream.seen]
    events = await told(api, booked)
    assert followed == events
    payment, booking = await api.world.payment(booked), await api.world.booking(booked)
    assert payment is not None
    assert booking is not None
    assert [event["facts"] for event in events if event["type"] == "STEP_COMPLETED"] == [
        {
            "__typename": "SeatFacts",
            "flightId": api.flight_id(),
            "flightNumber": "T100",
            "seats": ["4A", "4B"],
            "cabinClass": "ECONOMY",
            "seatStatus": "HELD",
            "others": [{"flightNumber": "T101", "seats": ["4A", "4B"]}],
        },
        {
            "__typename": "PaymentFacts",
            "amount": {"amount": "400.00", "currency": "USD"},
            "status": "AUTHORIZED",
            "providerReference": payment.reference,
        },
        {
            "__typename": "LoyaltyFacts",
            "memberNumber": ADA,
            "points": 0,
            "pendingPoints": booking.miles_awarded,
        },
        {"__typename": "BookingFacts", "reference": booking.reference},
    ]
    assert [event["facts"] for event in events if event["type"] != "STEP_COMPLETED"] == [None] * 6


@pytest.mark.parametrize(
    "facts",
    [
        None,
        "{",
        '{"type":"upgrade","lounge":true}',
        '{"type":"seats","status":"BORROWED","flights":[{"flight_id":1,"number":"T1","cabin":"ECONOMY","seats":["4A"]}]}',
        '{"type":"seats","status":"HELD","flights":[{"flight_id":1,"number":"T1","cabin":"COUCHETTE","seats":["4A"]}]}',
        '{"type":"seats","status":"HELD","flights":[]}',
        '{"type":"payment","minor":1,"currency":"USD","status":"BARTERED"}',
        '{"type":"payment","minor":"much","currency":"USD","status":"AUTHORIZED"}',
    ],
)
async def test_what_only_another_release_can_tell_is_null_and_the_message_stays(api: Api, facts: str | None) -> None:
    booked = await api.world.ended(await api.world.book())

    async def work(connection: AsyncConnection) -> None:
        statement = text("UPDATE saga_events SET facts = :facts WHERE saga_id = :saga AND sequence = 3")
        await connection.execute(statement, {"facts": facts, "saga": booked.id})

    await api.world.database.write(work)
    event = (await told(api, booked))[2]
    assert (event["message"], event["facts"]) == ("seat 4A held", None)


async def test_facts_are_for_those_who_may_see_the_saga(api: Api) -> None:
    booked = await api.world.ended(await api.world.book())
    assert (await api.read(_HISTORY, OWNER, id=booked.correlation_id))["saga"] is not None
    assert await api.read(_HISTORY, OTHER, id=booked.correlation_id) == {"saga": None}
