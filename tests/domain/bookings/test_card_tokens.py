"""A card's token is kept for as long as it is needed to reserve money, and not a step longer."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from domain.actors import Actor, ActorRole
from domain.bookings import CardConfirmationAwaited, PaymentAwaited, SegmentWish, awaited
from domain.clock import ManualClock
from domain.saga import SagaView, Simulation, StepStatus
from sandbox import HOLDER_PATH
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
    (payment,) = (step.status for step in begun.steps if "PAYMENT" in step.name)
    # What a start does already may be the end of it.
    assert has_token(begun) is (payment is StepStatus.EXECUTING)

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


async def test_it_is_forgotten_where_it_is_cancelled_in_the_first_step(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=5_000), payment_token=CARD)
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


# ---------------------------------------------------------------------- a card that comes later


async def pay(world: World, saga: SagaView, token: str) -> None:
    by = Actor(ActorRole.CUSTOMER, "someone")
    paid = await world.bookings.pay_for_hold(saga.correlation_id, token, subject="someone", by=by)
    assert isinstance(paid, SagaView), paid


async def rows_of(world: World, saga: SagaView) -> str:
    """Everything that is kept of the saga, its events too."""
    found = []
    async with world.database.reading() as connection:
        for table, column in (("sagas", "id"), ("saga_steps", "saga_id"), ("saga_events", "saga_id")):
            statement = text(f"SELECT * FROM {table} WHERE {column} = :id")
            found += [tuple(row) for row in await connection.execute(statement, {"id": saga.id})]
    return repr(found)


async def test_a_card_that_comes_later_is_kept_from_its_word_until_the_money_is_reserved(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(Simulation(delay_ms=1), pay_later=True)
    await hand.until_waiting(saga)
    assert "pm_card" not in await rows_of(world, saga)

    await pay(world, saga, CARD)
    assert CARD in await rows_of(world, saga)
    await hand.until_calling(saga, "CONFIRM_BOOKING")

    assert "pm_card" not in await rows_of(world, saga)
    assert (await hand.to_the_end(saga)).status == "COMPLETED"


async def test_a_declined_card_is_forgotten_while_another_one_is_waited_for(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    await pay(world, saga, "pm_card_chargeDeclined")
    await hand.until_waiting(saga)

    assert "pm_card" not in await rows_of(world, saga)


@pytest.mark.parametrize("how", ["cancelled", "lapsed"])
async def test_a_card_is_forgotten_that_came_before_the_hold_ended_and_was_not_tried(
    world: World, clock: ManualClock, how: str
) -> None:
    hand = await by_hand(world)
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    await pay(world, saga, CARD)
    if how == "cancelled":
        await world.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
    else:
        clock.advance(HOLD_SECONDS)
        await world.bookings.release_expired()

    assert (await hand.to_the_end(saga)).status == "COMPENSATED"
    assert "pm_card" not in await rows_of(world, saga)


async def test_what_answers_the_bank_is_forgotten_once_the_holder_has_refused(world: World) -> None:
    hand = await by_hand(world)
    saga = await world.book(pay_later=True)
    await hand.until_waiting(saga)
    await pay(world, saga, "pm_card_threeDSecure2Required")
    asks = awaited(await hand.until_waiting(saga))
    assert isinstance(asks, CardConfirmationAwaited)
    assert asks.confirmation.url is not None
    secret = asks.confirmation.url.removeprefix(HOLDER_PATH)
    assert secret in await rows_of(world, saga)
    await world.gateway.hear(secret, approves=False)
    assert isinstance(await world.bookings.confirm_card(saga.correlation_id, subject="someone"), SagaView)
    await hand.advance(saga)
    await hand.advance(saga)

    again = awaited(await world.view(saga))
    assert isinstance(again, PaymentAwaited)
    assert again.last_failure is not None
    assert again.last_failure.code == "CARD_NOT_CONFIRMED"
    left = await rows_of(world, saga)
    assert "_secret_" not in left
    assert "pm_card" not in left
