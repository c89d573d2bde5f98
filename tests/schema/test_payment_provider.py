"""The payment provider through the API: how it stands, its pause, and who is refused while no call is sent."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Final

import pytest

from domain.gate import Lane
from domain.guard.breaker import FAILURES_MIN
from domain.outcome import NotSent
from schema.context import Viewer
from tests.domain.bookings.world import ADA
from tests.schema.api import OPERATOR, OWNER, Api

FIELDS: Final = """name breaker since reason callsInFlight callsWaiting callsPerSecondMax
  lastFailure { code message step }"""
STATUS: Final = f"{{ paymentProvider {{ {FIELDS} }} }}"
STEER: Final = """mutation($reason: String!) {{ {name}(input: {{ reason: $reason }}) {{
  provider {{ breaker reason }} errors {{ __typename message path }} }} }}"""
ACTIONS: Final = "{ operatorActions { edges { node { kind reason before after by { subject } saga { id } job } } } }"
BOOK: Final = """mutation($i: BookFlightInput!) { bookFlight(input: $i) { saga { correlationId status }
  errors { __typename ... on UserError { message path }
    ... on PaymentsUnavailableError { code retryAfterSeconds } } } }"""
PAY: Final = """mutation($i: PayForHoldInput!) { payForHold(input: $i) { saga { correlationId }
  errors { __typename ... on UserError { message path }
    ... on PaymentsUnavailableError { code retryAfterSeconds } } } }"""
SAGA: Final = """query($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) {
  status payment { status } } }"""


async def status(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.read(STATUS, OPERATOR))["paymentProvider"]
    return found


async def steer(api: Api, name: str, reason: str = "Their status page says so.") -> dict[str, Any]:
    payload: dict[str, Any] = (await api.read(STEER.format(name=name), OPERATOR, reason=reason))[name]
    return payload


async def book(api: Api, viewer: Viewer = OWNER, **changes: Any) -> dict[str, Any]:
    wish = {
        "segments": [{"flightId": api.flight_id()}],
        "passengers": [{"givenName": "John", "familyName": "Smith"}],
    } | changes
    payload: dict[str, Any] = (await api.read(BOOK, viewer, i=wish))["bookFlight"]
    return payload


async def held(api: Api) -> str:
    """A booking that waits for its card."""
    payload = await book(api, payLater=True)
    assert payload["errors"] == []
    correlation_id: str = payload["saga"]["correlationId"]
    async with asyncio.timeout(15):
        found = (await api.read(SAGA, id=correlation_id, seconds=20))["saga"]
    assert found["status"] == "WAITING"
    return correlation_id


def fail(api: Api) -> None:
    """Enough calls fail for the breaker to open."""
    guard = api.world.provider.guard
    for number in range(FAILURES_MIN):
        guard.enter(f"saga-{number}", Lane.BEGIN)
        guard.leave(f"saga-{number}", NotSent("PROVIDER_UNREACHABLE", "The provider cannot be reached."))
    guard.look()


async def test_a_provider_that_answers_has_its_breaker_closed(api: Api) -> None:
    found = await status(api)
    assert (found["name"], found["breaker"], found["reason"], found["lastFailure"]) == ("sandbox", "CLOSED", None, None)
    assert (found["callsInFlight"], found["callsWaiting"], found["callsPerSecondMax"]) == (0, 0, None)


async def test_a_provider_that_keeps_failing_is_open_and_says_why(api: Api) -> None:
    fail(api)
    api.world.provider.guard.enter("saga", Lane.UNDO)
    found = await status(api)
    assert (found["breaker"], found["callsWaiting"]) == ("OPEN", 1)
    assert found["reason"] == "PROVIDER_UNREACHABLE: The provider cannot be reached."
    failure = {"code": "PROVIDER_UNREACHABLE", "message": "The provider cannot be reached.", "step": None}
    assert found["lastFailure"] == failure


async def test_an_operator_pauses_and_resumes_it_on_the_record(api: Api) -> None:
    paused = await steer(api, "pausePaymentProvider", " Their status page says so. ")
    assert paused == {"provider": {"breaker": "PAUSED", "reason": "Their status page says so."}, "errors": []}
    assert (await status(api))["breaker"] == "PAUSED"
    resumed = await steer(api, "resumePaymentProvider", "They are back.")
    assert resumed["provider"]["breaker"] == "HALF_OPEN"
    actions = [edge["node"] for edge in (await api.read(ACTIONS, OPERATOR))["operatorActions"]["edges"]]
    by = {"by": {"subject": OPERATOR.subject}, "saga": None, "job": None}
    off = f"sandbox: paused by {OPERATOR.subject}"
    assert actions == [
        {"kind": "PROVIDER_RESUME", "reason": "They are back.", "before": off, "after": "sandbox: on"} | by,
        {"kind": "PROVIDER_PAUSE", "reason": "Their status page says so.", "before": "sandbox: on", "after": off} | by,
    ]


@pytest.mark.parametrize("name", ["pausePaymentProvider", "resumePaymentProvider"])
async def test_without_a_reason_nothing_is_done(api: Api, name: str) -> None:
    payload = await steer(api, name, "  ")
    assert payload["provider"] is None
    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [
        ("InvalidInputError", ["input", "reason"])
    ]
    assert (await status(api))["breaker"] == "CLOSED"


# ---------------------------------------------------------------------- who must pay now


async def test_who_must_pay_now_is_refused_before_a_seat_is_held(api: Api) -> None:
    fail(api)
    payload = await book(api)
    (error,) = payload["errors"]
    assert (error["__typename"], error["code"], error["path"]) == (
        "PaymentsUnavailableError",
        "PAYMENTS_UNAVAILABLE",
        ["payment"],
    )
    assert error["retryAfterSeconds"] == 1
    assert payload["saga"] is None
    assert await api.world.sagas_count() == 0


async def test_who_must_pay_now_is_refused_while_an_operators_pause_lasts(api: Api) -> None:
    await steer(api, "pausePaymentProvider")
    assert [error["__typename"] for error in (await book(api))["errors"]] == ["PaymentsUnavailableError"]
    await steer(api, "resumePaymentProvider")
    assert (await book(api))["errors"] == [], "HALF_OPEN accepts"


async def test_a_request_that_was_accepted_before_finds_its_saga(api: Api) -> None:
    correlation_id = str(uuid.uuid4())
    first = await book(api, correlationId=correlation_id)
    assert first["errors"] == []
    fail(api)
    again = await book(api, correlationId=correlation_id)
    assert again["errors"] == []
    assert again["saga"]["correlationId"] == correlation_id


async def test_what_else_is_wrong_with_the_request_is_said_first(api: Api) -> None:
    fail(api)
    payload = await book(api, expectedTotal={"amount": "1.00", "currency": "USD"})
    assert [error["__typename"] for error in payload["errors"]] == ["PriceChangedError"]


async def test_seats_are_held_all_the_same_and_paid_for_once_the_provider_is_back(api: Api) -> None:
    await steer(api, "pausePaymentProvider")
    correlation_id = await held(api)
    wish = {"correlationId": correlation_id, "payment": {"token": "pm_card_visa"}}
    payload = (await api.read(PAY, i=wish))["payForHold"]
    assert [(error["__typename"], error["retryAfterSeconds"]) for error in payload["errors"]] == [
        ("PaymentsUnavailableError", 60)
    ]
    await steer(api, "resumePaymentProvider")
    assert (await api.read(PAY, i=wish))["payForHold"]["errors"] == []
    async with asyncio.timeout(15):
        found = (await api.read(SAGA, id=correlation_id, seconds=20))["saga"]
    assert (found["status"], found["payment"]["status"]) == ("COMPLETED", "CAPTURED")


async def test_a_payment_that_was_accepted_before_is_repeated_without_a_refusal(api: Api) -> None:
    correlation_id = await held(api)
    wish = {"correlationId": correlation_id, "payment": {"token": "pm_card_visa"}}
    assert (await api.read(PAY, i=wish))["payForHold"]["errors"] == []
    fail(api)
    assert (await api.read(PAY, i=wish))["payForHold"]["errors"] == []


async def test_points_that_cover_the_whole_price_need_no_provider(api: Api) -> None:
    fail(api)
    payload = await book(api, loyalty={"memberNumber": ADA, "pointsToRedeem": 10_000})
    assert payload["errors"] == []
