"""Stripe's HTTP API over accounts: who asks, whether they may now, keys, and what each path does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from tests.witness.account import Account, Rejected
from tests.witness.behaviour import Door, Fault
from tests.witness.forms import Listed, expands, page, parsed
from tests.witness.objects import Json
from tests.witness.webhooks import Webhooks

__all__ = ["Api", "Merchant"]

KEY_SECONDS: Final = 86_400
_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"
Do = Callable[[], Json]


@dataclass
class Answer:
    """The first answer under an idempotency key; None while its request is running."""

    asked: str
    at: float
    status: int | None = None
    body: Json = field(default_factory=dict)


@dataclass
class Merchant:
    """Everything that belongs to one API key."""

    account: Account = field(default_factory=Account)
    door: Door = field(default_factory=Door)
    webhooks: Webhooks = field(default_factory=Webhooks)
    answers: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account.tell = self.webhooks.tell


class Api:
    """The endpoints. `cut` cuts the connection of a request's client."""

    def __init__(self, cut: Callable[[object], None]) -> None:
        self._cut = cut
        self._merchants: dict[str, Merchant] = {}

    def merchant(self, api_key: str) -> Merchant:
        """Whose key this is; a new one if it is new."""
        return self._merchants.setdefault(api_key, Merchant())

    async def __call__(self, request: Request) -> Response:
        api_key = _api_key(request)
        if not api_key.startswith("sk_test_"):
            return _error(401, "invalid_request_error", None, "Invalid API Key provided.")
        try:
            body = (await request.body()).decode()
        except ClientDisconnect:
            # It was given up before it had arrived.
            return Response(status_code=400)
        merchant = self.merchant(api_key)
        is_json = request.headers.get("content-type", "").startswith("application/json")
        wish = json.loads(body or "{}") if is_json else parsed(body)
        operation, do = _find(merchant.account, request, wish)
        door = merchant.door
        door.enter()
        status = 0
        try:
            answer = await self._serve(merchant, request, operation, do, body)
            if answer is None:
                self._cut(request.scope["client"])
                return Response(status_code=500)
            status = answer.status_code
            return answer
        finally:
            door.leave(operation, status, merchant.account.now)

    async def _serve(self, merchant: Merchant, request: Request, operation: str, do: Do, body: str) -> Response | None:
        """The answer; None: the connection is to be cut."""
        door, settings = merchant.door, merchant.door.settings
        match settings.access:
            case "REVOKED":
                return _error(401, "invalid_request_error", "api_key_expired", "Expired API Key provided.")
            case "FORBIDDEN":
                return _error(403, "invalid_request_error", "secret_key_required", "This key may not do that.")
        if door.is_too_much():
            after = settings.retry_after_seconds
            headers = {} if after is None else {"Retry-After": str(after)}
            return _error(429, "invalid_request_error", "rate_limit", "Too many requests.", headers)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        stored = Answer(f"{request.url.path}?{body}", merchant.account.now)
        if key is not None:
            known = merchant.answers.get(key)
            if known is not None and known.at > merchant.account.now - KEY_SECONDS:
                return _repeated(known, stored.asked)
            merchant.answers[key] = stored
        fault = door.fault_for(operation)
        merchant.account.let_fall_due()
        status, shown = _done(do, fault)
        seconds = settings.answer_seconds + (fault.seconds if fault else 0.0)
        if seconds > 0:
            await asyncio.sleep(seconds)
        stored.status, stored.body = status, shown
        if fault is None or fault.what == "SLOW":
            return JSONResponse(shown, status)
        if key is not None and not fault.after_effect and fault.what != "ERROR":
            # The request never came to Stripe, so it knows nothing of its key.
            del merchant.answers[key]
        if fault.what == "RESET":
            return None
        return Response(_PAGE, 502, media_type="text/html") if fault.what == "PAGE" else JSONResponse(shown, status)


def _done(do: Do, fault: Fault | None) -> tuple[int, Json]:
    """What Stripe answers, and stores: of a fault before the effect, only that."""
    failed = {"error": {"type": "api_error", "message": "Something went wrong on Stripe's end."}}
    if fault is not None and fault.what != "SLOW" and not fault.after_effect:
        return 500, failed
    try:
        status, shown = 200, do()
    except Rejected as rejected:
        status, shown = rejected.status, rejected.body
    return (500, failed) if fault is not None and fault.what == "ERROR" else (status, shown)


def _repeated(known: Answer, asked: str) -> Response:
    if known.asked != asked:
        return _error(400, "idempotency_error", None, "This key was first used with other parameters.")
    if known.status is None:
        return _error(409, "idempotency_error", "idempotency_key_in_use", "A request with this key is running.")
    return JSONResponse(known.body, known.status, {"Idempotent-Replayed": "true"})


def _error(status: int, kind: str, code: str | None, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"type": kind, "code": code, "message": message}}, status, headers)


def _api_key(request: Request) -> str:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind == "Basic":
        import base64

        return base64.b64decode(given).decode().rstrip(":")
    return given


# ---------------------------------------------------------------------- paths


def _find(account: Account, request: Request, wish: Json) -> tuple[str, Do]:
    """The name of the operation, and what it does."""
    query = parsed(request.url.query)
    parts = request.url.path.strip("/").split("/")[1:]
    match (request.method, parts):
        case ("POST", ["payment_intents"]):
            return "open", lambda: account.open(wish)
        case ("POST", ["payment_intents", reference, "confirm"]):
            return "authorize", lambda: account.confirm(reference, wish)
        case ("POST", ["payment_intents", reference, "capture"]):
            return "capture", lambda: account.capture(reference, wish)
        case ("POST", ["payment_intents", reference, "cancel"]):
            return "void", lambda: account.cancel(reference, wish.get("cancellation_reason"))
        case ("POST", ["payment_intents", reference, "_authenticate"]):
            return "holder", lambda: account.authenticate(
                reference, wish["client_secret"], approves=wish["success"] in (True, "true")
            )
        case ("GET", ["payment_intents", reference]):
            return "read", lambda: account.show(
                account.intent(reference),
                expanded=expands(query, "latest_charge"),
                with_refunds=expands(query, "latest_charge.refunds"),
            )
        case ("POST", ["refunds"]):
            return "refund", lambda: account.refund(wish)
        case ("POST", ["payment_methods"]):
            return "card", lambda: account.card(wish["card"]["number"])
        case ("GET", ["balance"]):
            return "balance", lambda: {"object": "balance", "available": [], "pending": [], "livemode": False}
        case ("GET", [kind]) if kind in _LISTS:
            return f"list {kind}", lambda: page(f"/v1/{kind}", _LISTS[kind](account, query), query)
        case ("GET", [kind, named]) if kind in _LISTS:
            return f"read {kind}", lambda: _one(account, kind, named, query)
        case _:
            return "unknown", lambda: _nothing(request)


def _nothing(request: Request) -> Json:
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    raise Rejected(404, "invalid_request_error", None, message)


def _one(account: Account, kind: str, named: str, query: Json) -> Json:
    for id_, _, show in _LISTS[kind](account, {**query, "payment_intent": None, "charge": None}):
        if id_ == named:
            return show()
    raise Rejected(404, "invalid_request_error", "resource_missing", f"No such object: '{named}'")


def _intents(account: Account, query: Json) -> Iterable[Listed]:
    expanded = expands(query, "latest_charge")
    for each in list(account.intents.values()):
        yield each.id, each.created, partial(account.show, each, expanded=expanded)


def _charges(account: Account, query: Json) -> Iterable[Listed]:
    for each in list(account.charges.values()):
        if query.get("payment_intent") in (None, each.intent.id):
            yield each.id, each.created, partial(account.show_charge, each)


def _refunds(account: Account, query: Json) -> Iterable[Listed]:
    for each in list(account.refunds.values()):
        if _is_of(each.charge, query):
            yield each.id, each.created, each.shown


def _disputes(account: Account, query: Json) -> Iterable[Listed]:
    for each in list(account.disputes.values()):
        if _is_of(each.charge, query):
            yield each.id, each.created, each.shown


def _events(account: Account, query: Json) -> Iterable[Listed]:
    types = {*query.get("types", {}).values(), *([query["type"]] if "type" in query else [])}
    for each in list(account.events.values()):
        if not types or each.type in types:
            yield each.id, each.created, each.shown


def _is_of(charge: Any, query: Json) -> bool:
    return query.get("payment_intent") in (None, charge.intent.id) and query.get("charge") in (None, charge.id)


_LISTS: Final[dict[str, Callable[[Account, Json], Iterable[Listed]]]] = {
    "payment_intents": _intents,
    "charges": _charges,
    "refunds": _refunds,
    "disputes": _disputes,
    "events": _events,
}
