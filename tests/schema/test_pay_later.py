"""Hold first, pay later, through the API: what is asked for, who sees it, and what the answers are."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from domain.clock import ManualClock
from domain.saga import SagaView
from sandbox import HOLDER_PATH
from schema.context import Viewer
from tests.domain.bookings.world import ADA, HOLD_SECONDS, World
from tests.schema.api import OPERATOR, OTHER, OWNER, Api
from tests.support.waiting import eventually

VISA: Final = "pm_card_mastercard"
DECLINED: Final = "pm_card_chargeDeclined"
JOHN: Final = {"givenName": "John", "familyName": "Smith"}
SAGA: Final = """correlationId status holdExpiresAt queue { executing }
  awaiting { __typename until lastFailure { code message step } ... on PaymentAwaited { amount { amount currency } }
    ... on CardConfirmationAwaited { clientSecret url } }"""
ERRORS: Final = """errors { __typename ... on UserError { message path } ... on NothingToPayError { code }
  ... on HoldExpiredError { code } }"""
BOOK: Final = f"""mutation($i: BookFlightInput!) {{ bookFlight(input: $i) {{ saga {{ {SAGA} }}
  errors {{ __typename ... on UserError {{ message path }} }} }} }}"""
PAY: Final = f"mutation($i: PayForHoldInput!) {{ payForHold(input: $i) {{ saga {{ {SAGA} }} {ERRORS} }} }}"
CONFIRM: Final = f"""mutation($i: ConfirmCardInput!) {{ confirmCard(input: $i) {{ saga {{ {SAGA} }}
  errors {{ __typename ... on UserError {{ message path }} ... on NothingToPayError {{ code }} }} }} }}"""
READ: Final = f"query($id: UUID!, $seconds: Int!) {{ saga(correlationId: $id, waitSeconds: $seconds) {{ {SAGA} }} }}"
WATCH: Final = f"subscription($id: UUID!) {{ saga(correlationId: $id) {{ {SAGA} }} }}"
SEATS: Final = "subscription($id: ID!) { seatChanges(flightId: $id) { number status holdExpiresAt } }"
NOBODYS: Final = "00000000-0000-4000-8000-000000000000"


async def held(api: Api, **changes: Any) -> dict[str, Any]:
    """A booking that waits for its card, as `saga(waitSeconds:)` answers it."""
    wish = {"segments": [{"flightId": api.flight_id()}], "passengers": [JOHN], "payLater": True} | changes
    payload = (await api.read(BOOK, i=wish))["bookFlight"]
    assert payload["errors"] == []
    async with asyncio.timeout(15):
        found: dict[str, Any] = (await api.read(READ, id=payload["saga"]["correlationId"], seconds=20))["saga"]
    assert found["status"] == "WAITING"
    return found


async def pay(api: Api, correlation_id: str, token: str = VISA, viewer: Viewer = OWNER) -> dict[str, Any]:
    wish = {"correlationId": correlation_id, "payment": {"token": token}}
    payload: dict[str, Any] = (await api.read(PAY, viewer, i=wish))["payForHold"]
    return payload


async def read(api: Api, correlation_id: str, viewer: Viewer = OWNER, *, seconds: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = (await api.read(READ, viewer, id=correlation_id, seconds=seconds))["saga"]
    return found


async def test_the_owner_is_asked_for_the_amount_and_pays(api: Api) -> None:
    saga = await held(api, loyalty={"memberNumber": ADA, "pointsToRedeem": 2_500})
    asked = saga["awaiting"]
    assert asked["__typename"] == "PaymentAwaited"
    assert (asked["amount"], asked["lastFailure"]) == ({"amount": "75.00", "currency": "USD"}, None)
    assert saga["queue"]["executing"] == "PROCESS_PAYMENT"

    paid = await pay(api, saga["correlationId"])

    assert (paid["errors"], paid["saga"]["awaiting"]) == ([], None)
    assert (await read(api, saga["correlationId"], seconds=20))["status"] == "COMPLETED"


async def test_why_the_card_was_declined_is_told_and_another_one_pays(api: Api) -> None:
    saga = await held(api)
    assert (await pay(api, saga["correlationId"], DECLINED))["errors"] == []

    async def asked_again() -> dict[str, Any]:
        asked: dict[str, Any] | None = (await read(api, saga["correlationId"]))["awaiting"]
        assert asked is not None
        assert asked["lastFailure"] is not None
        return asked

    asked = await eventually(asked_again)
    assert asked == saga["awaiting"] | {
        "lastFailure": {
            "code": "PAYMENT_DECLINED",
            "message": "The card was declined.",
            "step": "AUTHORIZE_PAYMENT",
        }
    }
    assert (await pay(api, saga["correlationId"]))["errors"] == []
    assert (await read(api, saga["correlationId"], seconds=20))["status"] == "COMPLETED"


async def test_an_operator_may_pay_for_a_customer(api: Api) -> None:
    saga = await held(api)
    assert (await read(api, saga["correlationId"], OPERATOR))["awaiting"] == saga["awaiting"]

    assert (await pay(api, saga["correlationId"], viewer=OPERATOR))["errors"] == []
    assert (await read(api, saga["correlationId"], seconds=20))["status"] == "COMPLETED"


async def test_anothers_saga_and_none_are_answered_alike(api: Api) -> None:
    saga = await held(api)
    answers = [await pay(api, correlation_id, viewer=OTHER) for correlation_id in (saga["correlationId"], NOBODYS)]
    assert answers[0] == answers[1]
    assert [error["__typename"] for error in answers[0]["errors"]] == ["SagaNotFoundError"]


async def test_what_cannot_be_paid_for_says_so(api: Api, clock: ManualClock) -> None:
    saga = await held(api)
    confirmed = (await api.read(CONFIRM, i={"correlationId": saga["correlationId"]}))["confirmCard"]
    assert [(error["__typename"], error["code"]) for error in confirmed["errors"]] == [
        ("NothingToPayError", "NOTHING_TO_PAY")
    ]
    clock.advance(HOLD_SECONDS)
    late = await pay(api, saga["correlationId"])
    assert late["saga"] is None
    assert [(error["__typename"], error["code"], error["path"]) for error in late["errors"]] == [
        ("HoldExpiredError", "HOLD_EXPIRED", ["correlationId"])
    ]


@pytest.mark.parametrize("payment", [{}, {"token": VISA}])
async def test_a_card_now_and_a_card_later_is_one_too_many(api: Api, payment: dict[str, Any]) -> None:
    wish = {"segments": [{"flightId": api.flight_id()}], "passengers": [JOHN], "payLater": True, "payment": payment}
    payload = (await api.read(BOOK, i=wish))["bookFlight"]
    assert payload["saga"] is None
    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [("InvalidInputError", ["payment"])]


async def test_every_change_is_seen_by_who_watches(api: Api, world: World) -> None:
    saga = await world.book(pay_later=True)
    seen = []
    async with api.subscribe(WATCH, id=saga.correlation_id) as stream:
        frame = await stream.until(lambda data: data["saga"]["awaiting"] is not None)
        seen.append(frame["saga"]["awaiting"]["lastFailure"])
        await pay(api, saga.correlation_id, DECLINED)
        frame = await stream.until(lambda data: (data["saga"]["awaiting"] or {}).get("lastFailure"))
        seen.append(frame["saga"]["awaiting"]["lastFailure"]["code"])
        await pay(api, saga.correlation_id)
        last = (await stream.rest())[-1].good["saga"]
    assert seen == [None, "PAYMENT_DECLINED"]
    assert (last["status"], last["awaiting"]) == ("COMPLETED", None)


@pytest.mark.parametrize("end", ["paid", "cancelled", "lapsed"])
async def test_the_seat_map_shows_the_hold_and_its_end(api: Api, world: World, clock: ManualClock, end: str) -> None:
    async with api.subscribe(SEATS, id=api.flight_id()) as stream:
        assert {seat["status"] for seat in (await stream.next()).good["seatChanges"]} == {"AVAILABLE"}
        saga = await held(api)
        (seat,) = (await stream.next()).good["seatChanges"]
        assert (seat["status"], seat["holdExpiresAt"] > saga["awaiting"]["until"]) == ("HELD", True)
        assert saga["holdExpiresAt"] == seat["holdExpiresAt"]
        match end:
            case "paid":
                await pay(api, saga["correlationId"])
            case "cancelled":
                cancel = "mutation($id: UUID!) { cancelSaga(input: {correlationId: $id}) { errors { __typename } } }"
                assert (await api.read(cancel, id=saga["correlationId"]))["cancelSaga"]["errors"] == []
            case _:
                clock.advance(HOLD_SECONDS)
        (after,) = (await stream.next()).good["seatChanges"]
    assert after == {
        "number": seat["number"],
        "status": "BOOKED" if end == "paid" else "AVAILABLE",
        "holdExpiresAt": None,
    }
    assert (await read(api, saga["correlationId"]))["holdExpiresAt"] is None


# ---------------------------------------------------------------------- secrets


async def asks_its_holder(world: World, api: Api) -> SagaView:
    """A saga whose card asks its holder."""
    saga = await world.reached(await world.book(pay_later=True), "WAITING")
    assert (await pay(api, saga.correlation_id, "pm_card_threeDSecure2Required"))["errors"] == []

    async def asks() -> SagaView:
        found = await world.view(saga)
        assert found.awaiting is not None
        assert found.awaiting.wants == "CARD_CONFIRMATION"
        return found

    return await eventually(asks)


@pytest.mark.parametrize("ask", ["query", "subscription"])
async def test_only_the_owner_gets_what_answers_the_bank(api: Api, world: World, ask: str) -> None:
    saga = await asks_its_holder(world, api)

    async def seen_by(viewer: Viewer) -> dict[str, Any]:
        if ask == "query":
            return await read(api, saga.correlation_id, viewer)
        async with api.subscribe(WATCH, viewer, id=saga.correlation_id) as stream:
            frame: dict[str, Any] = (await stream.next()).good["saga"]
            return frame

    own, theirs = (await seen_by(OWNER))["awaiting"], (await seen_by(OPERATOR))["awaiting"]

    assert (own["__typename"], own["clientSecret"]) == ("CardConfirmationAwaited", None)
    assert own["url"].startswith(HOLDER_PATH)
    assert theirs == own | {"clientSecret": None, "url": None}


async def test_confirm_card_asks_the_provider_now_and_may_be_said_again(api: Api, world: World) -> None:
    saga = await asks_its_holder(world, api)

    for viewer in (OWNER, OWNER, OPERATOR):
        payload = (await api.read(CONFIRM, viewer, i={"correlationId": saga.correlation_id}))["confirmCard"]
        assert (payload["errors"], payload["saga"]["correlationId"]) == ([], saga.correlation_id)
