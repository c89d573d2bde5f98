"""Stripe as a payment gateway: a booking's payment is one PaymentIntent with manual capture.

::

    open      create, not confirmed     requires_confirmation         OPEN
    authorize confirm                   requires_capture              AUTHORIZED
                                        requires_action               NEEDS_HOLDER
                                        requires_payment_method       OPEN, refused: by the bank or the holder
    capture   capture                   succeeded                     CAPTURED
    void      cancel                    canceled                      VOIDED
    refund    refunds.create            succeeded, and the charge has
                                          a refund that is pending    REFUND_PENDING
                                          refunds of all of it        REFUNDED
                                          a dispute that is open      DISPUTED
                                          a dispute that is lost      CHARGED_BACK

The card is named when the intent is made, and each time it is confirmed: after a refusal the same intent
takes another card, under the key of a new round. So a key always has the same request, and an intent
never has two authorizations. If the holder must confirm, Stripe.js does it in the browser with the
intent's client secret. A canceled intent refuses all of this, which makes a late authorization harmless.

Stripe keeps a key's first answer for a day, also a failure. Therefore:

- An answered 500 is PROVIDER_ERROR, and so is a key that was used with other parameters: the key is
  of no more use, and the intent's state decides (`domain.payments.calls`).
- A 4xx on an intent may mean that the operation is done already (the key was forgotten, or a person
  acted in the dashboard): the intent's state decides here too.
- A refused void or refund marks its key as spent, so that the next attempt is a new request.
- `open` moves no money, so an answered 500 to it is a refusal and is tried again under a new key: a
  forgotten intent cannot charge anybody.

A refund is what its own status says: `charge.refunded` is true from the moment a refund is accepted, and false again
if it fails. So the charge's refunds are read with it. While one is pending no other is asked for; `refund` asks for all
that is left, and Stripe never gives back more than it took. A dispute forbids refunds; an inquiry, and a dispute that
we have won, change nothing.

A request that did not leave, or that was turned away at the door, is NotSent: no connection
(PROVIDER_UNREACHABLE), 429 (PROVIDER_BUSY, with the seconds of Retry-After), 401 and 403
(PROVIDER_ACCESS_DENIED). What was sent and not answered stays Unknown, also on a connection that was reset.

An intent that Stripe does not know never counts as voided: Stripe makes the references, so this is
the wrong account, and the money may be authorized in another.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar, cast

import httpx
import stripe
from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams

from domain.money import Money
from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments.calls import PROVIDER_ERROR
from domain.payments.declines import CARD_NOT_CONFIRMED, declined
from domain.payments.gateway import NeedsHolder, PaymentOrder, ProviderPayment, ProviderState
from domain.payments.stripe_amounts import money_of, units_of
from domain.payments.undo import REFUND_FAILED

__all__ = ["StripeGateway"]

T = TypeVar("T")
_logger = logging.getLogger("seatsaga.payments")

#: Requests and answers follow this version of Stripe's API, and not the library's own. The library's present one no
#: longer accepts `payment_method_types`, and older servers do not know its replacement.
API_VERSION: Final = "2026-07-29.dahlia"
#: Below the engine's attempt timeout, so that a slow provider can be distinguished from a slow step.
TIMEOUT_SECONDS: Final = 8.0
CONNECT_SECONDS_MAX: Final = 4.0
#: The guard lets no more calls out than there are connections. So a request that waits longer has met a broken pool.
POOL_SECONDS_MAX: Final = 1.0
CALLS_MAX: Final = 64
#: A longer Retry-After is obeyed for this time; then the provider is asked again.
RETRY_AFTER_SECONDS_MAX: Final = 300.0
#: Connections for requests that no guard counts: a person's command, a job.
CONNECTIONS_SPARE: Final = 16

#: Stripe's codes of declines and of errors, by what a customer can do. Any other one is PAYMENT_DECLINED.
_DECLINED: Final = {
    "authentication_required": "AUTHENTICATION_REQUIRED",
    "incorrect_address": "CARD_ADDRESS_INCORRECT",
    "incorrect_zip": "CARD_ADDRESS_INCORRECT",
    "expired_card": "CARD_EXPIRED",
    "invalid_expiry_month": "CARD_EXPIRY_INVALID",
    "invalid_expiry_year": "CARD_EXPIRY_INVALID",
    "card_velocity_exceeded": "CARD_LIMIT_EXCEEDED",
    "withdrawal_count_limit_exceeded": "CARD_LIMIT_EXCEEDED",
    "lost_card": "CARD_LOST",
    "card_not_supported": "CARD_NOT_SUPPORTED",
    "currency_not_supported": "CARD_NOT_SUPPORTED",
    "incorrect_number": "CARD_NUMBER_INCORRECT",
    "invalid_number": "CARD_NUMBER_INCORRECT",
    "stolen_card": "CARD_STOLEN",
    "incorrect_cvc": "INCORRECT_CVC",
    "invalid_cvc": "INCORRECT_CVC",
    "insufficient_funds": "INSUFFICIENT_FUNDS",
    "issuer_not_available": "ISSUER_UNAVAILABLE",
    "try_again_later": "ISSUER_UNAVAILABLE",
    "processing_error": "PROCESSING_ERROR",
    "reenter_transaction": "PROCESSING_ERROR",
}
_STATES: Final = {
    "requires_payment_method": ProviderState.OPEN,
    "requires_confirmation": ProviderState.OPEN,
    "requires_action": ProviderState.NEEDS_HOLDER,
    "requires_capture": ProviderState.AUTHORIZED,
    "canceled": ProviderState.VOIDED,
}
_DISPUTES_OPEN: Final = ("needs_response", "under_review")
_REFUNDS_PENDING: Final = ("pending", "requires_action")

_CARD_UNKNOWN: Final = Refused("CARD_TOKEN_UNKNOWN", "The provider does not know this card token.")
_NOT_CHARGEABLE: Final = Refused("AMOUNT_NOT_CHARGEABLE", "The provider cannot charge this amount exactly.")


class StripeGateway:
    """Payments at Stripe, or at a server with the same API (`api_base`).

    `calls_max`: how many calls are out at once at most, by the guard before it. `on_request` is called with each
    request that leaves.
    """

    name = "stripe"
    takes_our_reference = False

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        calls_max: int = CALLS_MAX,
        on_request: Callable[[], None] = lambda: None,
    ) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._timeout_seconds = timeout_seconds
        self._calls_max = calls_max
        self._on_request = on_request
        self._transport: _Transport | None = None
        self._client: stripe.StripeClient | None = None

    async def start(self) -> None:
        # Its lines below WARNING contain request bodies and messages, and these contain card tokens.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._transport = _Transport(self._timeout_seconds, self._calls_max, self._on_request)
        self._client = stripe.StripeClient(
            self._api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": self._api_base.rstrip("/")} if self._api_base else {},
            # The engine retries and counts attempts.
            max_network_retries=0,
            http_client=self._transport,
        )

    async def close(self) -> None:
        self._client = None
        if self._transport is not None:
            await self._transport.close_async()
            self._transport = None

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        units = units_of(order.amount)
        if order.token is None:
            return Refused("CARD_TOKEN_MISSING", "A card token is needed.")
        if units is None:
            return _NOT_CHARGEABLE
        wish = {
            "amount": units,
            "currency": order.amount.currency.lower(),
            "capture_method": "manual",
            "payment_method": order.token,
            # Other payment methods would redirect the payer and back.
            "payment_method_types": ["card"],
            "metadata": {"correlation_id": order.correlation_id},
        }
        answer = await _answer(
            self._v1.payment_intents.create_async(cast(PaymentIntentCreateParams, wish), {"idempotency_key": key})
        )
        if isinstance(answer, stripe.StripeError):
            return _not_opened(answer)
        reference = getattr(answer, "id", None)
        return Succeeded(f"{reference} opened", reference) if reference else _unclear()

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        wish: PaymentIntentConfirmParams = {"use_stripe_sdk": True}
        if order.token is not None:
            wish["payment_method"] = order.token
        answer = await _answer(self._v1.payment_intents.confirm_async(reference, wish, {"idempotency_key": key}))
        if isinstance(answer, stripe.StripeError):
            return await self._settle(
                answer,
                reference,
                done={ProviderState.AUTHORIZED, ProviderState.CAPTURED, ProviderState.NEEDS_HOLDER},
                possible={ProviderState.OPEN},
                refusal="PAYMENT_NOT_OPEN",
            )
        payment = _payment(reference, answer)
        # An intent that may not be confirmed any more is canceled by Stripe.
        if payment is None or payment.state in (ProviderState.OPEN, ProviderState.CAPTURED, ProviderState.REFUNDED):
            return _unclear()
        return payment.as_authorization()

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        units = units_of(amount)
        if units is None:
            return _NOT_CHARGEABLE
        answer = await _answer(
            self._v1.payment_intents.capture_async(reference, {"amount_to_capture": units}, {"idempotency_key": key})
        )
        if isinstance(answer, stripe.StripeError):
            return await self._settle(
                answer,
                reference,
                done={ProviderState.CAPTURED},
                possible={ProviderState.AUTHORIZED},
                refusal="PAYMENT_NOT_AUTHORIZED",
            )
        return Succeeded("captured") if _status(answer) == "succeeded" else _unclear()

    async def void(self, reference: str, key: str) -> Outcome:
        answer = await _answer(self._v1.payment_intents.cancel_async(reference, {}, {"idempotency_key": key}))
        if isinstance(answer, stripe.StripeError):
            return await self._settle(
                answer,
                reference,
                done={ProviderState.VOIDED},
                possible={ProviderState.OPEN, ProviderState.NEEDS_HOLDER, ProviderState.AUTHORIZED},
                refusal="PAYMENT_CAPTURED",
                undoing=True,
            )
        return Succeeded("voided") if _status(answer) == "canceled" else _unclear()

    async def refund(self, reference: str, key: str) -> Outcome:
        answer = await _answer(self._v1.refunds.create_async({"payment_intent": reference}, {"idempotency_key": key}))
        if isinstance(answer, stripe.StripeError):
            return await self._settle(
                answer,
                reference,
                done={ProviderState.REFUNDED, ProviderState.REFUND_PENDING},
                possible={ProviderState.CAPTURED},
                refusal="PAYMENT_NOT_CAPTURED",
                undoing=True,
            )
        match _status(answer):
            case "succeeded":
                return Succeeded("refunded", ProviderState.REFUNDED)
            case status if status in _REFUNDS_PENDING:
                return Succeeded("refund pending", ProviderState.REFUND_PENDING)
            case "failed" | "canceled":
                return _refund_failure(answer)
            case _:
                return _unclear()

    async def read(self, reference: str) -> Outcome:
        answer = await _answer(
            self._v1.payment_intents.retrieve_async(reference, {"expand": ["latest_charge.refunds"]})
        )
        if isinstance(answer, stripe.StripeError) and not _is_missing(answer):
            return _trouble(answer)
        if isinstance(answer, stripe.StripeError):
            return Succeeded(data=ProviderPayment(reference, ProviderState.ABSENT))
        payment = _payment(reference, answer)
        if payment is None:
            return _unclear()
        charge = getattr(answer, "latest_charge", None)
        if getattr(charge, "disputed", None) is True:
            return await self._with_disputes(payment, charge)
        return Succeeded(data=payment)

    async def _with_disputes(self, payment: ProviderPayment, charge: object) -> Outcome:
        """The payment of a charge that is, or was, disputed. If only a part is lost, the rest can still be refunded."""
        answer = await _answer(self._v1.disputes.list_async({"payment_intent": payment.reference}))
        if isinstance(answer, stripe.StripeError):
            return _trouble(answer)
        if any(_status(dispute) in _DISPUTES_OPEN for dispute in answer.data):
            return Succeeded(data=replace(payment, state=ProviderState.DISPUTED, refusal=None))
        lost = [dispute for dispute in answer.data if _status(dispute) == "lost"]
        if lost and _lost_whole(charge, lost):
            return Succeeded(data=replace(payment, state=ProviderState.CHARGED_BACK, refusal=None))
        return Succeeded(data=payment)

    async def _settle(
        self,
        error: stripe.StripeError,
        reference: str,
        *,
        done: set[ProviderState],
        possible: set[ProviderState],
        refusal: str,
        undoing: bool = False,
    ) -> Outcome:
        """The outcome of an error. If Stripe rejected the request itself, the reference's present state decides.

        `done` already is a success. If the operation is still `possible`, Stripe's reason is the refusal,
        and an undo continues under a new key. In any other state the state is the reason, named `refusal`.
        """
        if not _is_rejection(error):
            return _trouble(error)
        found = await self.read(reference)
        match found:
            case Succeeded(_, ProviderPayment(_, state, holder)) if state in done:
                return Succeeded(f"{state.value.lower()} already", holder or state)
            case Succeeded(_, ProviderPayment(_, ProviderState.OPEN)) if refusal == "PAYMENT_NOT_OPEN" and _is_missing(
                error
            ):
                return _CARD_UNKNOWN
            case Succeeded(_, ProviderPayment(_, state)) if state in possible:
                return Refused("PAYMENT_REJECTED", _rejection(error), passing=undoing, key_spent=undoing)
            case Succeeded(_, ProviderPayment(_, ProviderState.ABSENT)):
                return Refused("PAYMENT_UNKNOWN", "The provider does not know this payment.")
            case Succeeded(_, ProviderPayment(_, ProviderState.VOIDED)) if refusal == "PAYMENT_NOT_OPEN":
                return Refused("PAYMENT_VOIDED", "The payment was voided.")
            case Succeeded(_, ProviderPayment(_, state)):
                return Refused(refusal, f"The payment is {state.value}.")
            case NotSent(code, message):
                # The operation's own request has left.
                return Unknown(code, message)
            case _:
                return found

    @property
    def services(self) -> stripe.V1Services:
        """Stripe's objects, by the client of this gateway, while it is started."""
        return self._v1

    @property
    def _v1(self) -> stripe.V1Services:
        if self._client is None:
            raise RuntimeError("the Stripe gateway is not started")
        return self._client.v1


class _NoAnswer(stripe.StripeError):
    """It is not known whether the request arrived."""


class _NotSent(stripe.StripeError):
    """The request did not leave: there was no connection for it."""


#: Errors of httpx before a byte of the request is written.
_BEFORE_SENDING: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


class _Transport(stripe.HTTPClient):
    """Requests by httpx. The library's own httpx client uses a call that httpx has deprecated.

    httpcore 1.0.9 may not free the place of a request that was given up while it waited for a connection; in the end
    no request gets one. Nothing waits here behind a guard, and a pool in which a request has waited in vain is
    replaced. That request has not left, so it goes to the new pool at once.
    """

    name = "httpx"

    def __init__(self, timeout_seconds: float, calls_max: int, on_request: Callable[[], None]) -> None:
        super().__init__()
        self._timeout = httpx.Timeout(
            timeout_seconds,
            connect=min(CONNECT_SECONDS_MAX, timeout_seconds),
            pool=min(POOL_SECONDS_MAX, timeout_seconds),
        )
        self._limits = httpx.Limits(
            max_connections=calls_max + CONNECTIONS_SPARE, max_keepalive_connections=calls_max + CONNECTIONS_SPARE
        )
        self._on_request = on_request
        self._pool = self._new_pool()

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        self._on_request()
        try:
            try:
                answer = await self._send(method, url, headers, post_data)
            except httpx.PoolTimeout:
                answer = await self._send(method, url, headers, post_data)
        except _BEFORE_SENDING as error:
            raise _NotSent(type(error).__name__) from error
        except (httpx.HTTPError, OSError) as error:
            raise _NoAnswer(type(error).__name__) from error
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._pool.requests.aclose()

    async def _send(self, method: str, url: str, headers: Mapping[str, str], post_data: str | None) -> httpx.Response:
        """One request. Raises PoolTimeout after it has replaced the pool."""
        pool = self._pool
        try:
            with pool.in_use():
                return await pool.requests.request(method, url, headers=dict(headers), content=post_data)
        except httpx.PoolTimeout:
            if pool is self._pool:
                _logger.warning("No connection to the provider came free; the HTTP client is replaced.")
                self._pool = self._new_pool()
            raise
        finally:
            if pool is not self._pool and not pool.users:
                await pool.requests.aclose()

    def _new_pool(self) -> _Pool:
        return _Pool(httpx.AsyncClient(timeout=self._timeout, limits=self._limits))


class _Pool:
    """An HTTP client, and how many requests use it."""

    def __init__(self, requests: httpx.AsyncClient) -> None:
        self.requests = requests
        self.users = 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1


async def _answer(call: Awaitable[T]) -> T | stripe.StripeError:
    """Stripe's error as a value."""
    try:
        return await call
    except stripe.StripeError as error:
        return error


def _trouble(error: stripe.StripeError) -> Refused | Unknown | NotSent:
    """The code and message for an error; the messages are ours, as Stripe's may quote the card's token."""
    status = error.http_status or 0
    match error:
        case _NoAnswer():
            return Unknown("TIMEOUT", "The provider did not answer in time.")
        case _NotSent():
            return NotSent("PROVIDER_UNREACHABLE", "The provider cannot be reached.")
        case _ if status == 429:
            return NotSent("PROVIDER_BUSY", "The provider limits the rate of requests.", _retry_after(error))
        case _ if status == 409:
            return Unknown("PROVIDER_BUSY", "The provider is still processing an earlier request.")
        case stripe.IdempotencyError():
            return Unknown(PROVIDER_ERROR, "The idempotency key was used for another request.")
        case stripe.CardError():
            return _declined(error)
        case stripe.AuthenticationError() | stripe.PermissionError():
            return NotSent("PROVIDER_ACCESS_DENIED", "The provider does not accept our API key.")
        case stripe.InvalidRequestError():
            return Refused("PAYMENT_REJECTED", _rejection(error))
        case _ if status >= 500 and error.error is not None:
            return Unknown(PROVIDER_ERROR, f"The provider answered {status}.")
        case _:
            # Not an error of Stripe's own (a proxy's page): the request may still be in progress behind it.
            return _unclear()


def _retry_after(error: stripe.StripeError) -> float | None:
    """The seconds of the header Retry-After, given as such or as a date; None if it is missing or makes no sense."""
    said = httpx.Headers(dict(error.headers or {})).get("retry-after", "").strip()
    try:
        return min(max(0.0, float(said)), RETRY_AFTER_SECONDS_MAX)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(said)
        # Without a zone it would be taken for this machine's own time.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), RETRY_AFTER_SECONDS_MAX)


def _not_opened(error: stripe.StripeError) -> Refused | Unknown | NotSent:
    """Why there is no intent. If one was made all the same, it charges nothing."""
    if _is_missing(error):
        return _CARD_UNKNOWN
    outcome = _trouble(error)
    if isinstance(outcome, Unknown) and outcome.code == PROVIDER_ERROR:
        return Refused(outcome.code, outcome.message, passing=True, key_spent=True)
    return outcome


def _declined(error: stripe.CardError) -> Refused:
    return _refusal(error.error)


def _refusal(error: object) -> Refused:
    """Why a card was refused: by an intent's last error, or by an answer's."""
    decline, code = (str(getattr(error, name, None) or "") for name in ("decline_code", "code"))
    if code == "payment_intent_authentication_failure":
        return CARD_NOT_CONFIRMED
    return declined(_DECLINED.get(decline) or _DECLINED.get(code) or "PAYMENT_DECLINED")


def _rejection(error: stripe.StripeError) -> str:
    return f"The provider rejected the request ({error.code or error.http_status})."


def _is_rejection(error: stripe.StripeError) -> bool:
    """Whether Stripe rejected the request itself, or the state of its object."""
    return isinstance(error, stripe.InvalidRequestError) and error.http_status in (400, 404)


def _is_missing(error: stripe.StripeError) -> bool:
    return _is_rejection(error) and (error.code == "resource_missing" or error.http_status == 404)


def _payment(reference: str, intent: object) -> ProviderPayment | None:
    """The payment of an intent with its charge; None during a change, or if the answer makes no sense."""
    match _state(intent):
        case None:
            return None
        case ProviderState.NEEDS_HOLDER:
            secret = getattr(intent, "client_secret", None)
            holder = NeedsHolder(client_secret=secret)
            return ProviderPayment(reference, ProviderState.NEEDS_HOLDER, holder) if secret else None
        case ProviderState.OPEN:
            error = getattr(intent, "last_payment_error", None)
            return ProviderPayment(reference, ProviderState.OPEN, refusal=_refusal(error) if error else None)
        case ProviderState.CAPTURED:
            return _taken(reference, getattr(intent, "latest_charge", None))
        case state:
            return ProviderPayment(reference, state)


def _state(intent: object) -> ProviderState | None:
    """The state of an intent without its refunds and disputes; None during a change."""
    status = _status(intent)
    return ProviderState.CAPTURED if status == "succeeded" else _STATES.get(status)


def _taken(reference: str, charge: object) -> ProviderPayment | None:
    """The payment of a charge that was captured, by its refunds; None if Stripe has not shown them.

    `refunded` and `amount_refunded` of a charge also count what is pending. The list holds the ten newest refunds, the
    newest first.
    """
    has_all, given = (getattr(charge, name, None) for name in ("refunded", "amount_refunded"))
    listed = getattr(charge, "refunds", None)
    refunds = getattr(listed, "data", None)
    if refunds is None:
        return ProviderPayment(reference, ProviderState.CAPTURED) if has_all is False and not given else None
    pending = sum(refund.amount for refund in refunds if _status(refund) in _REFUNDS_PENDING)
    done = sum(refund.amount for refund in refunds if _status(refund) == "succeeded")
    if getattr(listed, "has_more", False):
        done = max(done, (given or 0) - pending)
    refunded = money_of(done, str(getattr(charge, "currency", ""))) if done > 0 else None
    if pending:
        return ProviderPayment(reference, ProviderState.REFUND_PENDING, refunded=refunded)
    if has_all is True:
        return ProviderPayment(reference, ProviderState.REFUNDED, refunded=refunded)
    failure = _refund_failure(refunds[0]) if refunds and _status(refunds[0]) in ("failed", "canceled") else None
    return ProviderPayment(reference, ProviderState.CAPTURED, refusal=failure, refunded=refunded)


def _lost_whole(charge: object, lost: Sequence[object]) -> bool:
    """Whether the lost disputes, with what was refunded, are all of the charge; also if their amounts do not say."""
    amount, currency = getattr(charge, "amount", None), getattr(charge, "currency", None)
    gone = getattr(charge, "amount_refunded", None) or 0
    for dispute in lost:
        part = getattr(dispute, "amount", None)
        if part is None or getattr(dispute, "currency", None) != currency:
            return True
        gone += part
    return bool(amount is None or gone >= amount)


def _status(answer: object) -> str:
    return str(getattr(answer, "status", ""))


def _unclear() -> Unknown:
    return Unknown("PROVIDER_UNCLEAR", "The provider's answer was not understood.")


def _refund_failure(refund: object) -> Refused:
    """Why a refund came to nothing. Its key would only repeat it."""
    reason = getattr(refund, "failure_reason", None) or _status(refund)
    return Refused(REFUND_FAILED, f"The provider could not give the money back ({reason}).", key_spent=True)
