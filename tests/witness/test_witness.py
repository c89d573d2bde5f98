"""The witness does what Stripe does, as far as we rely on it; and goes wrong as it is told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from domain.money import Money
from domain.outcome import Outcome, Succeeded
from domain.payments import PaymentOrder, ProviderState
from domain.payments.stripe import StripeGateway
from tests.support.waiting import eventually
from tests.witness import Merchant, Witness

PRICE = Money(123_45, "USD")
VISA = "pm_card_visa"


def order(token: str = VISA) -> PaymentOrder:
    return PaymentOrder(str(uuid.uuid4()), PRICE, token)


def key() -> str:
    return str(uuid.uuid4())


@pytest.fixture
async def http(merchant: Merchant) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {merchant.api_key}"}
    async with httpx.AsyncClient(base_url=f"{merchant.witness.url}/v1", headers=headers) as client:
        yield client


async def reference_of(gateway: StripeGateway, token: str = VISA) -> str:
    outcome = await gateway.open(order(token), key())
    assert isinstance(outcome, Succeeded), outcome
    reference: str = outcome.data
    return reference


async def captured(gateway: StripeGateway, token: str = VISA) -> str:
    reference = await reference_of(gateway, token)
    assert isinstance(await gateway.authorize(reference, order(token), key()), Succeeded)
    assert isinstance(await gateway.capture(reference, PRICE, key()), Succeeded)
    return reference


async def state(gateway: StripeGateway, reference: str) -> ProviderState:
    found = await gateway.read(reference)
    assert isinstance(found, Succeeded), found
    provider_state: ProviderState = found.data.state
    return provider_state


def code(outcome: Outcome) -> str:
    return str(getattr(outcome, "code", "OK"))


async def charge_of(http: httpx.AsyncClient, reference: str) -> Any:
    answer = await http.get(f"/payment_intents/{reference}", params={"expand[0]": "latest_charge"})
    return answer.json()["latest_charge"]


async def test_money_is_reserved_taken_and_given_back_and_the_books_say_so(
    merchant: Merchant, stripe_gateway: StripeGateway
) -> None:
    wanted = order()
    opened = await stripe_gateway.open(wanted, key())
    assert isinstance(opened, Succeeded)
    await stripe_gateway.authorize(opened.data, wanted, key())
    assert (await merchant.books()).of(wanted.correlation_id).authorized == PRICE.minor
    await stripe_gateway.capture(opened.data, PRICE, key())
    paid = (await merchant.books()).of(wanted.correlation_id)
    assert (paid.authorized, paid.captured, paid.captures, paid.kept) == (0, PRICE.minor, 1, PRICE.minor)
    await stripe_gateway.refund(opened.data, key())
    assert await state(stripe_gateway, opened.data) is ProviderState.REFUNDED
    assert (await merchant.books()).payment(opened.data).kept == 0


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("pm_card_chargeDeclined", "PAYMENT_DECLINED"),
        ("pm_card_chargeDeclinedInsufficientFunds", "INSUFFICIENT_FUNDS"),
        ("pm_card_chargeDeclinedExpiredCard", "CARD_EXPIRED"),
        ("pm_card_of_nobody", "CARD_TOKEN_UNKNOWN"),
    ],
)
async def test_a_card_is_declined_and_another_is_taken_on_the_same_intent(
    merchant: Merchant, stripe_gateway: StripeGateway, token: str, expected: str
) -> None:
    reference = await reference_of(stripe_gateway)
    assert code(await stripe_gateway.authorize(reference, order(token), key())) == expected
    assert await state(stripe_gateway, reference) is ProviderState.OPEN
    assert code(await stripe_gateway.authorize(reference, order(), key())) == "OK"
    assert (await merchant.books()).payment(reference).authorizations == 1


@pytest.mark.parametrize(
    ("token", "approves", "after"),
    [
        ("pm_card_threeDSecure2Required", True, ProviderState.AUTHORIZED),
        ("pm_card_threeDSecure2Required", False, ProviderState.OPEN),
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", True, ProviderState.OPEN),
    ],
)
async def test_a_card_asks_its_holder(
    merchant: Merchant, stripe_gateway: StripeGateway, token: str, approves: bool, after: ProviderState
) -> None:
    reference = await reference_of(stripe_gateway, token)
    await stripe_gateway.authorize(reference, order(token), key())
    assert await state(stripe_gateway, reference) is ProviderState.NEEDS_HOLDER
    await merchant.holder(reference, approves=approves)
    assert await state(stripe_gateway, reference) is after


async def test_a_key_repeats_its_first_answer_for_a_day_and_takes_no_other_parameters(
    merchant: Merchant, http: httpx.AsyncClient
) -> None:
    wish, headers = {"amount": "100", "currency": "usd"}, {"Idempotency-Key": "a key"}
    first = await http.post("/payment_intents", data=wish, headers=headers)
    again = await http.post("/payment_intents", data=wish, headers=headers)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (first.json()["id"], "true")
    other = await http.post("/payment_intents", data={**wish, "amount": "200"}, headers=headers)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    await merchant.advance(86_401)
    later = await http.post("/payment_intents", data=wish, headers=headers)
    assert later.json()["id"] != first.json()["id"]


async def test_a_key_whose_request_is_running_is_in_use(merchant: Merchant, http: httpx.AsyncClient) -> None:
    await merchant.fault("open", "SLOW", seconds=0.5)
    wish, headers = {"amount": "100", "currency": "usd"}, {"Idempotency-Key": "a key"}
    both = await asyncio.gather(*(http.post("/payment_intents", data=wish, headers=headers) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    assert len((await merchant.books()).payments) == 1


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_500_is_stored_under_its_key_whether_it_had_an_effect_or_not(
    merchant: Merchant, stripe_gateway: StripeGateway, after_effect: bool
) -> None:
    reference = await reference_of(stripe_gateway)
    await merchant.fault("authorize", "ERROR", after_effect=after_effect)
    wanted, under = order(), key()
    assert code(await stripe_gateway.authorize(reference, wanted, under)) == "PROVIDER_ERROR"
    assert code(await stripe_gateway.authorize(reference, wanted, under)) == "PROVIDER_ERROR"
    assert (await merchant.books()).payment(reference).authorizations == after_effect


@pytest.mark.parametrize("what", ["RESET", "PAGE"])
@pytest.mark.parametrize("after_effect", [False, True])
async def test_an_answer_that_is_lost_is_given_again_under_its_key(
    merchant: Merchant, stripe_gateway: StripeGateway, what: Any, after_effect: bool
) -> None:
    reference = await reference_of(stripe_gateway)
    await merchant.fault("authorize", what, after_effect=after_effect)
    wanted, under = order(), key()
    assert code(await stripe_gateway.authorize(reference, wanted, under)) != "OK"
    assert (await merchant.books()).payment(reference).authorizations == after_effect
    assert code(await stripe_gateway.authorize(reference, wanted, under)) == "OK"
    assert (await merchant.books()).payment(reference).authorizations == 1


async def test_more_than_its_rate_is_turned_away_with_a_time_to_come_back(
    merchant: Merchant, http: httpx.AsyncClient
) -> None:
    await merchant.set(requests_per_second=3, retry_after_seconds=2)
    answers = [await http.get("/payment_intents") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert (await merchant.books()).calls.rate_limited == 2


async def test_a_revoked_key_may_do_nothing(merchant: Merchant, stripe_gateway: StripeGateway) -> None:
    await merchant.set(access="REVOKED")
    assert code(await stripe_gateway.open(order(), key())) == "PROVIDER_ACCESS_DENIED"
    await merchant.set(access="ALLOWED")
    assert code(await stripe_gateway.open(order(), key())) == "OK"


async def test_while_it_is_away_connections_are_refused_and_those_that_it_had_are_cut() -> None:
    async with Witness.running() as witness:
        merchant = witness.merchant()
        await merchant.fault("list refunds", "SLOW", seconds=60)
        async with httpx.AsyncClient(
            base_url=witness.url, headers={"Authorization": f"Bearer {merchant.api_key}"}
        ) as http:
            waiting = asyncio.create_task(http.get("/v1/refunds"))

            async def has_come() -> bool:
                return (await merchant.books()).calls.at_once_max == 1

            await eventually(has_come)
            async with witness.away():
                with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                    await waiting
                with pytest.raises(httpx.ConnectError):
                    await http.get("/v1/balance")
            assert (await http.get("/v1/balance")).status_code == 200


@pytest.mark.parametrize(
    ("refunds", "at_first", "later", "given_back"),
    [
        ("SUCCEED", "succeeded", "succeeded", True),
        ("PEND", "pending", "succeeded", True),
        ("FAIL_LATER", "succeeded", "failed", False),
    ],
)
async def test_a_refund_is_done_at_once_or_later_or_fails(
    merchant: Merchant,
    stripe_gateway: StripeGateway,
    http: httpx.AsyncClient,
    refunds: str,
    at_first: str,
    later: str,
    given_back: bool,
) -> None:
    await merchant.set(refunds=refunds, refund_seconds=3_600)
    reference = await captured(stripe_gateway)
    made = (await http.post("/refunds", data={"payment_intent": reference})).json()
    assert (made["status"], (await charge_of(http, reference))["refunded"]) == (at_first, True)
    again = await http.post("/refunds", data={"payment_intent": reference})
    assert again.json()["error"]["code"] == "charge_already_refunded"
    await merchant.advance(3_601)
    assert (await http.get(f"/refunds/{made['id']}")).json()["status"] == later
    assert (await charge_of(http, reference))["refunded"] is given_back
    assert (await merchant.books()).payment(reference).kept == (0 if given_back else PRICE.minor)


async def test_a_pending_refund_fails_when_the_bank_says_so_and_another_can_be_made(
    merchant: Merchant, stripe_gateway: StripeGateway, http: httpx.AsyncClient
) -> None:
    await merchant.set(refunds="PEND")
    reference = await captured(stripe_gateway)
    await http.post("/refunds", data={"payment_intent": reference})
    await merchant.settle_refund(reference, failed=True)
    await merchant.set(refunds="SUCCEED")
    await http.post("/refunds", data={"payment_intent": reference})
    listed = (await http.get("/refunds", params={"payment_intent": reference})).json()["data"]
    assert [refund["status"] for refund in listed] == ["succeeded", "failed"]


async def test_lists_are_read_page_by_page_newest_first_and_by_the_time_of_creation(
    merchant: Merchant, stripe_gateway: StripeGateway, http: httpx.AsyncClient
) -> None:
    old = [await reference_of(stripe_gateway) for _ in range(3)]
    await merchant.advance(1_000)
    new = [await reference_of(stripe_gateway) for _ in range(3)]
    newest_first = [*reversed(new), *reversed(old)]
    first = (await http.get("/payment_intents", params={"limit": 4})).json()
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (newest_first[:4], True)
    rest = (await http.get("/payment_intents", params={"limit": 4, "starting_after": newest_first[3]})).json()
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (newest_first[4:], False)
    since = first["data"][2]["created"]
    recent = (await http.get("/payment_intents", params={"created[gte]": since})).json()
    assert [each["id"] for each in recent["data"]] == newest_first[:3]


async def test_an_authorization_lapses_by_itself(
    merchant: Merchant, stripe_gateway: StripeGateway, http: httpx.AsyncClient
) -> None:
    await merchant.set(authorization_seconds=3_600)
    reference = await reference_of(stripe_gateway)
    await stripe_gateway.authorize(reference, order(), key())
    card = (await charge_of(http, reference))["payment_method_details"]["card"]
    assert card["capture_before"] is not None
    await merchant.advance(3_601)
    assert await state(stripe_gateway, reference) is ProviderState.VOIDED


@pytest.mark.parametrize(("does", "after"), [("capture", "succeeded"), ("cancel", "canceled")])
async def test_somebody_captures_or_cancels_elsewhere(
    merchant: Merchant, stripe_gateway: StripeGateway, does: str, after: str
) -> None:
    reference = await reference_of(stripe_gateway)
    await stripe_gateway.authorize(reference, order(), key())
    await merchant.elsewhere(reference, does)
    assert (await merchant.books()).payment(reference).status == after


async def test_a_disputed_charge_cannot_be_refunded_until_the_dispute_is_won(
    merchant: Merchant, stripe_gateway: StripeGateway, http: httpx.AsyncClient
) -> None:
    reference = await captured(stripe_gateway)
    await merchant.dispute(reference)
    assert (await charge_of(http, reference))["disputed"] is True
    refused = await http.post("/refunds", data={"payment_intent": reference})
    assert refused.json()["error"]["code"] == "charge_disputed"
    await merchant.settle_dispute(reference, won=True)
    assert (await merchant.books()).payment(reference).disputes == ("won",)
    assert (await http.post("/refunds", data={"payment_intent": reference})).status_code == 200


async def test_requests_are_counted_by_operation_answer_and_minute(
    merchant: Merchant, stripe_gateway: StripeGateway
) -> None:
    await captured(stripe_gateway)
    calls = (await merchant.books()).calls
    assert calls.by_operation == {"open": {"200": 1}, "authorize": {"200": 1}, "capture": {"200": 1}}
    assert (sum(calls.by_minute.values()), calls.total, calls.at_once_max) == (3, 3, 1)
