"""POST /webhooks/stripe: Stripe tells us that there is news of a payment.

An event is a hint. Only its signature is checked and the payment's reference taken from it; what is
true is then read from Stripe. So an event may come twice, late, out of order or never, and one of a type
that we do not know is answered like the others: Stripe would send it again for three days otherwise.
Stripe tells of each capture and refund of our own too. An event that only says what our records say already
is not followed, or each would cost a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.answers import HttpRefusal, json_answer, problem
from app.http.operations import Bodies
from domain.payments import PaymentStatus

__all__ = ["OnNews", "stripe_webhook"]

#: Called with a payment's reference, and what the event says of the payment, if it says anything for sure.
OnNews = Callable[[str, PaymentStatus | None], Awaitable[None]]

#: An event holds one object of Stripe's, and Stripe limits its metadata.
BODY_BYTES_MAX: Final = 262_144
#: An older signature is refused, so that a recorded request is of use for minutes only.
TOLERANCE_SECONDS: Final = 300
_HEADER: Final = "Stripe-Signature"
_OFF: Final = (
    "This server takes no events of Stripe; set SEATSAGA_PAYMENTS=stripe and SEATSAGA_STRIPE_WEBHOOK_SECRET to the "
    "signing secret of the endpoint."
)
_NOT_SIGNED: Final = (
    f"No {_HEADER} fits this body and a secret of SEATSAGA_STRIPE_WEBHOOK_SECRET, or it is older than "
    f"{TOLERANCE_SECONDS} s."
)


def stripe_webhook(secrets: Sequence[str], *, on_news: OnNews) -> Route:
    """The route; without `secrets` it answers 404. `on_news` is called with a reference once the event is answered.

    Several secrets are all accepted, so that one can be replaced by another.
    """
    bodies = Bodies(BODY_BYTES_MAX)
    is_signed = _verifier(secrets) if secrets else None

    async def endpoint(request: Request) -> Response:
        if is_signed is None:
            return problem(404, _OFF)
        body = await bodies.read(request)
        if isinstance(body, HttpRefusal):
            return problem(body.status, body.message, headers=body.headers)
        if not is_signed(body, request.headers.get(_HEADER, "")):
            return problem(400, _NOT_SIGNED)
        try:
            event = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return problem(400, "The body is not valid JSON.")
        reference = _reference_in(event)
        told = BackgroundTask(on_news, reference, _said_by(event)) if reference else None
        return json_answer(200, {"received": True}, background=told)

    return Route("/webhooks/stripe", endpoint, methods=["POST"])


def _verifier(secrets: Sequence[str]) -> Callable[[bytes, str], bool]:
    from stripe import SignatureVerificationError, WebhookSignature

    def is_signed(body: bytes, header: str) -> bool:
        # The library compares texts of ASCII alone.
        if not header.isascii():
            return False
        for secret in secrets:
            try:
                WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
            except (SignatureVerificationError, UnicodeDecodeError):
                continue
            return True
        return False

    return is_signed


def _reference_in(event: Any) -> str | None:
    """The PaymentIntent that the event is about, itself or as the payment of a charge, a refund or a dispute."""
    match event:
        case {"data": {"object": {"object": "payment_intent", "id": str(reference)}}}:
            return reference
        case {"data": {"object": {"payment_intent": str(reference)}}}:
            return reference
        case _:
            return None


def _said_by(event: Any) -> PaymentStatus | None:
    """What the event says of its payment; None if it says less, or something that may have changed since."""
    match event:
        case {"type": "payment_intent.succeeded" | "charge.captured"}:
            return PaymentStatus.CAPTURED
        case {"type": "payment_intent.canceled"}:
            return PaymentStatus.VOIDED
        case {"type": "charge.refunded"} | {"data": {"object": {"object": "refund", "status": "pending"}}}:
            return PaymentStatus.REFUND_PENDING
        case {"data": {"object": {"object": "refund", "status": "succeeded"}}}:
            return PaymentStatus.REFUNDED
        case _:
            return None
