"""Stripe as a payment gateway: a booking's money is one PaymentIntent, captured by hand.

::

    open      create, not confirmed     requires_confirmation         OPEN
    authorize confirm                   requires_capture              AUTHORIZED
    capture   capture                   succeeded                     CAPTURED
    void      cancel                    canceled                      VOIDED
    refund    refunds.create            succeeded, charge refunded    REFUNDED

The card is named when the intent is made, and confirming names nothing but the intent: so
what is sent under a key never depends on anything that may have changed since. A canceled
intent refuses to be confirmed, which is what makes a late authorization harmless.

Stripe keeps a key's first answer for a day, the failures as well. Hence:

- An answered 500 is PROVIDER_ERROR, and so is a key that was used with other parameters: this
  key leads nowhere any more, and what the intent shows decides (`domain.payments.calls`).
- A 4xx on an intent may mean that the deed is done already (the key was forgotten, someone
  acted in the dashboard): what the intent shows decides here too.
- A refused void or refund names its key as spent, so that the next attempt is a new request.
- `open` moves no money, so an answered 500 to it is a refusal, tried again under a new key: an
  intent that was made and forgotten can charge nobody.

An intent that Stripe does not know is never taken for voided: references are Stripe's own, so
it is the account that is the wrong one, and the money may be reserved in another.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar, cast

import httpx
import stripe
from stripe.params import PaymentIntentCreateParams

from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments.calls import PROVIDER_ERROR
from domain.payments.gateway import PaymentOrder, ProviderPayment, ProviderState

__all__ = ["StripeGateway"]

T = TypeVar("T")

#: Requests and answers are written for this version of Stripe's API, whatever the library's own is. The library's
#: present one no longer takes `payment_method_types`, and what it takes instead, older servers do not know.
API_VERSION: Final = "2026-07-29.dahlia"
#: Below the engine's attempt timeout, so that a slow provider is told apart from a slow step.
TIMEOUT_SECONDS: Final = 8.0

_DECLINED: Final = {
    "insufficient_funds": ("INSUFFICIENT_FUNDS", "The card has insufficient funds."),
    "expired_card": ("CARD_EXPIRED", "The card has expired."),
    "incorrect_cvc": ("INCORRECT_CVC", "The card's security code is incorrect."),
    "invalid_cvc": ("INCORRECT_CVC", "The card's security code is incorrect."),
    "lost_card": ("CARD_LOST", "The card was reported lost."),
    "stolen_card": ("CARD_STOLEN", "The card was reported stolen."),
    "processing_error": ("PROCESSING_ERROR", "The card could not be processed."),
    "authentication_required": ("AUTHENTICATION_REQUIRED", "The card asks for its holder's confirmation."),
}
_STATES: Final = {
    "requires_payment_method": ProviderState.OPEN,
    "requires_confirmation": ProviderState.OPEN,
    "requires_action": ProviderState.OPEN,
    "requires_capture": ProviderState.AUTHORIZED,
    "canceled": ProviderState.VOIDED,
}
#: How Stripe counts, https://docs.stripe.com/currencies: decimals where they are not two. ISK has two here, always 00.
_DIGITS: Final = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)

_NOT_CHARGEABLE: Final = Refused("AMOUNT_NOT_CHARGEABLE", "The provider cannot charge this amount exactly.")


class StripeGateway:
    """Payments at Stripe, or at a server that speaks as it does (`api_base`)."""

    name = "stripe"
    takes_our_reference = False

    def __init__(self, api_key: str, *, api_base: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._timeout_seconds = timeout_seconds
        self._transport: _Transport | None = None
        self._client: stripe.StripeClient | None = None

    async def start(self) -> None:
        # Its lines below WARNING hold request bodies and messages, and these hold card tokens.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._transport = _Transport(self._timeout_seconds)
        self._client = stripe.StripeClient(
            self._api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": self._api_base.rstrip("/")} if self._api_base else {},
            # The engine retries, and counts.
            max_network_retries=0,
            http_client=self._transport,
        )

    async def close(self) -> None:
        self._client = None
        if self._transport is not None:
            await self._transport.close_async()
            self._transport = None

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        units = _units(order.amount)
        if order.token is None:
            return Refused("CARD_TOKEN_MISSING", "A card token is needed.")
        if units is None:
            return _NOT_CHARGEABLE
        wish = {
            "amount": units,
            "currency": order.amount.currency.lower(),
            "capture_method": "manual",
            "payment_method": order.token,
            # Other ways to pay would want to send the payer elsewhere and back.
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
        answer = await _answer(self._v1.payment_intents.confirm_async(reference, {}, {"idempotency_key": key}))
        if isinstance(answer, stripe.StripeError):
            return await self._settle(
                answer,
                reference,
                done={ProviderState.AUTHORIZED, ProviderState.CAPTURED},
                possible={ProviderState.OPEN},
                refusal="PAYMENT_NOT_OPEN",
            )
        match _status(answer):
            case "requires_capture":
                return Succeeded("authorized")
            case "requires_action":
                # Nobody holds the intent's secret, so nobody can act: it stays without effect.
                return Refused(*_DECLINED["authentication_required"])
            case _:
                return _unclear()

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        units = _units(amount)
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
                possible={ProviderState.OPEN, ProviderState.AUTHORIZED},
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
                done={ProviderState.REFUNDED},
                possible={ProviderState.CAPTURED},
                refusal="PAYMENT_NOT_CAPTURED",
                undoing=True,
            )
        match _status(answer):
            case "succeeded" | "pending":
                return Succeeded("refunded")
            case "failed" | "canceled":
                return Refused("REFUND_FAILED", "The money could not be given back.", passing=True, key_spent=True)
            case _:
                return _unclear()

    async def read(self, reference: str) -> Outcome:
        answer = await _answer(self._v1.payment_intents.retrieve_async(reference, {"expand": ["latest_charge"]}))
        if isinstance(answer, stripe.StripeError) and not _is_missing(answer):
            return _trouble(answer)
        state = ProviderState.ABSENT if isinstance(answer, stripe.StripeError) else _state(answer)
        if state is None:
            return _unclear()
        return Succeeded(data=ProviderPayment(reference, state))

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
        """What an error came to. Where Stripe rejected the request as such, by what the reference shows now:

        `done` already is a success; where the deed is still `possible`, Stripe's reason stands,
        and an undoing goes on under a new key; else the state is the reason, named `refusal`.
        """
        if not _is_rejection(error):
            return _trouble(error)
        found = await self.read(reference)
        match found:
            case Succeeded(_, ProviderPayment(_, state)) if state in done:
                return Succeeded(f"{state.value.lower()} already")
            case Succeeded(_, ProviderPayment(_, state)) if state in possible:
                return Refused("PAYMENT_REJECTED", _rejection(error), passing=undoing, key_spent=undoing)
            case Succeeded(_, ProviderPayment(_, ProviderState.ABSENT)):
                return Refused("PAYMENT_UNKNOWN", "The provider does not know this payment.")
            case Succeeded(_, ProviderPayment(_, ProviderState.VOIDED)) if refusal == "PAYMENT_NOT_OPEN":
                return Refused("PAYMENT_VOIDED", "The payment was voided.")
            case Succeeded(_, ProviderPayment(_, state)):
                return Refused(refusal, f"The payment is {state.value}.")
            case _:
                return found

    @property
    def _v1(self) -> stripe.V1Services:
        if self._client is None:
            raise RuntimeError("the Stripe gateway is not started")
        return self._client.v1


class _NoAnswer(stripe.StripeError):
    """Whether the request arrived is not known."""


class _Transport(stripe.HTTPClient):
    """Requests by httpx. The library's own such client calls it in a way that httpx has deprecated."""

    name = "httpx"

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__()
        self._requests = httpx.AsyncClient(timeout=timeout_seconds)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = await self._requests.request(method, url, headers=dict(headers), content=post_data)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _NoAnswer(type(error).__name__) from error
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._requests.aclose()


async def _answer(call: Awaitable[T]) -> T | stripe.StripeError:
    """Stripe's trouble as a value."""
    try:
        return await call
    except stripe.StripeError as error:
        return error


def _trouble(error: stripe.StripeError) -> Refused | Unknown:
    """What an error says of itself; the messages are ours, as Stripe's may quote the card's token."""
    status = error.http_status or 0
    match error:
        case _NoAnswer():
            return Unknown("TIMEOUT", "The provider did not answer in time.")
        case stripe.RateLimitError():
            return Unknown("PROVIDER_BUSY", "The provider asks for patience.")
        case _ if status in (409, 429):
            return Unknown("PROVIDER_BUSY", "The provider is still at an earlier request.")
        case stripe.IdempotencyError():
            return Unknown(PROVIDER_ERROR, "The idempotency key was used for another request.")
        case stripe.CardError():
            return _declined(error)
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Refused("PROVIDER_ACCESS_DENIED", "The provider does not accept our API key.", passing=True)
        case stripe.InvalidRequestError():
            return Refused("PAYMENT_REJECTED", _rejection(error))
        case _ if status >= 500 and error.error is not None:
            return Unknown(PROVIDER_ERROR, f"The provider answered {status}.")
        case _:
            # No error of Stripe's own (a proxy's page): the request may still be under way behind it.
            return _unclear()


def _not_opened(error: stripe.StripeError) -> Refused | Unknown:
    """Why there is no intent. Nothing is charged by one that was made all the same."""
    if _is_missing(error):
        return Refused("CARD_TOKEN_UNKNOWN", "The provider does not know this card token.")
    outcome = _trouble(error)
    if isinstance(outcome, Unknown) and outcome.code == PROVIDER_ERROR:
        return Refused(outcome.code, outcome.message, passing=True, key_spent=True)
    return outcome


def _declined(error: stripe.CardError) -> Refused:
    reason = getattr(error.error, "decline_code", None)
    known = _DECLINED.get(reason or "") or _DECLINED.get(error.code or "")
    return Refused(*(known or ("PAYMENT_DECLINED", "The card was declined.")))


def _rejection(error: stripe.StripeError) -> str:
    return f"The provider rejected the request ({error.code or error.http_status})."


def _is_rejection(error: stripe.StripeError) -> bool:
    """Whether Stripe found the request itself, or the state of its object, wrong."""
    return isinstance(error, stripe.InvalidRequestError) and error.http_status in (400, 404)


def _is_missing(error: stripe.StripeError) -> bool:
    return _is_rejection(error) and (error.code == "resource_missing" or error.http_status == 404)


def _state(intent: object) -> ProviderState | None:
    """The state of an intent with its charge; None while it is neither here nor there."""
    status = _status(intent)
    if status != "succeeded":
        return _STATES.get(status)
    match getattr(getattr(intent, "latest_charge", None), "refunded", None):
        case True:
            return ProviderState.REFUNDED
        case False:
            return ProviderState.CAPTURED
        case _:
            return None


def _status(answer: object) -> str:
    return str(getattr(answer, "status", ""))


def _unclear() -> Unknown:
    return Unknown("PROVIDER_UNCLEAR", "The provider's answer was not understood.")


def _units(amount: Money) -> int | None:
    """`amount` in the unit that Stripe counts the currency in, or None where it is finer than that."""
    units = amount.amount.scaleb(_DIGITS.get(amount.currency, 2))
    return int(units) if units == units.to_integral_value() else None
