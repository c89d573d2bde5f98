"""A card's token is kept for as long as it is needed to reserve money, and not a step longer."""

from __future__ import annotations

from typing import Any

import pytest

from domain.bookings import SegmentWish
from domain.clock import ManualClock
from domain.saga import SagaView, Simulation
from tests.domain.bookings.by_hand import by_hand
from tests.domain.bookings.world import ADA, HOLD_SECONDS, World
from tests.support.asking import AN_OPERATOR

CARD = "pm_card_mastercard"


def has_token(saga: SagaView) -> bool:
    return "pm_card" in saga.context


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "COMPLETED"),
        ({"simulation": Simulation(lose_answer_at=("AUTHORIZE_PAYMENT",))}, "COMPLETED"),
        ({"member_number": ADA, "points_to_redeem": 10}, "COMPLETED"),
        ({"member_number": ADA, "points_to_redeem": 10_000}, "COMPLETED"),
        ({"payment_token": "pm_card_chargeDeclined"}, "COMPENSATED"),
        ({"simulation": Simulation(fail_at=("RESERVE_SEAT",))}, "COMPENSATED"),
        ({"simulation": Simulation(fail_at=("AUTHORIZE_PAYMENT",))}, "COMPENSATED"),
        ({"simulation": Simulation(fail_at=("CONFIRM_BOOKING",))}, "COMPENSATED"),
    ],
    ids=[
        "paid",
        "paid, the answer lost",
        "paid in part",
        "nothing to pay",
        "declined",
        "no seat",
        "never asked for",
        "undone",
    ],
)
async def test_once_it_is_known_what_became_of_the_payment_the_token_is_forgotten(
    world: World, changes: dict[str, Any], status: str
) -> None:
    begun = await world.book(**{"payment_token": CARD, **changes})
    assert has_token(begun)

    ended = await world.ended(begun)

    assert ended.status == status
    assert not has_token(ended)


async def test_it_is_forgotten_once_the_money_is_reserved(world: World, clock: ManualClock) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1), payment_token=CARD)
    await hand.until_calling(saga, "CONFIRM_BOOKING")

    assert not has_token(await world.view(saga))
    await hand.to_the_end(saga)


async def test_it_is_forgotten_where_the_undoing_gets_stuck(world: World, clock: ManualClock) -> None:
    wrong = Simulation(fail_at=("AUTHORIZE_PAYMENT",), fail_compensation_at=("CANCEL_SEAT",))
    saga = await world.book(wrong, payment_token=CARD)

    assert not has_token(await world.hurried(saga, clock, "STUCK"))


async def test_it_is_forgotten_where_it_is_cancelled_before_the_first_step(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(payment_token=CARD)
    await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    assert has_token(await world.view(saga))

    assert not has_token(await hand.to_the_end(saga))


async def test_it_is_forgotten_where_there_is_no_seat(world: World) -> None:
    wish = [SegmentWish(world.flight_ids[0], seats=["12C"])]
    sagas = [await world.ended(await world.book(segments=wish, payment_token=CARD)) for _ in range(2)]

    assert [saga.status for saga in sagas] == ["COMPLETED", "COMPENSATED"]
    assert not any(map(has_token, sagas))


async def test_it_is_there_while_the_payment_is_still_to_come_and_no_more_when_that_is_given_up(
    world: World, clock: ManualClock
) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1), payment_token=CARD)
    await hand.until_calling(saga, "AUTHORIZE_PAYMENT")
    assert has_token(await world.view(saga))
    clock.advance(HOLD_SECONDS)
    await world.bookings.release_expired()

    assert not has_token(await hand.to_the_end(saga))
