"""The control plane: a test says what goes wrong, plays the bank and the holder, and reads the books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.witness.account import Account, Rejected
from tests.witness.api import Api, Merchant
from tests.witness.behaviour import Door, Fault, Settings
from tests.witness.books import AnswerRecord, Books, Calls, PaymentRecord, RefundRecord
from tests.witness.listener import Listener
from tests.witness.objects import Intent, Json

__all__ = ["control"]


def control(api: Api, listener: Callable[[], Listener]) -> Starlette:
    """The application of the control plane, which has a port of its own."""

    async def away(request: Request) -> Response:
        listener().close()
        return Response()

    async def back(request: Request) -> Response:
        await listener().open()
        return Response()

    async def do(request: Request) -> Response:
        merchant = api.merchant(request.path_params["api_key"])
        body = await request.body()
        wish = msgspec.json.decode(body) if body else {}
        try:
            answer = _ORDERS[request.path_params["order"]](merchant, wish)
            shown = await answer if isinstance(answer, Awaitable) else answer
        except Rejected as rejected:
            return Response(msgspec.json.encode(rejected.body), rejected.status, media_type="application/json")
        return Response(msgspec.json.encode(shown), media_type="application/json")

    return Starlette(
        routes=[
            Route("/_control/away", away, methods=["POST"]),
            Route("/_control/back", back, methods=["POST"]),
            Route("/_control/{api_key}/{order}", do, methods=["GET", "POST"]),
        ]
    )


# ---------------------------------------------------------------------- orders


def _settings(merchant: Merchant, wish: Json) -> Json:
    """Change what is named; all else stays."""
    now: Json = msgspec.to_builtins(merchant.door.settings)
    settings = msgspec.convert({**now, **wish}, Settings)
    merchant.door.set(settings)
    account = merchant.account
    account.refunds_end, account.refund_seconds = settings.refunds, settings.refund_seconds
    account.authorization_seconds = settings.authorization_seconds
    return {}


def _faults(merchant: Merchant, wish: list[Json] | Json) -> Json:
    """Add these; an empty object takes all back."""
    if wish == {}:
        merchant.door.faults.clear()
    else:
        merchant.door.faults += msgspec.convert(wish, list[Fault])
    return {}


def _clock(merchant: Merchant, wish: Json) -> Json:
    merchant.account.advance(wish["seconds"])
    return {"now": merchant.account.now}


def _holder(merchant: Merchant, wish: Json) -> Json:
    """The first answer counts."""
    intent = merchant.account.intent(wish["reference"])
    if intent.status != "requires_action":
        return {}
    return merchant.account.authenticate(intent.id, intent.secret, approves=wish["approves"])


def _elsewhere(merchant: Merchant, wish: Json) -> Json:
    """Somebody does it in the dashboard: no request, no key."""
    account, reference = merchant.account, wish["reference"]
    match wish["does"]:
        case "capture":
            return account.capture(reference, {})
        case "cancel":
            return account.cancel(reference, "requested_by_customer")
        case _:
            return account.refund({"payment_intent": reference, **wish.get("with", {})})


def _settle_refund(merchant: Merchant, wish: Json) -> Json:
    """The refunds of a payment that are not settled, or the newest one, if all are."""
    refunds = merchant.account.refunds_of(wish["reference"])
    pending = [refund for refund in refunds if refund.status == "pending"]
    for refund in pending or refunds[-1:]:
        merchant.account.settle_refund(refund, wish["status"])
    return {"settled": len(pending or refunds[-1:])}


def _dispute(merchant: Merchant, wish: Json) -> Json:
    return merchant.account.dispute(wish["reference"], wish["reason"]).shown()


def _settle_dispute(merchant: Merchant, wish: Json) -> Json:
    merchant.account.settle_dispute(wish["reference"], won=wish["won"])
    return {}


def _webhooks(merchant: Merchant, wish: Json) -> Json:
    merchant.webhooks.to(wish["url"], wish["secret"], held=wish["held"], kinds=wish["kinds"])
    return {}


async def _release(merchant: Merchant, wish: Json) -> Json:
    return {"sent": await merchant.webhooks.release(wish["order"], wish["times"])}


def _sent(merchant: Merchant, wish: Json) -> Json:
    return {"sent": merchant.webhooks.sent}


def _books(merchant: Merchant, wish: Json) -> Books:
    return Books(
        tuple(_record(merchant.account, intent) for intent in merchant.account.intents.values()),
        tuple(AnswerRecord(key, each.status, _code(each.body)) for key, each in merchant.answers.items()),
        _calls(merchant.door),
    )


_ORDERS: Final[dict[str, Callable[[Merchant, Any], Any]]] = {
    "settings": _settings,
    "faults": _faults,
    "clock": _clock,
    "holder": _holder,
    "elsewhere": _elsewhere,
    "settle-refund": _settle_refund,
    "dispute": _dispute,
    "settle-dispute": _settle_dispute,
    "webhooks": _webhooks,
    "release": _release,
    "sent": _sent,
    "books": _books,
}


def _record(account: Account, intent: Intent) -> PaymentRecord:
    refunds = account.refunds_of(intent.id)

    def sum_of(status: str) -> int:
        return sum(refund.amount for refund in refunds if refund.status == status)

    charge = intent.charge
    return PaymentRecord(
        reference=intent.id,
        correlation_id=intent.metadata.get("correlation_id", ""),
        amount=intent.amount,
        currency=intent.currency,
        status=intent.status,
        authorized=intent.amount if intent.status == "requires_capture" else 0,
        captured=charge.captured or 0 if charge else 0,
        refunded=sum_of("succeeded"),
        pending=sum_of("pending"),
        authorizations=intent.authorizations,
        captures=intent.captures,
        refunds=tuple(RefundRecord(each.id, each.amount, each.status) for each in refunds),
        disputes=tuple(each.status for each in account.disputes.values() if each.charge.intent is intent),
    )


def _code(body: Json) -> str:
    error = body.get("error", body)
    return str(error.get("decline_code") or error.get("code") or error.get("status") or error.get("type") or "")


def _calls(door: Door) -> Calls:
    by_operation: dict[str, dict[str, int]] = defaultdict(dict)
    for (operation, status), count in door.answers.items():
        by_operation[operation][str(status)] = count
    return Calls(dict(by_operation), dict(door.minutes), door.under_way_max)
