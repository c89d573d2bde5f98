"""Events of Stripe over a real server, signed by Stripe's own library: what is signed is taken, as a hint."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from stripe import WebhookSignature

from app.http.stripe_webhook import BODY_BYTES_MAX, TOLERANCE_SECONDS, stripe_webhook
from domain.payments import PaymentStatus
from tests.app.whole import whole
from tests.support.serving import serving

OLD: Final = "whsec_HUNTER2old"
NEW: Final = "whsec_HUNTER2new"
PATH: Final = "/webhooks/stripe"


def event(kind: str = "payment_intent.amount_capturable_updated", **thing: Any) -> str:
    """An event about a payment, or about `thing`, as Stripe sends it."""
    about = thing or {"id": "pi_1", "object": "payment_intent", "metadata": {"correlation_id": "c"}}
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}, indent=2)


def signature(body: str, secret: str = NEW, *, age_seconds: int = 0) -> str:
    return str(WebhookSignature.generate_signature_header(body, secret, timestamp=int(time.time()) - age_seconds))


@dataclass
class Ear:
    """What was heard, in its order. `answered` holds up all that is done after an answer."""

    http: httpx.AsyncClient
    told: list[str] = field(default_factory=list)
    said: list[PaymentStatus | None] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def on_news(self, reference: str, says: PaymentStatus | None) -> None:
        await self.answered.wait()
        self.told.append(reference)
        self.said.append(says)
        self.heard.put_nowait(reference)

    async def send(self, body: str | bytes, signed: str | None) -> httpx.Response:
        headers = {"content-type": "application/json; charset=utf-8"}
        if signed is not None:
            headers["stripe-signature"] = signed
        return await self.http.post(PATH, content=body, headers=headers)

    async def hear(self) -> str:
        async with asyncio.timeout(20):
            return await self.heard.get()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with httpx.AsyncClient() as http:
        ear = Ear(http)
        ear.answered.set()
        app = Starlette(routes=[stripe_webhook((OLD, NEW), on_news=ear.on_news)])
        async with serving(app) as served:
            http.base_url = httpx.URL(served.url)
            yield ear


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_what_is_signed_with_either_secret_is_answered_and_heard(ear: Ear, secret: str) -> None:
    body = event()
    answer = await ear.send(body, signature(body, secret))
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert await ear.hear() == "pi_1"


async def test_the_answer_does_not_wait_for_what_is_done_with_it(ear: Ear) -> None:
    ear.answered.clear()
    body = event()
    assert (await ear.send(body, signature(body))).status_code == 200
    assert ear.told == []
    ear.answered.set()
    assert await ear.hear() == "pi_1"


@pytest.mark.parametrize(
    ("body", "reference"),
    [
        (event("payment_intent.payment_failed"), "pi_1"),
        (event("refund.failed", id="re_1", object="refund", payment_intent="pi_2"), "pi_2"),
        (event("charge.dispute.created", id="dp_1", object="dispute", payment_intent="pi_3"), "pi_3"),
        (event("something.new", id="x_1", object="thing"), None),
        (event("charge.updated", id="ch_1", object="charge", payment_intent=None), None),
        (event("payment_intent.created", id=7, object="payment_intent"), None),
        ("[]", None),
        ("null", None),
        ('{"data": []}', None),
    ],
)
async def test_every_event_that_is_signed_is_taken_and_heard_where_it_is_about_a_payment(
    ear: Ear, body: str, reference: str | None
) -> None:
    assert (await ear.send(body, signature(body))).status_code == 200
    # Heard in their order: so this one is the second only if the first was heard.
    last = event(id="pi_last", object="payment_intent")
    assert (await ear.send(last, signature(last))).status_code == 200
    assert await ear.hear() == (reference or "pi_last")


async def test_an_event_that_comes_again_is_taken_again(ear: Ear) -> None:
    body = event()
    signed = signature(body, age_seconds=TOLERANCE_SECONDS - 30)
    for _ in range(3):
        assert (await ear.send(body, signed)).status_code == 200
        assert await ear.hear() == "pi_1"


BODY: Final = event()
WRONG: Final[dict[str, Callable[[], str | None]]] = {
    "none": lambda: None,
    "empty": lambda: "",
    "without a signature": lambda: "t=1,v1=",
    "without a form": lambda: "nonsense",
    "without a time": lambda: "v1=00",
    "somebody else's": lambda: signature(BODY, "whsec_of_somebody_else"),
    "another body's": lambda: signature(BODY + " "),
    "too old": lambda: signature(BODY, age_seconds=TOLERANCE_SECONDS + 5),
    "of another scheme": lambda: signature(BODY).replace("v1=", "v0="),
    "of an endless time": lambda: f"t={'9' * 5_000},v1=00",
    "beyond ASCII": lambda: f"t={int(time.time())},v1=\xe9",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_not_signed_for_us_now_is_refused_and_not_heard(ear: Ear, wrong: str) -> None:
    signed = WRONG[wrong]()
    headers = [] if signed is None else [(b"stripe-signature", signed.encode("latin-1"))]
    answer = await ear.http.post(PATH, content=BODY, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("No Stripe-Signature fits")
    assert "HUNTER2" not in answer.text
    assert ear.told == []


async def test_a_signed_body_that_is_no_json_is_refused(ear: Ear) -> None:
    for body in ("", "no json", "{", "[" * 100_000):
        answer = await ear.send(body, signature(body))
        assert (answer.status_code, answer.json()["detail"]) == (400, "The body is not valid JSON.")
    assert (await ear.send(b"\xff", signature("\xff"))).status_code == 400
    assert ear.told == []


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(ear: Ear) -> None:
    body = event(id="pi_1", object="payment_intent", filler="x" * BODY_BYTES_MAX)
    answer = await ear.send(body, signature(body))
    assert answer.status_code == 413
    assert str(BODY_BYTES_MAX) in answer.json()["detail"]
    assert ear.told == []


async def test_it_takes_posts_alone(ear: Ear) -> None:
    assert (await ear.http.get(PATH)).status_code == 405


# ---------------------------------------------------------------------- in the whole application

STRIPE: Final = {"payments": "stripe", "stripe_api_key": "sk_test_1"}


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"payments": "sandbox", "stripe_webhook_secret": NEW}, 404),
        (STRIPE, 404),
        (STRIPE | {"stripe_webhook_secret": f"{OLD},{NEW}"}, 200),
        (STRIPE | {"stripe_webhook_secret": NEW, "auth": "jwt", "jwt_secret": "x" * 32}, 200),
    ],
)
async def test_events_are_taken_where_payments_are_stripes_and_a_secret_is_set(
    sqlite_template: Path, tmp_path: Path, settings: dict[str, str], status: int
) -> None:
    body = event()
    async with whole(sqlite_template, tmp_path, **settings) as served:
        answer = await served.http.post(PATH, content=body, headers={"stripe-signature": signature(body)})
    assert answer.status_code == status
    if status == 404:
        assert "set SEATSAGA_PAYMENTS=stripe and SEATSAGA_STRIPE_WEBHOOK_SECRET" in answer.json()["detail"]
    logged = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "HUNTER2" not in logged


# ---------------------------------------------------------------------- what an event says

INTENT: Final = {"id": "pi_1", "object": "payment_intent"}
CHARGE: Final = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}
DISPUTE: Final = {"id": "dp_1", "object": "dispute", "payment_intent": "pi_1"}


def refund(status: str) -> dict[str, Any]:
    return {"id": "re_1", "object": "refund", "payment_intent": "pi_1", "status": status}


@pytest.mark.parametrize(
    ("kind", "thing", "says"),
    [
        ("payment_intent.succeeded", INTENT, PaymentStatus.CAPTURED),
        ("charge.captured", CHARGE, PaymentStatus.CAPTURED),
        ("payment_intent.canceled", INTENT, PaymentStatus.VOIDED),
        ("charge.refunded", CHARGE, PaymentStatus.REFUND_PENDING),
        ("refund.created", refund("pending"), PaymentStatus.REFUND_PENDING),
        ("refund.updated", refund("succeeded"), PaymentStatus.REFUNDED),
        ("charge.refund.updated", refund("succeeded"), PaymentStatus.REFUNDED),
        ("charge.refund.updated", refund("failed"), None),
        ("refund.failed", refund("failed"), None),
        ("charge.dispute.created", DISPUTE, None),
        ("charge.dispute.closed", DISPUTE, None),
        ("charge.dispute.funds_reinstated", DISPUTE, None),
        ("payment_intent.amount_capturable_updated", INTENT, None),
    ],
)
async def test_every_event_about_money_is_heard_with_what_it_says_of_the_payment(
    ear: Ear, kind: str, thing: dict[str, Any], says: PaymentStatus | None
) -> None:
    body = event(kind, **thing)
    assert (await ear.send(body, signature(body))).status_code == 200
    assert await ear.hear() == "pi_1"
    assert ear.said == [says]
