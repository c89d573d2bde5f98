"""The Stripe gateway: what it does at localstripe, what it makes of every answer, and whole bookings over it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain import flights, loyalty, payments, seats
from domain.bookings import BookFlight, Bookings, CardConfirmationAwaited, SegmentWish, awaited, build_definitions
from domain.clock import wall_now
from domain.money import Money
from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments import (
    NeedsHolder,
    Payment,
    PaymentGateway,
    PaymentOrder,
    PaymentStatus,
    ProviderPayment,
    ProviderState,
)
from domain.payments.stripe import StripeGateway
from domain.saga import SagaEngine, SagaStatus, SagaView, Simulation, WordJudged, WordSaid
from domain.storage import Database
from sandbox.ledger import Request as SandboxRequest
from sandbox.ledger import apply as sandbox_apply
from tests.app.whole import whole
from tests.domain.bookings.world import ADA, HOLD_SECONDS, JOHN, departures
from tests.support.sequences import EARN, undone
from tests.support.serving import serving
from tests.support.waiting import eventually

API_KEY: Final = "sk_test_12345"
PRICE: Final = Money(123_45, "USD")
APPROVED: Final = "pm_card_visa"
#: localstripe knows few of the test tokens; this is the one of those that are declined when they are charged.
DECLINED: Final = "pm_card_chargeCustomerFail"
#: Numbers of cards that ask their holder; what is approved with the second is declined.
ASKS: Final = "4000002500003155"
ASKS_AND_DECLINES: Final = "4000008400001629"
OPERATIONS: Final = ("open", "authorize", "capture", "void", "refund", "read")

#: localstripe on the socket that it is given, without the file under /tmp that it would write at every request. It does
#: not know the two parameters of confirm that name the card and the browser's library: it gets them here.
_LOCALSTRIPE: Final = """
import ctypes, signal, socket, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
from aiohttp import web
from localstripe.resources import PaymentIntent, PaymentMethod, extra_apis, store

def confirm(id, payment_method=None, use_stripe_sdk=None, **rest):
    intent = PaymentIntent._api_retrieve(id)
    if payment_method and intent.status in ("requires_payment_method", "requires_confirmation"):
        PaymentMethod._api_retrieve(payment_method)
        intent.payment_method, intent.latest_charge = payment_method, None
    return PaymentIntent._api_confirm(id, **rest)

path = "/v1/payment_intents/{id}/confirm"
extra_apis[:] = [(how, where, confirm if where == path else what) for how, where, what in extra_apis]
from localstripe.server import app
store.dump_to_disk = lambda: None
listener = socket.socket(fileno=int(sys.argv[1]))
web.run_app(app, sock=listener, print=None, access_log=None, shutdown_timeout=1)
"""


def order(token: str | None = APPROVED, amount: Money = PRICE) -> PaymentOrder:
    return PaymentOrder(str(uuid.uuid4()), amount, token)


def key() -> str:
    """A key that was never used."""
    return str(uuid.uuid4())


@asynccontextmanager
async def gateway_at(url: str, timeout_seconds: float = 5.0) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(API_KEY, api_base=url, timeout_seconds=timeout_seconds)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def do(gateway: PaymentGateway, operation: str, reference: str = "pi_1", under: str = "key") -> Outcome:
    """One operation by its name."""
    match operation:
        case "open":
            return await gateway.open(order(), under)
        case "authorize":
            return await gateway.authorize(reference, order(), under)
        case "capture":
            return await gateway.capture(reference, PRICE, under)
        case "void":
            return await gateway.void(reference, under)
        case "refund":
            return await gateway.refund(reference, under)
        case "read":
            return await gateway.read(reference)
        case _:
            raise LookupError(operation)


async def opened(gateway: StripeGateway, token: str = APPROVED) -> str:
    outcome = await gateway.open(order(token), key())
    assert isinstance(outcome, Succeeded), outcome
    reference: str = outcome.data
    return reference


async def brought_to(gateway: StripeGateway, state: ProviderState) -> str:
    """A payment in one of the states that a payment can be in."""
    reference = await opened(gateway)
    path = {
        ProviderState.OPEN: (),
        ProviderState.VOIDED: ("void",),
        ProviderState.AUTHORIZED: ("authorize",),
        ProviderState.CAPTURED: ("authorize", "capture"),
        ProviderState.REFUNDED: ("authorize", "capture", "refund"),
    }
    for operation in path[state]:
        outcome = await do(gateway, operation, reference, key())
        assert isinstance(outcome, Succeeded), outcome
    return reference


async def state_of(gateway: StripeGateway, reference: str) -> ProviderState:
    outcome = await gateway.read(reference)
    assert isinstance(outcome, Succeeded), outcome
    found: ProviderPayment = outcome.data
    assert found.reference == reference
    return found.state


# ---------------------------------------------------------------------- at localstripe


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    """The URL of a localstripe of our own, in a process that ends with this module or with us."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        port = listener.getsockname()[1]
        descriptor = listener.fileno()
        process = subprocess.Popen([sys.executable, "-c", _LOCALSTRIPE, str(descriptor)], pass_fds=[descriptor])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
async def witness(localstripe: str) -> AsyncIterator[httpx.AsyncClient]:
    """Looks into localstripe's books by another way than the gateway's."""
    async with httpx.AsyncClient(base_url=localstripe, auth=(API_KEY, "")) as client:
        yield client


@pytest.fixture
async def gateway(localstripe: str) -> AsyncIterator[StripeGateway]:
    async with gateway_at(localstripe) as gateway:
        yield gateway


async def intent(witness: httpx.AsyncClient, reference: str) -> dict[str, Any]:
    answer = await witness.get(f"/v1/payment_intents/{reference}")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def test_money_is_reserved_then_taken_then_given_back(gateway: StripeGateway, witness: httpx.AsyncClient) -> None:
    wanted = order()
    outcome = await gateway.open(wanted, key())
    assert isinstance(outcome, Succeeded)
    reference = outcome.data
    assert await state_of(gateway, reference) is ProviderState.OPEN
    found = await intent(witness, reference)
    assert (found["amount"], found["currency"], found["latest_charge"]) == (PRICE.minor, "usd", None)
    assert found["metadata"] == {"correlation_id": wanted.correlation_id}

    assert isinstance(await gateway.authorize(reference, wanted, key()), Succeeded)
    assert await state_of(gateway, reference) is ProviderState.AUTHORIZED
    assert (await intent(witness, reference))["latest_charge"]["captured"] is False

    assert isinstance(await gateway.capture(reference, PRICE, key()), Succeeded)
    assert await state_of(gateway, reference) is ProviderState.CAPTURED
    charge = (await intent(witness, reference))["latest_charge"]
    assert (charge["captured"], charge["amount"], charge["amount_refunded"]) == (True, PRICE.minor, 0)

    assert isinstance(await gateway.refund(reference, key()), Succeeded)
    assert await state_of(gateway, reference) is ProviderState.REFUNDED
    assert (await intent(witness, reference))["latest_charge"]["amount_refunded"] == PRICE.minor


async def test_a_declined_card_is_refused_and_reserves_nothing(gateway: StripeGateway) -> None:
    reference = await opened(gateway, DECLINED)
    outcome = await gateway.authorize(reference, order(DECLINED), key())
    assert outcome == Refused("PAYMENT_DECLINED", "The card was declined.")
    assert await state_of(gateway, reference) is ProviderState.OPEN


async def test_a_card_number_that_is_declined_is_refused_under_its_own_token(
    gateway: StripeGateway, witness: httpx.AsyncClient
) -> None:
    token = await card_of(witness, "4000000000000341")
    reference = await opened(gateway, token)
    outcome = await gateway.authorize(reference, order(token), key())
    assert isinstance(outcome, Refused)
    assert outcome.code == "PAYMENT_DECLINED"


async def card_of(witness: httpx.AsyncClient, number: str) -> str:
    """The token of a card with this number."""
    card = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = (await witness.post("/v1/payment_methods", json={"type": "card", "card": card})).raise_for_status().json()
    token: str = method["id"]
    return token


async def answered(witness: httpx.AsyncClient, reference: str, holder: NeedsHolder, *, approves: bool) -> None:
    """Answer as the holder's browser does."""
    assert holder.url is None
    body = {"client_secret": holder.client_secret, "success": approves}
    answer = await witness.post(f"/v1/payment_intents/{reference}/_authenticate", json=body)
    # localstripe answers 402 if the bank declines what the holder has approved.
    assert answer.status_code in (200, 402)


async def asked_of(gateway: StripeGateway, witness: httpx.AsyncClient, number: str) -> tuple[str, NeedsHolder]:
    """A payment that waits for its holder, and what the holder needs to answer."""
    token = await card_of(witness, number)
    reference = await opened(gateway, token)
    outcome = await gateway.authorize(reference, order(token), key())
    assert isinstance(outcome, Succeeded)
    assert isinstance(outcome.data, NeedsHolder)
    return reference, outcome.data


async def test_what_the_holder_approves_is_reserved_and_can_be_taken(
    gateway: StripeGateway, witness: httpx.AsyncClient
) -> None:
    reference, holder = await asked_of(gateway, witness, ASKS)
    assert await gateway.read(reference) == Succeeded(
        data=ProviderPayment(reference, ProviderState.NEEDS_HOLDER, holder)
    )
    assert await payments.authorization_of(gateway, reference) == Succeeded("needs the card's holder", holder)
    assert (await intent(witness, reference))["client_secret"] == holder.client_secret
    # Confirmed again, as after a lost answer whose key is forgotten.
    again = await gateway.authorize(reference, order(None), key())
    assert isinstance(again, Succeeded)
    assert again.data == holder

    await answered(witness, reference, holder, approves=True)
    assert await payments.authorization_of(gateway, reference) == Succeeded("authorized")
    assert isinstance(await gateway.capture(reference, PRICE, key()), Succeeded)
    assert await state_of(gateway, reference) is ProviderState.CAPTURED


@pytest.mark.parametrize(
    ("number", "approves", "refusal"),
    [
        (ASKS, False, payments.CARD_NOT_CONFIRMED),
        (ASKS_AND_DECLINES, True, Refused("PAYMENT_DECLINED", "The card was declined.")),
    ],
)
async def test_after_a_refusal_another_card_is_tried_on_the_same_intent(
    gateway: StripeGateway, witness: httpx.AsyncClient, number: str, approves: bool, refusal: Refused
) -> None:
    reference, holder = await asked_of(gateway, witness, number)
    await answered(witness, reference, holder, approves=approves)
    assert await payments.authorization_of(gateway, reference) == refusal
    declined = await gateway.authorize(reference, order(DECLINED), key())
    assert declined == Refused("PAYMENT_DECLINED", "The card was declined.")
    unknown = await gateway.authorize(reference, order("pm_card_of_nobody"), key())
    assert unknown == Refused("CARD_TOKEN_UNKNOWN", "The provider does not know this card token.")

    assert isinstance(await gateway.authorize(reference, order(APPROVED), key()), Succeeded)

    assert await state_of(gateway, reference) is ProviderState.AUTHORIZED
    found = (await intent(witness, reference))["latest_charge"]
    assert (found["status"], found["captured"]) == ("succeeded", False)


async def test_voiding_ends_the_wait_and_a_later_approval_reserves_nothing(
    gateway: StripeGateway, witness: httpx.AsyncClient
) -> None:
    reference, holder = await asked_of(gateway, witness, ASKS)
    undone = await payments.ensure_no_charge(gateway, reference, lambda operation: key(), known=PaymentStatus.PENDING)
    assert isinstance(undone, Succeeded)
    body = {"client_secret": holder.client_secret, "success": True}
    assert (await witness.post(f"/v1/payment_intents/{reference}/_authenticate", json=body)).status_code == 400
    assert await state_of(gateway, reference) is ProviderState.VOIDED
    late = await payments.authorization_of(gateway, reference)
    assert late == Refused("PAYMENT_VOIDED", "The payment was voided.")


async def test_a_card_token_that_nobody_knows_is_refused_before_there_is_a_payment(gateway: StripeGateway) -> None:
    outcome = await gateway.open(order("pm_card_of_nobody"), key())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.passing) == ("CARD_TOKEN_UNKNOWN", False)
    assert "pm_card_of_nobody" not in repr(outcome)


async def test_without_a_card_nothing_is_opened(gateway: StripeGateway) -> None:
    outcome = await gateway.open(order(None), key())
    assert isinstance(outcome, Refused)
    assert outcome.code == "CARD_TOKEN_MISSING"


@pytest.mark.parametrize("before", [ProviderState.OPEN, ProviderState.AUTHORIZED])
async def test_a_voided_payment_refuses_an_authorization_that_arrives_late(
    gateway: StripeGateway, before: ProviderState
) -> None:
    reference = await brought_to(gateway, before)
    assert isinstance(await gateway.void(reference, key()), Succeeded)
    assert await state_of(gateway, reference) is ProviderState.VOIDED
    late = await gateway.authorize(reference, order(), key())
    assert isinstance(late, Refused)
    assert late.code == "PAYMENT_VOIDED"
    assert await state_of(gateway, reference) is ProviderState.VOIDED


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        ("authorize", ProviderState.AUTHORIZED),
        ("capture", ProviderState.CAPTURED),
        ("void", ProviderState.VOIDED),
    ],
)
async def test_what_is_done_already_is_a_success_also_where_the_key_is_forgotten(
    gateway: StripeGateway, operation: str, state: ProviderState
) -> None:
    reference = await brought_to(gateway, state)
    assert isinstance(await do(gateway, operation, reference, key()), Succeeded)
    assert await state_of(gateway, reference) is state


@pytest.mark.parametrize("state", [ProviderState.CAPTURED, ProviderState.REFUNDED])
async def test_what_was_taken_is_not_voided(gateway: StripeGateway, state: ProviderState) -> None:
    reference = await brought_to(gateway, state)
    outcome = await gateway.void(reference, key())
    assert isinstance(outcome, Refused)
    assert outcome.code == "PAYMENT_CAPTURED"
    assert await state_of(gateway, reference) is state


async def test_a_payment_of_another_account_is_absent_and_never_taken_for_undone(gateway: StripeGateway) -> None:
    assert await state_of(gateway, "pi_ofanotheraccount") is ProviderState.ABSENT
    for operation in ("authorize", "capture", "void", "refund"):
        outcome = await do(gateway, operation, "pi_ofanotheraccount", key())
        assert isinstance(outcome, Refused), operation
        assert outcome.code == "PAYMENT_UNKNOWN"
    for known in (PaymentStatus.PENDING, PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED):
        undone = await payments.ensure_no_charge(gateway, "pi_ofanotheraccount", lambda operation: key(), known=known)
        assert isinstance(undone, Refused)
        assert (undone.code, undone.passing) == ("PAYMENT_UNKNOWN", False)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ProviderState.OPEN, PaymentStatus.VOIDED),
        (ProviderState.AUTHORIZED, PaymentStatus.VOIDED),
        (ProviderState.VOIDED, PaymentStatus.VOIDED),
        (ProviderState.CAPTURED, PaymentStatus.REFUNDED),
        (ProviderState.REFUNDED, PaymentStatus.REFUNDED),
    ],
)
async def test_nothing_stays_charged_whatever_the_payment_had_come_to(
    gateway: StripeGateway, witness: httpx.AsyncClient, before: ProviderState, after: PaymentStatus
) -> None:
    reference = await brought_to(gateway, before)
    outcome = await payments.ensure_no_charge(gateway, reference, lambda operation: key(), known=PaymentStatus.PENDING)
    assert isinstance(outcome, Succeeded)
    assert outcome.data is after
    assert await state_of(gateway, reference) == ProviderState(after.value)
    charge = (await intent(witness, reference))["latest_charge"]
    if after is PaymentStatus.REFUNDED:
        assert charge["amount_refunded"] == PRICE.minor
    else:
        assert charge is None or not charge["captured"]


# ---------------------------------------------------------------------- what is made of each answer


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: str
    form: dict[str, str]
    key: str | None
    version: str | None


@dataclass
class ScriptedStripe:
    """Gives the answers that it was told to, in their order, and the last one again and again."""

    url: str = ""
    answers: list[tuple[int, object]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def will(self, status: int, body: object) -> ScriptedStripe:
        """Answer with `body`: an object as JSON, a text as a page; None keeps the asker waiting."""
        self.answers.append((status, body))
        return self

    def will_fail(self, status: int, kind: str, **error: str) -> ScriptedStripe:
        """Answer with one of Stripe's errors."""
        return self.will(status, {"error": {"type": kind, "message": "No such thing: 'pm_secret'", **error}})

    def will_show(self, status: str, **fields: object) -> ScriptedStripe:
        """Answer with an intent."""
        return self.will(200, {"id": "pi_1", "object": "payment_intent", "status": status, **fields})

    async def answer(self, request: Request) -> Response:
        form = dict(urllib.parse.parse_qsl((await request.body()).decode()))
        headers = request.headers
        self.asked.append(
            Asked(
                request.method,
                request.url.path,
                request.url.query,
                form,
                headers.get("idempotency-key"),
                headers.get("stripe-version"),
            )
        )
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if body is None:
            await self.released.wait()
        if isinstance(body, str):
            return Response(body, status, media_type="text/html")
        return Response(json.dumps(body), status, media_type="application/json")


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedStripe]:
    script = ScriptedStripe()
    app = Starlette(routes=[Route("/{path:path}", script.answer, methods=["GET", "POST", "DELETE"])])
    async with serving(app) as served:
        script.url = served.url
        try:
            yield script
        finally:
            script.released.set()


@pytest.fixture
async def there(scripted: ScriptedStripe) -> AsyncIterator[StripeGateway]:
    """A gateway to the scripted Stripe."""
    async with gateway_at(scripted.url) as gateway:
        yield gateway


def charge(*, refunded: bool = False, given: int | None = None, **refunds: int) -> dict[str, object]:
    """A charge of 123.45 USD. `refunds`: amounts by status, newest first; `refunded` alone: one refund of it all."""
    if refunded and given is None:
        given, refunds = 12_345, {"succeeded": 12_345}
    listed = [
        {"id": f"re_{number}", "object": "refund", "status": status, "amount": amount, "failure_reason": "unknown"}
        for number, (status, amount) in enumerate(refunds.items())
    ]
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 12_345,
        "amount_refunded": given or 0,
        "currency": "usd",
        "refunded": refunded,
        "refunds": {"object": "list", "data": listed, "has_more": False},
    }


async def test_each_request_says_what_stripe_needs_and_bears_its_key(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    wanted = order()
    scripted.will_show("requires_confirmation").will_show("requires_capture").will_show("succeeded")
    scripted.will_show("canceled").will(200, {"id": "re_1", "object": "refund", "status": "succeeded"})
    assert await there.open(wanted, "k:open") == Succeeded("pi_1 opened", "pi_1")
    assert isinstance(await there.authorize("pi_1", wanted, "k:authorize"), Succeeded)
    assert isinstance(await there.capture("pi_1", PRICE, "k:capture"), Succeeded)
    assert isinstance(await there.void("pi_1", "k:void"), Succeeded)
    assert isinstance(await there.refund("pi_1", "k:refund"), Succeeded)
    made, *others = scripted.asked
    assert (made.method, made.path, made.key) == ("POST", "/v1/payment_intents", "k:open")
    assert made.form == {
        "amount": "12345",
        "currency": "usd",
        "capture_method": "manual",
        "payment_method": APPROVED,
        "payment_method_types[0]": "card",
        "metadata[correlation_id]": wanted.correlation_id,
    }
    assert [(asked.path, asked.key, asked.form) for asked in others] == [
        (
            "/v1/payment_intents/pi_1/confirm",
            "k:authorize",
            {"payment_method": APPROVED, "use_stripe_sdk": "true"},
        ),
        ("/v1/payment_intents/pi_1/capture", "k:capture", {"amount_to_capture": "12345"}),
        ("/v1/payment_intents/pi_1/cancel", "k:void", {}),
        ("/v1/refunds", "k:refund", {"payment_intent": "pi_1"}),
    ]
    # The version in which `payment_method_types` may be named: a newer library must not change it.
    assert {asked.version for asked in scripted.asked} == {"2026-07-29.dahlia"}


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (Money(1_000, "JPY"), "1000"),
        (Money(1_500, "KWD"), "1500"),
        # Stripe counts these otherwise than we do.
        (Money(5_000, "ISK"), "500000"),
        (Money(700_00, "MGA"), "700"),
    ],
    ids=str,
)
async def test_an_amount_is_sent_in_the_unit_in_which_stripe_counts_its_currency(
    scripted: ScriptedStripe, there: StripeGateway, amount: Money, units: str
) -> None:
    scripted.will_show("requires_confirmation").will_show("succeeded")
    await there.open(order(amount=amount), "key")
    await there.capture("pi_1", amount, "key")
    assert scripted.asked[0].form["amount"] == units
    assert scripted.asked[1].form["amount_to_capture"] == units


async def test_an_amount_that_stripe_cannot_count_is_refused_and_not_rounded(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    amount = Money(700_50, "MGA")
    for outcome in (await there.open(order(amount=amount), "key"), await there.capture("pi_1", amount, "key")):
        assert isinstance(outcome, Refused)
        assert outcome.code == "AMOUNT_NOT_CHARGEABLE"
    assert scripted.asked == []


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_where_nothing_listens_nothing_was_sent(operation: str) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with gateway_at(f"http://127.0.0.1:{unheard.getsockname()[1]}") as gateway:
            outcome = await do(gateway, operation)
    assert isinstance(outcome, NotSent)
    assert outcome.code == "PROVIDER_UNREACHABLE"


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_answer_that_does_not_come_in_time_is_unknown_and_asked_for_once(
    scripted: ScriptedStripe, operation: str
) -> None:
    scripted.will(200, None)
    async with gateway_at(scripted.url, timeout_seconds=0.2) as gateway, asyncio.timeout(20):
        outcome = await do(gateway, operation)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "TIMEOUT"
    assert len(scripted.asked) == 1


@pytest.mark.parametrize("operation", OPERATIONS[1:])
async def test_an_answered_500_is_a_providers_error_and_asked_for_once(
    scripted: ScriptedStripe, there: StripeGateway, operation: str
) -> None:
    scripted.will_fail(500, "api_error")
    outcome = await do(there, operation)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "PROVIDER_ERROR"
    assert len(scripted.asked) == 1


@pytest.mark.parametrize("status", [200, 404, 500, 502])
async def test_a_page_from_somebody_in_between_proves_nothing(
    scripted: ScriptedStripe, there: StripeGateway, status: int
) -> None:
    scripted.will(status, "<h1>Bad Gateway</h1>")
    for operation in OPERATIONS:
        outcome = await do(there, operation)
        assert isinstance(outcome, Unknown), operation
        assert outcome.code == "PROVIDER_UNCLEAR"


@pytest.mark.parametrize("body", [{}, [], {"id": None, "object": "payment_intent", "status": None}], ids=str)
async def test_an_answer_that_makes_no_sense_is_unknown(
    scripted: ScriptedStripe, there: StripeGateway, body: object
) -> None:
    scripted.will(200, body)
    for operation in OPERATIONS:
        assert isinstance(await do(there, operation), Unknown), operation


@pytest.mark.parametrize("code", ["lock_timeout", "rate_limit"])
async def test_a_provider_that_turns_requests_away_has_done_nothing(
    scripted: ScriptedStripe, there: StripeGateway, code: str
) -> None:
    scripted.will_fail(429, "invalid_request_error", code=code)
    for operation in OPERATIONS:
        outcome = await do(there, operation)
        assert isinstance(outcome, NotSent), operation
        assert (outcome.code, outcome.after_seconds) == ("PROVIDER_BUSY", None)


async def test_a_provider_that_still_processes_an_earlier_request_leaves_it_unknown(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_fail(409, "idempotency_error", code="idempotency_key_in_use")
    for operation in OPERATIONS:
        outcome = await do(there, operation)
        assert isinstance(outcome, Unknown), operation
        assert outcome.code == "PROVIDER_BUSY"


@pytest.mark.parametrize("status", [401, 403])
async def test_an_api_key_that_is_not_accepted_is_no_decline_and_may_be_mended(
    scripted: ScriptedStripe, there: StripeGateway, status: int
) -> None:
    scripted.will_fail(status, "invalid_request_error")
    for operation in OPERATIONS:
        outcome = await do(there, operation)
        assert isinstance(outcome, NotSent), operation
        assert outcome.code == "PROVIDER_ACCESS_DENIED"


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_visa_chargeDeclined", "card_declined", "do_not_honor"),
    ],
)
async def test_a_decline_reads_as_it_does_at_the_sandbox(
    scripted: ScriptedStripe, there: StripeGateway, token: str, code: str, decline_code: str
) -> None:
    scripted.will_fail(402, "card_error", code=code, decline_code=decline_code)
    outcome = await there.authorize("pi_1", order(token), "key")
    _, answer = sandbox_apply(None, SandboxRequest("authorize", "pi_1", "key", PRICE.minor, "USD", token))
    assert outcome == Refused(answer.code, answer.message)


SECRET: Final = "pi_1_secret_HUNTER2"
WAITS: Final = {"status": "requires_action", "client_secret": SECRET}


async def test_a_card_that_asks_its_holder_hands_out_the_clients_secret_and_shows_it_to_nobody(
    scripted: ScriptedStripe, there: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.will_show(**WAITS)
    with caplog.at_level(logging.DEBUG):
        outcome = await there.authorize("pi_1", order(), "key")
        found = await there.read("pi_1")
    assert outcome == Succeeded("needs the card's holder", NeedsHolder(client_secret=SECRET))
    assert found == Succeeded(data=ProviderPayment("pi_1", ProviderState.NEEDS_HOLDER, NeedsHolder(SECRET)))
    assert "HUNTER2" not in repr((outcome, found)) + caplog.text


async def test_a_wait_that_an_answered_500_hides_is_found_by_reading(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_fail(500, "api_error").will_show(**WAITS)
    outcome = await payments.authorize(there, "pi_1", order(), "key")
    assert isinstance(outcome, Succeeded)
    assert outcome.data == NeedsHolder(client_secret=SECRET)


async def test_a_wait_without_the_holders_secret_proves_nothing(scripted: ScriptedStripe, there: StripeGateway) -> None:
    scripted.will_show("requires_action")
    for outcome in (await there.authorize("pi_1", order(), "key"), await there.read("pi_1")):
        assert isinstance(outcome, Unknown)


async def test_a_void_that_was_rejected_while_the_holder_is_asked_is_tried_again_under_a_new_key(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_fail(400, "invalid_request_error", code="payment_intent_unexpected_state").will_show(**WAITS)
    outcome = await there.void("pi_1", "key")
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.passing, outcome.key_spent) == ("PAYMENT_REJECTED", True, True)


async def test_an_intent_that_was_confirmed_too_often_is_voided(scripted: ScriptedStripe, there: StripeGateway) -> None:
    scripted.will_show("canceled")
    outcome = await there.authorize("pi_1", order(), "key")
    assert isinstance(outcome, Refused)
    assert outcome.code == "PAYMENT_VOIDED"


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        ({"code": "payment_intent_authentication_failure"}, payments.CARD_NOT_CONFIRMED),
        (
            {"code": "card_declined", "decline_code": "insufficient_funds"},
            Refused("INSUFFICIENT_FUNDS", "The card has insufficient funds."),
        ),
        ({"code": "expired_card"}, Refused("CARD_EXPIRED", "The card has expired.")),
        ({"code": "invalid_expiry_year"}, payments.declined("CARD_EXPIRY_INVALID")),
        ({"code": "card_declined", "decline_code": "issuer_not_available"}, payments.declined("ISSUER_UNAVAILABLE")),
        ({"code": "something_new"}, Refused("PAYMENT_DECLINED", "The card was declined.")),
        (None, None),
    ],
)
async def test_what_came_of_a_wait_is_told_by_the_intents_last_error(
    scripted: ScriptedStripe, there: StripeGateway, error: dict[str, str] | None, refusal: Refused | None
) -> None:
    scripted.will_show("requires_payment_method", last_payment_error=error)
    assert await there.read("pi_1") == Succeeded(data=ProviderPayment("pi_1", ProviderState.OPEN, refusal=refusal))
    assert await payments.authorization_of(there, "pi_1") == (refusal or payments.CARD_NOT_CONFIRMED)


@pytest.mark.parametrize("status", ["processing", "something_new"])
async def test_what_is_not_yet_known_of_a_wait_stays_unknown(
    scripted: ScriptedStripe, there: StripeGateway, status: str
) -> None:
    scripted.will_show(status)
    assert isinstance(await payments.authorization_of(there, "pi_1"), Unknown)


@pytest.mark.parametrize("status", [400, 500])
async def test_an_open_whose_key_leads_nowhere_goes_on_under_a_new_one(
    scripted: ScriptedStripe, there: StripeGateway, status: int
) -> None:
    scripted.will_fail(status, "idempotency_error" if status == 400 else "api_error")
    outcome = await there.open(order(), "key")
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.passing, outcome.key_spent) == ("PROVIDER_ERROR", True, True)


Caller = Callable[[PaymentGateway], Awaitable[Outcome]]
CALLERS: Final[dict[str, Caller]] = {
    "authorize": lambda gateway: payments.authorize(gateway, "pi_1", order(), "key"),
    "capture": lambda gateway: payments.capture(gateway, "pi_1", PRICE, "key"),
}


@pytest.mark.parametrize(
    ("operation", "untouched"), [("authorize", "requires_confirmation"), ("capture", "requires_capture")]
)
async def test_a_key_that_was_used_for_something_else_is_given_up_once_the_payment_shows_no_effect(
    scripted: ScriptedStripe, there: StripeGateway, operation: str, untouched: str
) -> None:
    scripted.will_fail(400, "idempotency_error").will_show(untouched)
    outcome = await CALLERS[operation](there)
    assert isinstance(outcome, Refused)
    assert (outcome.passing, outcome.key_spent) == (True, True)


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("authorize", {"status": "requires_capture"}),
        ("capture", {"status": "succeeded", "latest_charge": charge(refunded=False)}),
        ("void", {"status": "canceled"}),
        ("refund", {"status": "succeeded", "latest_charge": charge(refunded=True)}),
    ],
)
async def test_a_rejected_request_is_a_success_where_the_payment_shows_it_done(
    scripted: ScriptedStripe, there: StripeGateway, operation: str, fields: dict[str, Any]
) -> None:
    scripted.will_fail(400, "invalid_request_error", code="payment_intent_unexpected_state").will_show(**fields)
    assert isinstance(await do(there, operation), Succeeded)
    assert scripted.asked[-1].method == "GET"


@pytest.mark.parametrize("operation", OPERATIONS[1:5])
async def test_a_rejected_request_stays_unknown_where_the_payment_cannot_be_read(
    scripted: ScriptedStripe, there: StripeGateway, operation: str
) -> None:
    scripted.will_fail(400, "invalid_request_error").will(502, "<h1>Bad Gateway</h1>")
    assert isinstance(await do(there, operation), Unknown)


@pytest.mark.parametrize(
    ("operation", "fields", "undoing"),
    [
        ("authorize", {"status": "requires_payment_method"}, False),
        ("capture", {"status": "requires_capture"}, False),
        ("void", {"status": "requires_capture"}, True),
        ("refund", {"status": "succeeded", "latest_charge": charge(refunded=False)}, True),
    ],
)
async def test_a_rejected_undoing_is_tried_again_under_a_new_key_as_stripe_repeats_its_no(
    scripted: ScriptedStripe, there: StripeGateway, operation: str, fields: dict[str, Any], undoing: bool
) -> None:
    scripted.will_fail(400, "invalid_request_error", code="balance_insufficient").will_show(**fields)
    outcome = await do(there, operation)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.passing, outcome.key_spent) == ("PAYMENT_REJECTED", undoing, undoing)


async def test_money_that_could_not_be_given_back_is_given_back_under_a_new_key(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_show("succeeded", latest_charge=charge(refunded=False))
    for _ in range(4):
        scripted.will_fail(400, "invalid_request_error", code="balance_insufficient")
        scripted.will_show("succeeded", latest_charge=charge(refunded=False))
        scripted.will_show("succeeded", latest_charge=charge(refunded=False))
    outcome = await payments.ensure_no_charge(
        there, "pi_1", lambda operation: f"saga:{operation}:1", known=PaymentStatus.CAPTURED
    )
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.passing, outcome.key_spent) == ("PAYMENT_REJECTED", True, True)


@pytest.mark.parametrize("state", ["requires_confirmation", "requires_capture", "canceled"])
async def test_what_was_not_taken_is_not_refunded(scripted: ScriptedStripe, there: StripeGateway, state: str) -> None:
    scripted.will_fail(400, "invalid_request_error").will_show(state)
    outcome = await there.refund("pi_1", "key")
    assert isinstance(outcome, Refused)
    assert outcome.code == "PAYMENT_NOT_CAPTURED"


REFUND_FAILED: Final = Refused(
    "REFUND_FAILED", "The provider could not give the money back (expired_or_canceled_card).", key_spent=True
)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("succeeded", Succeeded("refunded", ProviderState.REFUNDED)),
        ("pending", Succeeded("refund pending", ProviderState.REFUND_PENDING)),
        ("requires_action", Succeeded("refund pending", ProviderState.REFUND_PENDING)),
        ("failed", REFUND_FAILED),
        ("canceled", REFUND_FAILED),
    ],
)
async def test_a_refund_is_done_only_once_it_has_succeeded(
    scripted: ScriptedStripe, there: StripeGateway, status: str, outcome: Outcome
) -> None:
    reason = "expired_or_canceled_card"
    scripted.will(200, {"id": "re_1", "object": "refund", "status": status, "failure_reason": reason})
    assert await there.refund("pi_1", "key") == outcome


async def test_a_refund_that_is_refused_as_one_is_pending_says_so(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_fail(400, "invalid_request_error", code="charge_already_refunded")
    scripted.will_show("succeeded", latest_charge=charge(refunded=True, given=12_345, pending=12_345))
    outcome = await there.refund("pi_1", "key")
    assert isinstance(outcome, Succeeded)
    assert outcome.data is ProviderState.REFUND_PENDING


@pytest.mark.parametrize(
    ("shown", "state", "refunded"),
    [
        (charge(), ProviderState.CAPTURED, None),
        (charge(refunded=True, given=12_345, succeeded=12_345), ProviderState.REFUNDED, "123.45"),
        (charge(refunded=True, given=12_345, pending=12_345), ProviderState.REFUND_PENDING, None),
        (charge(refunded=True, given=12_345, requires_action=12_345), ProviderState.REFUND_PENDING, None),
        (charge(failed=12_345), ProviderState.CAPTURED, None),
        (charge(canceled=12_345), ProviderState.CAPTURED, None),
        # Parts that somebody gave back in the provider's dashboard.
        (charge(given=2_000, succeeded=2_000), ProviderState.CAPTURED, "20.00"),
        (charge(given=5_000, pending=3_000, succeeded=2_000), ProviderState.REFUND_PENDING, "20.00"),
        (charge(given=2_000, failed=10_345, succeeded=2_000), ProviderState.CAPTURED, "20.00"),
        (charge(refunded=True, given=12_345, pending=10_345, succeeded=2_000), ProviderState.REFUND_PENDING, "20.00"),
        (charge(refunded=True, given=12_345, succeeded=12_345, failed=12_345), ProviderState.REFUNDED, "123.45"),
    ],
)
async def test_a_charge_is_refunded_as_far_as_its_refunds_have_succeeded(
    scripted: ScriptedStripe,
    there: StripeGateway,
    shown: dict[str, object],
    state: ProviderState,
    refunded: str | None,
) -> None:
    scripted.will_show("succeeded", latest_charge=shown)
    outcome = await there.read("pi_1")
    assert isinstance(outcome, Succeeded)
    assert (outcome.data.state, outcome.data.refunded) == (state, refunded and Money.of(Decimal(refunded), "USD"))
    listed: Any = shown["refunds"]
    newest_failed = bool(listed["data"]) and listed["data"][0]["status"] in ("failed", "canceled")
    assert (outcome.data.refusal is not None) == newest_failed


@pytest.mark.parametrize(
    ("disputes", "state"),
    [
        (["needs_response"], ProviderState.DISPUTED),
        (["under_review"], ProviderState.DISPUTED),
        (["lost"], ProviderState.CHARGED_BACK),
        (["lost", "under_review"], ProviderState.DISPUTED),
        # Nothing is taken from us: an inquiry, and what we have won.
        (["warning_needs_response"], ProviderState.CAPTURED),
        (["won"], ProviderState.CAPTURED),
        ([], ProviderState.CAPTURED),
    ],
)
async def test_a_disputed_charge_is_what_its_disputes_say(
    scripted: ScriptedStripe, there: StripeGateway, disputes: list[str], state: ProviderState
) -> None:
    scripted.will_show("succeeded", latest_charge=charge() | {"disputed": True})
    scripted.will(200, {"object": "list", "data": [{"object": "dispute", "status": status} for status in disputes]})
    outcome = await there.read("pi_1")
    assert isinstance(outcome, Succeeded)
    assert outcome.data.state is state
    assert urllib.parse.parse_qsl(scripted.asked[1].query) == [("payment_intent", "pi_1")]


@pytest.mark.parametrize(
    ("given", "amount", "currency", "state"),
    [
        (0, 12_345, "usd", ProviderState.CHARGED_BACK),
        (0, 2_345, "usd", ProviderState.CAPTURED),
        (10_000, 2_345, "usd", ProviderState.CHARGED_BACK),
        # In another currency the amounts cannot be compared.
        (0, 2_345, "eur", ProviderState.CHARGED_BACK),
    ],
)
async def test_a_lost_dispute_over_a_part_leaves_the_rest_to_be_refunded(
    scripted: ScriptedStripe, there: StripeGateway, given: int, amount: int, currency: str, state: ProviderState
) -> None:
    taken = charge(given=given, succeeded=given) if given else charge()
    scripted.will_show("succeeded", latest_charge=taken | {"disputed": True, "currency": "usd"})
    lost = {"object": "dispute", "status": "lost", "amount": amount, "currency": currency}
    scripted.will(200, {"object": "list", "data": [lost]})
    outcome = await there.read("pi_1")
    assert isinstance(outcome, Succeeded)
    assert outcome.data.state is state


async def test_a_dispute_that_cannot_be_read_leaves_the_payment_unread(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    scripted.will_show("succeeded", latest_charge=charge() | {"disputed": True}).will(502, "<h1>Bad Gateway</h1>")
    assert isinstance(await there.read("pi_1"), Unknown)


async def test_an_accepted_refund_that_has_failed_since_has_spent_its_key(
    scripted: ScriptedStripe, there: StripeGateway
) -> None:
    """Stripe repeats under a key what it said first: pending, also once that refund has failed."""
    scripted.will_show("succeeded", latest_charge=charge(failed=12_345))
    scripted.will(200, {"id": "re_1", "object": "refund", "status": "pending"})
    scripted.will_show("succeeded", latest_charge=charge(failed=12_345))
    outcome = await payments.ensure_no_charge(there, "pi_1", str, known=PaymentStatus.CAPTURED)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.key_spent) == ("REFUND_FAILED", True)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"status": "requires_payment_method"}, ProviderState.OPEN),
        ({"status": "requires_confirmation"}, ProviderState.OPEN),
        ({"status": "requires_action", "client_secret": "pi_1_secret_x"}, ProviderState.NEEDS_HOLDER),
        ({"status": "requires_capture", "latest_charge": charge(refunded=False)}, ProviderState.AUTHORIZED),
        ({"status": "succeeded", "latest_charge": charge(refunded=False)}, ProviderState.CAPTURED),
        ({"status": "succeeded", "latest_charge": charge(refunded=True)}, ProviderState.REFUNDED),
        ({"status": "canceled", "latest_charge": charge(refunded=True)}, ProviderState.VOIDED),
        ({"status": "processing"}, None),
        ({"status": "succeeded", "latest_charge": "ch_1"}, None),
        ({"status": "something_new"}, None),
    ],
)
async def test_every_status_is_read_as_what_it_means_for_the_money(
    scripted: ScriptedStripe, there: StripeGateway, fields: dict[str, Any], state: ProviderState | None
) -> None:
    scripted.will_show(**fields)
    outcome = await there.read("pi_1")
    # Stripe gives no more than the charge's id unless it is asked to.
    assert urllib.parse.parse_qsl(scripted.asked[0].query) == [("expand[0]", "latest_charge.refunds")]
    if state is None:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Succeeded)
        assert outcome.data.state is state


@pytest.mark.parametrize("status", [200, 400, 402, 404, 500])
async def test_a_card_token_is_neither_logged_nor_answered(
    scripted: ScriptedStripe, there: StripeGateway, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    scripted.will_fail(status, "invalid_request_error", code="resource_missing")
    secret = order("pm_secret")
    with caplog.at_level(logging.DEBUG):
        outcomes = [await there.open(secret, "key"), await there.authorize("pi_1", secret, "key")]
    assert caplog.records
    assert "pm_secret" not in caplog.text
    assert "pm_secret" not in repr(outcomes)
    assert "pm_secret" not in repr(secret)


# ---------------------------------------------------------------------- whole bookings


@pytest.fixture
def backend() -> str:
    """What is asked here does not depend on the database."""
    return "sqlite"


@dataclass
class Desk:
    """Sells seats for money at Stripe."""

    database: Database
    engine: SagaEngine
    bookings: Bookings
    flight_id: int

    async def begun(self, token: str = APPROVED, simulation: Simulation | None = None) -> SagaView:
        """A booking that has begun."""
        saga = await self.bookings.book(
            BookFlight(
                subject="someone",
                segments=[SegmentWish(self.flight_id)],
                passengers=[JOHN],
                correlation_id=str(uuid.uuid4()),
                member_number=ADA,
                payment_token=token,
                simulation=simulation,
            )
        )
        assert isinstance(saga, SagaView), saga
        return saga

    async def ended(self, token: str = APPROVED, simulation: Simulation | None = None) -> SagaView:
        """A booking that has come to its end."""
        return await self.end_of(await self.begun(token, simulation))

    async def end_of(self, saga: SagaView) -> SagaView:
        """The booking once it has come to its end."""
        async with asyncio.timeout(20):
            async for _ in self.engine.follow(saga.id):
                pass
        return await self.view(saga)

    async def view(self, saga: SagaView) -> SagaView:
        found = await self.engine.saga(saga.correlation_id)
        assert found is not None
        return found

    async def asked(self, token: str) -> tuple[SagaView, str, NeedsHolder]:
        """A booking that waits for the holder of its card, its payment's reference, and what the holder has."""
        begun = await self.begun(token)

        async def waits() -> SagaView:
            found = await self.view(begun)
            assert found.status is SagaStatus.WAITING
            return found

        saga = await eventually(waits)
        asks, payment = awaited(saga), await self.payment(saga)
        assert isinstance(asks, CardConfirmationAwaited)
        assert payment.reference is not None
        return saga, payment.reference, asks.confirmation

    async def payment(self, saga: SagaView) -> Payment:
        async with self.database.reading() as connection:
            return (await payments.payments_of(connection, [saga.id]))[saga.id]


@pytest.fixture
async def desk(database: Database, gateway: StripeGateway) -> AsyncIterator[Desk]:
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    async with database.reading() as connection:
        (flight, *_) = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=1)
    definitions = build_definitions(gateway, hold_seconds=HOLD_SECONDS)
    engine = SagaEngine(database, definitions.all, poll_seconds=0.1)
    await engine.open()
    try:
        bookings = Bookings(engine, definitions, simulation_allowed=True, default_token=None)
        yield Desk(database, engine, bookings, flight.id)
    finally:
        await engine.close()


async def intents_of(witness: httpx.AsyncClient, saga: SagaView) -> list[dict[str, Any]]:
    """Everything that localstripe holds for a saga, whether we know of it or not."""
    listed = (await witness.get("/v1/payment_intents", params={"limit": 100})).raise_for_status().json()
    assert not listed["has_more"]
    return [item for item in listed["data"] if item["metadata"].get("correlation_id") == saga.correlation_id]


async def test_a_booking_ends_with_its_price_captured_once(desk: Desk, witness: httpx.AsyncClient) -> None:
    saga = await desk.ended()
    assert saga.status is SagaStatus.COMPLETED
    payment = await desk.payment(saga)
    assert (payment.provider, payment.status) == ("stripe", PaymentStatus.CAPTURED)
    (found,) = await intents_of(witness, saga)
    assert (found["id"], found["status"], found["currency"]) == (payment.reference, "succeeded", "usd")
    assert (found["latest_charge"]["captured"], found["latest_charge"]["amount"]) == (True, payment.amount.minor)
    assert found["latest_charge"]["amount_refunded"] == 0


async def test_a_booking_that_cannot_be_confirmed_ends_with_nothing_charged(
    desk: Desk, witness: httpx.AsyncClient
) -> None:
    saga = await desk.ended(simulation=Simulation(fail_at=("CONFIRM_BOOKING",)))
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.queue.compensated == undone(EARN, "CONFIRM_BOOKING")
    assert (await desk.payment(saga)).status is PaymentStatus.VOIDED
    (found,) = await intents_of(witness, saga)
    assert found["status"] == "canceled"
    assert found["latest_charge"]["captured"] is False


async def test_a_booking_with_a_declined_card_ends_with_nothing_charged(desk: Desk, witness: httpx.AsyncClient) -> None:
    saga = await desk.ended(DECLINED)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert saga.failure.code == "PAYMENT_DECLINED"
    assert (await desk.payment(saga)).status is PaymentStatus.DECLINED
    (found,) = await intents_of(witness, saga)
    assert found["latest_charge"]["status"] == "failed"


@pytest.mark.parametrize(
    ("number", "approves", "code"),
    [(ASKS, True, None), (ASKS, False, "CARD_NOT_CONFIRMED"), (ASKS_AND_DECLINES, True, "PAYMENT_DECLINED")],
)
async def test_a_booking_waits_for_the_holder_of_its_card_and_charges_what_they_approve(
    desk: Desk, witness: httpx.AsyncClient, number: str, approves: bool, code: str | None
) -> None:
    saga, reference, holder = await desk.asked(await card_of(witness, number))
    await answered(witness, reference, holder, approves=approves)
    await desk.bookings.look_now(reference)
    ended = await desk.end_of(saga)
    assert (ended.failure and ended.failure.code) == code
    assert "_secret_" not in ended.context
    (found,) = await intents_of(witness, saga)
    if code is None:
        assert (found["status"], found["latest_charge"]["captured"]) == ("succeeded", True)
    else:
        # Whoever still has the secret can do nothing with it.
        assert found["status"] == "canceled"
        assert (await desk.payment(saga)).status is PaymentStatus.VOIDED


@pytest.mark.parametrize("step", ["AUTHORIZE_PAYMENT", "CONFIRM_BOOKING"])
async def test_a_lost_answer_is_found_out_and_charges_once_though_localstripe_forgets_keys(
    desk: Desk, witness: httpx.AsyncClient, step: str
) -> None:
    saga = await desk.ended(simulation=Simulation(lose_answer_at=(step,)))
    assert saga.status is SagaStatus.COMPLETED
    charged = [found["latest_charge"] for found in await intents_of(witness, saga) if found["latest_charge"]]
    assert [(item["captured"], item["amount_refunded"]) for item in charged] == [(True, 0)]


async def test_news_that_stripe_sends_ends_the_wait(
    localstripe: str, witness: httpx.AsyncClient, sqlite_template: Path, tmp_path: Path
) -> None:
    secret = "whsec_HUNTER2webhook"
    settings = {"payments": "stripe", "stripe_api_key": API_KEY, "stripe_api_base": localstripe}
    async with whole(sqlite_template, tmp_path, **settings, stripe_webhook_secret=secret) as served:
        backend = served.app.state.backend
        async with backend.database.reading() as connection:
            (flight, *_) = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=1)
        endpoint = {"url": f"{served.served.url}/webhooks/stripe", "secret": secret}
        (await witness.post("/_config/webhooks/ours", json=endpoint)).raise_for_status()
        judged: list[WordJudged] = []

        def hear(signal: object) -> None:
            if isinstance(signal, WordJudged):
                judged.append(signal)

        backend.engine.telemetry.attach(hear)
        desk = Desk(backend.database, backend.engine, backend.bookings, flight.id)
        saga, reference, holder = await desk.asked(await card_of(witness, ASKS_AND_DECLINES))

        await answered(witness, reference, holder, approves=True)

        ended = await desk.end_of(saga)
    assert ended.failure is not None
    assert (ended.status, ended.failure.code) == (SagaStatus.COMPENSATED, "PAYMENT_DECLINED")
    assert [(word.wants, word.is_look, type(word.answer)) for word in judged] == [("CARD_CONFIRMATION", True, WordSaid)]
    logged = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "POST /webhooks/stripe" in logged
    assert "HUNTER2" not in logged
    assert "_secret_" not in logged.replace("_secret_[redacted]", "")
