"""Calls whose answer may be lost: the result of an answered fault is read, not guessed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments.gateway import PaymentGateway, PaymentOrder, ProviderPayment, ProviderState

__all__ = ["PROVIDER_ERROR", "authorization_of", "authorize", "capture"]

PROVIDER_ERROR: Final = "PROVIDER_ERROR"


async def authorize(gateway: PaymentGateway, reference: str, order: PaymentOrder, key: str) -> Outcome:
    """Authorize the money; after an answered fault, the reference's state decides.

    Succeeds with NeedsHolder as data if the card's holder must confirm first; then `authorization_of`
    tells what comes of it.
    """
    outcome = await gateway.authorize(reference, order, key)
    return await _weigh(
        gateway,
        reference,
        outcome,
        done={ProviderState.AUTHORIZED, ProviderState.CAPTURED, ProviderState.NEEDS_HOLDER},
        untouched={ProviderState.ABSENT, ProviderState.OPEN},
    )


async def authorization_of(gateway: PaymentGateway, reference: str) -> Outcome:
    """The present outcome of an authorization that was left to the card's holder, by the reference's state.

    As that of `authorize`: NeedsHolder as data while the holder has not answered. Refused: by the holder
    (CARD_NOT_CONFIRMED), or by the bank afterwards. Unknown if the provider cannot be read now.
    """
    match await gateway.read(reference):
        case Succeeded(_, ProviderPayment() as payment):
            return payment.as_authorization()
        case Refused(code, message):
            # The read was refused, which says nothing about the payment.
            return Unknown(code, message)
        case found:
            return found


async def capture(gateway: PaymentGateway, reference: str, amount: Money, key: str) -> Outcome:
    """Capture the money; after an answered fault, the reference's state decides."""
    outcome = await gateway.capture(reference, amount, key)
    return await _weigh(
        gateway, reference, outcome, done={ProviderState.CAPTURED}, untouched={ProviderState.AUTHORIZED}
    )


async def _weigh(
    gateway: PaymentGateway,
    reference: str,
    outcome: Outcome,
    *,
    done: Collection[ProviderState],
    untouched: Collection[ProviderState],
) -> Outcome:
    """A provider stores the 500 that it answered and repeats it under its key, so asking again is useless.

    The request is over, so the reference's present state is the result of all requests under this
    key: either it is done, or it is proven without effect and the next attempt needs a new round. A
    timeout is not over, and stays unknown.
    """
    if not isinstance(outcome, Unknown) or outcome.code != PROVIDER_ERROR:
        return outcome
    match await gateway.read(reference):
        case Succeeded(_, ProviderPayment(_, state, holder)) if state in done:
            return Succeeded("found done after an error", holder)
        case Succeeded(_, ProviderPayment(_, state)) if state in untouched:
            return Refused(outcome.code, outcome.message, passing=True, key_spent=True)
        case _:
            return outcome
