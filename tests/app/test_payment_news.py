"""What happens to money at Stripe without us: an event makes us look, and the payment shows it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.app.whole import ADMIN_TOKEN, whole
from tests.support.waiting import eventually
from tests.witness.fixtures import merchant, witness
from tests.witness.handle import Merchant

__all__ = ["merchant", "witness"]

SECRET: Final = "whsec_HUNTER2news"
FLIGHTS: Final = "{ flights(first: 1) { edges { node { id } } } }"
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { correlationId } } }"
CANCEL: Final = """mutation($reference: String!) {
  cancelBooking(input: {reference: $reference}) { saga { correlationId } errors { __typename } }
}"""
PAUSE: Final = (
    "mutation($reason: String!) { pausePaymentProvider(input: { reason: $reason }) { errors { __typename } } }"
)
RESUME: Final = PAUSE.replace("pause", "resume")
SAGA: Final = """query($id: UUID!) { saga(correlationId: $id) {
  status steps { name status failure { code } }
  booking { reference status payment { status refunded { amount } providerReference } }
} }"""


@dataclass
class Office:
    """The airline, and its account at Stripe."""

    http: httpx.AsyncClient
    merchant: Merchant
    #: Where Stripe sends its events, and the secret that signs them.
    door: tuple[str, str]

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables})
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def booked(self, card: str = "pm_card_visa") -> tuple[str, dict[str, Any]]:
        """A booking's correlation ID, and the booking."""
        (flight,) = (await self.ask(FLIGHTS))["flights"]["edges"]
        order = {
            "correlationId": str(uuid.uuid4()),
            "segments": [{"flightId": flight["node"]["id"]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
            "payment": {"token": card},
        }
        booked = (await self.ask(BOOK, input=order))["bookFlight"]["saga"]["correlationId"]
        return booked, (await self.until(booked, status="COMPLETED"))["booking"]

    async def saga(self, correlation_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask(SAGA, id=correlation_id))["saga"]
        return found

    async def until(self, correlation_id: str, **wanted: str) -> dict[str, Any]:
        async def check() -> dict[str, Any]:
            found = await self.saga(correlation_id)
            assert {name: found[name] for name in wanted} == wanted, found
            return found

        return await eventually(check)

    async def shows(self, correlation_id: str, status: str, refunded: str = "0.00") -> None:
        """The booking's payment comes to show this."""

        async def check() -> bool:
            payment = (await self.saga(correlation_id))["booking"]["payment"]
            assert (payment["status"], payment["refunded"]["amount"]) == (status, refunded)
            return True

        await eventually(check)

    async def reads(self) -> int:
        """How many payments were read at Stripe."""
        return sum((await self.merchant.books()).calls.by_operation.get("read", {}).values())

    async def was_told_of_a_dispute(self) -> bool:
        return ("charge.dispute.created", 200) in await self.merchant.sent()

    async def cancelled(self, booking: dict[str, Any]) -> str:
        answer = (await self.ask(CANCEL, reference=booking["reference"]))["cancelBooking"]
        assert answer["errors"] == []
        correlation_id: str = answer["saga"]["correlationId"]
        return correlation_id


@pytest.fixture
async def office(sqlite_template: Path, tmp_path: Path, merchant: Merchant) -> AsyncIterator[Office]:
    settings = {
        "payments": "stripe",
        "stripe_api_key": merchant.api_key,
        "stripe_api_base": merchant.witness.url,
        "stripe_webhook_secret": SECRET,
    }
    async with whole(sqlite_template, tmp_path, **settings) as served:
        door = (f"{served.served.url}/webhooks/stripe", SECRET)
        await merchant.webhooks(*door)
        served.http.headers["authorization"] = f"Bearer {ADMIN_TOKEN}"
        yield Office(served.http, merchant, door)
        await merchant.webhooks(None)


async def test_a_dispute_shows_on_the_payment_until_it_is_won(office: Office) -> None:
    saga, booking = await office.booked()
    reference = booking["payment"]["providerReference"]
    await office.shows(saga, "CAPTURED")
    await office.merchant.dispute(reference)
    await office.shows(saga, "DISPUTED")
    await office.merchant.settle_dispute(reference, won=True)
    await office.shows(saga, "CAPTURED")


async def test_what_is_refunded_in_the_dashboard_shows_on_the_payment(office: Office) -> None:
    saga, booking = await office.booked()
    reference = booking["payment"]["providerReference"]
    await office.merchant.elsewhere(reference, "refund", amount=2_000)
    await office.shows(saga, "CAPTURED", "20.00")
    await office.merchant.elsewhere(reference, "refund", amount=8_000)
    await office.shows(saga, "REFUNDED", "100.00")


async def test_the_end_of_a_pending_refund_is_heard_at_once(office: Office) -> None:
    saga, booking = await office.booked("pm_card_pendingRefund")
    cancellation = await office.cancelled(booking)
    await office.shows(saga, "REFUND_PENDING")
    assert (await office.saga(saga))["booking"]["status"] == "CANCELLED"
    await office.until(cancellation, status="RUNNING")
    await office.merchant.settle_refund(booking["payment"]["providerReference"])
    await office.until(cancellation, status="COMPLETED")
    await office.shows(saga, "REFUNDED", "100.00")


async def test_a_pending_refund_that_fails_is_stuck_at_once(office: Office) -> None:
    saga, booking = await office.booked("pm_card_pendingRefund")
    cancellation = await office.cancelled(booking)
    await office.shows(saga, "REFUND_PENDING")
    await office.merchant.settle_refund(booking["payment"]["providerReference"], failed=True)
    stuck = await office.until(cancellation, status="STUCK")
    assert [step["failure"]["code"] for step in stuck["steps"] if step["failure"]] == ["REFUND_FAILED"]
    await office.shows(saga, "CAPTURED")
    (payment,) = (await office.merchant.books()).payments
    assert payment.refunded == 0


async def test_a_refund_that_fails_after_it_had_succeeded_is_no_refund_any_more(office: Office) -> None:
    saga, booking = await office.booked("pm_card_refundFail")
    await office.until(await office.cancelled(booking), status="COMPLETED")
    await office.shows(saga, "REFUNDED", "100.00")
    await office.merchant.settle_refund(booking["payment"]["providerReference"], failed=True)
    await office.shows(saga, "CAPTURED")


async def test_what_we_have_done_ourselves_is_not_asked_for_again(office: Office) -> None:
    """Stripe tells of every capture and refund: an event that adds nothing costs no request."""
    # An event that overtakes the answer to its call adds something.
    kinds = ["payment_intent.succeeded", "charge.captured", "charge.refunded"]
    await office.merchant.webhooks(*office.door, held=True, kinds=kinds)
    saga, booking = await office.booked()
    await office.until(await office.cancelled(booking), status="COMPLETED")
    await office.merchant.release()
    assert {kind for kind, status in await office.merchant.sent() if status == 200} == set(kinds)
    await office.shows(saga, "REFUNDED", "100.00")
    calls = (await office.merchant.books()).calls
    # One before the refund, to see what is to be undone.
    assert sum(calls.by_operation.get("read", {}).values()) <= 1, calls


async def test_a_flood_of_events_is_followed_one_after_another(office: Office) -> None:
    """Each costs a request that no customer waits for, so together they take no more than one call's place."""
    booked = [await office.booked() for _ in range(4)]
    await office.merchant.webhooks(*office.door, held=True)
    await office.merchant.set(answer_seconds=0.2)
    for _, booking in booked:
        await office.merchant.dispute(booking["payment"]["providerReference"])
    await office.merchant.release(times=2)
    for saga, _ in booked:
        await office.shows(saga, "DISPUTED")
    assert (await office.merchant.books()).calls.at_once_max == 1


async def test_an_event_is_not_followed_while_the_provider_is_paused(office: Office) -> None:
    # No event of the booking itself is still being followed then.
    await office.merchant.webhooks(*office.door, kinds=["charge.dispute.created"])
    saga, booking = await office.booked()
    before = await office.reads()
    await office.ask(PAUSE, reason="Its maintenance.")
    await office.merchant.dispute(booking["payment"]["providerReference"])
    await eventually(office.was_told_of_a_dispute)
    await office.shows(saga, "CAPTURED")
    assert await office.reads() == before
    await office.ask(RESUME, reason="It is over.")
    await office.shows(saga, "DISPUTED")


async def test_an_event_that_could_not_be_followed_is_followed_later(office: Office) -> None:
    saga, booking = await office.booked()
    await office.merchant.webhooks(*office.door, held=True)
    await office.merchant.set(access="REVOKED")
    await office.merchant.dispute(booking["payment"]["providerReference"])
    sent = await office.merchant.release()

    async def turned_away() -> bool:
        return (await office.merchant.books()).calls.by_operation.get("read", {}).get("401", 0) >= sent

    await eventually(turned_away)
    await office.merchant.set(access="ALLOWED")
    await office.shows(saga, "DISPUTED")
