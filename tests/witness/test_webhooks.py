"""Events come signed: once, twice, late, in another order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.payments.stripe import StripeGateway
from tests.support.serving import serving
from tests.support.waiting import eventually
from tests.witness import Merchant
from tests.witness.test_witness import captured

SECRET = "whsec_of_the_witness"
TAKEN = ["payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated", "charge.captured"]


@dataclass
class Endpoint:
    """Takes events, and refuses those that are not signed with SECRET."""

    url: str = ""
    heard: list[str] = field(default_factory=list)
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, request: Request) -> Response:
        body = await request.body()
        stripe.WebhookSignature.verify_header(body, request.headers["stripe-signature"], SECRET, 300)
        self.heard.append(json.loads(body)["type"])
        return Response(status_code=500 if self.broken.is_set() else 200)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with serving(Starlette(routes=[Route("/", endpoint.hear, methods=["POST"])])) as served:
        endpoint.url = f"{served.url}/"
        yield endpoint


async def test_each_event_comes_once_signed_in_its_order(
    merchant: Merchant, stripe_gateway: StripeGateway, endpoint: Endpoint
) -> None:
    await merchant.webhooks(endpoint.url, SECRET)
    await captured(stripe_gateway)
    await eventually(lambda: endpoint.heard == [*TAKEN, "payment_intent.succeeded"])


async def test_events_are_held_and_come_late_twice_and_in_reverse(
    merchant: Merchant, stripe_gateway: StripeGateway, endpoint: Endpoint
) -> None:
    await merchant.webhooks(endpoint.url, SECRET, held=True)
    reference = await captured(stripe_gateway)
    await merchant.dispute(reference)
    assert endpoint.heard == []
    assert await merchant.release("REVERSED", times=2) == 14
    in_order = [*TAKEN, "payment_intent.succeeded", "charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert endpoint.heard == [each for each in reversed(in_order) for _ in range(2)]


async def test_an_event_is_sent_again_until_it_is_taken(
    merchant: Merchant, stripe_gateway: StripeGateway, endpoint: Endpoint
) -> None:
    endpoint.broken.set()
    await merchant.webhooks(endpoint.url, SECRET)
    await merchant.set(refunds="PEND")
    await captured(stripe_gateway)
    await eventually(lambda: len(endpoint.heard) >= 2)
    endpoint.broken.clear()
    await eventually(lambda: endpoint.heard[-1] == "payment_intent.succeeded")
    assert endpoint.heard[:2] == [TAKEN[0]] * 2
